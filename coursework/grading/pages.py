"""A page for a student: what was asked, what they wrote, what it earned and why.

One file that loads nothing: no script, no font, no picture from another host. It is made in a
process with limits (see bounded.py), since what a student wrote may hold any renderer up.
"""

import base64
import re
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import unquote

import jinja2
from markupsafe import Markup
from nbconvert.filters.ansi import strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from grading.assignment import grade_id
from grading.formulas import mathml

TEMPLATES = Path(__file__).with_name("templates")
PICTURES = ("image/png", "image/jpeg", "image/gif")
# What outputs may add to a page, which is sent by mail and opened on a telephone.
MOST_TEXT, MOST_IN_ALL, MOST_OF_PICTURES = 10_000, 200_000, 2_000_000


class Renderer(IPythonRenderer):
    """Markdown without HTML, with formulas that need no script and pictures that are at hand."""

    def inline_math(self, body):
        return mathml(body)

    def block_math(self, body):
        return mathml(body, display=True)

    def latex_environment(self, name, body):
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", display=True)

    def image(self, text, url, title=None):
        """A picture that was pasted into the text; what lies elsewhere is named, not fetched."""
        kept = self.attachments.get(unquote(url).removeprefix("attachment:"), {})
        for kind in PICTURES:
            if kind in kept:
                return f'<img src="data:{kind};base64,{kept[kind]}" alt="{escape(text)}">'
        return f"[picture: {escape(text)} {escape(url)}]"

    def block_code(self, code, info=None):
        return f"<pre>{escape(code)}</pre>"


def markdown(text, pictures=None, own=False):
    """Markdown as HTML; only in a text of the instructor's own are tags what they are."""
    renderer = Renderer(escape=not own, allow_harmful_protocols=False, attachments=pictures or {})
    renderer.exclude_anchor_links = True
    return Markup(MarkdownWithMath(renderer=renderer).render(text))


def python(code):
    """Code in colours, which are classes of the style sheet."""
    return Markup(highlight(code, PythonLexer(), HtmlFormatter(nowrap=True)))


@cache
def environment():
    """The templates, in which whatever is inserted is text unless it says that it is HTML."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.globals["style"] = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
    made.globals["colours"] = Markup(_colours())
    made.filters["number"] = lambda value: f"{value:g}"
    return made


def _colours():
    def of(style):
        return HtmlFormatter(style=style).get_style_defs("pre")

    return f"{of('default')}\n@media (prefers-color-scheme: dark) {{\n{of('github-dark')}\n}}"


def page(notebook, released, about):
    """The HTML of a student's page.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        As it was graded.
    released : dict
        What stood in each cell when it was handed out, by grade id: without hidden tests.
    about : dict
        Title, student, score, max_score, penalty, waiting, notes, and "questions" by grade id: each
        with points, worth, parts, hint and comment; and "comments" on other cells.

    Returns
    -------
    str
    """
    cells = _within_limits([_cell(cell, released, about) for cell in notebook.cells])
    return environment().get_template("feedback.html").render(about, cells=cells)


def plain_page(notebook, released, about):
    """The same without Markdown, formulas and colours: for words that hold a renderer up."""
    cells = [_cell(cell, released, about, plain=True) for cell in notebook.cells]
    cells = _within_limits(cells)
    return environment().get_template("feedback.html").render(about, cells=cells)


def _cell(cell, released, about, plain=False):
    """What the template shows of a cell."""
    name = grade_id(cell)
    own, written = name is not None, bool(cell.metadata.get("nbgrader", {}).get("solution"))
    shown = {"name": name, "added": not own, "question": about["questions"].get(name)}
    shown |= {"comment": about["comments"].get(name, ""), "outputs": []}
    if cell.cell_type != "code":
        pre = Markup(f'<pre class="words">{escape(cell.source)}</pre>')
        trusted = not written and (own or not _is_added(cell))
        shown["html"] = pre if plain else markdown(cell.source, _pictures(cell), own=trusted)
        return shown | {"kind": "text", "added": _is_added(cell)}
    test = own and bool(cell.metadata.nbgrader.get("grade"))
    source = released.get(name, cell.source) if test else cell.source
    shown["html"] = Markup(escape(source)) if plain else python(source)
    shown["outputs"] = [_output(output) for output in cell.outputs]
    kind = "test" if test else "answer" if written or _is_added(cell) else "given"
    return shown | {"kind": kind, "added": _is_added(cell)}


def _is_added(cell):
    """Whether a student added it; see record.py, which names such cells."""
    return "-added-" in cell.get("id", "")


def _pictures(cell):
    return {name: dict(kinds) for name, kinds in cell.get("attachments", {}).items()}


def _output(output):
    if picture := output.get("data", {}).get("image/png"):
        return {"picture": _png(picture)}
    if output.output_type == "error":
        return {"error": strip_ansi("\n".join(output.traceback))}
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return {"text": strip_ansi(re.sub(r"\x08|\r", "", text))}


def _within_limits(cells):
    """Cells whose outputs make no page that is too large to send; what is left out is said."""
    text, pictures = MOST_IN_ALL, MOST_OF_PICTURES
    for cell in cells:
        shown = []
        for output in cell["outputs"]:
            if "picture" in output and len(output["picture"]) > pictures:
                output = {"text": "(a figure is left out here; this page would be too large)"}
            if "text" in output:
                output = {"text": _shortened(output["text"], min(MOST_TEXT, text))}
            pictures -= len(output.get("picture", ""))
            text -= len(output.get("text", ""))
            shown.append(output)
        cell["outputs"] = shown
    return cells


def _shortened(text, most):
    """The beginning and the end of a long text, where a loop says what it began and ended with."""
    if len(text) <= max(most, 200):
        return text
    half = max(most, 200) // 2
    left = len(text) - 2 * half
    return f"{text[:half]}\n(… {left:,} characters are left out here …)\n{text[-half:]}"


def _png(data):
    return base64.b64encode(base64.b64decode(data)).decode()
