"""What was judged, written down: the notebook, the gradebook, and last a note that it is done.

Each of the three is written whole or not at all, and writing one again changes nothing. So whoever
is stopped at any moment starts again: what has its note is left alone, the rest is graded anew.
"""

import base64
import contextlib
import datetime
import hashlib
import json
import logging
import sys

import nbformat
from nbgrader.api import Gradebook
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades
from nbgrader.utils import parse_utc

from grading.assignment import added_id, grade_id
from grading.course import write_whole
from grading.judge import records_of
from grading.submission import without_markup
from grading.terminal import last_state

LOG = logging.getLogger("grading")
ELSEWHERE = "\n# The answer stands in the cells below."
LIMIT_OF_PICTURE, MOST_PICTURES, LIMIT_OF_TEXT = 1 << 20, 8, 1 << 17


def graded_notebook(assignment, release, submission, result, verdicts):
    """The instructor's notebook with the student's answers, and with what came of them.

    Metadata are the release's; outputs are plain text and pictures, whatever the student's
    process has sent.
    """
    own = {grade_id(cell): cell for cell in release.cells if grade_id(cell)}
    records = records_of(result)
    notebook = nbformat.v4.new_notebook(metadata=release.metadata)
    notebook.cells = list(_added(submission, "", records))
    for cell in assignment.notebook.cells:
        name, kind = grade_id(cell), assignment.kind(cell)
        fresh = nbformat.from_dict(dict(cell, metadata=own.get(name, cell).metadata))
        if kind == "solution":
            fresh.source = submission.code.get(name, "")
            # Code that a person grades, too, is worth 0 unread if it is as it was handed out.
            if submission.added.get(name) and fresh.source == own[name].source:
                fresh.source += ELSEWHERE
        elif kind == "written":
            _answer(fresh, submission.written.get(name), own[name].source)
        if cell.cell_type == "code":
            fresh.outputs = _outputs(records.get(name), verdicts.get(name))
        notebook.cells.append(fresh)
        notebook.cells += _added(submission, name, records)
    return notebook


def _answer(fresh, answer, stub):
    """An answer in words; what nobody has answered is the stub, to which nbgrader gives 0."""
    if answer is None or answer.source.strip() in ("", stub.strip()):
        fresh.source = stub
        return
    fresh.source = without_markup(answer.source)
    if answer.pictures:
        fresh.attachments = answer.pictures


def _added(submission, name, records):
    """The cells that a student added below one of ours."""
    for number, own in enumerate(submission.added.get(name, [])):
        if own.is_code:
            cell = nbformat.v4.new_code_cell(own.source)
            cell.outputs = _outputs(records.get(added_id(name, number)), None)
        else:
            cell = nbformat.v4.new_markdown_cell(without_markup(own.source))
            if own.pictures:
                cell.attachments = own.pictures
        cell.id = f"{name}-added-{number}"[-64:]  # no grade id is empty, so none is had twice
        yield cell


def _outputs(record, verdict):
    outputs = _sent(record or {}, with_error=verdict is None)
    if verdict is not None and verdict.said:
        outputs.append(nbformat.v4.new_output("stream", name="stdout", text=verdict.said))
    if verdict is not None and verdict.points and verdict.hint:  # some of its parts
        outputs.append(_points(verdict.points))
        outputs.append(nbformat.v4.new_output("stream", name="stdout", text=verdict.hint))
    elif verdict is not None and verdict.hint:
        outputs.append(_error("Not passed", verdict.hint))
    return outputs


def _points(points):
    """What nbgrader reads as partial credit."""
    return nbformat.v4.new_output("execute_result", data={"text/plain": f"{points:g}"})


def _sent(record, with_error):
    """Text, pictures and the error of a cell, as the student's process has sent them."""
    outputs = []
    match record.get("text"):
        case str(text) if text:
            text = last_state(text[:LIMIT_OF_TEXT])
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


@contextlib.contextmanager
def one_transaction(course):
    """The gradebook, in which what is done within arrives together or not at all."""
    with Gradebook(course.db_url) as gradebook:
        commit = gradebook.db.commit
        gradebook.db.commit = gradebook.db.flush  # nbgrader's methods commit, each for itself
        yield gradebook
        commit()


def moment(text):
    """A time stamp as nbgrader reads it, in UTC; None if it is not legible."""
    with contextlib.suppress(ValueError, OverflowError):
        return parse_utc(text.strip())
    return None


