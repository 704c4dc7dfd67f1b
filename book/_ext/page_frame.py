"""What stands around a page: its description for search engines, the footer, the page for 404."""

import re
import tomllib
from pathlib import Path
from urllib.parse import urljoin

from docutils import nodes

import labels

ROOT = Path(__file__).resolve().parents[2]
SHOWN = {"torch": "PyTorch", "numpy": "NumPy", "scikit-learn": "scikit-learn"}
LONGEST = 200  # characters; search engines and cards show no more


def library_version(root=ROOT):
    """Return what `regression_lib.__version__` says, without importing PyTorch for it."""
    text = (root / "regression_lib" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.M)[1]


def verified_versions(root=ROOT):
    """Return what the outputs were verified with, as the repository's own pins say it."""
    files = [root / "requirements-torch.txt", root / "requirements.txt"]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.M))
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")  # the tests run on it, and on newer
    versions = [f"Python {oldest}", *(f"{SHOWN[name]} {pins[name]}" for name in SHOWN)]
    return ", ".join([*versions, f"regression_lib {library_version(root)}"])


def description(doctree):
    """Return the first paragraph of a page, cut behind a whole word; None where there is none."""
    paragraphs = doctree.findall(nodes.paragraph) if doctree else []
    text = next((" ".join(p.astext().split()) for p in paragraphs), None)
    if text and len(text) > LONGEST:
        text = text[:LONGEST].rsplit(" ", 1)[0].rstrip(",;:") + " …"
    return text


def fill_frame(app, page, template, context, doctree):
    words = labels.load(app.config.language)
    context["description"] = description(doctree) or words["description"]
    context.setdefault("pagetitle", context.get("title"))  # what the theme prints above a page
    context["verified"] = words["verified"].format(versions=verified_versions())
    if app.config.html_baseurl:
        context["card"] = urljoin(app.config.html_baseurl, "_static/card.png")


def lost_page(app):
    """GitHub Pages and most servers show `404.html` for an address that leads nowhere."""
    yield "404", {"address": app.config.html_baseurl}, "404.html"


def setup(app):
    app.connect("html-page-context", fill_frame)
    app.connect("html-collect-pages", lost_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
