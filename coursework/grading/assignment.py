"""A problem set as the instructor wrote it, and how a student's notebook takes its place in it.

Cells are known by their grade id. From a student come the solution cells, the written answers and
whatever cells they added (see submission.py); all else is the instructor's own, in the instructor's
order. So a test that was deleted, copied, moved, retyped or forged is simply not looked at.
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat

from grading.contract import lint, split

MISSING = "its cell is missing from the notebook that was handed in"


@dataclass
class Assignment:
    """A source notebook with the files that lie beside it."""

    name: str
    folder: Path
    notebook: nbformat.NotebookNode
    files: dict

    @classmethod
    def load(cls, course, name):
        folder = Path(course) / "source" / name
        path = folder / f"{name}.ipynb"
        if not path.is_file():
            known = sorted(p.parent.name for p in Path(course).glob("source/*/*.ipynb"))
            raise FileNotFoundError(f"there is no problem set {name!r}; there are {known}")
        notebook = nbformat.read(path, as_version=4)
        if wrong := lint(notebook):
            raise ValueError(f"{name}: " + "; ".join(wrong))
        others = [file for file in sorted(folder.iterdir()) if file.is_file() and file != path]
        return cls(name, folder, notebook, {file.name: file.read_bytes() for file in others})

    @property
    def digest(self):
        """Changes when the problem set does."""
        parts = [nbformat.writes(self.notebook).encode()]
        parts += [part for name, body in self.files.items() for part in (name.encode(), body)]
        sums = b"".join(hashlib.sha256(part).digest() for part in parts)
        return hashlib.sha256(sums).hexdigest()[:16]

    def kind(self, cell):
        """What a cell is for: "test", "solution", "written", "locked" or "text"."""
        about = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code":
            return "written" if about.get("solution") else "text"
        if about.get("grade") and not about.get("solution"):
            return "test"
        return "solution" if about.get("solution") else "locked"

    @cached_property
    def kinds(self):
        """The kind of each cell that has a grade id."""
        named = [cell for cell in self.notebook.cells if grade_id(cell)]
        return {grade_id(cell): self.kind(cell) for cell in named}

    def job(self, submission):
        """What the sandbox runs: the student's cells among the instructor's, without the checks."""
        cells = [*_added(submission, "")]
        for number, cell in enumerate(self.notebook.cells):
            kind, name = self.kind(cell), grade_id(cell) or f"cell-{number}"
            if kind == "test":
                parts = split(cell.source)
                code = f"{parts.setup}\n{parts.answers}"
                cells.append({"id": name, "code": code, "answers": parts.names})
            elif kind == "solution":
                nothing = f"raise NotImplementedError({MISSING!r})"
                cells.append({"id": name, "code": submission.code.get(name, nothing)})
            elif kind == "locked":
                cells.append({"id": name, "code": cell.source, "locked": True})
            cells += _added(submission, name)
        files = {name: base64.b64encode(body).decode() for name, body in self.files.items()}
        return {"cells": cells, "files": files}


def grade_id(cell):
    """The name of a cell, in a notebook of ours."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def added_id(name, number):
    """How a record calls the cell of that number that a student added below a cell of ours."""
    return f"{name} + {number}"


def _added(submission, name):
    for number, cell in enumerate(submission.added.get(name, [])):
        if cell.is_code:
            yield {"id": added_id(name, number), "code": cell.source}
