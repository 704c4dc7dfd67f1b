"""Grade all that was handed in: sandboxes in parallel, one writer, a bar, and a clean end."""

import os
import queue
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import ClearHiddenTests, GetGrades
from tqdm import tqdm

from grading.assignment import Assignment, NotGraded, Submission
from grading.cluster import Cluster
from grading.jail import Jail, NoSandbox, prove, refuse_where_it_cannot_work
from grading.judge import judge
from grading.record import graded_notebook, record, reject, write_whole


def api(course):
    """nbgrader's own interface to a course."""
    programs = str(Path(sys.executable).parent)  # where nbgrader looks for alembic
    if programs not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + os.environ["PATH"]
    config = course.config()
    # The pages that students get show the tests that they had, and no others.
    config.GenerateFeedback.preprocessors = [GetGrades, ClearHiddenTests, CSSHTMLHeaderPreprocessor]
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
        done = interface.generate_assignment(name, force=True, create=True)
        if not done["success"]:
            raise RuntimeError(f"nbgrader could not release {name}:\n{done['log'][-2000:]}")
        write_whole(mark, assignment.digest)
    return nbformat.read(made, as_version=4)


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


def grade(course, name, *, again=False, show=True, **where):
    """Grade what was handed in for a problem set and is not graded yet.

    Parameters
    ----------
    course : Course
    name : str
        The problem set.
    again : bool
        Grade also what is graded; points that were given by hand stay.
    show : bool
        A bar with counts and the time left.
    **where
        How the code is run, see `runners`.

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
    counts = {"graded": 0, "rejected": 0}
    with working_in(assignment.folder), runners(course, len(todo), **where) as places:
        bar = tqdm(outcomes(todo, assignment, places), total=len(todo), desc=name, disable=not show)
        for student, outcome in bar:
            bar.set_postfix_str(student)
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
def runners(course, most, *, workers=None, limits=None, warm=None, scheduler=None, trusted=False):
    """What runs the jobs: sandboxes on this machine, or a cluster; proven before they are used.

    Parameters
    ----------
    course : Course
    most : int
        No more at a time than this.
    workers : int, optional
        Sandboxes at the same time; by default one for each processor.
    limits : dict, optional
        Changes to `jail.LIMITS`.
    warm : bool, optional
        One server for many submissions, or a sandbox for each; by default what works here.
    scheduler : str, optional
        The address of a Dask cluster.
    trusted : bool
        No sandbox: the code runs with your own rights.
    """
    if not most:
        yield []
        return
    if scheduler:
        cluster = Cluster(scheduler, limits, course.root)
        try:
            yield [cluster] * min(most, len(cluster))
        finally:
            cluster.close()
        return
    jails = _proven(course, max(1, min(workers or os.cpu_count(), most)), limits, warm, trusted)
    try:
        yield jails
    finally:
        for jail in jails:
            jail.__exit__(None, None, None)


def _proven(course, count, limits, warm, trusted):
    """So many sandboxes; warm ones where these keep their promises, else cold ones."""
    if trusted:
        return [Jail(limits, trusted=True).__enter__() for _ in range(count)]
    refuse_where_it_cannot_work()
    for way in (True, False) if warm is None else (warm,):
        jails = [Jail(limits, warm=way) for _ in range(count)]
        try:
            for jail in jails if way else []:  # all at once: each spends seconds on imports
                jail.start()
            prove(jails[0], course.root)
            return jails
        except NoSandbox as error:
            reason = error
            for jail in jails:
                jail.__exit__(None, None, None)
    raise reason


def outcomes(todo, assignment, places):
    """(student, what came of it) as they come; each place works in a thread of its own."""
    tasks, done, stop = queue.SimpleQueue(), queue.SimpleQueue(), threading.Event()
    for task in todo:
        tasks.put(task)

    def work(place):
        while not stop.is_set():
            try:
                student, path = tasks.get_nowait()
            except queue.Empty:
                return
            try:
                submission = Submission.read(path, assignment)
                done.put((student, (submission, place.run(assignment.job(submission)))))
            except NotGraded as reason:
                done.put((student, reason))
            except Exception as error:  # of the machinery: the run must not wait for ever
                done.put((None, error))
                return

    for place in places:
        threading.Thread(target=work, args=(place,), daemon=True).start()
    try:
        for _ in todo:
            student, outcome = done.get()
            if student is None:
                raise outcome
            yield student, outcome
    finally:
        stop.set()


def feedback(course, name, students=None):
    """A page for each graded student, made by nbgrader from the graded notebook."""
    interface = api(course)
    with Gradebook(course.db_url) as gradebook:
        graded = [s.student.id for s in gradebook.assignment_submissions(name)]
    for student in students or graded:
        done = interface.generate_feedback(name, student, force=True)
        if not done["success"]:
            raise RuntimeError(f"no feedback for {student}:\n{done['log'][-1000:]}")
