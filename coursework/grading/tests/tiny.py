"""A problem set of three questions, to try the grading on; and notebooks that answer it."""

import copy
import json

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NAME = "tiny"
SQUARE = "def square(x):\n    return x * x"
TOTAL = "def total(x):\n    return float(x.sum())"
SQUARE_TEST = """\
x = np.arange(4.0)
# --- answers
squares = square(x)
### BEGIN HIDDEN TESTS
others = square(x - 7)
### END HIDDEN TESTS
# --- check
assert np.shape(squares) == (4,), "one square for each number"
assert np.allclose(squares, x**2), "these are no squares"
### BEGIN HIDDEN TESTS
assert np.allclose(others, (x - 7) ** 2), "negative numbers have squares, too"
### END HIDDEN TESTS"""
TOTAL_TEST = """\
y = data
# --- answers
value = total(y)
# --- check
assert abs(value - 6) < 1e-9, "the sum of the file is 6\""""


def about(name, **flags):
    plain = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False}
    return {"nbgrader": plain | {"grade_id": name} | flags}


def solution(code):
    head, _, rest = code.partition("\n")
    return f"{head}\n    ### BEGIN SOLUTION\n{rest}\n    ### END SOLUTION"


def source():
    """The instructor's notebook."""
    locked = {"locked": True}
    test = {"grade": True, "locked": True, "cell_type": "code"}
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# Tiny"),
            new_code_cell(
                "import numpy as np\n\ndata = np.loadtxt('data.csv')",
                metadata=about("start", **locked),
            ),
            new_code_cell(solution(SQUARE), metadata=about("square", solution=True)),
            new_code_cell(SQUARE_TEST, metadata=about("square-test", points=2, **test)),
            new_code_cell(solution(TOTAL), metadata=about("total", solution=True)),
            new_code_cell(TOTAL_TEST, metadata=about("total-test", points=3, **test)),
            new_markdown_cell(
                "Squares grow.", metadata=about("why", grade=True, solution=True, points=2)
            ),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    for one in notebook.cells:
        one.id = name(one) or "title"
    return notebook


def write_source(root):
    """A course with this one problem set."""
    folder = root / "source" / NAME
    folder.mkdir(parents=True)
    nbformat.write(source(), folder / f"{NAME}.ipynb")
    (folder / "data.csv").write_text("1\n2\n3\n")


def answer(square=SQUARE, total=TOTAL, why="Squares grow, and I say why."):
    """What a student hands in."""
    notebook = copy.deepcopy(source())
    for cell in notebook.cells:
        new = {"square": square, "total": total, "why": why}.get(name(cell))
        cell.source = cell.source if new is None else new
    return notebook


def name(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def cell(notebook, wanted):
    return next(c for c in notebook.cells if name(c) == wanted)


def as_text(notebook):
    return nbformat.writes(notebook)


def read_note(course, student):
    """What the grading noted about a student."""
    return json.loads(course.note(student, NAME).read_text(encoding="utf-8"))
