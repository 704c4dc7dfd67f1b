"""Formulas, rendered while the book is built: KaTeX runs inside QuickJS, a page needs no script.

A formula that KaTeX refuses stops the build and is named with its page. On the page each formula
is MathML for a screen reader beside HTML for the eye; a display formula too wide for the window
scrolls, so it can be focused and scrolled by keyboard.
"""

import json
from functools import lru_cache
from pathlib import Path

import quickjs
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.math import get_node_equation_number

import labels

KATEX = Path(__file__).parent / "katex" / "katex.min.js"


@lru_cache(1)
def engine():
    """A JavaScript context with KaTeX in it; loading it takes some 30 ms, so once a build."""
    context = quickjs.Context()
    context.eval(KATEX.read_text(encoding="utf-8"))
    return context


@lru_cache(None)
def render(tex, display=False, page=""):
    """Return the HTML of a TeX formula; a bad one raises `ExtensionError` with page and formula."""
    options = {"displayMode": display, "throwOnError": True, "strict": "error"}
    try:
        call = f"katex.renderToString({json.dumps(tex)}, {json.dumps(options)})"
        # As JSON, since a string that JavaScript has only joined so far does not cross over.
        return json.loads(engine().eval(f"JSON.stringify({call})"))
    except quickjs.JSException as error:
        reason = str(error).splitlines()[0]
        raise ExtensionError(
            f"{page}: KaTeX cannot render the formula\n  {tex}\n  {reason}"
        ) from None


def visit_inline(self, node):
    formula = render(node.astext(), page=self.builder.current_docname)
    self.body.append(f'<span class="math notranslate">{formula}</span>')
    raise nodes.SkipNode


def visit_display(self, node):
    """Number on the left of the row, formula in a box that scrolls sideways on a phone."""
    words = labels.load(self.config.language)
    formula = render(node.astext(), display=True, page=self.builder.current_docname)
    self.body.append(self.starttag(node, "div", CLASS="math math-display notranslate"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, words["equation"])
        self.body.append("</span>")
    box = f'<div class="math-scroll" tabindex="0" role="group" aria-label="{words["formula"]}">'
    self.body.append(f"{box}{formula}</div></div>\n")
    raise nodes.SkipNode


def add_styles(app, page, template, context, doctree):
    """Only a page with a formula loads KaTeX's style sheet."""
    if app.env.get_domain("math").has_equations(page):
        app.add_css_file("katex/katex.min.css")


def setup(app):
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_display, None))
    app.connect("html-page-context", add_styles)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
