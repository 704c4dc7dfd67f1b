"""Stopped at any moment and started again: everyone is graded, nobody twice, nothing is left."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
from grading import bounded, judge
from grading.course import Course
from grading.jail import Cgroup
from grading.release import release
from nbgrader.api import Gradebook
from sqlalchemy import event
from sqlalchemy.orm import Session
from unboxed import course_at, grade, hand_in

COURSEWORK = Path(__file__).resolve().parents[2]
CODE = f"import time\ntime.sleep(0.1)\n{tiny.SQUARE}"
WRONG = "def total(x):\n    return 0.0"
SCORES = {f"student-{k:02}": 5 if k % 3 else 2 for k in range(16)}


def whole(course):
    with sqlite3.connect(course.root / "gradebook.db") as base:
        (answer,) = base.execute("pragma integrity_check").fetchone()
    return answer == "ok"


def scores(course):
    with Gradebook(course.db_url) as gradebook:
        return {s.student.id: s.score for s in gradebook.assignment_submissions(tiny.NAME)}


# --- the command, with its sandboxes, killed from outside -----------------------------------------


def running(pid):
    """Parent and start time of a process that is not a corpse, else None."""
    try:
        words = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else (int(words[1]), words[19])


def family(pid):
    """A process and all that it has started, each with its start time."""
    alive = {int(p.name): now for p in Path("/proc").glob("[0-9]*") if (now := running(p.name))}
    found, grown = {pid}, True
    while grown:
        more = {p for p, (parent, _) in alive.items() if parent in found} - found
        found, grown = found | more, bool(more)
    return {(p, alive[p][1]) for p in found if p in alive}


def is_there(pid, since):
    now = running(pid)
    return bool(now) and now[1] == since


def notes(course):
    """When each was noted to be graded."""
    return {p.parts[-3]: p.stat().st_mtime_ns for p in course.root.glob("autograded/*/*/*.json")}


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this takes too long"
        time.sleep(0.005)


def stopped(course, how, when, moment=0.0):
    """Grade until something is so, and a moment more; then stop. Exit code, words, pid, family."""
    # Started in the background of a shell, this process ignores Ctrl-C, and so would its child.
    listening = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    listening += "runpy.run_module('grading', run_name='__main__')"
    command = [sys.executable, "-c", listening, "--course", str(course.root), "grade", tiny.NAME]
    said = course.root / "said"
    with open(said, "w") as file:
        process = subprocess.Popen(
            [*command, "--no-feedback", "--workers", "2"],
            **{"stdout": file, "stderr": file, "cwd": COURSEWORK, "start_new_session": True},
        )
    try:
        wait_for(lambda: when() or process.poll() is not None)
        time.sleep(moment)
        all_of_it = family(process.pid)
        if how:
            os.killpg(process.pid, how)  # as a terminal does
        code = process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
    wait_for(lambda: not any(is_there(*one) for one in all_of_it))
    return code, said.read_text(), process.pid, all_of_it


@pytest.fixture(scope="module")
def story(course):
    """One class, graded in six starts, five of which are stopped; and what each has left."""
    for student, score in SCORES.items():
        hand_in(course, student, tiny.answer(CODE, tiny.TOTAL if score == 5 else WRONG))
    chance, told = random.Random(0), []
    book = course.root / "gradebook.db"

    def add(how, when, moment):
        told.append((*stopped(course, how, when, moment), notes(course)))

    add(signal.SIGKILL, book.exists, 0.05)
    add(signal.SIGKILL, lambda: len(notes(course)) >= 1, 0)
    add(signal.SIGKILL, lambda: len(notes(course)) >= 4, chance.uniform(0, 0.1))
    add(signal.SIGINT, lambda: len(notes(course)) >= 7, chance.uniform(0, 0.1))
    add(signal.SIGKILL, lambda: len(notes(course)) >= 9, chance.uniform(0, 0.1))
    add(None, lambda: False, 0)
    return course, told


def test_each_is_graded_once_and_right(story):
    course, told = story
    codes = [code for code, *_ in told]
    assert codes == [-9, -9, -9, 130, -9, 0]
    counts = [len(noted) for *_, noted in told]
    assert counts[0] < counts[1] < counts[2] < counts[3] < counts[4] < counts[5] == len(SCORES)
    last = told[-1][-1]
    for *_, noted in told:
        assert noted.items() <= last.items(), "what has a note is not graded again"
    assert f"{len(SCORES) - counts[4]} graded now, {len(SCORES)} in all" in told[5][1]
    assert scores(course) == SCORES
    assert whole(course)


def test_an_interrupt_says_what_to_do_and_ends_in_order(story):
    words = story[1][3][1]
    assert "Stopped. What is graded is kept" in words
    assert "Traceback" not in words


def test_there_were_sandboxes_and_all_have_ended(story):
    families = [all_of_it for *_, all_of_it, _ in story[1]]
    assert max(map(len, families)) > 4  # a grader, and two of bubblewrap with a server each
    assert not any(is_there(*one) for family in families for one in family)


def test_no_cgroup_is_left(story):
    _, told = story
    mine = {str(pid) for _, _, pid, *_ in told}
    folders = [*Cgroup.ROOT.glob("grading-*"), *Cgroup.ROOT.glob("*/grading-*")]
    assert [folder for folder in folders if folder.name.split("-")[1] in mine] == []


def test_the_gradebook_that_was_begun_first_is_whole(story):
    with sqlite3.connect(story[0].root / "gradebook.db") as base:
        assert len(base.execute("select version_num from alembic_version").fetchall()) == 1


# --- each step of writing, in a child of this process that ends itself ---------------------------


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Released, with one who is graded and one who is not."""
    course = course_at(tmp_path_factory.mktemp("begun"))
    release(course, tiny.NAME)
    hand_in(course, "before", tiny.answer())
    with pytest.MonkeyPatch.context() as patch:
        grade(course, patch)
    hand_in(course, "now", tiny.answer(total=WRONG))
    return course.root


def step_by_step(course, last):
    """In a child: grade, and end without a word at the given step. True if it came that far."""
    child = os.fork()
    if child == 0:
        left = [last]

        def step(*_):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def around(do):
            return lambda *arguments: (step(), do(*arguments), step())

        patch = pytest.MonkeyPatch()
        for name in ("fsync", "replace"):
            patch.setattr(os, name, around(getattr(os, name)))
        for moment in ("after_flush", "before_commit", "after_commit"):
            event.listen(Session, moment, step)
        # The server of bounded processes belongs to the parent of this child.
        patch.setattr(bounded, "warm_up", lambda: None)
        patch.setattr(bounded, "call", lambda function, *given, **_: function(*given))
        patch.setattr(judge, "each", lambda function, *given, **_: function(*given))
        try:
            grade(course, patch)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "grading failed"
    return os.WIFSIGNALED(status)


def test_killed_at_every_step_of_writing(begun, tmp_path, monkeypatch):
    step = 0
    while True:
        course = Course(tmp_path / str(step))
        shutil.copytree(begun, course.root)
        first = notes(course)
        if not step_by_step(course, step):
            break
        assert whole(course)
        done = notes(course)
        assert done.items() >= first.items()
        assert grade(course, monkeypatch)["graded"] == (0 if "now" in done else 1)
        assert scores(course) == {"before": 5, "now": 2}
        assert notes(course).items() >= done.items()
        step += 1
    assert step > 12, "files and transactions"
