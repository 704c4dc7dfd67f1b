"""A class run goes on: whatever one submission causes, at any stage, is that student's reason."""

import contextlib
import errno
import os
import shutil
import sqlite3

import nbformat
import pytest
import tiny
from grading import report, run
from grading.assignment import Assignment, added_id
from grading.course import Course
from grading.forget import forget
from grading.jail import NoSandbox
from grading.judge import BadCheck
from grading.release import release
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook
from unboxed import Here, course_at, grade, hand_in, note


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Released once: nbgrader takes a second for it."""
    course = course_at(tmp_path_factory.mktemp("released"))
    release(course, tiny.NAME)
    return course.root


@pytest.fixture
def course(tmp_path, released):
    shutil.copytree(released, tmp_path / "course")
    return Course(tmp_path / "course")


def deep(depth, inside="1"):
    return "[" * depth + inside + "]" * depth


def scores(course):
    assignment = Assignment.load(course.root, tiny.NAME)
    return {row["student"]: row["score"] for row in report.rows(course, assignment)}


def reasons(course, roster=None):
    assignment = Assignment.load(course.root, tiny.NAME)
    return {row["student"]: row["reason"] for row in report.rows(course, assignment, roster)}


class Roster:
    """Of a class, as much as grading asks for."""

    def __init__(self, **people):
        self.people = {name: Person(name, extension) for name, extension in people.items()}


class Person:
    def __init__(self, name, extension):
        self.name, self.email, self.extension = name.title(), f"{name}@example.org", extension


# --- each stage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [500, 900, 950, 980, 990, 1000, 1100, 3000])
def test_json_nested_near_the_limit_stops_nobody(course, monkeypatch, depth):
    text = nbformat.writes(tiny.answer())
    hand_in(
        course, "deep", text.replace('"metadata": {}', f'"metadata": {{"a": {deep(depth)}}}', 1)
    )
    hand_in(course, "list", f'{{"cells": {deep(depth)}}}')
    hand_in(course, "zoe", tiny.answer())
    for _ in range(2):
        grade(course, monkeypatch)
        assert scores(course)["zoe"] == 5
        assert scores(course)["deep"] == 5 or "no notebook" in reasons(course)["deep"]
        assert reasons(course)["list"]


def with_places(monkeypatch, *places):
    @contextlib.contextmanager
    def made(_course, most, **_where):
        yield list(places)[: max(1, most)]

    monkeypatch.setattr(run, "runners", made)


class Odd(Here):
    """A sandbox that says for some what no sandbox should."""

    def __init__(self, result):
        self.result = result

    def run(self, job):
        if "ODD" in str(job):
            if isinstance(self.result, BaseException):
                raise self.result
            return self.result
        return super().run(job)


ODD = tiny.answer(square=f"# ODD\n{tiny.SQUARE}")
RESULTS = {
    "nested": {"records": [{"id": "square", "seconds": 1, "text": None}], "ended": None},
    "without seconds": {"records": [{"id": "square-test", "answers": {}}], "ended": None},
    "without an id": {"records": [{"seconds": 1}, {"id": 3, "seconds": 1}], "ended": None},
    "nothing": {"records": [], "ended": "ended without a word"},
}
RESULTS["nested"]["records"][0]["pictures"] = eval(deep(150))


@pytest.mark.parametrize("kind", RESULTS)
def test_odd_results_cost_points_and_nobody_else_anything(course, monkeypatch, kind):
    hand_in(course, "ada", ODD)
    hand_in(course, "zoe", tiny.answer())
    with_places(monkeypatch, Odd(RESULTS[kind]))
    run.grade(course, tiny.NAME, show=False)
    assert scores(course) == {"ada": 0, "zoe": 5}
    assert "not reached" in note(course, "ada")["cells"]["square-test"]["hint"]


@pytest.mark.parametrize("error", [RecursionError("deep"), KeyError("x"), ValueError("y")])
def test_an_error_of_the_graders_is_named_and_tried_again(course, monkeypatch, error):
    hand_in(course, "ada", ODD)
    hand_in(course, "zoe", tiny.answer())
    with_places(monkeypatch, Odd(error))
    assert run.grade(course, tiny.NAME, show=False)["rejected"] == 1
    assert scores(course) == {"ada": "", "zoe": 5}
    assert "could not be run" in reasons(course)["ada"]
    assert type(error).__name__ in reasons(course)["ada"]
    with_places(monkeypatch, Here())
    assert run.grade(course, tiny.NAME, show=False)["graded"] == 1
    assert scores(course)["ada"] == 5


@pytest.mark.parametrize("error", [NoSandbox("it broke"), OSError(errno.ENOSPC, "full")])
def test_trouble_of_the_machine_ends_the_run_and_rejects_nobody(course, monkeypatch, error):
    hand_in(course, "ada", ODD)
    with_places(monkeypatch, Odd(error))
    with pytest.raises(RuntimeError, match=r"it broke|full"):
        run.grade(course, tiny.NAME, show=False)
    assert note_or_none(course, "ada") is None


def note_or_none(course, student):
    return course.read_note(student, tiny.NAME) or None


def test_grades_that_cannot_be_written_are_one_students_matter(course, monkeypatch):
    for student in ("ada", "zoe"):
        hand_in(course, student, tiny.answer())
    written = run.record

    def record(course, assignment, student, *rest, **more):
        if student == "ada":
            raise RecursionError("deep")
        written(course, assignment, student, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(run, "record", record)
        grade(course, patch)
    assert scores(course) == {"ada": "", "zoe": 5}
    assert "could not be written down (RecursionError: deep)" in reasons(course)["ada"]
    assert grade(course, monkeypatch)["graded"] == 1


def test_a_gradebook_that_is_locked_is_said_so(course, monkeypatch):
    hand_in(course, "ada", tiny.answer())
    grade(course, monkeypatch)
    hand_in(course, "zoe", tiny.answer())
    with contextlib.closing(sqlite3.connect(course.root / "gradebook.db")) as other:
        other.execute("begin exclusive")
        with pytest.raises(RuntimeError, match="another program writing to gradebook"):
            grade(course, monkeypatch)
    assert grade(course, monkeypatch)["graded"] == 1


def test_a_set_with_a_mistake_grades_nobody(course, monkeypatch):
    notebook = tiny.source()
    test = tiny.cell(notebook, "square-test")
    test.source = "undefined\n" + test.source
    nbformat.write(notebook, course.root / "source" / tiny.NAME / f"{tiny.NAME}.ipynb")
    hand_in(course, "ada", tiny.answer())
    with pytest.raises(BadCheck, match="square-test does not run by itself"):
        grade(course, monkeypatch)
    assert note_or_none(course, "ada") is None


@pytest.mark.parametrize("name", ["a b", "100%25 #1", "what? a=b", "课程"])
def test_a_folder_may_be_called_as_it_likes(tmp_path, monkeypatch, name):
    course = course_at(tmp_path / name)
    hand_in(course, "ada", tiny.answer())
    assert grade(course, monkeypatch)["graded"] == 1
    assert (course.root / "gradebook.db").is_file()


def test_the_working_folder_stays(course, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    hand_in(course, "ada", tiny.answer())
    grade(course, monkeypatch)
    assert os.getcwd() == str(tmp_path)


# --- what is in the graded notebook ---------------------------------------------------------------


def graded_cells(course, student):
    path = course.graded(student, tiny.NAME) / f"{tiny.NAME}.ipynb"
    return nbformat.read(path, as_version=4).cells


def test_what_a_student_added_stands_in_the_graded_notebook_with_what_came_of_it(
    course, monkeypatch
):
    notebook = tiny.answer()
    notebook.cells[3:3] = [
        new_code_cell("raise ValueError('mine')"),
        new_markdown_cell("Since <b>this</b> fails"),
    ]
    notebook.cells.insert(0, new_code_cell("early = 1"))
    hand_in(course, "ada", notebook)
    grade(course, monkeypatch)
    first, *cells = graded_cells(course, "ada")
    assert first.source == "early = 1"
    nbformat.validate(nbformat.from_dict(dict(tiny.source(), cells=cells)))
    code, text = cells[3:5]
    assert code.source == "raise ValueError('mine')"
    assert [output.output_type for output in code.outputs] == ["error"]
    assert text.source == "Since < b>this< /b> fails"


def test_an_error_is_shown_once(course, monkeypatch):
    hand_in(course, "ada", tiny.answer(square="raise ValueError('once')"))
    grade(course, monkeypatch)
    text = nbformat.writes(
        nbformat.from_dict(dict(tiny.source(), cells=graded_cells(course, "ada")))
    )
    solution, test = graded_cells(course, "ada")[2:4]
    assert [o.output_type for o in solution.outputs] == ["error"]
    assert [o.output_type for o in test.outputs] == ["error"]
    assert test.outputs[0].ename == "Not passed"
    assert text.count('"ename": "ValueError"') == 1


def test_the_hint_says_what_went_wrong_further_up(course, monkeypatch):
    notebook = tiny.answer(square="raise NotImplementedError")
    notebook.cells.insert(3, new_code_cell("def sqare(x): return 1 / 0\nsqare(2)"))
    hand_in(course, "ada", notebook)
    grade(course, monkeypatch)
    hint = note(course, "ada")["cells"]["square-test"]["hint"]
    assert "before it, a cell that was added below square ended with ZeroDivisionError" in hint
    assert added_id("square", 0) == "square + 0"


def test_halves_earn_their_points(course, monkeypatch):
    notebook = tiny.answer(square="raise NotImplementedError()")
    half = nbformat.from_dict(notebook.cells[2])
    half.source, half.id = tiny.SQUARE, "half"
    notebook.cells.insert(3, half)
    hand_in(course, "ada", notebook)
    grade(course, monkeypatch)
    assert scores(course)["ada"] == 5


def test_some_of_the_points_are_some_of_the_points(course, monkeypatch):
    notebook = tiny.source()
    tiny.cell(notebook, "square-test").source = (
        "x = np.arange(4.0)\n# --- answers\nsquares = square(x)\n"
        "# --- check: the shape (0.5)\nassert np.shape(squares) == (4,), 'one for each'\n"
        "# --- check: the values (1.5)\nassert np.allclose(squares, x**2), 'no squares'"
    )
    nbformat.write(notebook, course.root / "source" / tiny.NAME / f"{tiny.NAME}.ipynb")
    hand_in(course, "ada", tiny.answer(square="def square(x):\n    return x"))
    hand_in(course, "zoe", tiny.answer())
    grade(course, monkeypatch)
    assert scores(course) == {"ada": 3.5, "zoe": 5}
    with Gradebook(course.db_url) as gradebook:
        found = gradebook.find_grade("square-test", tiny.NAME, tiny.NAME, "ada")
        assert (found.auto_score, found.needs_manual_grade) == (0.5, False)


# --- everybody ------------------------------------------------------------------------------------


def test_everybody_is_on_the_list(course, monkeypatch):
    hand_in(course, "ada", tiny.answer())
    hand_in(course, "bob", "no notebook")
    course.submitted("pdf", tiny.NAME).mkdir(parents=True)
    (course.submitted("pdf", tiny.NAME) / "origin.json").write_text('{"problem": "it is a PDF"}')
    grade(course, monkeypatch)
    roster = Roster(ada=None, carol=None)
    assert reasons(course, roster) == {
        "ada": "",
        "bob": "it is no notebook (not JSON with cells)",
        "carol": "nothing was handed in",
        "pdf": "it is a PDF",
    }
    rows = report.write(course, Assignment.load(course.root, tiny.NAME), roster)
    assert [row["state"] for row in rows] == ["graded"] + 3 * ["not graded"]
    text = (course.reports(tiny.NAME) / "grades.csv").read_text()
    assert "carol,Carol,carol@example.org,not graded,,,,,,,nothing was handed in" in text


def test_an_earlier_grade_is_not_forgotten(course, monkeypatch):
    hand_in(course, "ada", tiny.answer())
    grade(course, monkeypatch)
    hand_in(course, "ada", "no notebook")
    grade(course, monkeypatch)
    assert "keeps 5 points of an earlier hand-in" in reasons(course)["ada"]


def test_one_student_alone(course, monkeypatch):
    for student in ("ada", "zoe"):
        hand_in(course, student, tiny.answer())
    assert grade(course, monkeypatch, only={"zoe"})["graded"] == 1
    assert scores(course) == {"ada": "", "zoe": 5}


def test_a_student_is_forgotten_and_nobody_else(course, monkeypatch):
    for student in ("ada", "zoe"):
        hand_in(course, student, tiny.answer())
    grade(course, monkeypatch)
    assert list(forget(course, "ada")) == [
        "removed from the gradebook",
        "submitted/ada deleted",
        "autograded/ada deleted",
    ]
    assert scores(course) == {"zoe": 5}
    with Gradebook(course.db_url) as gradebook:
        assert [student.id for student in gradebook.students] == ["zoe"]
    for nobody in ("ada", "..", ".", "zoe/tiny", "/"):
        with pytest.raises(ValueError, match="nothing is kept of"):
            list(forget(course, nobody))
    assert scores(course) == {"zoe": 5}


# --- due dates, extensions, limits ----------------------------------------------------------------

TOML = """
zone = "Europe/Berlin"
[limits]
seconds = 60
check_megabytes = 500
[sets.tiny]
due = 2026-03-01 00:00:00
limits = {cell_seconds = 9}
"""


def test_settings_of_a_course_and_of_a_set(course, monkeypatch):
    (course.root / "grading.toml").write_text(TOML)
    assert course.settings.limits(tiny.NAME) == {"seconds": 60, "cell_seconds": 9}
    assert course.settings.check_limits(tiny.NAME) == {"seconds": 60, "megabytes": 500}
    assert str(course.settings.due(tiny.NAME)) == "2026-02-28 23:00:00"
    seen = {}

    @contextlib.contextmanager
    def places(_course, _most, **where):
        seen.update(where)
        yield [Here()]

    monkeypatch.setattr(run, "runners", places)
    hand_in(course, "ada", tiny.answer())
    run.grade(course, tiny.NAME, show=False)
    assert seen["limits"] == {"seconds": 60, "cell_seconds": 9}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("zone = 'Mars'", "'Mars' is no time zone"),
        ("zone = ['UTC']", "is no time zone"),
        ("[sets.tiny]\ntitle = 3", "sets.tiny.title is no text"),
        ("limit = 3", "knows no 'limit'"),
        ("[sets.tinny]", r"\[sets\] knows no 'tinny'; there are \['tiny'\]"),
        ("[sets.tiny]\ndue = 'soon'", "sets.tiny.due is no date"),
        ("limits = 5", "limits = 5 is no table"),
        ("[[sets]]", r"is no table; write \[sets\]"),
        ("[sets]\ntiny = 3", r"sets.tiny = 3 is no table"),
        ("[limits]\nseconds = 0", "limits.seconds = 0 is no number above 0"),
        ("[sets.tiny.limits]\nminutes = 3", "knows no 'minutes'"),
        ("[limits]\nmegabytes = true", "limits.megabytes = True"),
        ("seconds =", "cannot be read"),
    ],
)
def test_a_mistake_in_the_settings_is_named(course, text, wrong):
    (course.root / "grading.toml").write_text(text)
    with pytest.raises(ValueError, match=wrong):
        Course(course.root).settings.limits(tiny.NAME)


def hours_late(course):
    rows = report.rows(course, Assignment.load(course.root, tiny.NAME))
    return {row["student"]: (row["late_hours"], row["late_days"]) for row in rows}


def test_late_days_follow_due_dates_and_extensions_also_after_grading(course, monkeypatch):
    hand_in(course, "ada", tiny.answer(), "2026-03-02 00:30:00 UTC")
    hand_in(course, "zoe", tiny.answer(), "2026-03-03 12:00:00 UTC")
    grade(course, monkeypatch)
    assert hours_late(course) == {"ada": (0, 0), "zoe": (0, 0)}
    (course.root / "grading.toml").write_text(TOML)
    course = Course(course.root)
    assert grade(course, monkeypatch)["graded"] == 0
    assert hours_late(course) == {"ada": (25.5, 2), "zoe": (61, 3)}
    assert grade(course, monkeypatch, roster=Roster(zoe=2.0))["graded"] == 0
    assert hours_late(course) == {"ada": (25.5, 2), "zoe": (13, 1)}
    grade(course, monkeypatch)
    assert hours_late(course)["zoe"] == (13, 1), "what was granted stays"


# --- questions that come and go -------------------------------------------------------------------


def change(course, *without, **sources):
    notebook = tiny.source()
    notebook.cells = [cell for cell in notebook.cells if tiny.name(cell) not in without]
    for name, source in sources.items():
        tiny.cell(notebook, name.replace("_", "-")).source = source
    nbformat.write(notebook, course.root / "source" / tiny.NAME / f"{tiny.NAME}.ipynb")


def test_a_question_that_is_removed_after_grading_and_comes_back(course, monkeypatch, capsys):
    hand_in(course, "ada", tiny.answer())
    grade(course, monkeypatch)
    with Gradebook(course.db_url) as gradebook:
        gradebook.find_grade("why", tiny.NAME, tiny.NAME, "ada").manual_score = 1
        gradebook.db.commit()
    change(course, "total", "total-test")
    assert grade(course, monkeypatch)["graded"] == 1
    said = capsys.readouterr().out
    assert "total-test is no question any more, nor its points" in said
    assert scores(course) == {"ada": 3}, "points by hand for another question are kept"
    (kept,) = course.root.glob("gradebook-before-*.db")
    with contextlib.closing(sqlite3.connect(kept)) as base:
        assert base.execute("select count(*) from grade").fetchone() == (3,)
    change(course)
    assert grade(course, monkeypatch)["graded"] == 1
    assert "total-test is a new question" in capsys.readouterr().out
    assert scores(course) == {"ada": 6}
    change(course, total_test=tiny.TOTAL_TEST.replace("- 6", "- 7"))
    assert grade(course, monkeypatch)["graded"] == 1, "a changed test grades anew by itself"
    assert scores(course) == {"ada": 3}
    assert release(course, tiny.NAME).cells
