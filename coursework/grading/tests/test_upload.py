"""What goes back to the LMS: its own table, filled in; no zero for who is not graded."""

import csv
import io
import json
import zipfile

import pytest
from grading import tables, upload
from grading.collect import collect
from grading.course import Course
from grading.roster import Roster
from test_collect import nb, zip_of
from test_roster import CANVAS, OWN, WORKSHEET

NAME = "tiny"
CELLS = {"q1": {"points": 2, "max": 2, "parts": [{"name": "small", "points": 0.5, "worth": 1}]},
         "why": {"points": None, "max": 3, "parts": []}}  # fmt: skip


@pytest.fixture
def course(tmp_path):
    (tmp_path / "course" / "source" / NAME).mkdir(parents=True)
    return Course(tmp_path / "course")


def row(student, score, most=20):
    if score is None:
        return {"student": student, "state": "not graded", "score": "", "reason": "a PDF"}
    return {"student": student, "state": "graded", "score": score, "max_score": most,
            "cells": CELLS}  # fmt: skip


def roster_of(tmp_path, *texts):
    paths = []
    for k, text in enumerate(texts):
        paths.append(tmp_path / f"{k}.csv")
        paths[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
    return Roster.read(*paths)


def origin(course, student, **about):
    folder = course.submitted(student, NAME)
    folder.mkdir(parents=True)
    (folder / "origin.json").write_text(json.dumps(about))


def page(course, student, text="<p>"):
    path = course.feedback(student, NAME) / f"{NAME}.html"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def read(course, title):
    body = (course.root / "reports" / NAME / title).read_bytes()
    return list(csv.reader(io.StringIO(tables.decoded(body)[0].lstrip("\ufeff"), newline="")))


def test_moodles_worksheet_is_filled_in_as_it_came(course, tmp_path):
    roster = roster_of(tmp_path, WORKSHEET)
    done = upload.write(course, NAME, [row("a1", 17.5), row("b1", None)], roster)
    before = list(csv.reader(io.StringIO(WORKSHEET)))
    after = read(course, "moodle.csv")
    before[1][5] = "17.5"
    assert after == before
    assert [path.name for path in done.files] == ["moodle.csv", "questions.csv"]
    assert done.notes == []


def test_encoding_and_delimiter_stay(course, tmp_path):
    text = WORKSHEET.replace("Bo Ek", "Bø Ek").replace(",", ";").encode("utf-16")
    upload.write(course, NAME, [row("a1", 1)], roster_of(tmp_path, text))
    body = (course.root / "reports" / NAME / "moodle.csv").read_bytes().decode("utf-16")
    assert body.splitlines()[0] == WORKSHEET.splitlines()[0].replace(",", ";")
    assert "Bø Ek" in body


def test_points_are_scaled_to_what_moodle_counts_to(course, tmp_path):
    roster = roster_of(tmp_path, WORKSHEET.replace(",20,", ",100,"))
    done = upload.write(course, NAME, [row("a1", 18)], roster)
    assert read(course, "moodle.csv")[1][5] == "90.0"
    assert "counts to 100, the problem set to 20: scaled" in done.notes[0]


def test_who_is_missing_in_the_table_is_noted(course, tmp_path):
    rows = [row("a1", 1), row("stranger", 2), row("lost", None)]
    done = upload.write(course, NAME, rows, roster_of(tmp_path, WORKSHEET))
    assert done.notes == ["0.csv has no row for stranger"]


def test_without_a_table_moodles_numbers_make_one(course):
    origin(course, "Alice-Doe", lms="Moodle", number="123", name="Alice Doe", email="")
    origin(course, "bo", lms="Moodle", number="124", name="=Bo()")
    origin(course, "cy", lms="", number="", name="Cy")
    upload.write(course, NAME, [row("Alice-Doe", 3), row("bo", None), row("cy", 4)])
    assert read(course, "moodle.csv") == [
        upload.MOODLE,
        ["Participant 123", "Alice Doe", "", "3", "20", "-"],
        ["Participant 124", "'=Bo()", "", "", "", "-"],
    ]
    assert not (course.root / "reports" / NAME / "canvas.csv").exists()


def test_the_worksheet_with_these_students_is_taken_of_several(course, tmp_path):
    other = WORKSHEET.replace("123", "923").replace("124", "924")
    roster = roster_of(tmp_path, other, WORKSHEET)
    origin(course, "a1", lms="Moodle", number="123", name="Alice Doe")
    upload.write(course, NAME, [row("a1", 3)], roster)
    assert read(course, "moodle.csv")[1][0] == "Participant 123"


def test_canvas_gets_who_is_who_and_this_assignment_alone(course, tmp_path):
    roster = roster_of(tmp_path, CANVAS)
    upload.write(course, NAME, [row("a1", 17.5), row("b1", None)], roster)
    assert read(course, "canvas.csv") == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "tiny (10)"],
        ["", "", "", "", "", ""],
        ["    Points Possible", "", "", "", "", "20"],
        ["Doe, Alice", "501", "a1", "adoe", "S1", "17.5"],
        ["Ek, Bo", "502", "b1", "bek", "S1", ""],
        ["Student, Test", "503", "", "zz", "S1", ""],
    ]


