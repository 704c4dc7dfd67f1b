"""A problem set as the instructor wrote it, and what a student made of it.

Cells are known by their grade id. From a student come the solution cells, the written answers and
whatever cells they added; all else is the instructor's own, in the instructor's order. So a test
that was deleted, copied, moved, retyped or forged is simply not looked at.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from grading.contract import lint, split

LIMIT_OF_NOTEBOOK = 5 << 20
MISSING = "raise NotImplementedError('this cell is missing from the notebook that was handed in')"
# Where Markdown would see a tag, an entity, or a link that runs something.
MARKUP = re.compile(
    r"<(?=[a-z/!?])|&(?=#?\w+;)|\b(?:javascript|vbscript|data)(?=\s*\\?:)", re.IGNORECASE
)


class NotGraded(ValueError):
    """Something that was handed in cannot be graded; the message says why."""


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

    def job(self, submission):
        """What the sandbox runs: the student's cells among the instructor's, without the checks."""
        cells = [{"id": "", "code": code} for code in submission.extras.get("", [])]
        for number, cell in enumerate(self.notebook.cells):
            about, kind = cell.metadata.get("nbgrader", {}), self.kind(cell)
            name = about.get("grade_id", f"cell-{number}")
            if kind == "test":
                parts = split(cell.source)
                code = f"{parts.setup}\n{parts.answers}"
                cells.append({"id": name, "code": code, "answers": parts.names})
            elif kind == "solution":
                cells.append({"id": name, "code": submission.code.get(name, MISSING)})
            elif kind == "locked":
                cells.append({"id": name, "code": cell.source})
            cells += [{"id": "", "code": code} for code in submission.extras.get(name, [])]
        files = {name: base64.b64encode(body).decode() for name, body in self.files.items()}
        return {"cells": cells, "files": files}


@dataclass
class Submission:
    """What counts of a student's notebook."""

    code: dict = field(default_factory=dict)  # solution cells by grade id
    written: dict = field(default_factory=dict)  # written answers by grade id, as they came
    extras: dict = field(default_factory=dict)  # cells that the student added, after which one
    notes: list = field(default_factory=list)  # what was set aside, in words
    digest: str = ""

    @classmethod
    def read(cls, path, assignment):
        """Read a notebook as nothing more than text.

        Raises
        ------
        NotGraded
            If it is no notebook, or one of another problem set.
        """
        cells, digest = _cells(path)
        kinds = {
            c.metadata.nbgrader.grade_id: assignment.kind(c)
            for c in assignment.notebook.cells
            if c.metadata.get("nbgrader")
        }
        found, after, seen = cls(digest=digest), "", set()
        for cell in cells:
            name, source = _grade_id(cell), _source(cell)
            if name not in kinds:
                if cell.get("cell_type") == "code" and source.strip():
                    found.extras.setdefault(after, []).append(source)
                continue
            if name in seen:
                found.notes.append(f"{name} stands there twice; the first one counts")
                continue
            seen.add(name)
            after = name
            found._take(name, kinds[name], cell.get("cell_type"), source)
        if not seen:
            raise NotGraded(f"none of its cells belongs to {assignment.name}")
        found.notes += [f"{n} is missing" for n in kinds if n not in seen and kinds[n] != "text"]
        return found

    def _take(self, name, kind, cell_type, source):
        if kind == "solution" and cell_type == "code":
            self.code[name] = source
        elif kind == "solution":
            self.notes.append(f"{name} is no code cell any more")
        elif kind == "written":
            self.written[name] = source


def _cells(path):
    path = Path(path)
    if path.is_symlink() or not path.is_file():
        raise NotGraded("it is no ordinary file")
    if path.stat().st_size > LIMIT_OF_NOTEBOOK:
        raise NotGraded(f"it is larger than {LIMIT_OF_NOTEBOOK >> 20} MB")
    body = path.read_bytes()
    try:
        cells = json.loads(body)["cells"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotGraded("it is no notebook (not JSON with cells)") from None
    if not isinstance(cells, list) or len(cells) > 1000:
        raise NotGraded("it is no notebook (its cells are not a short list)")
    return [c for c in cells if isinstance(c, dict)], hashlib.sha256(body).hexdigest()[:16]


def _grade_id(cell):
    about = cell.get("metadata") if isinstance(cell.get("metadata"), dict) else {}
    about = about.get("nbgrader") if isinstance(about.get("nbgrader"), dict) else {}
    name = about.get("grade_id")
    return name if isinstance(name, str) else None


def _source(cell):
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    # Half a surrogate pair is text to JSON, and to nothing that writes files.
    return source.encode("utf-8", "replace").decode() if isinstance(source, str) else ""


def without_markup(text):
    """Text in which a space keeps HTML, entities and scripts of links from being any.

    Nothing that a student wrote is lost, as `a < b and c > d` would be if tags were cut out.
    """
    return MARKUP.sub(r"\g<0> ", text)
