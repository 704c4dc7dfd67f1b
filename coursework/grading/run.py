"""Grade all that was handed in: sandboxes in parallel, one writer, a bar, and a clean end."""

import os
import queue
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from tqdm import tqdm
from traitlets.config import Config

from grading.assignment import Assignment, NotGraded, Submission
from grading.jail import Jail, prove
from grading.judge import judge
from grading.record import graded_notebook, record, reject


def api(course):
    """nbgrader's own interface to a course."""
    programs = str(Path(sys.executable).parent)  # where nbgrader looks for alembic
    if programs not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + os.environ["PATH"]
    config = Config()
    config.CourseDirectory.root = str(course.root)
    config.CourseDirectory.db_url = course.db_url
    return NbGraderAPI(CourseDirectory(config=config), config=config)


def release(course, name):
    """Make the student's version of a problem set, and its row in the gradebook; its notebook."""
    Assignment.load(course.root, name)  # which says what is wrong with the source
    done = api(course).generate_assignment(name, force=True, create=True)
    if not done["success"]:
        raise RuntimeError(f"nbgrader could not release {name}:\n{done['log'][-2000:]}")
    return nbformat.read(course.root / "release" / name / f"{name}.ipynb", as_version=4)


def waiting(course, assignment, again=False):
    """Students whose notebook is still to be graded, with its path."""
    found = []
    for path in sorted(course.root.glob(f"submitted/*/{assignment.name}/{assignment.name}.ipynb")):
        student = path.parent.parent.name
        if again or not course.note(student, assignment.name).exists():
            found.append((student, path))
            continue
        try:
            digest = Submission.read(path, assignment).digest
        except NotGraded:
            digest = ""
        if not course.is_done(student, assignment, digest):
            found.append((student, path))
    return found


@contextmanager
def working_in(folder):
    """Checks read the files of their problem set by relative paths."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def grade(course, name, *, workers=None, again=False, limits=None, warm=True, show=True):
    """Grade what was handed in for a problem set and is not graded yet.

    Parameters
    ----------
    course : Course
    name : str
        The problem set.
    workers : int, optional
        Sandboxes at the same time; by default one for each processor.
    again : bool
        Grade also what is graded; points that were given by hand stay.
    limits : dict, optional
        Changes to `jail.LIMITS`.
    warm : bool
        One warm server for many submissions; False builds a sandbox for each.
    show : bool
        A bar with names, counts and the time left.

    Returns
    -------
    dict
        How many were graded and how many rejected, and the seconds that it took.

    Raises
    ------
    NoSandbox
        If there is no sandbox that keeps its promises. Nothing was graded then.
    """
    assignment, begin = Assignment.load(course.root, name), time.perf_counter()
    stencil = release(course, name)
    todo = waiting(course, assignment, again)
    workers = max(1, min(workers or os.cpu_count(), len(todo)))
    counts = {"graded": 0, "rejected": 0}
    with (
        working_in(assignment.folder),
        _pool(todo, assignment, workers, limits, warm, course) as done,
    ):
        for student, outcome in tqdm(done, total=len(todo), desc=name, disable=not show):
            if isinstance(outcome, NotGraded):
                reject(course, assignment, student, str(outcome))
                counts["rejected"] += 1
                continue
            submission, result = outcome
            verdicts = judge(assignment, result)
            notebook = graded_notebook(assignment, stencil, submission, result, verdicts)
            record(course, assignment, student, notebook, submission, verdicts)
            counts["graded"] += 1
    return counts | {"seconds": time.perf_counter() - begin}


@contextmanager
def _pool(todo, assignment, workers, limits, warm, course):
    """Outcomes as they come, from sandboxes in parallel. Leaving it ends the sandboxes."""
    tasks, outcomes, stop = queue.SimpleQueue(), queue.SimpleQueue(), threading.Event()
    for task in todo:
        tasks.put(task)

    def work(jail):
        while not stop.is_set():
            try:
                student, path = tasks.get_nowait()
            except queue.Empty:
                return
            try:
                submission = Submission.read(path, assignment)
                outcomes.put((student, (submission, jail.run(assignment.job(submission)))))
            except NotGraded as reason:
                outcomes.put((student, reason))
            except Exception as error:
                outcomes.put((None, error))
                return

    def all_outcomes():
        for _ in todo:
            student, outcome = outcomes.get()
            if student is None:
                raise outcome
            yield student, outcome

    jails = [Jail(limits, warm=warm) for _ in range(workers if todo else 0)]
    try:
        for jail in jails:
            jail.__enter__()
        for jail in jails[:1]:
            prove(jail, course.root)
        for jail in jails:
            threading.Thread(target=work, args=(jail,), daemon=True).start()
        yield all_outcomes()
    finally:
        stop.set()
        for jail in jails:
            jail.__exit__(None, None, None)


def feedback(course, name, students=None):
    """A page for each graded student, made by nbgrader from the graded notebook."""
    interface = api(course)
    with Gradebook(course.db_url) as gradebook:
        graded = [s.student.id for s in gradebook.assignment_submissions(name)]
    for student in students or graded:
        done = interface.generate_feedback(name, student, force=True)
        if not done["success"]:
            raise RuntimeError(f"no feedback for {student}:\n{done['log'][-1000:]}")
