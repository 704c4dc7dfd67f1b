"""Repairs between what is pleasant to write and what makes a sound page."""

import re

LITERAL = re.compile(r"(``.+?``)")
EVIDENCE = re.compile(r'(href="evidence/\w+)\.ipynb(?=[#"])')
EMPTY_HEADER = re.compile(r"<th([^>]*)>(\s*(?:<p></p>)?\s*)</th>")


def escape_bars(app, what, name, thing, options, lines):
    """In a docstring |x| is an absolute value; reStructuredText takes it for a substitution."""
    for number, line in enumerate(lines):
        pieces = LITERAL.split(line)
        pieces[::2] = [piece.replace("|", r"\|") for piece in pieces[::2]]
        lines[number] = "".join(pieces)


def empty_headers(app, page, template, context, doctree):
    """The empty corner of a table, as pandas writes it, heads nothing: make it a plain cell."""
    if "body" in context:
        context["body"] = EMPTY_HEADER.sub(r"<td\1>\2</td>", context["body"])


def evidence_pages(app, page, template, context, doctree):
    """A verdict card leads to the notebook that measured it: on a page, to that notebook's page."""
    if "body" in context:
        context["body"] = EVIDENCE.sub(r"\1.html", context["body"])


def setup(app):
    app.connect("autodoc-process-docstring", escape_bars, priority=900)  # after napoleon
    app.connect("html-page-context", empty_headers)
    app.connect("html-page-context", evidence_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
