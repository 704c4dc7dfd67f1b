"""What a graded cell is: set-up, `# --- answers`, `# --- check`; and what may pass between them.

The first two parts run in the student's sandbox. The names that the answers assign come back as
plain data, and the check judges them here, in a namespace that no student's code has ever seen.
A check gives all points of its cell or none. Several with names share them, each for itself:
`# --- check: the shape (1)`, `# --- check: the values (2.5)`.
"""

import ast
import base64
import math
import re
from dataclasses import dataclass

import numpy as np

ANSWERS, CHECK = "# --- answers", "# --- check"
NAMED = re.compile(CHECK + r": (?P<name>.*\S) \((?P<points>\d+(?:\.\d+)?)(?: points?)?\)")
LIMIT_OF_ANSWERS, DEEPEST = 4 << 20, 8
NUMBERS = re.compile(r"[<>|=]?[biuf](1|2|4|8|16)")  # the dtypes that an answer may have
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
SCOPES += (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Check:
    """One check of a graded cell; without a name and points it is worth all that the cell is."""

    code: str
    name: str = ""
    points: float | None = None


@dataclass(frozen=True)
class Parts:
    """A graded cell, taken apart."""

    setup: str
    answers: str
    checks: tuple[Check, ...]

    @property
    def names(self):
        """What the answers part assigns at its top level, in order."""
        return list(dict.fromkeys(_assigned(ast.parse(self.answers))))

    @property
    def check(self):
        """All checks as one text, which stops at the first that fails."""
        return "\n".join(check.code for check in self.checks)


def _assigned(node):
    """Names that are assigned in this very scope, not in one of its functions or comprehensions."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if not isinstance(node, SCOPES):
        for part in ast.iter_child_nodes(node):
            yield from _assigned(part)


def split(source):
    """The parts of a graded cell.

    Raises
    ------
    ValueError
        If a marker is missing, doubled, out of order or cannot be read.
    """
    lines = source.split("\n")
    marks = [(k, line.strip()) for k, line in enumerate(lines) if _is_mark(line)]
    begins, (kind, *titles) = [k for k, _ in marks], [mark for _, mark in marks] or [""]
    if kind != ANSWERS or not titles or ANSWERS in titles or (len(titles) > 1 and CHECK in titles):
        raise ValueError(
            f"a graded cell needs one line {ANSWERS!r} and after it one {CHECK!r}, or several with "
            f"names and points, as in '{CHECK}: the shape (1)'"
        )
    ends = [*begins[1:], len(lines)]
    setup = "\n".join(lines[: begins[0]])
    answers, *codes = ("\n".join(lines[k + 1 : end]) for k, end in zip(begins, ends, strict=True))
    return Parts(setup, answers, tuple(map(_check, titles, codes)))


def _is_mark(line):
    mark = line.strip()
    return mark in (ANSWERS, CHECK) or mark.startswith(f"{CHECK}:")


def _check(title, code):
    if title == CHECK:
        return Check(code)
    if not (found := NAMED.fullmatch(title)):
        raise ValueError(f"{title!r} names no points; write '{CHECK}: the shape (1)'")
    return Check(code, found["name"], float(found["points"]))


def from_plain(value, depth=0):
    """What session.plain sent, as Python's own; it comes from a student, so nothing is believed.

    Raises
    ------
    ValueError
        For anything but numbers, text, arrays of numbers, and lists and dicts of these.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    match value if depth < DEEPEST else None:
        case {"list": list(items)}:
            return [from_plain(item, depth + 1) for item in items]
        case {"dict": list(pairs)}:
            return dict(_pair(pair, depth + 1) for pair in pairs)
        case {"array": str(data), "dtype": str(dtype), "shape": list(shape)}:
            return _array(data, dtype, shape)
    raise ValueError("an answer is not plain data")


def _pair(pair, depth):
    match pair:
        case [str(key), item]:
            return key, from_plain(item, depth)
    raise ValueError("an answer is not plain data")


def _array(data, dtype, shape):
    body = base64.b64decode(data, validate=True)
    sizes = [size for size in shape if type(size) is int and 0 <= size <= LIMIT_OF_ANSWERS]
    if not NUMBERS.fullmatch(dtype) or len(sizes) != len(shape) or len(shape) > 8:
        raise ValueError("an answer is an array of no known kind")
    kind = np.dtype(dtype)
    if len(body) > LIMIT_OF_ANSWERS or math.prod(sizes) * kind.itemsize != len(body):
        raise ValueError(f"an answer's array of shape {sizes} holds {len(body)} bytes")
    return np.frombuffer(body, kind).reshape(sizes).copy()


def lint(notebook):
    """What is wrong with a source notebook, in words; an empty list if nothing is."""
    wrong, seen = [], set()
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if not about:
            continue
        if (name := about.get("grade_id")) in seen:
            wrong.append(f"{name}: there are two cells of this name")
        seen.add(name)
        if about.get("task"):
            wrong.append(f"{name}: nbgrader's tasks are not graded here; make it a written answer")
        if cell.cell_type == "code" and about.get("grade") and not about.get("solution"):
            wrong += [f"{name}: {words}" for words in _wrong(cell.source, about)]
        elif cell.cell_type == "code" and not about.get("solution"):
            wrong += [f"{name}: {words}" for words in _not_plain(cell.source)]
    return wrong


def _wrong(source, about):
    """What is wrong with one graded cell."""
    if not about.get("points", 0) > 0:
        yield "it is worth no points"
    try:
        parts = split(source)
        for code in (parts.setup, *(check.code for check in parts.checks)):
            ast.parse(code)
        if not parts.names:
            yield "its answers assign nothing"
        named = [check for check in parts.checks if check.name]
        if named and not math.isclose(sum(c.points for c in named), about.get("points", 0)):
            yield f"its checks are worth {sum(c.points for c in named):g} points together"
        if len({check.name for check in named}) < len(named):
            yield "two of its checks have one name"
    except (ValueError, SyntaxError) as error:
        yield str(error)


def _not_plain(source):
    """A locked cell runs here as well, where there is no notebook around it."""
    try:
        ast.parse(source)
    except SyntaxError as error:
        yield f"a locked cell is plain Python, without magics: {error}"
