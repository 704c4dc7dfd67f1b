"""The same book on plain Sphinx: `make plain`, the way out of Jupyter Book 1.x.

Jupyter Book 1.x is no more than a set of extensions and a reading of `_config.yml`. This file reads
the same settings, so that the day of the change needs no rewriting of a page. CONTRIBUTING.md
says when that is. It runs on the newest Sphinx, in an environment of its own.
"""

import sys
from pathlib import Path

import yaml
from sphinx import addnodes

ROOT = Path(__file__).resolve().parents[2]
_CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
_SPHINX = _CONFIG["sphinx"]["config"]
_JUPYTER_BOOK = {"jupyter_book", "sphinx_comments"}  # what we leave behind


def _from_root(paths):
    """Paths count from this file's folder, and not from the sources."""
    return [str(ROOT / path) for path in paths]


globals().update(_SPHINX)
extensions = [name for name in _SPHINX["extensions"] if name not in _JUPYTER_BOOK]
sys.path[:0] = _from_root({*_CONFIG["sphinx"]["local_extensions"].values(), "."})

project = html_title = _CONFIG["title"]
author, copyright = _CONFIG["author"], _CONFIG["copyright"]
exclude_patterns = [*_CONFIG["exclude_patterns"], "**.ipynb_checkpoints"]
external_toc_path = str(ROOT / "_toc.yml")
external_toc_exclude_missing = _CONFIG["only_build_toc_files"]
html_theme = "sphinx_book_theme"
html_logo, html_favicon = _from_root([_CONFIG["logo"], _CONFIG["html"]["favicon"]])
html_theme_options = _SPHINX["html_theme_options"] | {
    "repository_url": _CONFIG.get("repository", {}).get("url", "")
}
html_static_path = _from_root(_SPHINX["html_static_path"])
templates_path = _from_root(_SPHINX["templates_path"])
nb_execution_mode = _CONFIG["execute"]["execute_notebooks"]
# What Jupyter Book switches on by itself.
myst_enable_extensions = ["colon_fence", "dollarmath", "linkify", "substitution", "tasklist"]
myst_url_schemes = ["mailto", "http", "https"]


def _leave_words_alone(app, doctree):
    """A type such as "frame" in a docstring is a word. Sphinx 9 takes it for a method so named."""
    for reference in list(doctree.findall(addnodes.pending_xref)):
        target = reference["reftarget"]
        if reference.get("reftype") == "class" and target.islower() and "." not in target:
            reference.replace_self(reference.children)


def setup(app):
    app.connect("doctree-read", _leave_words_alone)
