"""Questions to check yourself by: each answer opens on its reason.

An answer is a `<details>` element, which every browser opens by click or key and every screen
reader announces, so a quiz works in JupyterLab, on a code host and in the built page, without a
script, a network or a kernel. Where styles arrive, right answers are counted.
"""

import re
import tomllib
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from regression_lib.words import printable

FOLDER = Path(__file__).parent / "quizzes"
N_QUESTIONS = 5
CODE = re.compile(r"`([^`]+)`")
MARKS = {True: "✓ Right.", False: "✗ Not quite."}
SCORE = "Questions whose right answer is open: "

# Only what the counting and the frame need: size and colours are those of the page around it.
STYLE = """<style>
.quiz { counter-reset: right; }
.quiz fieldset { border: 0; margin: 0 0 1.5em; padding: 0; min-width: 0; }
.quiz legend { font-size: inherit; font-weight: 600; margin-bottom: .4em; padding: 0; }
.quiz details { border: 1px solid; border-radius: .5em; margin: .4em 0; padding: 0 .8em; }
.quiz summary { cursor: pointer; padding: .55em 0; font-weight: inherit; }
.quiz details p { margin: 0 0 .7em; }
.quiz details.right[open] { counter-increment: right; }
.quiz-score::after { content: attr(data-label) counter(right) " / " attr(data-of); }
</style>"""


@dataclass(frozen=True)
class Quiz:
    """The questions of one chapter, shown as a form in a notebook."""

    name: str
    questions: list[dict[str, Any]]

    def __repr__(self) -> str:
        lines = []
        for number, question in enumerate(self.questions, 1):
            lines += ["", f"{number}. {question['ask']}"]
            pairs = zip("abcdef", question["answer"], strict=False)
            lines += [f"   {letter}) {answer['say']}" for letter, answer in pairs]
        return printable("\n".join(lines[1:]))

    def _repr_html_(self):
        numbered = enumerate(self.questions, 1)
        body = "".join(self._question(number, question) for number, question in numbered)
        count = f'data-label="{SCORE}" data-of="{len(self.questions)}"'
        return f'{STYLE}<div class="quiz">{body}<p class="quiz-score" {count}></p></div>'

    def _question(self, number, question):
        """All answers to a question share a name: to open one closes the others."""
        name = f"quiz-{self.name}-{number}"
        answers = "".join(_answer(name, answer) for answer in question["answer"])
        legend = f"<legend>{number}. {_inline(question['ask'])}</legend>"
        return f"<fieldset>{legend}{answers}</fieldset>"


def _answer(name, answer):
    right = answer.get("right", False)
    kind = "right" if right else "wrong"
    return (
        f'<details class="{kind}" name="{name}"><summary>{_inline(answer["say"])}</summary>'
        f"<p><strong>{MARKS[right]}</strong> {_inline(answer['why'])}</p></details>"
    )


def _inline(text):
    """Text as HTML, with what stands in backticks as code."""
    return CODE.sub(r"<code>\1</code>", escape(text, quote=False))


def quiz(name: str) -> Quiz:
    """The self-check of a chapter: five questions, with a reason for every answer.

    Parameters
    ----------
    name : str
        The chapter's file name without its ending, as in ``"01_tensors"``.

    Returns
    -------
    Quiz

    Raises
    ------
    ValueError
        If there is no such quiz; the message names those that there are.

    Examples
    --------
    >>> len(quiz("01_tensors").questions)
    5
    """
    files = {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}
    if name not in files:
        raise ValueError(f"there is no quiz named {name!r}; there are {', '.join(files)}")
    return Quiz(name, tomllib.loads(files[name].read_text(encoding="utf-8"))["question"])
