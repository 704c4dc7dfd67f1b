"""Run a problem set in the way of the contract, in this process: for tests, not for grading.

Two namespaces. In the first, a student's, all but the checks run. What the answers assign then
passes through plain data. In the second the locked cells, each set-up and each check run.
"""

import ast
import contextlib
import io
import json
import os
import re
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import nbformat
import numpy as np

SOURCE = Path(__file__).parents[1] / "source"
SETS = {path.parent.name: path for path in sorted(SOURCE.glob("*/*.ipynb"))}
ANSWERS, CHECK = "# --- answers", "# --- check"
REGION = re.compile(r"^ *### BEGIN (\w+(?: TESTS)?)\n(.*?)^ *### END \1\n?", re.M | re.S)
LIMIT = 4 << 20


def read(path):
    return nbformat.read(path, as_version=4)


def about(cell):
    return cell.metadata.get("nbgrader", {})


def is_test(cell):
    return cell.cell_type == "code" and bool(about(cell).get("grade"))


def is_solution(cell):
    return cell.cell_type == "code" and bool(about(cell).get("solution"))


def parts(source):
    """Set-up, answers and check of a test cell."""
    marks = [line for line in source.split("\n") if line in (ANSWERS, CHECK)]
    if marks != [ANSWERS, CHECK]:
        raise ValueError(f"the parts of a test cell are marked by {marks}")
    before, rest = source.split(ANSWERS + "\n")
    return before, *rest.split(CHECK + "\n")


def without_regions(source):
    """What is left when the regions of solutions and of hidden tests are cut out."""
    return REGION.sub("", source + "\n")


def names(answers):
    """What an answers part assigns."""
    stored = [n for n in ast.walk(ast.parse(answers)) if isinstance(n, ast.Name)]
    return sorted({n.id for n in stored if isinstance(n.ctx, ast.Store)})


def carry(value):
    """Send a value through plain data: JSON, with arrays of numbers apart."""
    arrays = []
    text = json.dumps(_pack(value, arrays))
    packed = [_saved(array) for array in arrays]
    if len(text) + sum(map(len, packed)) > LIMIT:
        raise ValueError("the answers are larger than 4 MB")
    return _unpack(json.loads(text), [np.load(io.BytesIO(p), allow_pickle=False) for p in packed])


def _saved(array):
    np.save(file := io.BytesIO(), array, allow_pickle=False)
    return file.getvalue()


def _pack(value, arrays):
    if value is None or isinstance(value, (bool, str)) or type(value) in (int, float):
        return value
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
        return {"array": len(arrays.append(np.asarray(value)) or arrays) - 1}
    if isinstance(value, (list, tuple)):
        return [_pack(item, arrays) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _pack(item, arrays) for key, item in value.items()}}
    raise TypeError(f"{type(value).__name__} is no plain data")


def _unpack(value, arrays):
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    if isinstance(value, dict) and "array" in value:
        return arrays[value["array"]]
    if isinstance(value, dict):
        return {key: _unpack(item, arrays) for key, item in value["dict"].items()}
    return value


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
    setup, answers, check = parts(source)
    try:
        _execute(setup, student)
        _execute(answers, student)
        carried = {name: carry(student[name]) for name in names(answers)}
        space = dict(grader)  # one check cannot lean on the names of another
        _execute(setup, space)
        _execute(check, space | carried)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