def record(course, assignment, student, notebook, submission, verdicts, person=None):
    """Notebook, gradebook, note: in this order, so that the note stands for all three."""
    folder = course.graded(student, assignment.name)
    write_whole(folder / f"{assignment.name}.ipynb", nbformat.writes(notebook))
    with one_transaction(course) as gradebook:
        gradebook.update_or_create_student(student)
        gradebook.update_or_create_submission(
            assignment.name, student, timestamp=handed_in(course, assignment.name, student)
        )
        before = course.read_note(student, assignment.name).get("answers", {})
        answers = _answers(submission)
        same = {name for name, digest in answers.items() if before.get(name) == digest}
        _save_scores(gradebook, assignment.name, student, notebook, same)
        late = _settle(course, gradebook, assignment.name, student, person)
    note = {"submission": submission.digest, "source": assignment.digest, "notes": submission.notes}
    note["cells"] = {name: verdict.as_dict() for name, verdict in verdicts.items()}
    note["answers"] = answers
    course.write_note(student, assignment.name, note | {"late": late})


def _answers(submission):
    """What tells one written answer from another, and all that stands below it, by grade id."""
    found = {}
    for name, answer in submission.written.items():
        parts = [answer, *submission.added.get(name, [])]
        text = json.dumps([(part.source, part.pictures) for part in parts])
        found[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


def _save_scores(gradebook, name, student, notebook, same):
    """nbgrader's own way from the outputs of a notebook to the gradebook.

    It asks for a person's eye wherever one has given points. Here it does so only if there is
    something new to see: another answer, or another outcome of a test.
    """
    grades = gradebook.find_submission_notebook(name, name, student).grades
    read = {grade.name: grade.auto_score for grade in grades if not grade.needs_manual_grade}
    save = SaveAutoGrades(log=LOG)
    save.gradebook = gradebook
    save.notebook_id = save.assignment_id = name
    save.student_id = student
    for number, cell in enumerate(notebook.cells):
        save.preprocess_cell(cell, {}, number)
    for grade in grades:
        seen = grade.name in same or grade.auto_score is not None
        if seen and grade.name in read and read[grade.name] == grade.auto_score:
            grade.needs_manual_grade = False
    gradebook.db.flush()


def handed_in(course, name, student):
    """When a notebook was handed in, in UTC; None if nobody knows."""
    stamp = course.submitted(student, name) / "timestamp.txt"
    return moment(stamp.read_bytes().decode(errors="replace")) if stamp.is_file() else None


def terms(course, name, student, person, due):
    """What lateness follows from, in words that a note can hold and compare."""
    longer = getattr(person, "extension", None)
    return [str(term) for term in (handed_in(course, name, student), due, longer)]


def settle(course, name, student, person=None):
    """Extension and penalty for late days, as the course has it now."""
    with one_transaction(course) as gradebook:
        return _settle(course, gradebook, name, student, person)


def _settle(course, gradebook, name, student, person):
    """Set both in the gradebook; the terms that they follow from, for the note."""
    submission = gradebook.find_submission(name, student)
    due = gradebook.find_assignment(name).duedate
    if due is not None and (longer := _extension(person, due)) is not None:
        submission.extension = longer
    gradebook.db.flush()
    gradebook.db.expire_all()  # scores are sums that the database makes
    notebook = gradebook.find_submission_notebook(name, name, student)
    notebook.late_submission_penalty = None
    if (seconds := submission.total_seconds_late) > 0:
        with importing_from(course.root):  # where a course keeps its own rule for late days
            rule = AssignLatePenalties(log=LOG, config=course.config())
            rule.init_plugin()
            penalty = rule.plugin_inst.late_submission_penalty(student, notebook.score, seconds)
        if penalty is not None:
            notebook.late_submission_penalty = rule._check_late_penalty(notebook, penalty)
    return terms(course, name, student, person, due)


def _extension(person, due):
    """How much later than all others somebody may hand in; None leaves what was granted by hand."""
    longer = getattr(person, "extension", None)
    if longer is None or isinstance(longer, datetime.timedelta):
        return longer
    if isinstance(longer, datetime.datetime):
        until = longer.astimezone(datetime.UTC).replace(tzinfo=None)
        return max(until - due, datetime.timedelta(0))
    return datetime.timedelta(days=longer)


@contextlib.contextmanager
def importing_from(folder):
    """Modules beside `nbgrader_config.py` can be imported, as they can for nbgrader itself."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def reject(course, assignment, student, reason, digest=None):
    """Note that a submission was not graded, and why; the gradebook is left as it is.

    Without a digest it is tried again the next time.
    """
    note = {"submission": digest, "source": assignment.digest, "not_graded": reason}
    course.write_note(student, assignment.name, note)
