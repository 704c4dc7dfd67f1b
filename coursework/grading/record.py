"""What was judged, written down: the notebook, the gradebook, and last a note that it is done.

Each of the three is written whole or not at all, and writing one again changes nothing. So whoever
is stopped at any moment starts again: what has its note is left alone, the rest is graded anew.
"""

import base64
import contextlib
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades
from nbgrader.utils import parse_utc
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from grading.assignment import without_markup
from grading.judge import records_of

LOG = logging.getLogger("grading")
LIMIT_OF_PICTURE, MOST_PICTURES, LIMIT_OF_TEXT = 1 << 20, 8, 1 << 17


def write_whole(path, content):
    """Write text or bytes so that a reader sees the old file or the new one, never a part."""
    # What a student's process says may hold half a surrogate pair, which is no UTF-8.
    body = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(fresh, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


class Course:
    """The folders of an nbgrader course."""

    def __init__(self, root):
        self.root = Path(root).resolve()

    @property
    def db_url(self):
        return f"sqlite:///{self.root / 'gradebook.db'}"

    def make_gradebook(self):
        """An empty gradebook, if there is none; to make one takes a second, and may be stopped."""
        path = self.root / "gradebook.db"
        if path.exists():
            return
        fresh = path.with_name(f".gradebook.{os.getpid()}")
        try:
            Gradebook(f"sqlite:///{fresh}").close()
            os.replace(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)

    def submitted(self, student, assignment):
        return self.root / "submitted" / student / assignment

    def graded(self, student, assignment):
        return self.root / "autograded" / student / assignment

    def note(self, student, assignment):
        return self.graded(student, assignment) / "graded.json"

    def read_note(self, student, assignment):
        """What was noted when grading was done; empty if it was not."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.note(student, assignment).read_text(encoding="utf-8"))
        return {}

    def is_done(self, student, assignment, digest):
        """Whether this very notebook was graded with this very problem set."""
        note = self.read_note(student, assignment.name)
        return (note.get("submission"), note.get("source")) == (digest, assignment.digest)

    def config(self):
        """What `nbgrader_config.py` says, as nbgrader itself would read it, and where we are."""
        config = Config()
        if (self.root / "nbgrader_config.py").is_file():
            config = PyFileConfigLoader("nbgrader_config.py", path=str(self.root)).load_config()
        config.CourseDirectory.root = str(self.root)
        config.CourseDirectory.db_url = self.db_url
        return config


def graded_notebook(assignment, release, submission, result, verdicts):
    """The instructor's notebook with the student's answers, and with what came of them.

    Metadata are the release's; outputs are plain text and pictures, whatever the student's
    process has sent.
    """
    own = {c.metadata.nbgrader.grade_id: c for c in release.cells if "nbgrader" in c.metadata}
    records = records_of(result)
    notebook = nbformat.v4.new_notebook(metadata=release.metadata)
    notebook.cells = [_added(code) for code in submission.extras.get("", [])]
    for cell in assignment.notebook.cells:
        name, kind = cell.metadata.get("nbgrader", {}).get("grade_id"), assignment.kind(cell)
        fresh = nbformat.from_dict(dict(cell, metadata=own.get(name, cell).metadata))
        if kind == "solution":
            fresh.source = submission.code.get(name, "")
        elif kind == "written":
            fresh.source = _written(submission.written.get(name, ""), own[name].source)
        if cell.cell_type == "code":
            fresh.outputs = _outputs(records.get(name), verdicts.get(name))
        notebook.cells.append(fresh)
        notebook.cells += [_added(code) for code in submission.extras.get(name, [])]
    return notebook


def _written(answer, stub):
    """An answer in words; what nobody has answered is the stub, to which nbgrader gives 0."""
    return stub if answer.strip() in ("", stub.strip()) else without_markup(answer)


def _added(code):
    return nbformat.v4.new_code_cell(code)


def _outputs(record, verdict):
    outputs = _sent(record or {}, with_error=verdict is None)
    if verdict is not None and verdict.said:
        outputs.append(nbformat.v4.new_output("stream", name="stdout", text=verdict.said))
    if verdict is not None and verdict.hint:
        outputs.append(_error("Not passed", verdict.hint))
    return outputs


def _sent(record, with_error):
    """Text, pictures and the error of a cell, as the student's process has sent them."""
    outputs = []
    match record.get("text"):
        case str(text) if text:
            text = text[:LIMIT_OF_TEXT]
            outputs.append(nbformat.v4.new_output("stream", name="stdout", text=text))
    match record.get("pictures"):
        case list(pictures):
            outputs += [o for p in pictures[:MOST_PICTURES] if (o := _picture(p))]
    match record.get("error") if with_error else None:
        case {"name": str(name), "message": str(message)}:
            outputs.append(_error(name, message))
    return outputs


def _picture(data):
    """A PNG that is one, as an output; else None."""
    with contextlib.suppress(ValueError, TypeError):
        body = base64.b64decode(data, validate=True)
        if body.startswith(b"\x89PNG\r\n") and len(body) <= LIMIT_OF_PICTURE:
            clean = base64.b64encode(body).decode()
            return nbformat.v4.new_output("display_data", data={"image/png": clean})
    return None


def _error(name, message):
    name, message = name[:80], message[:4000]
    return nbformat.v4.new_output(
        "error", ename=name, evalue=message, traceback=[f"{name}: {message}"]
    )


class SaveAtOnce(SaveAutoGrades):
    """nbgrader's own way from outputs to the gradebook, in one transaction instead of many."""

    def preprocess(self, nb, resources):
        about = resources["nbgrader"]
        for name in ("notebook", "assignment", "student"):
            setattr(self, f"{name}_id", about[name])
        with Gradebook(about["db_url"]) as self.gradebook:
            commit = self.gradebook.db.commit
            self.gradebook.db.commit = self.gradebook.db.flush
            for number, cell in enumerate(nb.cells):
                nb.cells[number], resources = self.preprocess_cell(cell, resources, number)
            commit()
        return nb, resources


def moment(text):
    """A time stamp as nbgrader reads it, in UTC; None if it is not legible."""
    with contextlib.suppress(ValueError, OverflowError):
        return parse_utc(text.strip())
    return None


def record(course, assignment, student, notebook, submission, verdicts):
    """Notebook, gradebook, note: in this order, so that the note stands for all three."""
    folder = course.graded(student, assignment.name)
    write_whole(folder / f"{assignment.name}.ipynb", nbformat.writes(notebook))
    stamp = course.submitted(student, assignment.name) / "timestamp.txt"
    when = moment(stamp.read_bytes().decode(errors="replace")) if stamp.is_file() else None
    with Gradebook(course.db_url) as gradebook:
        gradebook.update_or_create_student(student)
        gradebook.update_or_create_submission(assignment.name, student, timestamp=when)
    about = {"notebook": assignment.name, "assignment": assignment.name, "student": student}
    resources = {"nbgrader": about | {"db_url": course.db_url}}
    SaveAtOnce(log=LOG).preprocess(notebook, resources)
    with importing_from(course.root):  # where a course keeps its own rule for late days
        AssignLatePenalties(log=LOG, config=course.config()).preprocess(notebook, resources)
    note = {"submission": submission.digest, "source": assignment.digest, "notes": submission.notes}
    note["cells"] = {name: asdict(verdict) for name, verdict in verdicts.items()}
    write_whole(course.note(student, assignment.name), json.dumps(note, indent=1))


@contextlib.contextmanager
def importing_from(folder):
    """Modules beside `nbgrader_config.py` can be imported, as they can for nbgrader itself."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def reject(course, assignment, student, reason, digest=""):
    """Note that a submission was not graded, and why; the gradebook is left as it is."""
    note = {"submission": digest, "source": assignment.digest, "not_graded": reason}
    write_whole(course.note(student, assignment.name), json.dumps(note, indent=1))
