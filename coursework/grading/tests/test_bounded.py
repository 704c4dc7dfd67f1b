"""Limits on what a call may take; and judging and showing within them, whatever is handed in."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
from grading import bounded
from grading.assignment import Assignment
from grading.bounded import Exceeded, Failed
from grading.contract import split
from grading.judge import BadCheck, judge, prove
from grading.session import plain
from grading.submission import NotGraded

COURSEWORK = Path(__file__).resolve().parents[2]


def loop():
    while True:
        pass


def sleep():
    time.sleep(60)


def allocate(megabytes):
    return len(bytearray(megabytes << 20))


def end():
    os._exit(3)


def refuse():
    raise NotGraded("it is a PDF")


def fail():
    raise KeyError("x")


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError


def fail_without_words():
    raise Unprintable


def count():
    yield 1
    yield 2
    loop()


def loaded():
    return {name for name in ("torch", "grading.warm", "grading.pages") if name in sys.modules}


class TestCalls:
    def test_the_server_has_loaded_what_each_call_needs(self):
        assert len(bounded.call(loaded)) == 3

    def test_what_comes_back(self):
        assert bounded.call(allocate, 1) == 1 << 20

    def test_a_loop_is_ended(self):
        with pytest.raises(Exceeded, match="longer than 1 s"):
            bounded.call(loop, seconds=1)

    def test_a_sleeper_is_ended(self, monkeypatch):
        monkeypatch.setattr(bounded, "PATIENCE", 2)
        with pytest.raises(Exceeded, match="longer than 1 s"):
            bounded.call(sleep, seconds=0.5)

    def test_memory_is_bounded(self):
        assert bounded.call(allocate, 100, megabytes=200) == 100 << 20
        with pytest.raises(Exceeded, match="more than 200 MB"):
            bounded.call(allocate, 300, megabytes=200)

    def test_an_end_without_a_word(self):
        with pytest.raises(Exceeded, match="ended its process"):
            bounded.call(end)

    def test_errors_come_as_words_and_the_gradings_own_as_they_are(self):
        with pytest.raises(NotGraded, match="it is a PDF"):
            bounded.call(refuse)
        with pytest.raises(Failed, match="KeyError: 'x'"):
            bounded.call(fail)
        with pytest.raises(Failed, match=r"^Unprintable$"):
            bounded.call(fail_without_words)

    def test_what_came_before_the_end_is_kept(self):
        seen = []
        with pytest.raises(Exceeded):
            seen.extend(bounded.each(count, seconds=1))
        assert seen == [1, 2]

    def test_nothing_changes_here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        bounded.call(os.chdir, "/")
        assert os.getcwd() == str(tmp_path)


# --- checks within limits -------------------------------------------------------------------------

PARTS = """\
x = np.arange(4.0)
# --- answers
squares = square(x)
# --- check: the shape (0.5)
assert np.shape(squares) == (4,), "one square for each number"
# --- check: the values (1.5)
assert np.allclose(squares, x**2), "these are no squares"
print("looked")"""


@pytest.fixture
def made(tmp_path):
    """A problem set whose first test is another."""

    def make(check=None, source=None):
        if not (tmp_path / "source").exists():
            tiny.write_source(tmp_path)
        assignment = Assignment.load(tmp_path, tiny.NAME)
        if source or check:
            test = tiny.cell(assignment.notebook, "square-test")
            test.source = source or f"# --- answers\nsquares = 1\n# --- check\n{check}"
        return assignment

    return make


def verdicts(assignment, squares, **limits):
    records = [
        {"id": "square-test", "seconds": 0.1, "answers": {"squares": squares, "others": squares}},
        {"id": "total-test", "seconds": 0.1, "answers": {"value": 6.0}},
    ]
    done = judge(assignment, {"records": records, "ended": None}, **limits)
    return done["square-test"], done["total-test"]


HELD_UP = {
    "a loop": "while squares: pass",
    "a gigabyte": "np.ones((1000 * len(squares), 1)) * np.ones(40_000)",
    "an exit": "import os; os._exit(0)",
    "no number": "assert squares + 1",
    "a base exception": "raise KeyboardInterrupt",
    "an error without words": "class E(Exception):\n    __str__ = None\nraise E",
    "a refusal without words": "class M:\n    __str__ = None\nassert False, M()",
    "recursion": "def f(): f()\nf()",
    "sys.exit": "raise SystemExit(0)",
}


@pytest.mark.parametrize("kind", HELD_UP)
def test_what_holds_a_check_up_costs_that_question_alone(made, kind):
    first, second = verdicts(made(HELD_UP[kind]), "text", seconds=1, megabytes=300)
    assert first.points == 0
    assert first.hint
    assert second.points == 3, second


def test_an_error_in_a_check_earns_nothing(made):
    first, _ = verdicts(made("assert squares[0] + 1"), plain(["a"]))
    assert (first.points, first.hint[:34]) == (0, "the check cannot use this answer: ")


def test_points_of_parts_add_up_and_each_has_its_hint(made):
    assignment = made(source=PARTS)
    right, _ = verdicts(assignment, plain(np.arange(4.0) ** 2))
    assert (right.points, right.hint, right.said) == (2, "", "looked\n")
    half, _ = verdicts(assignment, plain(np.ones(4)))
    assert half.points == 0.5
    assert half.hint == "the values: these are no squares"
    assert [(p.name, p.points, p.worth) for p in half.parts] == [
        ("the shape", 0.5, 0.5),
        ("the values", 0, 1.5),
    ]
    none, _ = verdicts(assignment, {"set": 1})
    assert [p.points for p in none.parts] == [0, 0]


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        (PARTS.replace("(1.5)", "(2)"), "worth 2.5 points together"),
        (PARTS.replace("the values", "the shape"), "two of its checks have one name"),
        (PARTS.replace(" (1.5)", ""), "names no points"),
        (PARTS.replace(": the values (1.5)", ""), "needs one line"),
        (PARTS.replace("assert np.all", "assert np all"), "invalid syntax"),
    ],
)
def test_mistakes_in_parts_are_named(made, source, wrong):
    from grading.contract import lint

    (words,) = lint(made(source=source).notebook)
    assert words.startswith("square-test: ")
    assert wrong in words


def test_parts_run_in_order_in_one_notebook():
    parts = split(PARTS)
    assert [(check.name, check.points) for check in parts.checks] == [
        ("the shape", 0.5),
        ("the values", 1.5),
    ]
    assert "these are no squares" in parts.check


def test_checks_leave_the_folder_and_the_generator_alone(made):
    import torch

    here, state = os.getcwd(), torch.get_rng_state()
    first, second = verdicts(made("import os, torch; os.chdir('/'); torch.manual_seed(0)"), 1)
    assert (first.points, second.points) == (2, 3)
    assert os.getcwd() == here
    assert torch.equal(torch.get_rng_state(), state)


def test_set_up_runs_before_the_answers_are_there(made):
    """An answer replaces what the set-up has made, not the other way round."""
    source = "squares = 0\n# --- answers\nsquares = 1\n# --- check\nassert squares == 5"
    assert verdicts(made(source=source), 5)[0].points == 2


def test_a_set_with_a_mistake_is_found_before_anybody_is_graded(made):
    prove(made())
    with pytest.raises(BadCheck, match="square-test does not run by itself: NameError"):
        prove(made(source="undefined\n# --- answers\na = 1\n# --- check\npass"))


def test_a_locked_cell_is_plain_python(made):
    assignment = made()
    tiny.cell(assignment.notebook, "start").source = "%matplotlib inline"
    from grading.contract import lint

    assert "start: a locked cell is plain Python" in lint(assignment.notebook)[0]


def test_a_folder_whose_name_is_too_long_for_a_socket_is_named(tmp_path):
    folder = tmp_path / ("long-" * 20)
    folder.mkdir()
    code = "from grading import bounded; bounded.warm_up()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(COURSEWORK)},
        capture_output=True,
        text=True,
    )
    assert "RuntimeError: The folder for temporary files has too long a name" in done.stderr
    assert "TMPDIR=/tmp make grade" in done.stderr


def test_a_set_that_takes_too_long_by_itself_is_named(made):
    assignment = made()
    tiny.cell(assignment.notebook, "start").source = "while True: pass"
    with pytest.raises(BadCheck, match="do not run by themselves: it took longer than 1 s"):
        prove(assignment, seconds=1)
