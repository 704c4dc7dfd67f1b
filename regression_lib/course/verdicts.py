"""The verdicts that lessons show: measured in the evidence notebooks, kept here, never typed.

`make notebooks` runs the evidence, collects its cards by their keys into `verdicts.json`, and then
runs the lessons. So a lesson shows what a result came to without the code that found it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from regression_lib.course.claims import Holds, card_html, title_of
from regression_lib.words import printable

STORE = files("regression_lib.course") / "verdicts.json"


@dataclass(frozen=True)
class Stored:
    """A card that an evidence notebook has measured; a lesson shows it.

    Attributes
    ----------
    key, text : str
    holds : {True, False, "in part"}
    evidence : tuple of str
        A line each: a mark, and what was measured.
    post : str or None
        The key of the post's claim that it tests.
    notebook, anchor : str
        Where it was measured: a notebook of `book/evidence` by its stem, and its place there.
    """

    key: str
    text: str
    holds: Holds
    evidence: tuple[str, ...]
    post: str | None
    notebook: str
    anchor: str

    def __repr__(self) -> str:
        body = "\n".join(f"  {line}" for line in self.evidence)
        title = title_of(self.holds, self.post)
        return printable(f"{title}: {self.text}\n{body}\n  How we know: evidence/{self.notebook}")

    def _repr_html_(self):
        # To the notebook, as JupyterLab opens it; on a page the book makes it the page's address.
        link = f"evidence/{self.notebook}.ipynb#{self.anchor}"
        last = f'<p class="how-we-know"><a href="{link}">How we know →</a></p>'
        return card_html(self.text, self.holds, list(self.evidence), self.post, last=last)


@cache
def stored() -> dict[str, Stored]:
    """All verdicts by key."""
    found = json.loads(STORE.read_text(encoding="utf-8"))
    return {
        key: Stored(key, **about | {"evidence": tuple(about["evidence"])})
        for key, about in found.items()
    }


def verdict(key: str) -> Stored:
    """Show what the evidence notebooks found about a claim.

    Parameters
    ----------
    key : str
        As in ``claim(…, key=…)``.

    Returns
    -------
    Stored

    Raises
    ------
    KeyError
        If no evidence notebook has a card of this key.
    """
    if key not in stored():
        near = get_close_matches(key, stored(), n=3) or list(stored())
        raise KeyError(
            f"no evidence has the key {key!r}; near it: {', '.join(near)}. Run `make notebooks` "
            f"after adding one"
        )
    return stored()[key]
