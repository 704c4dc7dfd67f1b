"""What is written down: points by hand survive, late days count, files are whole."""

import json
import os
import shutil
import sqlite3

import nbformat
import pytest
import tiny
from grading.assignment import Assignment
from grading.course import Course, write_whole
from grading.record import SaveAutoGrades, moment
from grading.release import release
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook
from nbgrader.utils import compute_checksum, parse_utc
from unboxed import course_at, grade, hand_in, note

HALF = "def total(x):\n    return 0.0"  # the second question wrong: 2 of 5


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Released once: nbgrader takes a second for it."""
    course = course_at(tmp_path_factory.mktemp("released"))
    release(course, tiny.NAME)
    return course.root


@pytest.fixture
def course(tmp_path, released):
    shutil.copytree(released, tmp_path, dirs_exist_ok=True)
    return Course(tmp_path)


def submission(course, student="alice"):
    """Score, penalty, seconds late, and whether something waits for points by hand."""
    with Gradebook(course.db_url) as gradebook:
        found = gradebook.find_submission(tiny.NAME, student)
        penalty, late = found.late_submission_penalty, found.total_seconds_late
        return found.score, penalty, late, found.needs_manual_grade


def of_cell(gradebook, cell, student="alice"):
    return gradebook.find_grade(cell, tiny.NAME, tiny.NAME, student)


def graded_cell(course, name, student="alice"):
    path = course.graded(student, tiny.NAME) / f"{tiny.NAME}.ipynb"
    return tiny.cell(nbformat.read(path, as_version=4), name)


def test_points_comments_and_extra_credit_by_hand_survive(course, monkeypatch):
    hand_in(course, "alice", tiny.answer(total=HALF))
    grade(course, monkeypatch)
    assert submission(course) == (2, 0, 0, True)
    with Gradebook(course.db_url) as gradebook:
        of_cell(gradebook, "why").manual_score = 1.5
        of_cell(gradebook, "total-test").manual_score = 1
        of_cell(gradebook, "square-test").extra_credit = 0.5
        comment = gradebook.find_comment("why", tiny.NAME, tiny.NAME, "alice")
        comment.manual_comment = "well said"
        gradebook.db.commit()
    hand_in(course, "alice", tiny.answer())
    for again in (False, True):  # a resubmission, and the same once more
        assert grade(course, monkeypatch, again=again)["graded"] == 1
        assert submission(course)[0] == 1.5 + 1 + 2 + 0.5
        with Gradebook(course.db_url) as gradebook:
            assert of_cell(gradebook, "total-test").auto_score == 3, "the score is the new one"
            assert of_cell(gradebook, "total-test").needs_manual_grade, "whoever gave 1 looks again"
            comment = gradebook.find_comment("why", tiny.NAME, tiny.NAME, "alice")
            assert comment.manual_comment == "well said"
    assert grade(course, monkeypatch)["graded"] == 0


def test_who_has_been_read_is_read_until_there_is_something_new(course, monkeypatch):
    def read_by_hand(name, points):
        with Gradebook(course.db_url) as gradebook:
            grade = of_cell(gradebook, name)
            grade.manual_score, grade.needs_manual_grade = points, False
            gradebook.db.commit()

    hand_in(course, "alice", tiny.answer())
    grade(course, monkeypatch)
    assert submission(course)[3]
    read_by_hand("why", 2)
    read_by_hand("total-test", 1)
    for answer in (tiny.answer(), tiny.answer(square="# another\n" + tiny.SQUARE)):
        hand_in(course, "alice", answer)
        grade(course, monkeypatch, again=True)
        assert submission(course) == (5, 0, 0, False)
    hand_in(course, "alice", tiny.answer(total=HALF))
    grade(course, monkeypatch)
    assert submission(course)[3], "the test that a person overruled has another outcome"
    read_by_hand("total-test", 1)
    for words in ("Other words.", "Other words, and more."):
        hand_in(course, "alice", tiny.answer(why=words))
        grade(course, monkeypatch)
        assert submission(course)[3], "there is another answer to read"
        read_by_hand("why", 2)
        read_by_hand("total-test", 1)


def test_a_resubmission_gets_its_own_score(course, monkeypatch):
    for answer, score in ((tiny.answer(total=HALF), 2), (tiny.answer(), 5), ("no notebook", 5)):
        hand_in(course, "alice", answer)
        grade(course, monkeypatch)
        assert submission(course)[0] == score
    assert "no notebook" in note(course, "alice")["not_graded"]
    base = sqlite3.connect(course.root / "gradebook.db")
    assert base.execute("select count(*) from submitted_assignment").fetchone() == (1,)


def set_due(course, when="2026-03-01 00:00:00 UTC"):
    with Gradebook(course.db_url) as gradebook:
        gradebook.update_or_create_assignment(tiny.NAME, duedate=when)


def test_late_days_are_counted_and_cost_nothing_by_default(course, monkeypatch):
    set_due(course)
    hand_in(course, "alice", tiny.answer(), "2026-03-02 01:00:00 UTC")
    hand_in(course, "bob", tiny.answer(), "2026-02-28 23:59:59 UTC")
    hand_in(course, "carol", tiny.answer(), "2026-02-28 23:30:00 -3600")
    hand_in(course, "dan", tiny.answer(), "no time at all")
    grade(course, monkeypatch)
    assert submission(course, "alice") == (5, 0, 25 * 3600, True)
    assert submission(course, "bob") == (5, 0, 0, True)
    assert submission(course, "carol") == (5, 0, 1800, True)
    assert submission(course, "dan") == (5, 0, 0, True)
    with Gradebook(course.db_url) as gradebook:
        assert gradebook.find_assignment(tiny.NAME).duedate == parse_utc("2026-03-01 00:00:00")


def test_an_extension_moves_the_due_date_of_one(course, monkeypatch):
    set_due(course)
    hand_in(course, "alice", tiny.answer(), "2026-03-02 01:00:00 UTC")
    grade(course, monkeypatch)
    with Gradebook(course.db_url) as gradebook:
        gradebook.grant_extension(tiny.NAME, "alice", days=1)
    grade(course, monkeypatch, again=True)
    assert submission(course)[2] == 3600


PLUGIN = """
from nbgrader.plugins import BasePlugin

