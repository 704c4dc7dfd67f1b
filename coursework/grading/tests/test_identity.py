"""Whoever the students are and whatever they are called: one folder each, the same in each run."""

import tempfile
import warnings
from pathlib import Path

import pytest
from grading.collect import collect
from grading.course import Course
from hypothesis import given, settings
from hypothesis import strategies as st
from test_collect import nb, zip_of

SETS = ["tiny", "other"]
NAMES = st.sampled_from(["Ann", "ann", "Ann-1", "Ann-1-2", "Bo", "Bo.", "Ann 1"])
NUMBERS = st.sampled_from(["1", "2", "3", "12"])
MOODLE = "{0}_{1}_assignsubmission_file_/{2}.ipynb"
CANVAS = "{0}_{1}_2{1}_{2}.ipynb"
STUDENTS = st.sets(st.tuples(NAMES, NUMBERS), min_size=1, max_size=6)
PLACE = st.text("ab/\\.:_- \0\ud7ff0é", min_size=1, max_size=40)


def course_at(folder):
    for name in SETS:
        (folder / "source" / name).mkdir(parents=True)
    return Course(folder)


def folders(course, name):
    """{what is in the notebook: the folder it lies in}."""
    found = {}
    for path in course.root.glob(f"submitted/*/{name}/{name}.ipynb"):
        found.setdefault(path.read_bytes(), []).append(path.parts[-3])
    return found


@pytest.mark.parametrize("form", [MOODLE, CANVAS])
@settings(max_examples=80, deadline=None)
@given(first=STUDENTS, second=STUDENTS)
def test_each_student_keeps_a_folder_of_their_own(form, first, second):
    with tempfile.TemporaryDirectory() as place:
        course, seen = course_at(Path(place, "course")), {}
        for students in (first, second, first | second):
            # One number is one student, whatever the name.
            students = {number: name for name, number in sorted(students)}
            files = {
                form.format(name, n, "tiny"): nb(f"{name} {n}") for n, name in students.items()
            }
            done = collect(course, ["tiny"], zip_of(Path(place, "a.zip"), files))
            assert len(done.taken["tiny"]) == len(files), done
            assert {*done.taken["tiny"].values()} == files.keys()
            names = [name.casefold() for name in done.taken["tiny"]]
            assert len(set(names)) == len(names)
            for student, file in done.taken["tiny"].items():
                assert seen.setdefault(file, student) == student, "a folder stays the same"


def test_long_names_that_differ_at_the_end_alone(tmp_path):
    course = course_at(tmp_path / "course")
    files = {MOODLE.format("x" * 70 + end, n, "tiny"): nb(end) for n, end in enumerate("abc", 10)}
    done = collect(course, ["tiny"], zip_of(tmp_path / "a.zip", files))
    assert set(done.taken["tiny"]) == {f"{'x' * 57}-{n}" for n in (10, 11, 12)}


@settings(max_examples=60, deadline=None)
@given(first=STUDENTS, second=STUDENTS)
def test_a_lasting_number_is_one_folder_in_all_sets(first, second):
    with tempfile.TemporaryDirectory() as place:
        course = course_at(Path(place, "course"))
        found = {}
        for name, students in (("tiny", first), ("other", second)):
            students = {number: student for student, number in sorted(students)}
            files = {CANVAS.format(s, n, name): nb() for n, s in students.items()}
            done = collect(course, [name], zip_of(Path(place, "a.zip"), files))
            for student, file in done.taken[name].items():
                who = tuple(file.split("_")[:2])
                assert found.setdefault(student.casefold(), who)[1] == who[1]


@settings(max_examples=150, deadline=None)
@given(st.lists(PLACE, min_size=1, max_size=6, unique=True))
def test_no_name_stops_the_class_or_leads_out_of_its_place(places):
    with tempfile.TemporaryDirectory() as place:
        course = course_at(Path(place, "course"))
        files = {name: nb() for name in places} | {"zoe/tiny.ipynb": nb("zoe")}
        with warnings.catch_warnings(action="ignore"):  # names that are twice in a zip
            source = zip_of(Path(place, "a.zip"), files)
        done = collect(course, SETS, source)
        assert "zoe" in done.taken["tiny"]
        for path in course.root.rglob("*"):
            parts = path.relative_to(course.root).parts
            assert parts[0] in ("source", "submitted")
            if path.is_file():
                assert len(parts) == 4
                assert parts[2] in SETS
