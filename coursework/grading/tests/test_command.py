"""What an instructor types, as typed; and what must not run."""

import csv
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tiny
from grading.course import Course

COURSEWORK = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent


def run(root, *words):
    environment = os.environ | {
        "PYTHONPATH": str(COURSEWORK),
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True)


def grading(root, *words):
    return run(root, sys.executable, "-m", "grading", "--course", str(root), *words)


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    """A download of an LMS's, as a zip."""
    path = tmp_path_factory.mktemp("lms") / "download.zip"
    with zipfile.ZipFile(path, "w") as archive:
        text = tiny.as_text(tiny.answer())
        archive.writestr(f"Ada L_123_assignsubmission_file_/{tiny.NAME}.ipynb", text)
        archive.writestr(f"Bob M_124_assignsubmission_file_/{tiny.NAME}.ipynb", "homework")
    return path


@pytest.fixture(scope="module")
def done(course, handed_in):
    return grading(course.root, "grade", "--submissions", str(handed_in))


def test_release_takes_solutions_and_hidden_tests_out(course):
    made = grading(course.root, "release")
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(course.root / "release" / f"{tiny.NAME}.zip") as archive:
        assert archive.namelist() == [f"{tiny.NAME}/data.csv", f"{tiny.NAME}/{tiny.NAME}.ipynb"]
        text = archive.read(f"{tiny.NAME}/{tiny.NAME}.ipynb").decode()
    assert "these are no squares" in text
    assert "return x * x" not in text
    assert "negative numbers" not in text


def test_grade_collects_grades_reports_and_says_who_is_not_graded(course, done):
    assert done.returncode == 1, done.stderr
    assert "1 graded now, 1 in all, 1 not graded" in done.stdout
    with open(course.root / "reports" / tiny.NAME / "grades.csv", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert rows["Ada-L"]["score"] == "5.0"
    assert rows["Bob-M"]["state"] == "not graded"
    assert rows["Bob-M"]["score"] == ""
    assert (course.root / "feedback" / "Ada-L" / tiny.NAME / f"{tiny.NAME}.html").is_file()


def test_the_same_command_again_grades_nothing_twice(course, done, handed_in):
    again = grading(course.root, "grade", "--submissions", str(handed_in), "--no-feedback")
    assert "0 graded now, 1 in all, 1 not graded" in again.stdout


def test_without_a_sandbox_it_refuses_and_says_what_to_do(course, handed_in):
    words = [sys.executable, "-m", "grading", "--course", str(course.root), "grade", "--again"]
    bare = {"PYTHONPATH": str(COURSEWORK), "PATH": str(PROGRAMS)}
    refused = subprocess.run(words, env=bare, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "apt install bubblewrap" in refused.stderr
    assert "Nothing was graded" in refused.stderr


def test_a_problem_set_that_does_not_exist_is_named_beside_those_that_do(course):
    wrong = grading(course.root, "release", "tinny")
    assert wrong.returncode == 2
    assert "'tinny'" in wrong.stderr
    assert "there are tiny" in wrong.stderr


def test_nbgraders_own_autograder_runs_nothing(course, done, tmp_path):
    shutil.copytree(course.root / "source", tmp_path / "source")
    shutil.copy(COURSEWORK / "nbgrader_config.py", tmp_path)
    folder = tmp_path / "submitted" / "eve" / tiny.NAME
    folder.mkdir(parents=True)
    trace = tmp_path / "ran"
    notebook = tiny.answer(square=f"open({str(trace)!r}, 'w')\n{tiny.SQUARE}")
    (folder / f"{tiny.NAME}.ipynb").write_text(tiny.as_text(notebook))
    assert run(tmp_path, "nbgrader", "generate_assignment", tiny.NAME, "--create").returncode == 0
    refused = run(tmp_path, "nbgrader", "autograde", tiny.NAME)
    assert refused.returncode != 0
    assert "make grade" in refused.stderr
    assert not trace.exists()


def test_two_at_once_would_write_the_same_rows(course, tmp_path):
    with Course(course.root).alone():
        done = grading(course.root, "similar")
    assert done.returncode == 2
    assert done.stderr.startswith("Another command is at work in ")
    with Course(tmp_path / "none").alone(), Course(course.root).alone():
        pass


def test_a_gradebook_that_cannot_be_used_is_one_line(tmp_path):
    tiny.write_source(tmp_path)
    (tmp_path / "gradebook.db").mkdir()
    done = grading(tmp_path, "release")
    assert done.returncode == 2
    assert "The gradebook could not be used: unable to open database file" in done.stderr
    assert "Traceback" not in done.stderr
