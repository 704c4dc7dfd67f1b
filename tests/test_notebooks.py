"""Every notebook of the book keeps the conventions of CONTRIBUTING.md."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from save_notebooks import STATE, VIEW, refresh_explorers

BOOK = Path(__file__).resolve().parent.parent / "book"
EVIDENCE = sorted(BOOK.glob("evidence/*.ipynb"))
NOTEBOOKS = [*sorted(BOOK.glob("*.ipynb")), *EVIDENCE]
# A chapter is a lesson once its evidence stands apart; until then it is both at once.
NUMBERED = sorted(BOOK.glob("[0-9]*.ipynb"))
LESSONS = [path for path in NUMBERED if (BOOK / "evidence" / path.name).exists()]
CHAPTERS = [path for path in NUMBERED if path not in LESSONS]
MAX_LINES = 20
ENDS = ("## Summary", "## Check yourself", "## Exercises", "## Sources")
RAW_MYST = re.compile(r"^:::|^```\{|\{[a-z][a-z:-]*\}`", re.MULTILINE)
FOREIGN = re.compile(
    r"https?://(?!127\.0\.0\.1|localhost|www\.w3\.org/|purl\.org/|creativecommons\.org/ns)\S+"
)
# A number that only a measurement could have given: a decimal with a metric, a spread, a price,
# a share or a time beside it. Numbers in code spans, formulas and links are not prose.
NOT_PROSE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$|\[[^\]]*\]\([^)]*\)", re.DOTALL)
MEASURED = re.compile(
    r"±\s*\d|\d\s*±|\b(?:RMSE|MAE|MSE|R²|loss|error|accuracy)\s+(?:of|is|was|=|about|around)\s+\d"
    r"|\d\.\d{2,}|\d+(?:\.\d+)?\s*(?:CPU\s+)?(?:ms|seconds)\b|\d\s?%",
)
# Exact by definition or by design, not by measurement: each with its reason.
ALLOWED = {
    "Running time": "written by tools/save_notebooks.py from the run itself",
}


def name_of(path):
    return path.relative_to(BOOK).with_suffix("").as_posix()


@pytest.fixture(params=NOTEBOOKS, ids=name_of)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    """All but the one that fetches the library, which is no part of the lesson."""
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    return [c for c in cells if "install" not in tags(c)]


def lines_of(cell):
    return len([line for line in cell.source.splitlines() if line.strip()])


def markdown(notebook):
    return [c.source for c in notebook.cells if c.cell_type == "markdown"]


def tags(cell):
    return cell.metadata.get("tags", [])


def test_there_are_notebooks():
    assert len(CHAPTERS) + len(LESSONS) == 9
    others = set(NOTEBOOKS) - {*CHAPTERS, *LESSONS, *EVIDENCE}
    assert {path.stem for path in others} == {"playground"}
    assert {path.stem for path in EVIDENCE} == {path.stem for path in LESSONS}


def test_ran_in_order_from_one(notebook):
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_no_error_is_left_in_an_output(notebook):
    for cell in code_cells(notebook):
        if "raises-exception" not in tags(cell):
            assert not [o.ename for o in cell.outputs if o.output_type == "error"]


def test_nothing_stands_on_stderr(notebook):
    for cell in code_cells(notebook):
        assert not [o.text for o in cell.outputs if o.get("name") == "stderr"]


def test_markdown_is_plain(notebook):
    for source in markdown(notebook):
        assert not RAW_MYST.search(source), "MyST shows up raw in Jupyter, GitHub and Colab"


def test_each_figure_has_a_text_made_from_its_data(notebook):
    for cell in code_cells(notebook):
        figures = [
            o for o in cell.outputs if any(k.startswith("image/") for k in o.get("data", {}))
        ]
        assert len(figures) <= 1, "one figure a cell, so that each has its own text"
        for figure in figures:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 40, f"no alt text under\n{cell.source}"
            assert not re.search(r"\.(png|svg)\b", alt), "the text is a file name"
            assert alt == figure.metadata.get("image/svg+xml", {}).get("alt"), "not from the data"


def test_explorers_are_saved_with_the_code_of_today(notebook):
    before = nbformat.writes(notebook)
    refresh_explorers(notebook)
    assert nbformat.writes(notebook) == before, "run tools/save_notebooks.py --explorers"


def test_a_shown_explorer_is_saved_for_the_page(notebook):
    shown = [
        o.data[VIEW]["model_id"]
        for c in code_cells(notebook)
        for o in c.outputs
        if VIEW in o.get("data", {})
    ]
    state = notebook.metadata.get("widgets", {}).get(STATE, {"state": {}})["state"]
    for name in shown:
        assert "_esm" in state[name]["state"]


def test_cells_are_short(notebook):
    for cell in code_cells(notebook):
        assert lines_of(cell) <= MAX_LINES, cell.source


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_neither_thin_nor_long(path):
    notebook = nbformat.read(path, as_version=4)
    cells, text = code_cells(notebook), "\n".join(markdown(notebook))
    lessons = [cell for cell in cells if "quiz(" not in cell.source]
    assert 12 <= len(lessons) <= 25
    prose = NOT_PROSE.sub("", text).partition("## Exercises")[0]
    assert 1_000 <= len(prose.split()) <= 2_500
    figures = [c for c in cells if "mystnb" in c.metadata]
    assert len(figures) >= len(prose.split()) / 400
    assert f'quiz("{path.stem}")' in cells[-1].source
    for part in ("**You will be able to**", "**Running time**", "## Summary", "## Sources"):
        assert part in text
    sections = re.findall(r"^## .+?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    lessons = [s for s in sections if not s.startswith(ENDS)]
    for section in lessons:
        assert "**Predict.**" in section, section.partition("\n")[0]


def test_cells_parse_and_have_no_star_import(notebook):
    for cell in code_cells(notebook):
        tree = ast.parse(cell.source)
        imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        assert not [n for n in imports if n.names[0].name == "*"], cell.source


def test_no_measured_number_is_typed_by_hand(notebook):
    for source in markdown(notebook):
        for line in NOT_PROSE.sub("", source).splitlines():
            if not any(line.lstrip("*_ ").startswith(start) for start in ALLOWED):
                assert not MEASURED.search(line), f"print this number beside its claim: {line}"


def test_outputs_ask_no_other_host(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            texts = [output.get("text", ""), *map(str, output.get("data", {}).values())]
            assert not [m.group(0) for text in texts for m in FOREIGN.finditer(text)]


def test_no_path_of_a_machine(notebook):
    text = nbformat.writes(notebook)
    assert not re.search(r"/(?:home|Users|work|root|tmp)/\w+|[A-Z]:\\\\Users", text)


def test_only_single_cells_are_left_out_of_the_comparison(notebook):
    cells = code_cells(notebook)
    ignored = [c for c in cells if {"nbval-ignore-output", "nbval-skip"} & set(tags(c))]
    assert len(ignored) < len(cells)
    assert not [c for c in cells if "nbval-skip" in tags(c)], "a skipped cell proves nothing"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The RMSE is 0.203 on the test rows.", True),
        ("It reaches 12 ± 1 over seeds.", True),
        ("It takes 12 seconds.", True),
        ("It misses by 11 %.", True),
        ("Each bar is the mean ± standard deviation.", False),
        ("The post stacks 20 layers of 130 units with momentum 0.5.", False),
        ("Set `lr=0.003` and read $x = 0.25$.", False),
    ],
)
def test_the_search_for_typed_numbers_finds_them(text, found):
    assert bool(MEASURED.search(NOT_PROSE.sub("", text))) is found


def test_the_picture_in_the_readme_is_that_of_the_chapter():
    chapter = nbformat.read(BOOK / "05_deep_bn_regressor.ipynb", as_version=4)
    outputs = [output for cell in chapter.cells for output in cell.get("outputs", [])]
    figures = [o.get("data", {}).get("image/svg+xml", "").strip() for o in outputs]
    picture = (BOOK / "_static" / "scores.svg").read_text(encoding="utf-8").strip()
    assert picture in figures, "copy the figure of the five splits to book/_static/scores.svg"
