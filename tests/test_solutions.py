"""Every solution in the book runs, alone, after the first cell of its chapter."""

import re
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).resolve().parent.parent / "book"
DETAILS = re.compile(r"\*\*(\d+)\. [^*]*\*\*(?:(?!\*\*\d).)*?<details>(.*?)</details>", re.DOTALL)
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def solutions():
    for path in sorted(BOOK.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        code = [cell for cell in cells if cell.cell_type == "code"]
        first = next(c.source for c in code if "install" not in c.metadata.get("tags", []))
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        for number, details in DETAILS.findall(text):
            for code in CODE.findall(details):
                yield pytest.param(first, code, id=f"{path.stem}-{number}")


@pytest.mark.parametrize(("first", "code"), list(solutions()))
def test_a_solution_runs(first, code, capsys):
    namespace = {}
    exec(first, namespace)
    exec(code, namespace)
    assert capsys.readouterr().out.strip(), "a solution shows its answer"


def test_a_chapter_with_exercises_has_all_its_solutions():
    for path in BOOK.glob("*.ipynb"):
        text = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells)
        exercises = text.partition("## Exercises")[2]
        asked = len(re.findall(r"^\*\*\d+\. ", exercises, re.MULTILINE))
        assert asked == exercises.count("<details>")
        assert not exercises or 4 <= asked <= 6
