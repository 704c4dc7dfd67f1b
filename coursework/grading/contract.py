"""What a graded cell is: set-up, `# --- answers`, `# --- check`; and what may pass between them.

The first two parts run in the student's sandbox. The names that the answers assign come back as
plain data, and the check judges them here, in a namespace that no student's code has ever seen.
"""

import ast
import base64
import math
from dataclasses import dataclass

import numpy as np

ANSWERS, CHECK = "# --- answers", "# --- check"
LIMIT_OF_ANSWERS = 4 << 20


@dataclass(frozen=True)
class Parts:
    """A graded cell, taken apart."""

    setup: str
    answers: str
    check: str

    @property
    def names(self):
        """What the answers part assigns at its top level, in order."""
        found = {}
        for node in ast.parse(self.answers).body:
            for part in ast.walk(node) if not isinstance(node, ast.FunctionDef) else []:
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    found[part.id] = None
        return list(found)


def split(source):
    """The parts of a graded cell.

    Raises
    ------
    ValueError
        If a marker is missing, doubled or out of order.
    """
    lines = source.split("\n")
    places = [
        [k for k, line in enumerate(lines) if line.strip() == mark] for mark in (ANSWERS, CHECK)
    ]
    if [len(found) for found in places] != [1, 1] or places[0] > places[1]:
        raise ValueError(f"a graded cell needs one line {ANSWERS!r} and after it one {CHECK!r}")
    (first,), (second,) = places
    return Parts(*map("\n".join, (lines[:first], lines[first + 1 : second], lines[second + 1 :])))


def from_plain(value):
    """What worker.plain sent, as Python's own; it comes from a student, so nothing is believed.

    Raises
    ------
    ValueError
        For anything but numbers, text, arrays of numbers, and lists and dicts of these.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError("an answer is not plain data")
    match value:
        case {"list": list(items)}:
            return [from_plain(item) for item in items]
        case {"dict": list(pairs)}:
            return {str(key): from_plain(item) for key, item in pairs}
        case {"array": str(data), "dtype": str(dtype), "shape": list(shape)}:
            return _array(data, dtype, shape)
    raise ValueError("an answer is not plain data")


def _array(data, dtype, shape):
    kind = np.dtype(dtype)
    body = base64.b64decode(data, validate=True)
    sizes = [size for size in shape if type(size) is int and size >= 0]
    if kind.kind not in "biuf" or len(sizes) != len(shape) or len(shape) > 8:
        raise ValueError(f"an answer is an array of {dtype!r} and shape {shape}")
    if len(body) > LIMIT_OF_ANSWERS or math.prod(sizes) * kind.itemsize != len(body):
        raise ValueError(f"an answer's array of shape {shape} holds {len(body)} bytes")
    return np.frombuffer(body, kind).reshape(sizes).copy()


def lint(notebook):
    """What is wrong with a source notebook, in words; an empty list if nothing is."""
    wrong = []
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or not about.get("grade") or about.get("solution"):
            continue
        try:
            parts = split(cell.source)
            ast.parse(parts.setup), ast.parse(parts.check)
            if not parts.names:
                wrong.append(f"{about['grade_id']}: its answers assign nothing")
        except (ValueError, SyntaxError) as error:
            wrong.append(f"{about['grade_id']}: {error}")
    return wrong
