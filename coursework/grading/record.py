"""What was judged, written down: the notebook, the gradebook, and last a note that it is done.

Each of the three is written whole or not at all, and writing one again changes nothing. So whoever
is stopped at any moment starts again: what has its note is left alone, the rest is graded anew.
"""

import base64
import contextlib
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades
from nbgrader.utils import parse_utc

LOG = logging.getLogger("grading")
LIMIT_OF_PICTURE = 1 << 20


def write_whole(path, text):
    """Write a file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with open(fresh, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


class Course:
    """The folders of an nbgrader course."""

    def __init__(self, root):
        self.root = Path(root).resolve()

    @property
    def db_url(self):
        return f"sqlite:///{self.root / 'gradebook.db'}"

    def submitted(self, student, assignment):
        return self.root / "submitted" / student / assignment

    def graded(self, student, assignment):
        return self.root / "autograded" / student / assignment

    def note(self, student, assignment):
        return self.graded(student, assignment) / "graded.json"

    def is_done(self, student, assignment, digest):
        """Whether this very notebook was graded with this very problem set."""
        with contextlib.suppress(OSError, ValueError):
            note = json.loads(self.note(student, assignment.name).read_text(encoding="utf-8"))
            return (note["submission"], note["source"]) == (digest, assignment.digest)
        return False


def graded_notebook(assignment, release, submission, result, verdicts):
    """The instructor's notebook with the student's answers, and with what came of them.

    Metadata are the release's; outputs are plain text and pictures, whatever the student's
    process has sent.
    """
    about = {
        c.metadata.nbgrader.grade_id: c.metadata for c in release.cells if "nbgrader" in c.metadata
    }
    records = {r["id"]: r for r in reversed(result["records"]) if isinstance(r.get("id"), str)}
    notebook = nbformat.v4.new_notebook(metadata=release.metadata)
    notebook.cells = [_added(code) for code in submission.extras.get("", [])]
    for cell in assignment.notebook.cells:
        name, kind = cell.metadata.get("nbgrader", {}).get("grade_id"), assignment.kind(cell)
        fresh = nbformat.from_dict(dict(cell, metadata=about.get(name, cell.metadata)))
        if kind == "solution":
            fresh.source = submission.code.get(name, "")
        elif kind == "written":
            fresh.source = submission.written.get(name, "")
        if cell.cell_type == "code":
            fresh.outputs = _outputs(records.get(name), verdicts.get(name))
        notebook.cells.append(fresh)
        notebook.cells += [_added(code) for code in submission.extras.get(name, [])]
    return notebook


def _added(code):
    return nbformat.v4.new_code_cell(code)


def _outputs(record, verdict):
    outputs = []
    if record is not None:
        text = record.get("text")
        if isinstance(text, str) and text:
            outputs.append(nbformat.v4.new_output("stream", name="stdout", text=text))
        outputs += [o for p in record.get("pictures") or [] if (o := _picture(p))]
        if verdict is None and isinstance(record.get("error"), dict):
            outputs.append(_error(record["error"].get("name"), record["error"].get("message")))
    if verdict is not None:
        if verdict.said:
            outputs.append(nbformat.v4.new_output("stream", name="stdout", text=verdict.said))
        if verdict.hint:
            outputs.append(_error("Not passed", verdict.hint))
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
    name, message = str(name)[:80], str(message)[:2000]
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


def record(course, assignment, student, notebook, submission, verdicts):
    """Notebook, gradebook, note: in this order, so that the note stands for all three."""
    folder = course.graded(student, assignment.name)
    write_whole(folder / f"{assignment.name}.ipynb", nbformat.writes(notebook))
    stamp = course.submitted(student, assignment.name) / "timestamp.txt"
    when = parse_utc(stamp.read_text().strip()) if stamp.exists() else None
    with Gradebook(course.db_url) as gradebook:
        gradebook.update_or_create_student(student)
        gradebook.update_or_create_submission(assignment.name, student, timestamp=when)
    about = {"notebook": assignment.name, "assignment": assignment.name, "student": student}
    resources = {"nbgrader": about | {"db_url": course.db_url}}
    SaveAtOnce(log=LOG).preprocess(notebook, resources)
    AssignLatePenalties(log=LOG).preprocess(notebook, resources)
    note = {"submission": submission.digest, "source": assignment.digest, "notes": submission.notes}
    note["cells"] = {name: asdict(verdict) for name, verdict in verdicts.items()}
    write_whole(course.note(student, assignment.name), json.dumps(note, indent=1))


def reject(course, assignment, student, reason, digest=""):
    """Note that a submission was not graded, and why; the gradebook is left as it is."""
    note = {"submission": digest, "source": assignment.digest, "not_graded": reason}
    write_whole(course.note(student, assignment.name), json.dumps(note, indent=1))