class PointADay(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return total_seconds_late // 86400
"""
POLICIES = {
    "c.LateSubmissionPlugin.penalty_method = 'zero'": 5,
    "c.AssignLatePenalties.plugin_class = 'point_a_day.PointADay'": 2,
    "c.AssignLatePenalties.enabled = True": 0,
}


@pytest.mark.parametrize("policy", POLICIES)
def test_the_courses_own_policy_for_late_days_holds(course, monkeypatch, policy):
    (course.root / "point_a_day.py").write_text(PLUGIN)
    (course.root / "nbgrader_config.py").write_text(f"c = get_config()\n{policy}\n")
    set_due(course)
    hand_in(course, "alice", tiny.answer(), "2026-03-03 07:00:00 UTC")
    for _ in range(2):  # a penalty is not taken off twice
        grade(course, monkeypatch, again=True)
        assert submission(course)[:2] == (5, POLICIES[policy])


def test_the_place_of_the_course_is_not_up_to_its_config(course):
    config = "c = get_config()\nc.CourseDirectory.root = '/'\nc.CourseDirectory.course_id = 'x'\n"
    (course.root / "nbgrader_config.py").write_text(config)
    found = course.config().CourseDirectory
    assert (found.root, found.db_url, found.course_id) == (str(course.root), course.db_url, "x")


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-03-01 12:00:00 UTC\n", "2026-03-01 12:00:00"),
        ("2026-03-01T12:00:00+02:00", "2026-03-01 10:00:00"),
        ("", None),
        ("soon", None),
        ("9" * 400, None),
        ("2026-99-01", None),
    ],
)
def test_a_time_stamp_is_read_or_it_is_none(text, when):
    assert moment(text) == parse_utc(when)


STUB = "YOUR ANSWER HERE"


@pytest.mark.parametrize("answer", [STUB, f"  {STUB}\n", "", " \n"])
def test_an_answer_that_nobody_gave_is_worth_nothing(course, monkeypatch, answer):
    assert STUB in tiny.cell(release(course, tiny.NAME), "why").source
    hand_in(course, "alice", tiny.answer(why=answer))
    grade(course, monkeypatch)
    assert submission(course) == (5, 0, 0, False)
    with Gradebook(course.db_url) as gradebook:
        assert of_cell(gradebook, "why").auto_score == 0
        comment = gradebook.find_comment("why", tiny.NAME, tiny.NAME, "alice")
        assert comment.comment == "No response."


def test_code_that_a_person_grades_is_read_if_the_answer_stands_below(tmp_path, monkeypatch):
    course, source = course_at(tmp_path), tiny.source()
    tiny.cell(source, "square").metadata["nbgrader"].update(grade=True, points=1)
    nbformat.write(source, course.root / "source" / tiny.NAME / f"{tiny.NAME}.ipynb")
    stub = tiny.cell(release(course, tiny.NAME), "square").source
    for student, added in (("nobody", []), ("alice", [new_code_cell(tiny.SQUARE)])):
        answer = tiny.answer(square=stub)
        answer.cells[3:3] = added
        hand_in(course, student, answer)
    assert grade(course, monkeypatch)["graded"] == 2
    with Gradebook(course.db_url) as gradebook:
        for student, waits in (("nobody", False), ("alice", True)):
            found = gradebook.find_grade("square", tiny.NAME, tiny.NAME, student)
            assert bool(found.needs_manual_grade) is waits


def test_an_answer_with_html_in_its_stub_is_still_known(course, monkeypatch):
    notebook = tiny.source()
    stub = "### BEGIN SOLUTION\nyes\n### END SOLUTION\n<b>Say</b> why, if a<b & c>d:"
    tiny.cell(notebook, "why").source = stub
    nbformat.write(notebook, course.root / "source" / tiny.NAME / f"{tiny.NAME}.ipynb")
    given = tiny.cell(release(course, tiny.NAME), "why").source
    assert "<b>" in given
    hand_in(course, "alice", tiny.answer(why=given))
    hand_in(course, "bob", tiny.answer(why=given + " because <b>"))
    grade(course, monkeypatch)
    assert not submission(course, "alice")[3]
    assert submission(course, "bob")[3]
    assert graded_cell(course, "why", "alice").source == given
    assert graded_cell(course, "why", "bob").source.endswith("because < b>")


def test_the_graded_notebook_is_valid_and_keeps_what_the_release_says(course, monkeypatch):
    answer = tiny.answer()
    for cell in answer.cells:
        cell.metadata["nbgrader"] = cell.metadata.get("nbgrader", {}) | {"points": 9, "locked": 0}
    answer.metadata["kernelspec"] = {"name": "evil", "display_name": "evil", "language": "x"}
    hand_in(course, "alice", answer)
    grade(course, monkeypatch)
    path = course.graded("alice", tiny.NAME) / f"{tiny.NAME}.ipynb"
    graded, released = nbformat.read(path, as_version=4), release(course, tiny.NAME)
    nbformat.validate(graded)
    assert graded.metadata == released.metadata
    named = [cell for cell in graded.cells if tiny.name(cell)]
    assert [tiny.name(c) for c in named] == [tiny.name(c) for c in released.cells if tiny.name(c)]
    for cell in named:
        assert cell.metadata == tiny.cell(released, tiny.name(cell)).metadata
    assert graded_cell(course, "square").source == tiny.SQUARE
    why = tiny.cell(released, "why")
    assert why.metadata.nbgrader.checksum == compute_checksum(why)


def test_no_two_cells_have_one_id(course, monkeypatch):
    answer = tiny.answer()
    answer.cells.insert(2, new_markdown_cell("below the cell that is called start"))
    answer.cells.insert(0, new_markdown_cell("at the top"))
    hand_in(course, "alice", answer)
    grade(course, monkeypatch)
    path = course.graded("alice", tiny.NAME) / f"{tiny.NAME}.ipynb"
    ids = [cell["id"] for cell in json.loads(path.read_text())["cells"]]
    assert len(set(ids)) == len(ids)
    assert sum("-added-" in name for name in ids) == 2


def test_half_a_character_stops_nothing(course, monkeypatch):
    half = "\\ud800"  # as JSON has it: one of a pair of surrogates without the other
    code = f"raise ValueError('HALF')\n{tiny.SQUARE}"
    for student, answer, written in (
        ("alice", tiny.answer(why="HALF"), half),
        ("bob", tiny.answer(square=code), half),
        ("carol", tiny.answer(square=code), "\\" + half),  # only the message has it
    ):
        hand_in(course, student, nbformat.writes(answer).replace("HALF", written))
    assert grade(course, monkeypatch)["graded"] == 3
    assert [submission(course, who)[0] for who in ("alice", "bob", "carol")] == [5, 3, 3]


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "file"
    write_whole(path, "old")

    def fail(*_):
        raise OSError("the disk is full")

    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(OSError, match="full"):
                write_whole(path, "new")
        assert path.read_text() == "old"
        assert os.listdir(path.parent) == ["file"]
    write_whole(path, b"new \xff")
    assert path.read_bytes() == b"new \xff"
    write_whole(path, "half \ud800")
    assert path.read_text() == "half ?"


def test_a_gradebook_is_whole_or_is_none(tmp_path, released, monkeypatch):
    course = Course(tmp_path)

    def killed():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nbgrader.api.get_alembic_version", killed)
        with pytest.raises(KeyboardInterrupt):
            course.make_gradebook()
    assert os.listdir(tmp_path) == []
    for known in ([], ["alice"]):  # the second time it is left as it is
        course.make_gradebook()
        assert os.listdir(tmp_path) == ["gradebook.db"]
        with Gradebook(course.db_url) as gradebook:
            assert [student.id for student in gradebook.students] == known
            gradebook.update_or_create_student("alice")
    versions = "select version_num from alembic_version"
    made, given = (sqlite3.connect(root / "gradebook.db") for root in (tmp_path, released))
    assert made.execute(versions).fetchall() == given.execute(versions).fetchall()


@pytest.mark.parametrize("stop", ["tiny.ipynb", "graded.json"])
def test_stopped_before_the_note_it_is_graded_anew_and_the_gradebook_is_whole(
    course, monkeypatch, stop
):
    hand_in(course, "alice", tiny.answer())
    replace = os.replace

    def killed(source, target):
        if str(target).endswith(stop):
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            grade(course, monkeypatch)
    assignment = Assignment.load(course.root, tiny.NAME)
    assert course.read_note("alice", tiny.NAME) == {}
    assert not course.is_done("alice", assignment, "")
    assert grade(course, monkeypatch)["graded"] == 1
    assert submission(course)[0] == 5


def test_points_of_one_submission_arrive_together(course, monkeypatch):
    """Stopped while cells are being scored, none of the scores is there."""
    hand_in(course, "alice", tiny.answer())
    count = []

    def killed(self, cell, resources, number, inner=SaveAutoGrades.preprocess_cell):
        if tiny.name(cell) == "why":
            count.append(1)
            raise KeyboardInterrupt
        return inner(self, cell, resources, number)

    with monkeypatch.context() as patch:
        patch.setattr(SaveAutoGrades, "preprocess_cell", killed)
        with pytest.raises(KeyboardInterrupt):
            grade(course, monkeypatch)
    assert count == [1]
    with Gradebook(course.db_url) as gradebook:
        assert gradebook.students == []
    assert grade(course, monkeypatch)["graded"] == 1
    assert submission(course)[0] == 5
