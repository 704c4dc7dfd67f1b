"""What counts of a student's notebook, read as nothing more than text.

Outputs are thrown away before anything is measured. A cell that was split carries its id twice:
the halves belong together. What a student added stands between two cells of ours, and belongs to
the first of them: the question that it was written for.
"""

import ast
import base64
import contextlib
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

LIMIT_OF_FILE, LIMIT_OF_NOTEBOOK, LIMIT_OF_PICTURES = 64 << 20, 5 << 20, 20 << 20
MOST_CELLS, MOST_PIECES = 1000, 20  # of a notebook, of one cell that was split
# Where Markdown would see a tag, an entity, or a link that runs something.
MARKUP = re.compile(
    r"<(?=[a-z/!?])|&(?=#?\w+;)|\b(?:javascript|vbscript|data)(?=\s*\\?:)", re.IGNORECASE
)
# As Colab keeps a picture that was pasted into a text.
IN_TEXT = re.compile(
    r"\]\(data:(?P<kind>image/(?:png|jpeg|gif));base64,(?P<data>[A-Za-z0-9+/=]+)\)"
)
PICTURES = {"image/png": b"\x89PNG\r\n", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF8"}
ELSEWHERE = "*The answer stands in the cells below.*"


class NotGraded(ValueError):
    """Something that was handed in cannot be graded; the message says why."""


@dataclass
class Cell:
    """A cell that a student wrote: code, or text with the pictures that were pasted into it."""

    source: str
    is_code: bool = True
    pictures: dict = field(default_factory=dict)  # as nbformat keeps attachments


@dataclass
class Submission:
    """What counts of a student's notebook."""

    code: dict = field(default_factory=dict)  # solution cells by grade id
    written: dict = field(default_factory=dict)  # written answers by grade id, each a `Cell`
    added: dict = field(default_factory=dict)  # cells that the student added, after which one
    notes: list = field(default_factory=list)  # what was set aside, in words
    digest: str = ""


def digest_of(path):
    """What tells two notebooks apart; "" if there is no file to read."""
    with contextlib.suppress(OSError):
        path = Path(path)
        if path.is_file() and not path.is_symlink():
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return ""


def read(path, assignment, released=None):
    """Read a notebook that was handed in.

    Parameters
    ----------
    path : path
    assignment : Assignment
    released : dict, optional
        What stood in each cell when it was handed out, by grade id.

    Returns
    -------
    Submission

    Raises
    ------
    NotGraded
        If it is no notebook, or one of another problem set.
    """
    found = Reader(assignment, released or {})
    for cell in _cells(path):
        found.take(cell)
    if not found.seen:
        raise NotGraded(
            f"none of its cells belongs to {assignment.name}; put your answers into the notebook "
            "that was handed out"
        )
    return found.finished(digest_of(path))


class Reader:
    """Goes through the cells of a notebook, and knows below which cell of ours it stands."""

    def __init__(self, assignment, released):
        self.kinds, self.released = assignment.kinds, released
        # Some editors drop nbgrader's metadata and keep the ids that Jupyter gives to cells.
        # Older notebooks have no ids, and there what has none is not all one cell.
        self.ids = {
            cell.id: cell.metadata.nbgrader.grade_id
            for cell in assignment.notebook.cells
            if cell.metadata.get("nbgrader") and cell.get("id")
        }
        nameless = [cell for cell in assignment.notebook.cells if not cell.metadata.get("nbgrader")]
        self.ours = {cell.source.strip() for cell in nameless}
        self.texts = {c.id: c.source for c in nameless if c.cell_type != "code" and c.get("id")}
        ours = [name for name, kind in self.kinds.items() if kind in ("text", "locked", "test")]
        # And some keep neither; then the texts that are no student's tell where a cell stands.
        self.known = {released[name].strip(): name for name in ours if name in released}
        self.here, self.seen = "", {}
        self.task = None  # how many cells were added here before a text of ours that has no name
        self.added, self.notes = {}, []

    def take(self, cell):
        """The next cell of the notebook."""
        own = _own(cell)
        name = _grade_id(cell) or self.ids.get(_text(cell.get("id")))
        name = name or self.known.get(own.source.strip())
        if name not in self.kinds:
            self._take_nameless(own, self.texts.get(_text(cell.get("id"))))
        elif name in self.seen:
            self._take_again(name, own)
        else:
            self._take_first(name, own)

    def _take_nameless(self, own, ours):
        """A cell that the student added; or a text of ours, in which an answer may stand, too."""
        known = own.source.strip() in self.ours
        if not own.is_code and (known or ours is not None):
            self.task = len(self.added.get(self.here, []))
            own.source = "" if known else "\n".join(_new_lines(own.source, ours))
        if own.source.strip() and not known:
            self.added.setdefault(self.here, []).append(own)

    def _take_first(self, name, cell):
        kind, before = self.kinds[name], self.kinds.get(self.here)
        self.seen[name] = cell
        if kind == "solution" and not cell.is_code:
            self.notes.append(f"{name} was turned into text; it is run as code")
        if kind == "written" and cell.is_code:
            cell.source = f"```python\n{cell.source}\n```"
        if kind == "written" and (before == "text" or self.task is not None):
            self._answer_above(name, 0 if before == "text" else self.task)
        self.here, self.task = name, None
        if kind in ("text", "locked", "test"):
            self._changed(name, kind, cell)

    def _answer_above(self, name, begin):
        """Text below a task and above the cell for its answer was written for that answer."""
        above = self.added.get(self.here, [])
        self.added[self.here] = above[:begin] + [own for own in above[begin:] if own.is_code]
        self.added[name] = [own for own in above[begin:] if not own.is_code]

    def _changed(self, name, kind, cell):
        """What was written into a cell of ours: of a text it is an answer, of code a note."""
        ours = self.released.get(name, cell.source)
        new = _new_lines(cell.source, ours)
        if kind == "text" and new:
            self.added.setdefault(self.here, []).append(Cell("\n".join(new), False, cell.pictures))
        elif kind == "locked" and cell.source.split() != ours.split():
            self.notes.append(f"{name} is not as it was handed out; the original was run")

    def _take_again(self, name, cell):
        """Half of a cell that was split, or a copy."""
        kind, first = self.kinds[name], self.seen[name].source.strip()
        stub = self.released.get(name, "")
        if cell.source.strip() in ("", first):
            return
        if kind == "text":
            self._changed(name, kind, cell)
        elif kind in ("locked", "test"):
            if _new_lines(cell.source, stub):
                self.notes.append(f"{name} stands there twice; the original counts")
        elif self.here == name or kind == "written":
            self.added.setdefault(name, []).append(Cell(cell.source, kind == "solution"))
            self.added[name][-1].pictures = {} if kind == "solution" else cell.pictures
        elif first in ("", stub.strip()):
            self.seen[name] = cell
            self.notes.append(f"{name} stands there twice; the one that was changed counts")
        else:
            self.notes.append(f"{name} stands there twice; the first one counts")

    def finished(self, digest):
        """The submission, with halves joined and answers gathered."""
        found = Submission(added=self.added, notes=self.notes, digest=digest)
        above = ""
        for name, kind in self.kinds.items():
            cell = self.seen.get(name)
            if cell is None and kind != "text":
                found.notes.append(f"{name} is missing")
            if cell is None and kind == "written" and self.kinds.get(above) == "text":
                self.here = above
                self._answer_above(name, 0)
            above = name
            if kind == "solution" and cell is not None:
                found.code[name] = _joined(cell.source, self.added.get(name, []))
            elif kind == "written":
                stub = self.released.get(name, "")
                found.written[name] = _answer(cell, self.added.get(name, []), stub)
        return found


def _new_lines(source, ours):
    """Lines that do not stand in a cell of ours."""
    known = {line.strip() for line in ours.splitlines()}
    return [line for line in source.splitlines() if line.strip() not in known]


def _joined(first, added):
    """A function that was split through its middle is one again; what runs apart stays apart."""
    whole, taken = first, 0
    for count, own in enumerate(added[:MOST_PIECES], 1):
        if not own.is_code or (_is_python(whole) and _is_python(own.source)):
            break
        whole = f"{whole.rstrip()}\n{own.source}"
        if _is_python(whole):
            first, taken = whole, count
    del added[:taken]
    return first


def _is_python(source):
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _answer(cell, added, stub):
    """One cell with the words of an answer, wherever they stood; a stub is none of them."""
    texts = [cell] if cell and cell.source.strip() not in ("", stub.strip()) else []
    while added and not added[0].is_code:
        texts.append(added.pop(0))
    if not texts and (added or (cell and cell.pictures)):
        texts = [Cell(ELSEWHERE, False)]
    words, pictures = [], dict(cell.pictures) if cell else {}
    for number, text in enumerate(texts):
        source = text.source
        for name, picture in text.pictures.items() if text is not cell else ():
            for link in (name, quote(name)):
                source = source.replace(f"attachment:{link}", f"attachment:{number}-{link}")
            pictures[f"{number}-{name}"] = picture
        words.append(source)
    return Cell("\n\n".join(words), False, pictures)


# --- JSON that may be anything ------------------------------------------------------------------


def _cells(path):
    """The cells of a notebook without their outputs, if they are not too much."""
    path = Path(path)
    if path.is_symlink() or not path.is_file():
        raise NotGraded("it is no ordinary file")
    if path.stat().st_size > LIMIT_OF_FILE:
        raise NotGraded(f"it is larger than {LIMIT_OF_FILE >> 20} MB; clear the outputs")
    try:
        cells = json.loads(path.read_bytes())["cells"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotGraded("it is no notebook (not JSON with cells)") from None
    if not isinstance(cells, list):
        raise NotGraded("it is no notebook (its cells are no list)")
    if len(cells) > MOST_CELLS:
        raise NotGraded(f"it has {len(cells):,} cells; {MOST_CELLS:,} are allowed")
    cells = [cell for cell in cells if isinstance(cell, dict)]
    if sum(len(IN_TEXT.sub("", _source(cell))) for cell in cells) > LIMIT_OF_NOTEBOOK:
        raise NotGraded(f"its text without outputs is larger than {LIMIT_OF_NOTEBOOK >> 20} MB")
    return cells


def _grade_id(cell):
    about = cell.get("metadata") if isinstance(cell.get("metadata"), dict) else {}
    about = about.get("nbgrader") if isinstance(about.get("nbgrader"), dict) else {}
    return _text(about.get("grade_id"))


def _text(value):
    return value if isinstance(value, str) else None


def _source(cell):
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    # Half a surrogate pair is text to JSON, and to nothing that writes files.
    return source.encode("utf-8", "replace").decode() if isinstance(source, str) else ""


def _own(cell):
    """A cell as a student wrote it, with the pictures that were pasted into it, if they are any."""
    source = _source(cell)
    if cell.get("cell_type") == "code":
        return Cell(source)
    attachments, given = cell.get("attachments"), {}
    for name, data in attachments.items() if isinstance(attachments, dict) else ():
        for kind in PICTURES.keys() & (data if isinstance(data, dict) else {}).keys():
            given[name] = kind, data[kind]

    def apart(found):
        name = f"in-text-{len(given)}"
        given[name] = found["kind"], found["data"]
        return f"](attachment:{name})"

    return Cell(IN_TEXT.sub(apart, source), False, _pictures(given))


def _pictures(given):
    """Those that are what they say, as nbformat keeps them, up to a limit."""
    found, left = {}, LIMIT_OF_PICTURES
    for name, (kind, text) in given.items():
        with contextlib.suppress(ValueError, TypeError):
            body = base64.b64decode("".join(text), validate=True)
            if body.startswith(PICTURES[kind]) and len(body) <= left:
                left -= len(body)
                found[name] = {kind: base64.b64encode(body).decode()}
    return found


def without_markup(text):
    """Text in which a space keeps HTML, entities and scripts of links from being any.

    Nothing that a student wrote is lost, as `a < b and c > d` would be if tags were cut out.
    """
    return MARKUP.sub(r"\g<0> ", text)
