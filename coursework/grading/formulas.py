"""LaTeX to MathML, which browsers show by themselves: no script, no font, no other host.

The book's own copy of KaTeX does it, in a JavaScript engine that has neither files nor a network.
"""

import json
from functools import cache
from html import escape
from pathlib import Path

import quickjs

KATEX = Path(__file__).parents[2] / "book" / "_ext" / "katex" / "katex.min.js"


@cache
def _engine():
    engine = quickjs.Context()
    engine.set_memory_limit(256 << 20)
    engine.eval(KATEX.read_text(encoding="utf-8"))
    return engine


def mathml(latex, display=False):
    """A formula as MathML, or its source as code if it is none.

    Parameters
    ----------
    latex : str
        Without dollars; it may be a student's.
    display : bool
        Centred on a line of its own.
    """
    options = {"output": "mathml", "displayMode": display, "maxExpand": 100, "maxSize": 20}
    try:
        call = f"katex.renderToString({json.dumps(latex)}, {json.dumps(options)})"
        # As JSON, since a string that JavaScript has only joined so far does not cross over.
        return json.loads(_engine().eval(f"JSON.stringify({call})"))
    except Exception:  # no LaTeX that KaTeX knows
        return f"<code>{escape(latex)}</code>"
