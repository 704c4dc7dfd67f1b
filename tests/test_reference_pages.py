"""What a chapter cites and what the glossary explains can be found; modules are documented."""

import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
TERM = re.compile(r"– [\u4e00-\u9fff]{2,}\. .+\[Chapter \d\]\(\d\d_\w+\.ipynb#[\w-]+\)$")
CITED = re.compile(r"\((https://(?:arxiv\.org/abs|doi\.org|proceedings\.mlr|www\.jmlr)[^\s)]+)\)")


def page(name):
    return (BOOK / name).read_text(encoding="utf-8")


def test_every_source_of_a_chapter_is_in_the_references():
    listed = set(CITED.findall(page("references.md")))
    for path in sorted(BOOK.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        cited = set(CITED.findall(text.partition("## Sources")[2]))
        assert cited <= listed, f"{path.stem} cites {cited - listed}"


def test_every_source_is_listed_once():
    found = CITED.findall(page("references.md"))
    assert len(found) > 30
    assert len(found) == len(set(found))


def test_every_term_has_chinese_words_and_a_place_where_it_is_taught():
    terms = [line for line in page("glossary.md").splitlines() if line.startswith("- ")]
    names = [re.match(r"- \*\*(.+?)\*\*", line).group(1).lower() for line in terms]
    assert len(terms) > 40
    assert names == sorted(set(names))
    for line in terms:
        assert TERM.search(line), line


def test_every_public_module_is_on_the_library_page():
    shown = set(re.findall(r"automodule:: regression_lib\.([\w.]+)", page("api.md")))
    library = ROOT / "regression_lib"
    floors = [("", library), ("course.", library / "course")]
    there = {f"{prefix}{path.stem}" for prefix, f in floors for path in f.glob("[a-z]*.py")}
    # What the public functions stand on.
    inner = {"checks", "rows", "projectile", "studies", "words", "course.explorer"}
    inner |= {"keeping", "dropout", "losses", "shortcut"}
    assert there - inner == shown
