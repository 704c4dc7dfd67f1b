"""The students' version of a problem set, and the rows that the gradebook keeps for it."""

import contextlib
import datetime
import os
import sqlite3
import sys
import zipfile
from pathlib import Path

import nbformat
from nbgrader.api import Comment, Grade, Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import is_grade, is_locked, is_solution

from grading.assignment import Assignment, grade_id
from grading.course import write_whole


def api(course):
    """nbgrader's own interface to a course."""
    programs = str(Path(sys.executable).parent)  # where nbgrader looks for alembic
    if programs not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + os.environ["PATH"]
    config = course.config()
    return NbGraderAPI(CourseDirectory(config=config), config=config)


def release(course, name):
    """Make the student's version of a problem set, and its row in the gradebook, if it has changed.

    Returns
    -------
    nbformat.NotebookNode
        The released notebook.
    """
    assignment = Assignment.load(course.root, name)  # which says what is wrong with the source
    made = course.root / "release" / name / f"{name}.ipynb"
    mark = course.root / "release" / f".{name}"
    known = mark.is_file() and mark.read_text() == assignment.digest
    if not (known and made.is_file() and Path(course.root, "gradebook.db").is_file()):
        mark.unlink(missing_ok=True)
        interface = api(course)
        course.make_gradebook()
        for words in follow(course, assignment):
            print(words)
        done = interface.generate_assignment(name, force=True, create=True)
        if not done["success"]:
            raise RuntimeError(f"nbgrader could not release {name}:\n{done['log'][-2000:]}")
        write_whole(mark, assignment.digest)
    if due := course.settings.due(name):
        with Gradebook(course.db_url) as gradebook:
            gradebook.update_or_create_assignment(name, duedate=due)
    return nbformat.read(made, as_version=4)


def as_zip(course, name):
    """The released folder as a zip beside it."""
    folder = course.root / "release" / name
    target, fresh = folder.with_suffix(".zip"), folder.with_suffix(".new")
    with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"{name}/{path.name}")
    os.replace(fresh, target)
    return target


# --- questions that came or went after the first grading ------------------------------------------


def follow(course, assignment):
    """Make the gradebook hold the questions that a problem set has now, though some are graded.

    nbgrader refuses that. What is removed takes its points and comments with it, so a copy of the
    gradebook is kept. Yields what was done, in words.
    """
    with Gradebook(course.db_url) as gradebook:
        try:
            notebook = gradebook.find_notebook(assignment.name, assignment.name)
        except MissingEntry:
            return
        wanted = _wanted(assignment)
        there = {("grade", cell.name): cell for cell in notebook.grade_cells}
        there |= {("solution", cell.name): cell for cell in notebook.solution_cells}
        there |= {("source", cell.name): cell for cell in notebook.source_cells}
        gone, new = there.keys() - wanted.keys(), wanted.keys() - there.keys()
        if not notebook.submissions or not (gone or new):
            return
        copy = _kept(course)
        yield f"{assignment.name} has other cells than before. The gradebook as it was: {copy}"
        for key in sorted(gone):
            for row in (*getattr(there[key], "grades", ()), *getattr(there[key], "comments", ())):
                gradebook.db.delete(row)
            gradebook.db.delete(there[key])
        gradebook.db.flush()
        gradebook.db.expire_all()
        for kind, name in sorted(new):
            _add(gradebook, assignment.name, kind, name, wanted[kind, name])
        gradebook.db.commit()
    for what, keys in (("no question any more, nor its points", gone), ("a new question", new)):
        for name in sorted(name for kind, name in keys if kind == "grade"):
            yield f"  {name} is {what}"


def _wanted(assignment):
    """What nbgrader keeps of each cell, by what it is and by name."""
    found = {}
    for cell in assignment.notebook.cells:
        name = grade_id(cell)
        if name and is_grade(cell):
            about = {"max_score": float(cell.metadata.nbgrader.points), "cell_type": cell.cell_type}
            found["grade", name] = about
        if name and is_solution(cell):
            found["solution", name] = {}
        if name and (is_grade(cell) or is_solution(cell) or is_locked(cell)):
            found["source", name] = {"cell_type": cell.cell_type, "source": cell.source}
    return found


def _kept(course):
    """A copy of the gradebook, made by SQLite itself."""
    when = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    copy = course.root / f"gradebook-before-{when}.db"
    with (
        contextlib.closing(sqlite3.connect(course.root / "gradebook.db")) as base,
        contextlib.closing(sqlite3.connect(copy)) as kept,
    ):
        base.backup(kept)
    return copy.name


def _add(gradebook, name, kind, cell, about):
    """A new cell, and its row for each who has been graded."""
    make = getattr(gradebook, f"add_{kind}_cell")
    made = make(cell, name, name, **about)
    row = {"grade": Grade, "solution": Comment}.get(kind)
    for submission in gradebook.find_notebook(name, name).submissions if row else ():
        gradebook.db.add(row(cell_id=made.id, notebook=submission))
