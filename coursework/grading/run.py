"""Grade all that was handed in: sandboxes in parallel, one writer, a bar, and a clean end."""

import errno
import os
import queue
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy.exc import OperationalError
from tqdm import tqdm

from grading import bounded
from grading.assignment import Assignment, grade_id
from grading.cluster import Cluster
from grading.jail import Jail, NoSandbox, prove, refuse_where_it_cannot_work
from grading.judge import judge
from grading.judge import prove as prove_checks
from grading.record import graded_notebook, record, reject, settle, terms
from grading.release import release
from grading.submission import NotGraded, digest_of, read

OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO}


@dataclass
class Outcome:
    """What came of one submission: either all three, or a reason."""

    submission: object = None
    result: dict | None = None
    verdicts: dict | None = None
    reason: str = ""
    digest: str | None = None  # none if the reason may be gone the next time


def waiting(course, assignment, again=False, only=None):
    """Students whose notebook is still to be graded, with its path."""
    found = []
    for path in sorted(course.root.glob(f"submitted/*/{assignment.name}/{assignment.name}.ipynb")):
        student = path.parent.parent.name
        wanted = only is None or student in only
        if wanted and (again or not course.is_done(student, assignment, digest_of(path))):
            found.append((student, path))
    return found


def grade(course, name, *, again=False, only=None, roster=None, show=True, **where):
    """Grade what was handed in for a problem set and is not graded yet.

    Parameters
    ----------
    course : Course
    name : str
        The problem set.
    again : bool
        Grade also what is graded; points that were given by hand stay.
    only : collection of str, optional
        Students; everybody by default.
    roster : Roster, optional
    show : bool
        A bar.
    **where
        How the code is run, see `runners`.

    Returns
    -------
    dict
        How many were graded and how many rejected.

    Raises
    ------
    NoSandbox, BadCheck
        If no sandbox keeps its promises, or the problem set has a mistake. Nothing was graded.
    """
    assignment = Assignment.load(course.root, name)
    people = roster.people if roster else {}
    desk = Desk(assignment, release(course, name), course.settings.check_limits(name))
    todo = waiting(course, assignment, again, only)
    counts = {"graded": 0, "rejected": 0}
    where["limits"] = course.settings.limits(name) | (where.get("limits") or {})
    if todo:
        bounded.warm_up()
        with runners(course, len(todo), **where) as places:
            prove_checks(assignment, **desk.limits)
            bar = tqdm(outcomes(todo, desk, places), total=len(todo), desc=name, disable=not show)
            for student, outcome in bar:
                bar.set_postfix_str(student)
                graded = _written(course, desk, student, outcome, people.get(student))
                counts["graded" if graded else "rejected"] += 1
    _settle_all(course, assignment, people, only)
    return counts


def _written(course, desk, student, outcome, person):
    """Write down what came of a submission; whether it was graded."""
    reason, digest = outcome.reason, outcome.digest
    if not reason:
        parts = (outcome.submission, outcome.result, outcome.verdicts)
        try:
            notebook = graded_notebook(desk.assignment, desk.stencil, *parts)
            record(course, desk.assignment, student, notebook, parts[0], parts[2], person=person)
        except Exception as error:
            reason, digest = _blamed("its grades could not be written down", error), None
    if reason:
        reject(course, desk.assignment, student, reason, digest)
    return not reason


def _blamed(what, error):
    """A reason for one student; the machine's own trouble is none and ends the run."""
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        raise RuntimeError(f"{what}: {error}. What is graded is kept.") from error
    if isinstance(error, OperationalError):
        raise RuntimeError(
            f"{what}: {error.orig}. Is another program writing to gradebook.db? What is graded is "
            "kept; the same command goes on with the rest."
        ) from error
    return f"{what} ({bounded.in_words(error)}); this is a matter for whoever grades"


def _settle_all(course, assignment, people, only):
    """Late days of those who are graded already, where a due date or an extension has changed."""
    from nbgrader.api import Gradebook

    name = assignment.name
    with Gradebook(course.db_url) as gradebook:
        due = gradebook.find_assignment(name).duedate
    for path in sorted(course.root.glob(f"autograded/*/{name}/graded.json")):
        student = path.parent.parent.name
        note = course.read_note(student, name)
        if "cells" not in note or (only is not None and student not in only):
            continue
        now = terms(course, name, student, people.get(student), due)
        if note.get("late") != now:
            settle(course, name, student, people.get(student))
            course.write_note(student, name, note | {"late": now})


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


class Desk:
    """Takes one submission through reading, running and judging; each stage fails for it alone."""

    def __init__(self, assignment, stencil, limits):
        self.assignment, self.stencil, self.limits = assignment, stencil, limits
        self.light = replace(assignment, files={})  # what a child process need not be sent
        self.released = {grade_id(c): c.source for c in stencil.cells if grade_id(c)}

    def outcome(self, path, place):
        digest, stage = digest_of(path), "it could not be read"
        try:
            submission = bounded.call(read, path, self.light, self.released, **self.limits)
            stage = "it could not be run"
            result = place.run(self.assignment.job(submission))
            stage = "its answers could not be checked"
            return Outcome(submission, result, judge(self.assignment, result, **self.limits))
        except NotGraded as reason:
            return Outcome(reason=str(reason), digest=digest)
        except bounded.Exceeded as reason:
            return Outcome(reason=f"{stage}: {reason}", digest=digest)
        except NoSandbox:
            raise
        except Exception as error:
            return Outcome(reason=_blamed(stage, error))


def outcomes(todo, desk, places):
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
                done.put((student, desk.outcome(path, place)))
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
