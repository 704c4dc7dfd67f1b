"""Write what is made of the verdict cards in the saved notebooks: the ledger, and the store.

The post's claims stand in `book/post_claims.toml`; a notebook tests one with
`claim(…, post="<key>")`, and the card that it saved carries verdict and evidence. The ledger,
`book/claims.md`, lists them. Cards of the evidence that have a key stand in the store, from which
`rl.verdict("<key>")` shows them in a lesson. So no verdict is typed: `make notebooks` writes both
anew, and a test compares.
"""

import json
import re
import sys
import tomllib
from html import escape
from pathlib import Path

import nbformat
import yaml

from regression_lib.course.claims import UNSAID

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
LEDGER = BOOK / "claims.md"
STORE = ROOT / "regression_lib" / "course" / "verdicts.json"
MARKS = {True: "✓", False: "✗", "in part": "◐"}
WORDS = {True: "holds", False: "does not hold", "in part": "holds in part"}
KINDS = {True: "claim-holds", False: "claim-fails", "in part": "claim-part"}

OPENING = """\
# The ledger of claims

Each row is something that the post says, or that its code does without saying so, in our words.
The verdict beside it is no opinion: it is what a cell of this book measured, copied here from that
cell's own output, with the evidence that decided it. Follow the link to see the code. If a
measurement came out otherwise, the cell would stop with an error, and so would the tests of this
book.

A verdict speaks about these data, these sizes and these seeds. *In part* means that some of the
measurements speak for the claim and some against it.

"""
OTHERS = """\
## What else the book measured

Results that the chapters state beside the post's, each with its cell.

"""


def notebooks():
    """The lessons and the evidence, in reading order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    paths = [ROOT / f"{file}.ipynb" for file in files]
    return [path for path in paths if path.exists()]


def post_claims():
    """The sections of `post_claims.toml`: title, and the post's words by key."""
    return tomllib.loads((BOOK / "post_claims.toml").read_text(encoding="utf-8"))


def cards():
    """Every verdict card in the book: its chapter, text, verdict, evidence, key and anchor."""
    return [
        {"page": _page_of(path), **output.metadata["claim"]}
        for path in notebooks()
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        if "claim" in output.get("metadata", {})
    ]


def _page_of(path):
    return path.relative_to(BOOK).with_suffix("").as_posix()


def is_evidence(path):
    return path.parent.name == "evidence"


def store():
    """What `rl.verdict` knows: the cards of the evidence by key, as JSON."""
    found = {}
    for card in cards():
        if card["page"].startswith("evidence/") and card.get("key"):
            if card["key"] in found:
                raise ValueError(f"two cards of the evidence have the key {card['key']!r}")
            about = {name: card[name] for name in ("text", "holds", "evidence", "post", "anchor")}
            found[card["key"]] = about | {"notebook": card["page"].partition("/")[2]}
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def verdict_of(tests):
    """One verdict for all cards that test a claim; None where there is no card."""
    verdicts = {card["holds"] for card in tests}
    return verdicts.pop() if len(verdicts) == 1 else "in part" if verdicts else None


def page():
    """The ledger as it must stand in `book/claims.md`."""
    found, sections = cards(), post_claims()
    by_key = {}
    for card in found:
        by_key.setdefault(card["post"], []).append(card)
    keys = [key for section in sections.values() for key in section["claims"]]
    parts = [OPENING, _counts([verdict_of(by_key.get(key, [])) for key in keys])]
    for section in sections.values():
        claims = section["claims"].items()
        rows = "".join(_row(key, words, by_key.get(key, [])) for key, words in claims)
        parts.append(f"## {section['title']}\n\n{_table('The post', rows)}\n")
    rows = "".join(_own_row(card) for card in by_key.get(None, []))
    return "\n".join([*parts, OTHERS + _table("The book", rows)])


def _counts(verdicts):
    true, false, part = (verdicts.count(verdict) for verdict in (True, False, "in part"))
    rest = f"; {verdicts.count(None)} are not yet tested" if None in verdicts else ""
    return (
        f"Of {len(verdicts)} claims, **{true}** hold, **{part}** hold in part and **{false}** do "
        f"not hold{rest}.\n"
    )


def _table(who, rows):
    heads = "".join(f'<th scope="col">{head}</th>' for head in (who, "Verdict", "Measured"))
    return f'<table class="ledger">\n<tr>{heads}</tr>\n{rows}</table>\n'


def _row(key, words, tests):
    note = " <em>(unsaid)</em>" if key.startswith(UNSAID) else ""
    measured = "".join(_link(card) + _evidence(card) for card in tests)
    words = _inline(words) + note
    return _cells(f' id="{key}"', words, verdict_of(tests), measured)


def _own_row(card):
    return _cells("", _link(card), card["holds"], _evidence(card))


def _cells(attributes, words, verdict, measured):
    mark = f"{MARKS[verdict]} {WORDS[verdict]}" if verdict is not None else "not yet tested"
    kind = KINDS.get(verdict, "")
    return (
        f'<tr{attributes}><th scope="row">{words}</th>'
        f'<td class="claim-verdict {kind}">{mark}</td><td>{measured}</td></tr>\n'
    )


def _link(card):
    return f'<a href="{card["page"]}.html#{card["anchor"]}">{_inline(card["text"])}</a>'


def _evidence(card):
    items = "".join(f"<li>{escape(line, quote=False)}</li>" for line in card["evidence"])
    return f"<ul>{items}</ul>"


def _inline(text):
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def write_store():
    STORE.write_text(store(), encoding="utf-8")


def main():
    write_store()
    LEDGER.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
