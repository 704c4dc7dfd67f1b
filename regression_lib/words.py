"""Short texts about long things, that any terminal can show."""

import sys
from collections.abc import Iterable, Sequence

# What stands for a sign that a terminal cannot show: Windows' older ones, or a log in ASCII.
PLAIN = {
    **{"→": "->", "×": "x", "±": "+/-", "…": "...", "−": "-", "–": "-", "·": "*", "≥": ">="},
    **{"✓": "[yes]", "✗": "[no]", "²": "^2", "³": "^3", "°": " deg", "μ": "u", "µ": "u"},
    **{"“": '"', "”": '"', "’": "'", "━": "#", "₁": "1", "₀": "0", "€": "EUR", "≤": "<="},
}


def printable(text: str) -> str:
    """The text as `print` can write it where we are: other signs only where some are missing."""
    if can_show(text):
        return text
    encoding = sys.stdout.encoding
    text = "".join(sign if can_show(sign) else PLAIN.get(sign, sign) for sign in text)
    return text.encode(encoding, errors="replace").decode(encoding)


def can_show(text: str) -> bool:
    """Whether standard output has all the signs of a text; yes where there is none to ask."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def shorten_to_list(names: Sequence[str], most: int) -> Sequence[str | None]:
    """Keep at most so many names: the first ones, None for what is left out, and the last."""
    return names if len(names) <= most else [*names[: most - 2], None, names[-1]]


def shorten(names: Iterable[str], most: int) -> str:
    """At most so many names, with commas between them."""
    return ", ".join("…" if name is None else name for name in shorten_to_list(list(names), most))
