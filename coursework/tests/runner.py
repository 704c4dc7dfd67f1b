"""Run a problem set in the way of the contract, in this process: for tests, not for grading.

Two namespaces. In the first, a student's, all but the checks run. What the answers assign then
passes through plain data. In the second the locked cells, each set-up and each check run.
"""

import contextlib
import io
import json
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import nbformat

sys.path.insert(0, str(Path(__file__).parents[1]))
from grading.contract import from_plain, split
from grading.session import plain

SOURCE = Path(__file__).parents[1] / "source"
SETS = {path.parent.name: path for path in sorted(SOURCE.glob("*/*.ipynb"))}
REGION = re.compile(r"^ *### BEGIN (\w+(?: TESTS)?)\n(.*?)^ *### END \1\n?", re.M | re.S)


def read(path):
    return nbformat.read(path, as_version=4)


def about(cell):
    return cell.metadata.get("nbgrader", {})


def is_test(cell):
    return cell.cell_type == "code" and bool(about(cell).get("grade"))


def is_solution(cell):
    return cell.cell_type == "code" and bool(about(cell).get("solution"))


def without_regions(source):
    """What is left when the regions of solutions and of hidden tests are cut out."""
    return REGION.sub("", source + "\n")


def carry(value):
    """Send a value through plain data, as from the sandbox to the grader."""
    return from_plain(json.loads(json.dumps(plain(value))))


@contextlib.contextmanager
def copied(folder):
    """Work in a copy of a problem set's data, as a student does."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        for file in Path(folder).glob("*.csv"):
            (Path(place) / file.name).symlink_to(file)
        os.chdir(place)
        try:
            yield
        finally:
            os.chdir(here)


class Outcome(NamedTuple):
    """For each test cell what is wrong, or None; what was printed; warnings."""

    found: dict[str, str | None]
    printed: str
    warned: list[str]


def run(notebook, folder, replaced=None):
    """Grade a notebook: what is wrong with each test cell, what was printed and warned of.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    folder : path
        Where its data are.
    replaced : dict, optional
        Other source for some cells, by grade_id.

    Returns
    -------
    Outcome
    """
    student, grader = {"__name__": "__main__"}, {"__name__": "__main__"}
    found, output = {}, io.StringIO()
    with (
        copied(folder),
        warnings.catch_warnings(record=True) as warned,
        contextlib.redirect_stdout(output),
    ):
        warnings.simplefilter("always")
        for cell in notebook.cells:
            grade_id = about(cell).get("grade_id")
            source = (replaced or {}).get(grade_id, cell.source)
            if is_test(cell):
                found[grade_id] = _judge(source, student, grader)
            elif cell.cell_type == "code":
                _execute(source, student)
                if about(cell).get("locked"):
                    _execute(source, grader)
    return Outcome(found, output.getvalue(), [str(warning.message) for warning in warned])


def _execute(source, namespace):
    exec(compile(source, "<cell>", "exec"), namespace)


def _judge(source, student, grader):
    parts = split(source)
    try:
        _execute(parts.setup, student)
        _execute(parts.answers, student)
        carried = {name: carry(student[name]) for name in parts.names}
        space = dict(grader)  # one check cannot lean on the names of another
        _execute(parts.setup, space)
        _execute(parts.check, space | carried)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
