"""A sentence of the book and the code that checks it, side by side.

`claim` shows a verdict card, and raises when the verdict and the measurement disagree: a page
whose sentence has stopped being true no longer builds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from regression_lib.words import printable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Holds: TypeAlias = bool | Literal["in part"]
VERDICTS: dict[Holds, str] = {True: "Holds", False: "Does not hold", "in part": "Holds in part"}
CLASSES: dict[Holds, str] = {True: "claim-holds", False: "claim-fails", "in part": "claim-part"}
UNSAID = "unsaid-"  # begins the key of what the post does not say, but its code does
LONGEST = 60  # of an anchor, in characters


@dataclass(frozen=True)
class Verdict:
    """A claim with its verdict and what was measured; a card in a notebook."""

    text: str
    holds: Holds
    evidence: dict[str, bool]
    post: str | None = None
    key: str | None = None

    @property
    def anchor(self) -> str:
        """The card's address in its page: its key, or made from the claim's first words."""
        words = re.sub(r"[^a-z0-9]+", "-", (self.key or self.text).lower())
        return f"claim-{words[:LONGEST].strip('-')}"

    @property
    def title(self) -> str:
        """The verdict in words, and whose claim it is."""
        return title_of(self.holds, self.post)

    def lines(self) -> list[str]:
        """One line a measurement: whether it speaks for the claim, and its own words."""
        return [f"{'✓' if agrees else '✗'} {words}" for words, agrees in self.evidence.items()]

    def __repr__(self) -> str:
        body = "\n".join(f"  {line}" for line in self.lines())
        return printable(f"{self.title}: {self.text}\n{body}")

    def _repr_html_(self):
        return card_html(self.text, self.holds, self.lines(), self.post, f' id="{self.anchor}"')

    def _repr_mimebundle_(self, **_options):
        """The card, and beside it what the ledger reads."""
        about = {"text": self.text, "holds": self.holds, "evidence": self.lines()}
        about |= {"post": self.post, "anchor": self.anchor, "key": self.key}
        return {"text/plain": repr(self), "text/html": self._repr_html_()}, {"claim": about}


def title_of(holds: Holds, post: str | None) -> str:
    """A verdict in words, and whose claim it is."""
    if post is None:
        return VERDICTS[holds]
    whose = "Unsaid by the post" if post.startswith(UNSAID) else "The post"
    return f"{whose}: {VERDICTS[holds].lower()}"


def card_html(
    text: str,
    holds: Holds,
    lines: list[str],
    post: str | None,
    attributes: str = "",
    last: str = "",
) -> str:
    """A card as HTML: the verdict, the claim, what was measured, and perhaps a last line."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return (
        f'<div class="claim-card {CLASSES[holds]}"{attributes}>'
        f'<p class="claim-verdict"><strong>{title_of(holds, post)}</strong></p>'
        f"<p>{escape(text)}</p><ul>{items}</ul>{last}</div>"
    )


def claim(
    text: str,
    holds: Holds,
    evidence: Mapping[str, bool | np.bool],
    *,
    post: str | None = None,
    key: str | None = None,
) -> Verdict:
    """Show a claim with its verdict, or raise if what was measured says otherwise.

    Parameters
    ----------
    text : str
        The claim, in a sentence that can be true or false.
    holds : {True, False, "in part"}
        The verdict that the page states.
    evidence : dict of str to bool
        What was measured, in words that carry the numbers and their spread, and whether it
        speaks for the claim. True needs all of them, False none, "in part" some of each.
    post : str, optional
        The key, in the ledger of the post's claims, of the claim that this card puts to the test;
        it begins with ``"unsaid-"`` for what the post does not say, but its code does.
    key : str, optional
        The name by which lessons show this card: ``rl.verdict(key)``. Small letters, digits and
        hyphens.

    Returns
    -------
    Verdict

    Raises
    ------
    AssertionError
        If the evidence does not bear the verdict.
    TypeError, ValueError
        If there is no evidence, or it is not a truth value, or `holds` is no verdict.

    Examples
    --------
    >>> claim("Two is even", True, {"2 % 2 = 0": 2 % 2 == 0})
    Holds: Two is even
      ✓ 2 % 2 = 0
    """
    if not any(holds is verdict or holds == "in part" for verdict in (True, False)):
        raise ValueError(f"holds must be True, False or 'in part', got {holds!r}")
    if not isinstance(evidence, dict) or not evidence:
        raise ValueError(f"evidence must map words to truth values, got {evidence!r}")
    for words, agrees in evidence.items():
        if not isinstance(agrees, (bool, np.bool_)):
            raise TypeError(f"the evidence {words!r} must be true or false, got {agrees!r}")
    if key is not None and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key):
        raise ValueError(f"key must be small letters, digits and hyphens, got {key!r}")
    support = [bool(agrees) for agrees in evidence.values()]
    measured: Holds = True if all(support) else "in part" if any(support) else False
    verdict = Verdict(text, measured, dict(zip(evidence, support, strict=True)), post, key)
    if measured is not holds and measured != holds:
        raise AssertionError(f"the page says {VERDICTS[holds]!r}, the code measured\n{verdict!r}")
    return verdict


def spread(values: ArrayLike, digits: int = 3, unit: str = "", *, over: str = "") -> str:
    """Mean ± standard deviation of repeated measurements, as the book writes them.

    Parameters
    ----------
    values : sequence of float
        One a seed; at least two.
    digits : int
        Decimals.
    unit : str
        Put behind the number.
    over : str
        What varies, to be printed with how many there are: "seeds", "splits".

    Examples
    --------
    >>> spread([0.20, 0.22, 0.21])
    '0.210 ± 0.010'
    >>> spread([0.20, 0.22, 0.21], over="seeds")
    '0.210 ± 0.010 (3 seeds)'
    """
    values = np.asarray(values, dtype=float)
    if values.size < 2:
        raise ValueError(f"a spread needs at least two measurements, got {values.size}")
    text = f"{values.mean():,.{digits}f} ± {values.std(ddof=1):,.{digits}f}"
    text = f"{text} {unit}".rstrip()
    return f"{text} ({values.size} {over})" if over else text