def test_an_assignment_that_canvas_does_not_know_is_a_new_column(course, tmp_path):
    roster = roster_of(tmp_path, CANVAS.replace("tiny (10)", "Exam (10)"))
    upload.write(course, NAME, [row("a1", 17.5)], roster)
    found = read(course, "canvas.csv")
    assert [line[5] for line in found] == ["tiny", "", "20", "17.5", "", ""]


def test_without_a_table_canvas_numbers_make_one(course):
    origin(course, "doealice", lms="Canvas", number="501", name="doealice")
    upload.write(course, NAME, [row("doealice", 3)])
    assert read(course, "canvas.csv")[1:] == [
        ["    Points Possible", "", "", "", "", "20"],
        ["doealice", "501", "", "", "", "3"],
    ]


def test_each_question_and_each_part_has_a_column(course, tmp_path):
    origin(course, "a1", lms="Moodle", number="123", name="Alice Doe")
    upload.write(course, NAME, [row("a1", 2), row("b1", None)], roster_of(tmp_path, OWN))
    head, first, second = read(course, "questions.csv")
    assert head[8:] == ["q1", "q1: small", "q1 max", "why", "why max"]
    who = ["a1", "Alice Doe", "alice@x.org", "Moodle", "123", "graded", "2", "20"]
    assert first == [*who, "2", "0.5", "2", "", "3"]
    assert second == ["b1", "Bo Ek", "bo@x.org", "", "", "not graded", *[""] * 7]


def test_pages_are_named_as_moodle_takes_them_back(course):
    origin(course, "Alice-Doe", lms="Moodle", number="123", name="Alice_Doe/..\\x")
    origin(course, "cy", lms="", number="", name="Cy")
    for student in ("Alice-Doe", "cy", "not-asked"):
        page(course, student)
    rows = [row("Alice-Doe", 3), row("cy", 1), row("no-page", 1)]
    made = []
    for _ in range(2):
        upload.write(course, NAME, rows)
        made.append((course.root / "reports" / NAME / "feedback.zip").read_bytes())
    assert made[0] == made[1]
    with zipfile.ZipFile(io.BytesIO(made[0])) as archive:
        names = archive.namelist()
        assert names == ["Alice Doe .. x_123_assignsubmission_file_/tiny.html", "cy.html"]
        assert names[0].split("_")[1:4] == ["123", "assignsubmission", "file"]


def test_what_was_made_of_other_students_does_not_stay(course):
    origin(course, "cy", lms="Moodle", number="1", name="Cy")
    page(course, "cy")
    upload.write(course, NAME, [row("cy", 1)])
    assert len(upload.write(course, NAME, [row("dan", 1)]).files) == 1
    assert [path.name for path in (course.root / "reports" / NAME).iterdir()] == ["questions.csv"]


def test_a_group_and_a_download_come_back_by_their_own_numbers(course, tmp_path):
    source = zip_of(tmp_path / "a.zip", {
        "Alice Doe_123_assignsubmission_file_/tiny.ipynb": nb(),
        "Bo Ek_124_assignsubmission_file_/tiny.pdf": b"x",
    })  # fmt: skip
    roster = roster_of(tmp_path, WORKSHEET)
    done = collect(course, [NAME], source, roster)
    assert (list(done.taken[NAME]), list(done.problems[NAME])) == (["a1"], ["b1"])
    page(course, "a1")
    upload.write(course, NAME, [row("a1", 20), row("b1", None)], roster)
    assert [line[5] for line in read(course, "moodle.csv")] == ["Grade", "20", ""]
    with zipfile.ZipFile(course.root / "reports" / NAME / "feedback.zip") as archive:
        assert archive.namelist() == ["Alice Doe_123_assignsubmission_file_/tiny.html"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("=1+1", "'=1+1"), ("+a", "'+a"), ("-x", "'-x"), ("@x", "'@x"), ("\t=1", "'\t=1"),
     ("-", "-"), ("-1.5", "-1.5"), ("- ", "- "), ("Ann", "Ann"), (-2, -2), ("", ""),
     ("+4930", "+4930"), ("-1+cmd", "'-1+cmd")],
)  # fmt: skip
def test_no_cell_is_a_formula(value, shown):
    assert tables.harmless(value) == shown
