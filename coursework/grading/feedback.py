"""Feedback: a page for each graded student, made when there is something new to say."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from os import cpu_count
from pathlib import Path

import nbformat
from tqdm import tqdm

from grading import bounded, formulas, pages
from grading.assignment import grade_id
from grading.course import write_whole
from grading.marks import marks_of
from grading.pages import page, plain_page

NO_RESPONSE = "No response."  # nbgrader's words for a cell that is as it was handed out


def feedback(course, assignment, stencil, students, show=True):
    """Write the pages of those for whom something has changed.

    Parameters
    ----------
    course : Course
    assignment : Assignment
    stencil : nbformat.NotebookNode
        The released notebook.
    students : collection of str
    show : bool
        A bar.

    Returns
    -------
    written : int
    failed : dict
        A reason for each student whose page could not be made.
    """
    marks, name = marks_of(course, assignment), assignment.name
    released = {grade_id(cell): cell.source for cell in stencil.cells if grade_id(cell)}
    limits = course.settings.check_limits(name)
    todo = []
    for student in students:
        about = _about(course, assignment, student, marks[student])
        key = _key(course, name, student, about)
        folder = course.feedback(student, name)
        mark = folder / f".{name}"
        if not (mark.is_file() and mark.read_text() == key and (folder / f"{name}.html").is_file()):
            todo.append((course, name, student, about, released, limits, key))
    if todo:
        bounded.warm_up()
    with ThreadPoolExecutor(cpu_count()) as pool:
        done = pool.map(_write_one, todo)
        bar = tqdm(done, total=len(todo), desc=f"{name}: pages", disable=not (show and todo))
        failed = {work[2]: reason for work, reason in zip(todo, bar, strict=True) if reason}
    return len(todo) - len(failed), failed


def _write_one(work):
    """A page, or the reason why there is none."""
    course, name, student, about, released, limits, key = work
    try:
        notebook = nbformat.read(course.graded(student, name) / f"{name}.ipynb", as_version=4)
        try:
            text = bounded.call(page, notebook, released, about, **limits)
        except (bounded.Exceeded, bounded.Failed):
            text = bounded.call(plain_page, notebook, released, about, **limits)
        write_whole(course.feedback(student, name) / f"{name}.html", text)
        write_whole(course.feedback(student, name) / f".{name}", key)
    except Exception as error:
        return f"no page could be made ({bounded.in_words(error)})"
    return ""


def _about(course, assignment, student, marks):
    """What the page says besides the notebook."""
    note = course.read_note(student, assignment.name)
    origin = course.read_origin(student, assignment.name)
    cells = note.get("cells", {})
    questions = {}
    for name, mark in marks.questions.items():
        verdict = cells.get(name, {})
        questions[name] = {
            "points": None if mark.waiting and not mark.points else mark.points,
            "worth": mark.worth,
            "parts": verdict.get("parts", []),
            "hint": verdict.get("hint", ""),
            "comment": mark.comment,
        }
    return {
        "title": assignment.name,
        "student": student,
        "score": marks.score,
        "max_score": marks.max_score,
        "penalty": marks.penalty,
        "waiting": marks.waiting,
        "notes": [*note.get("notes", []), *origin.get("notes", [])],
        "questions": questions,
        "comments": {n: words for n, words in marks.comments.items() if words != NO_RESPONSE},
    }


def _key(course, name, student, about):
    """Changes when a page would."""
    graded = course.graded(student, name) / f"{name}.ipynb"
    parts = [_maker(), json.dumps(about, sort_keys=True).encode(), graded.read_bytes()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


@cache
def _maker():
    """The code and the templates that pages are made by."""
    files = [Path(pages.__file__), Path(formulas.__file__), *sorted(pages.TEMPLATES.iterdir())]
    return b"".join(file.read_bytes() for file in files)
