"""Collecting: every kind of hand-in, whose file it is, and nothing that leads out of its place."""

import io
import json
import os
import shutil
import stat
import struct
import time
import unicodedata
import zipfile

import pytest
from grading import collect as collecting
from grading import handin
from grading.collect import collect
from grading.course import Course
from grading.roster import Roster

NAME = "tiny"
MOODLE = "Alice Doe_123_assignsubmission_file_"
# Where the student says the rest: these know whose it is, and when, or that nobody knows when.
SHAPES = {
    "alice/tiny/tiny.ipynb": "alice",
    "alice/tiny.ipynb": "alice",
    "alice/notes.ipynb": "alice",
    "tiny/alice.ipynb": "alice",
    "alice/tiny (1).ipynb": "alice",
    "alice/TINY.IPYNB": "alice",
    "alice_tiny.ipynb": "alice",
    "alice_tiny (1).ipynb": "alice",
    "alice-Tiny.ipynb": "alice",
    "alice.ipynb": "alice",
    "martiny.ipynb": "martiny",
    "a.b+c@x.org/tiny.ipynb": "a.b+c@x.org",
    "Søren Ågård/tiny.ipynb": "Søren-Ågård",
    "王小明_tiny.ipynb": "王小明",
    "con/tiny.ipynb": "con_",
    f"{'x' * 200}/tiny.ipynb": "x" * 60,
    "Alice Doe_123456_assignsubmission_file_/tiny.ipynb": "Alice-Doe",
    "Alice Doe_123456_assignsubmission_file/my homework.ipynb": "Alice-Doe",
    "Alice Doe_123456_assignsubmission_file_/sub/tiny.ipynb": "Alice-Doe",
    "Alice_D_123456_assignsubmission_file_/tiny.ipynb": "Alice_D",
    "Alice Doe_123456_assignsubmission_file_my work.ipynb": "Alice-Doe",
    "Group A-Alice Doe_123456_assignsubmission_file_/tiny.ipynb": "Group-A-Alice-Doe",
    "Default group_assignsubmission_file/tiny.ipynb": "Default-group",
    "Participant_123_assignsubmission_file_/tiny.ipynb": "Participant-123",
    "doealice_12345_67890_tiny.ipynb": "doealice",
    "doealice_12345_67890_tiny-1.ipynb": "doealice",
    "doealice_LATE_12345_67890_tiny-1.ipynb": "doealice",
    "doealice_12345_67890_homework.ipynb": "doealice",
    "anon_aB3xY_67890_tiny.ipynb": "anon-aB3xY",
    "LATE_anon_aB3xY_67890_tiny.ipynb": "anon-aB3xY",
    "Tiny_adoe_attempt_2026-03-01-12-00-00_work.ipynb": "adoe",
    "12345-678 - Alice Doe - Mar 1, 2026 1200 PM/tiny.ipynb": "Alice-Doe",
    "12345-678 - Alice Doe - Mar 1, 2026 900 AM - tiny.ipynb": "Alice-Doe",
    "assignment_9_export/submission_77/tiny.ipynb": "submission-77",
    "Alice Doe - tiny.ipynb": "Alice-Doe",
    "Student Work/Submitted files/Doe, Alice/Tiny/Version 2/tiny.ipynb": "Doe-Alice",
    "Class 1 - Student Work/Submitted files/Doe, Alice/T/Version 1/tiny.ipynb": "Doe-Alice",
    "tiny-alice-doe/tiny.ipynb": "alice-doe",
    "tiny-alice-doe/deep/down/tiny.ipynb": "alice-doe",
}
# Not of this problem set, nobody's, or in a place where a student could claim to be another.
LEFT = {
    "alice/other/other.ipynb": "not of tiny",
    "alice_other.ipynb": "not of tiny",
    "other/tiny.ipynb": "names no student",
    "alice/tiny_two.ipynb": "not of tiny",
    "alice/bob/tiny.ipynb": "too deep",
    "alice/bob_tiny/tiny.ipynb": "too deep",
    "alice/Bob_1_assignsubmission_file_/tiny.ipynb": "too deep",
    "tiny.ipynb": "names no student",
    "tiny-alice.ipynb": "names no student",
    "---/tiny.ipynb": "names no student",
    "readme.pdf": "does not say whose it is",
    "Working files/Doe, Alice/Tiny/tiny.ipynb": "draft",
    "._-.ipynb": None,
    "__MACOSX/alice/tiny.ipynb": None,
    "index.html": None,
}
# What one student handed in, and what that student is told.
REFUSED = {
    "homework.pdf": "a PDF was handed in (homework.pdf); hand in the notebook itself",
    "tiny.py": "a Python script was handed in (tiny.py)",
    "tiny.html": "a web page was handed in (tiny.html)",
    "tiny.docx": "a text document was handed in (tiny.docx)",
    "tiny.url": "a shortcut to a file was handed in (tiny.url)",
    "tiny.gdoc": "a shortcut to a file was handed in",
    "tiny.rar": "an archive that cannot be opened here was handed in",
    "._tiny.ipynb": "only a file was handed in that the computer keeps for itself (._tiny.ipynb)",
    ".ipynb_checkpoints/tiny-checkpoint.ipynb": "(.ipynb_checkpoints/tiny-checkpoint.ipynb)",
    "a.ipynb b.ipynb": "2 notebooks were handed in (a.ipynb, b.ipynb), and none is called tiny",
    "a.pdf b.py": "2 files were handed in, and no notebook is among them (a.pdf, b.py)",
    "other.ipynb": "the notebook of another problem set was handed in (other.ipynb)",
}
BROKEN = {
    "empty": (b"", "tiny.ipynb is empty (0 bytes)"),
    "cut off": (b'{"cells": [', "tiny.ipynb is no notebook inside"),
    "page": (b"<html>sign in</html>", "tiny.ipynb is no notebook inside"),
    "list": (b"[1]", "tiny.ipynb is no notebook inside"),
    "deep": (b"[" * 100_000, "tiny.ipynb is no notebook inside"),
}


@pytest.fixture
def course(tmp_path):
    for name in (NAME, "other", "tiny_two"):
        (tmp_path / "course" / "source" / name).mkdir(parents=True)
    return Course(tmp_path / "course")


def nb(tag="one"):
    return json.dumps({"cells": [], "metadata": {"tag": tag}}).encode()


def folder_of(root, files):
    for name, body in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return root


def zip_of(path, files, when=(2026, 3, 1, 12, 0, 0)):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name, when), body, zipfile.ZIP_DEFLATED)
    return path


def inner_zip(files):
    body = io.BytesIO()
    zip_of(body, files)
    return body.getvalue()


def got(course, student="alice", name=NAME):
    return (course.submitted(student, name) / f"{name}.ipynb").read_bytes()


def origin(course, student="alice", name=NAME):
    return json.loads((course.submitted(student, name) / "origin.json").read_text("utf-8"))


def stamp(course, student="alice"):
    path = course.submitted(student, NAME) / "timestamp.txt"
    return path.read_text() if path.exists() else ""


def everything(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def one(course, tmp_path, files, **more):
    return collect(course, [NAME], zip_of(tmp_path / "a.zip", files), **more)


@pytest.fixture
def utc_plus_9(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("zipped", [False, True])
def test_known_shapes(course, tmp_path, shape, zipped):
    files = {shape: nb()}
    source = zip_of(tmp_path / "all.zip", files) if zipped else folder_of(tmp_path / "in", files)
    done = collect(course, [NAME], source)
    assert done.taken == {NAME: {SHAPES[shape]: shape}}
    assert (done.problems, done.kept, done.left) == ({NAME: {}}, {NAME: {}}, {})
    assert got(course, SHAPES[shape]) == nb()
    assert origin(course, SHAPES[shape])["file"] == shape


@pytest.mark.parametrize("shape", LEFT)
def test_what_is_left_out_is_named_with_the_reason(course, tmp_path, shape):
    files = {shape: nb(), "zoe/tiny.ipynb": nb("two")}
    done = collect(course, [NAME], folder_of(tmp_path / "in", files))
    assert list(done.taken[NAME]) == ["zoe"]
    assert not done.problems[NAME]
    if LEFT[shape]:
        ((file, words),) = done.left.items()
        assert file == shape
        assert LEFT[shape] in words
    else:
        assert not done.left
    assert {name.split("/")[1] for name in everything(course.root)} == {"zoe"}


@pytest.mark.parametrize("names", REFUSED)
@pytest.mark.parametrize("zipped", [False, True])
def test_who_hands_in_something_else_is_told_what_to_do(course, tmp_path, names, zipped):
    files = {f"{MOODLE}/{name}": nb() for name in names.split()} | {"zoe/tiny.ipynb": nb()}
    source = zip_of(tmp_path / "a.zip", files) if zipped else folder_of(tmp_path / "in", files)
    done = collect(course, [NAME], source)
    assert list(done.taken[NAME]) == ["zoe"]
    assert REFUSED[names] in done.problems[NAME]["Alice-Doe"]
    assert origin(course, "Alice-Doe")["problem"] == done.problems[NAME]["Alice-Doe"]
    assert not (course.submitted("Alice-Doe", NAME) / "tiny.ipynb").exists()


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_notebook_is_a_reason(course, tmp_path, kind):
    body, words = BROKEN[kind]
    done = one(course, tmp_path, {"alice/tiny.ipynb": body, "zoe/tiny.ipynb": nb()})
    assert words in done.problems[NAME]["alice"]
    assert list(done.taken[NAME]) == ["zoe"]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", ["alice", MOODLE, "alice/tiny"])
def test_an_empty_folder_is_a_reason(course, tmp_path, zipped, place):
    if zipped:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(f"{place}/", b"")
            archive.writestr("zoe/tiny.ipynb", nb())
        done = collect(course, [NAME], tmp_path / "a.zip")
    else:
        (folder_of(tmp_path / "in", {"zoe/tiny.ipynb": nb()}) / place).mkdir(parents=True)
        done = collect(course, [NAME], tmp_path / "in")
    (words,) = done.problems[NAME].values()
    assert "the folder is empty" in words


def test_text_typed_into_the_form_is_no_hand_in_unless_it_is_all(course, tmp_path):
    text = "{}_assignsubmission_onlinetext_/onlinetext.html"
    files = {text.format("Alice Doe_123"): b"<p>", f"{MOODLE}/tiny.ipynb": nb()}
    files |= {text.format("Bob_124"): b"<p>", "doeeve_5_text.html": b"<p>"}
    done = one(course, tmp_path, files)
    assert list(done.taken[NAME]) == ["Alice-Doe"]
    assert "only text typed into the form" in done.problems[NAME]["Bob"]
    assert "only text typed into the form" in done.problems[NAME]["doeeve"]


@pytest.mark.parametrize("ending", [".txt", ".json", ".TXT"])
def test_a_notebook_under_a_wrong_ending_is_taken_with_a_note(course, tmp_path, ending):
    done = one(course, tmp_path, {f"alice/tiny.ipynb{ending}": nb(), f"b/tiny.ipynb{ending}": b"x"})
    assert got(course) == nb()
    assert "wrong ending" in origin(course)["notes"][0]
    assert "hand in the notebook itself" in done.problems[NAME]["b"]


def test_a_zip_is_looked_into_one_level_deep(course, tmp_path):
    deep = inner_zip({"x.zip": inner_zip({"tiny.ipynb": nb()})})
    files = {
        "alice/work.zip": inner_zip({"__MACOSX/._tiny.ipynb": b"x", "hw/deep/tiny.ipynb": nb()}),
        "bob/work.zip": inner_zip({"tiny.pdf": b"x"}),
        "carol/work.zip": b"no zip",
        "dan/work.zip": deep,
        "eve/work.zip": inner_zip({"../../tiny.ipynb": nb("evil"), "../mallory.ipynb": nb()}),
        "fay_tiny.zip": inner_zip({"tiny.ipynb": nb("fay")}),
        "gus/work.zip": inner_zip({"a.ipynb": nb(), "b.ipynb": nb()}),
    }
    done = one(course, tmp_path, files)
    assert set(done.taken[NAME]) == {"alice", "fay"}
    assert got(course) == nb()
    assert origin(course)["file"] == "alice/work.zip/hw/deep/tiny.ipynb"
    problems = done.problems[NAME]
    assert "a zip without a notebook was handed in" in problems["bob"]
    assert "no zip that can be opened" in problems["carol"]
    assert "a zip without a notebook" in problems["dan"]
    assert "a zip without a notebook" in problems["eve"], "its paths lead out"
    assert "2 notebooks were handed in" in problems["gus"]


def test_a_zip_of_too_many_files_is_not_listed(course, tmp_path, monkeypatch):
    monkeypatch.setattr("grading.source.MOST_INNER", 3)
    full = inner_zip({f"{k}.txt": b"" for k in range(4)} | {"tiny.ipynb": nb()})
    done = one(course, tmp_path, {"alice/a.zip": full})
    assert "more than 3 files" in done.problems[NAME]["alice"]


def test_the_newest_wins_and_a_right_name_goes_before(course, tmp_path):
    names = ["alice/tiny.ipynb", "alice/tiny-2.ipynb", f"{MOODLE}/tiny.ipynb", f"{MOODLE}/b.ipynb"]
    for number, name in enumerate(names):
        path = folder_of(tmp_path / "in", {name: nb(name)}) / name
        os.utime(path, (1e9 + number, 1e9 + number))
    collect(course, [NAME], tmp_path / "in")
    assert got(course) == nb("alice/tiny-2.ipynb")
    assert got(course, "Alice-Doe") == nb(f"{MOODLE}/tiny.ipynb")


@pytest.mark.parametrize(
    ("early", "late", "student"),
    [
        ("T_ann_attempt_2026-03-01-12-00-00_tiny", "T_ann_attempt_2026-03-02-01-00-00_x", "ann"),
        ("1-2 - Ann - Mar 9, 2026 1100 PM/tiny", "1-2 - Ann - Mar 10, 2026 900 AM/x", "Ann"),
        ("Ann/T/Version 9/tiny", "Ann/T/Version 10/x", "Ann"),
    ],
)
def test_the_last_attempt_counts_whatever_its_name(course, tmp_path, early, late, student):
    one(course, tmp_path, {f"{late}.ipynb": nb("late"), f"{early}.ipynb": nb("early")})
    assert got(course, student) == nb("late")
    done = one(course, tmp_path, {f"{late}.pdf": b"x", f"{early}.ipynb": nb("early")})
    assert got(course, student) == nb("early")
    assert "a later hand-in could not be taken" in origin(course, student)["notes"][0]
    assert not done.problems[NAME]


def test_in_canvas_the_later_upload_of_a_name_counts(course, tmp_path):
    one(course, tmp_path, {"a_1_20_tiny-1.ipynb": nb("new"), "a_1_9_tiny.ipynb": nb("old")})
    assert got(course, "a") == nb("new")


def test_a_broken_file_gives_way_to_a_good_one_of_the_same_hand_in(course, tmp_path):
    one(course, tmp_path, {"alice/tiny (1).ipynb": nb(), "alice/tiny.ipynb": b""})
    assert got(course) == nb()
    assert "is empty" in origin(course)["notes"][0]


def notebook_of(*names, more=""):
    cells = [{"metadata": {"nbgrader": {"grade_id": name}}, "source": more} for name in names]
    return json.dumps({"cells": cells}).encode()


def test_a_notebook_of_another_set_under_a_name_of_its_own_replaces_no_good_one(course, tmp_path):
    for name, cells in ((NAME, ["imports", "a", "b"]), ("other", ["imports", "c", "d"])):
        path = course.root / "source" / name / f"{name}.ipynb"
        path.write_bytes(notebook_of(*cells))
    files = {"Ada_1_assignsubmission_file_/my.ipynb": notebook_of("imports", "a", "b")}
    collect(course, [NAME], zip_of(tmp_path / "a.zip", files))
    good = got(course, "Ada")
    files |= {"Ada_1_assignsubmission_file_/my.ipynb": notebook_of("imports", "c", "d")}
    files |= {"Bob_2_assignsubmission_file_/my.ipynb": notebook_of("imports")}  # as much of either
    done = collect(course, [NAME], zip_of(tmp_path / "b.zip", files))
    assert got(course, "Ada") == good
    assert "the notebook of another problem set" in done.kept[NAME]["Ada"]
    assert list(done.taken[NAME]) == ["Bob"]


def test_of_two_copies_the_one_counts_in_which_more_is_written(course, tmp_path):
    blank, solved = notebook_of("a", more="raise NotImplementedError()"), notebook_of("a")
    for number, (first, second) in enumerate([(blank, solved), (solved, blank)]):
        place = f"Ada_{number}_assignsubmission_file_"
        files = {f"{place}/{NAME}.ipynb": first, f"{place}/{NAME} (1).ipynb": second}
        collect(course, [NAME], zip_of(tmp_path / f"{number}.zip", files))
        (path,) = course.root.glob(f"submitted/*/{NAME}/{NAME}.ipynb")
        assert path.read_bytes() == solved
        notes = json.loads((path.parent / "origin.json").read_text())["notes"]
        assert any("2 notebooks were handed in; tiny" in note for note in notes)
        shutil.rmtree(course.root / "submitted")


def test_a_time_that_the_lms_says_is_read_anew(course, tmp_path):
    files = {f"{NAME}_ada_attempt_2026-03-01-12-00-00_{NAME}.ipynb": b'{"cells": []}'}
    for zone, hour in (("UTC", 12), ("Europe/Berlin", 11)):
        done = collect(course, [NAME], zip_of(tmp_path / "a.zip", files), zone=zone)
        assert list(done.taken[NAME]) == ["ada"]
        assert stamp(course, "ada") == f"2026-03-01 {hour}:00:00 UTC"


def test_a_resubmission_replaces_and_an_unchanged_one_keeps_its_time(course, tmp_path):
    files = {"alice/tiny.ipynb": nb(), "bob/tiny.ipynb": nb("same")}
    collect(course, [NAME], zip_of(tmp_path / "a.zip", files, (2026, 3, 1, 12, 0, 0)))
    before = stamp(course)
    files["alice/tiny.ipynb"] = nb("two")
    collect(course, [NAME], zip_of(tmp_path / "b.zip", files, (2026, 3, 2, 12, 0, 0)))
    assert got(course) == nb("two")
    assert before.startswith("2026-03-01")
    assert stamp(course).startswith("2026-03-02")
    assert stamp(course, "bob") == before == origin(course, "bob")["when"]


def test_a_later_hand_in_that_is_none_leaves_the_earlier_one(course, tmp_path):
    one(course, tmp_path, {f"{MOODLE}/tiny.ipynb": nb()})
    for _ in range(2):
        done = one(course, tmp_path, {f"{MOODLE}/tiny.pdf": b"x"})
        assert "a PDF was handed in" in done.kept[NAME]["Alice-Doe"]
        assert not done.problems[NAME]
        assert got(course, "Alice-Doe") == nb()
        notes = origin(course, "Alice-Doe")["notes"]
        assert sum("the earlier one stays" in note for note in notes) == 1
    one(course, tmp_path, {f"{MOODLE}/tiny.ipynb": nb("new")})
    assert not any("PDF" in note for note in origin(course, "Alice-Doe")["notes"])


def test_a_reason_gives_way_to_a_notebook(course, tmp_path):
    one(course, tmp_path, {f"{MOODLE}/tiny.pdf": b"x"})
    one(course, tmp_path, {f"{MOODLE}/tiny.ipynb": nb()})
    assert origin(course, "Alice-Doe")["problem"] == ""
    assert got(course, "Alice-Doe") == nb()


@pytest.mark.parametrize("steps", range(3))
def test_stopped_at_any_step_the_next_one_mends_it(course, tmp_path, monkeypatch, steps):
    """Above all between the notebook and its time: the old time would stay for ever."""
    one(course, tmp_path, {"alice/tiny.ipynb": nb()})
    again = zip_of(tmp_path / "b.zip", {"alice/tiny.ipynb": nb("two")}, (2026, 3, 9, 9, 0, 0))
    replace, done = os.replace, []

    def stop(source, target):
        if len(done) == steps:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        collect(course, [NAME], again)
    monkeypatch.undo()
    collect(course, [NAME], again)
    assert got(course) == nb("two")
    assert stamp(course).startswith("2026-03-09")
    assert len(everything(course.root / "submitted")) == 3, "no half-written file is left"


def test_a_stamp_of_nbgrader_counts_but_none_that_a_student_uploaded(course, tmp_path):
    early = b"2020-01-01 00:00:00 UTC"
    teams = "Bob/T/Version 1"
    files = {"alice/tiny/tiny.ipynb": nb(), "alice/tiny/timestamp.txt": early}
    files |= {f"{teams}/tiny.ipynb": nb(), f"{teams}/timestamp.txt": early}
    files |= {f"{MOODLE}/tiny.ipynb": nb(), f"{MOODLE}/timestamp.txt": early}
    files |= {"zoe/tiny.ipynb": nb(), "zoe/timestamp.txt": b"\xff never"}
    files |= {"dan_tiny.ipynb": nb(), "timestamp.txt": early}
    one(course, tmp_path, files)
    assert stamp(course) == early.decode()
    assert stamp(course, "Alice-Doe") == ""
    for student in ("Bob", "zoe", "dan"):
        assert stamp(course, student).startswith("2026-03-01"), student


def test_local_times_are_written_in_utc(course, tmp_path, utc_plus_9):
    names = ["alice/tiny.ipynb", "T_bob_attempt_2026-03-01-12-00-00_x.ipynb"]
    names += ["1-2 - Cy - Mar 1, 2026 1200 PM/tiny.ipynb"]
    one(course, tmp_path, dict.fromkeys(names, nb()))
    for student in ("alice", "bob", "Cy"):
        assert stamp(course, student) == "2026-03-01 03:00:00 UTC", student
    one(course, tmp_path, dict.fromkeys(names, nb("new")), zone="Europe/Berlin")
    for student in ("alice", "bob", "Cy"):
        assert stamp(course, student) == "2026-03-01 11:00:00 UTC", student
    path = folder_of(tmp_path / "in", {"dan/tiny.ipynb": nb()}) / "dan" / "tiny.ipynb"
    os.utime(path, (1e9, 1e9))
    collect(course, [NAME], tmp_path / "in", zone="Europe/Berlin")
    assert stamp(course, "dan") == "2001-09-09 01:46:40 UTC", "a file's own time has no zone"


def test_a_zone_that_is_none(course, tmp_path):
    with pytest.raises(ValueError, match="'Mars/Base' is no time zone"):
        one(course, tmp_path, {}, zone="Mars/Base")


@pytest.mark.parametrize(
    "name",
    [f"{MOODLE}/tiny.ipynb", "doealice_1_2_tiny.ipynb", "tiny-alice/tiny.ipynb"],
)
def test_nobody_is_late_by_the_time_of_a_download(course, tmp_path, name):
    (student,) = one(course, tmp_path, {name: nb()}).taken[NAME]
    assert stamp(course, student) == origin(course, student)["when"] == ""
    assert "does not say when it was handed in" in origin(course, student)["notes"][-1]


def test_a_worksheet_says_when_it_was_handed_in(course, tmp_path):
    sheet = tmp_path / "grades.csv"
    sheet.write_text(
        "Identifier,Full name,ID number,Grade,Last modified (submission)\n"
        'Participant 123,Alice Doe,a1,,"Sunday, 1 March 2026, 1:30 PM"\n'
    )
    files = {f"{MOODLE}/tiny.ipynb": nb()}
    one(course, tmp_path, files)
    roster = Roster.read(sheet, zone="Europe/Berlin")
    one(course, tmp_path, files, roster=roster)
    assert stamp(course, "a1") == "2026-03-01 12:30:00 UTC"


def test_canvas_lateness_is_noted(course, tmp_path):
    one(course, tmp_path, {"doealice_LATE_1_2_tiny.ipynb": nb()})
    assert origin(course, "doealice")["notes"][0] == "Canvas marks it as late"


def test_a_month_of_zero_in_a_zip_is_no_time(course, tmp_path):
    path = zip_of(tmp_path / "a.zip", {"alice/tiny.ipynb": nb()}, (1980, 0, 0, 0, 0, 0))
    assert list(collect(course, [NAME], path).taken[NAME]) == ["alice"]
    assert stamp(course) == ""


def test_gradescope_names_students_in_one_file(course, tmp_path):
    text = """\
submission_1:
  :submitters:
  - :name: Alice Doe
    :sid: '100'
    :email: alice@x.org
  - :name: Bob Roe
    :sid:
    :email: bob@x.org
  :created_at: 2026-03-01 20:11:05.000000000 Z
submission_2:
  :submitters:
  - :name: Cy Poe
    :sid: '300'
"""
    top = "assignment_9_export"
    files = {f"{top}/submission_metadata.yml": text.encode()}
    files |= {f"{top}/submission_1/tiny.ipynb": nb(), f"{top}/submission_2/x.pdf": b"x"}
    forged = text.replace("Cy Poe", "Alice Doe").encode()
    files[f"{top}/submission_2/submission_metadata.yml"] = forged
    done = one(course, tmp_path, files)
    assert set(done.taken[NAME]) == {"Alice-Doe", "Bob-Roe"}
    assert list(done.problems[NAME]) == ["Cy-Poe"]
    assert stamp(course, "Alice-Doe") == "2026-03-01 20:11:05 UTC"
    about = origin(course, "Alice-Doe")
    assert (about["lms"], about["number"], about["email"]) == ("Gradescope", "100", "alice@x.org")
    files[f"{top}/submission_metadata.yml"] = b"{"
    with pytest.raises(ValueError, match=r"submission_metadata\.yml cannot be read"):
        one(course, tmp_path, files)


def test_github_repositories_in_a_folder_of_their_assignment(course, tmp_path):
    files = {"week-1-ann/work.ipynb": nb(), "week-1-ann/.git/x.ipynb": b"", "week-1-b-c/R.md": b""}
    done = collect(course, [NAME], folder_of(tmp_path / "week-1-submissions", files))
    assert list(done.taken[NAME]) == ["ann"]
    assert list(done.problems[NAME]) == ["b-c"]
    assert origin(course, "ann")["number"] == "ann"


def test_in_google_classroom_nobody_can_take_anothers_place(course, tmp_path):
    files = {"Alice Doe - tiny.ipynb": nb(), "Alice Doe - tiny (1).ipynb": nb("of Mallory")}
    done = one(course, tmp_path, files | {"Zoe - tiny.ipynb": nb()})
    assert "each student can name a file so" in done.problems[NAME]["Alice-Doe"]
    assert list(done.taken[NAME]) == ["Zoe"]


@pytest.mark.parametrize(
    "name",
    [
        "Mallory_9_assignsubmission_file_Alice_1_assignsubmission_file_tiny.ipynb",
        "Mallory_9_assignsubmission_file_/Alice_1_assignsubmission_file_/tiny.ipynb",
        "Mallory_9_assignsubmission_file_/submission_1/tiny.ipynb",
        "Mallory_9_20_Alice_LATE_1_2_tiny.ipynb",
        "T_Mallory_attempt_2026-03-01-12-00-00_Alice_attempt_2027-03-01-12-00-00_tiny.ipynb",
        "9-1 - Mallory - Mar 1, 2026 900 AM - 1-1 - Alice - Mar 1, 2026 900 AM - tiny.ipynb",
        "Mallory - Alice - tiny.ipynb",
        "Mallory/Alice/Version 2/Alice/tiny/Version 3/tiny.ipynb",
        "tiny-Mallory/tiny-Alice/Alice/tiny.ipynb",
        "Mallory/Alice_tiny.ipynb",
        "tiny/Mallory/Alice_1_assignsubmission_file_/tiny.ipynb",
    ],
)
def test_what_a_student_names_never_makes_it_anothers(course, tmp_path, name):
    done = one(course, tmp_path, {name: nb(), "zoe/tiny.ipynb": nb()})
    students = {*done.taken[NAME], *done.problems[NAME]} - {"zoe"}
    assert students <= {"Mallory"}
    assert students or name in done.left


def test_the_folder_around_all_in_a_zip_is_no_student(course, tmp_path):
    files = {"class/alice/tiny.ipynb": nb(), "class/bob_tiny.ipynb": nb(), "__MACOSX/._x": b""}
    done = collect(course, [NAME], zip_of(tmp_path / "class (1).zip", files))
    assert set(done.taken[NAME]) == {"alice", "bob"}


def test_paths_that_lead_out_of_a_zip_are_refused(course, tmp_path):
    bad = ["../tiny.ipynb", "../../mallory/tiny.ipynb", "/mallory/tiny.ipynb"]
    bad += ["a/../bob/tiny.ipynb", "..\\mallory\\tiny.ipynb", "C:\\mallory\\tiny.ipynb"]
    bad += ["../mallory_tiny.ipynb"]
    before = everything(tmp_path)
    done = one(course, tmp_path, dict.fromkeys(bad, nb("evil")) | {"alice/tiny.ipynb": nb()})
    assert len(done.left) == len(bad)
    assert list(done.taken[NAME]) == ["alice"]
    assert not done.problems[NAME]
    place = f"course/submitted/alice/{NAME}"
    files = {f"{place}/{name}" for name in ("tiny.ipynb", "timestamp.txt", "origin.json")}
    assert everything(tmp_path) - before == {"a.zip"} | files


def test_links_are_not_followed(course, tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(nb("secret"))
    folder = folder_of(tmp_path / "in", {"alice/tiny.ipynb": nb()})
    for name in ("bob/tiny.ipynb", "alice/timestamp.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(secret)
    (folder / "carol").symlink_to(folder / "alice")
    os.mkfifo(folder / "dan_tiny.ipynb")  # to read it would wait for ever
    (folder / "eve_tiny.ipynb").mkdir()
    done = collect(course, [NAME], folder)
    assert "it is a link, or no file" in done.problems[NAME]["bob"]
    assert "it is a link, or no file" in done.problems[NAME]["dan"]
    assert list(done.taken[NAME]) == ["alice"]
    assert "secret" not in stamp(course)
    link = zipfile.ZipInfo("bob/tiny.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, str(secret))
    assert not collect(course, [NAME], tmp_path / "a.zip").taken[NAME]


def test_a_file_that_becomes_a_link_after_it_was_listed_is_not_followed(course, tmp_path):
    from grading.source import Unreadable, files

    (tmp_path / "secret").write_text("secret")
    folder = folder_of(tmp_path / "in", {"alice/tiny.ipynb": nb()})
    with files(folder) as found:
        file = next(file for file in found if not file.is_folder)
        (folder / "alice/tiny.ipynb").unlink()
        (folder / "alice/tiny.ipynb").symlink_to(tmp_path / "secret")
        with pytest.raises(Unreadable):
            file.read(100)


def test_a_large_notebook_is_taken_and_a_larger_one_is_a_reason(course, tmp_path, monkeypatch):
    large = b'{"cells": ["' + b"x" * (9 << 20) + b'"]}'
    monkeypatch.setattr(handin, "LIMIT_OF_FILE", 10 << 20)
    files = {"alice/tiny.ipynb": large, "bob/tiny.ipynb": bytes(40 << 20)}
    done = one(course, tmp_path, files)
    assert got(course) == large
    assert "larger than 10 MB; clear its outputs" in done.problems[NAME]["bob"]


def test_a_bomb_is_read_no_further_than_its_size_says(course, tmp_path):
    path = zip_of(tmp_path / "a.zip", {"alice/tiny.ipynb": bytes(40 << 20)})
    size = struct.pack("<I", 40 << 20)
    path.write_bytes(path.read_bytes().replace(size, struct.pack("<I", 100)))
    done = collect(course, [NAME], path)
    assert "damaged" in done.problems[NAME]["alice"]


def test_the_largest_beyond_the_limit_are_left_never_the_class(course, tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "MOST_BYTES", 200)
    files = {"alice/tiny.ipynb": nb(), "bob/tiny.ipynb": nb("b" * 200), "cy/tiny.ipynb": nb()}
    done = one(course, tmp_path, files)
    assert set(done.taken[NAME]) == {"alice", "cy"}
    assert "collect it alone" in done.problems[NAME]["bob"]


def test_one_broken_entry_does_not_stop_the_others(course, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("alice/tiny.ipynb", nb("alice"))
        archive.writestr("bob/tiny.ipynb", nb("bob"))
    path.write_bytes(path.read_bytes().replace(b'"bob"', b'"BOB"'))
    done = collect(course, [NAME], path)
    assert "it is damaged and cannot be read" in done.problems[NAME]["bob"]
    assert list(done.taken[NAME]) == ["alice"]


def entry(path, old, new, flags=None, packing=None):
    """A zip with an entry's name, flags or packing changed where no tool would write them."""
    body = bytearray(path.read_bytes())
    for sign, place, length in ((b"PK\x03\x04", 26, 30), (b"PK\x01\x02", 28, 46)):
        at = body.find(sign)
        while at >= 0:
            size = struct.unpack_from("<H", body, at + place)[0]
            if bytes(body[at + length : at + length + size]) == old:
                body[at + length : at + length + size] = new
                where = at + (6 if place == 26 else 8)
                for value, offset in ((flags, 0), (packing, 2)):
                    if value is not None:
                        struct.pack_into("<H", body, where + offset, value)
            at = body.find(sign, at + 1)
    path.write_bytes(body)
    return path


BAD_ENTRIES = {
    "NUL": (b"bob/tiny\0ipynb", None, None, "character that no name may hold"),
    "no UTF-8": (b"bob/tiny\xff.ipyn", 0x800, None, "no known encoding"),
    "password": (b"bob/tiny.ipynb", 0x1, None, "locked with a password"),
    "packing": (
        b"bob/tiny.ipynb",
        None,
        97,
        "packed in a way that cannot be read here (number 97)",
    ),
}


@pytest.mark.parametrize("kind", BAD_ENTRIES)
def test_a_bad_entry_of_a_zip_costs_that_entry_alone(course, tmp_path, kind):
    name, flags, packing, words = BAD_ENTRIES[kind]
    path = zip_of(tmp_path / "a.zip", {"alice/tiny.ipynb": nb(), "bob/tiny.ipynb": nb()})
    name = (name + b"b")[:14] if kind == "no UTF-8" else name
    done = collect(course, [NAME], entry(path, b"bob/tiny.ipynb", name, flags, packing))
    assert list(done.taken[NAME]) == ["alice"]
    reason = done.problems[NAME]["bob"]
    assert words in reason or (kind == "no UTF-8" and "hand in the notebook itself" in reason)


def test_utf8_names_that_do_not_say_so_are_read_right(course, tmp_path):
    name = "Zoë/tiny.ipynb".encode()
    path = zip_of(tmp_path / "a.zip", {"x" * (len(name) - 11) + "/tiny.ipynb": nb()})
    entry(path, b"x" * (len(name) - 11) + b"/tiny.ipynb", name)
    assert list(collect(course, [NAME], path).taken[NAME]) == ["Zoë"]


def test_a_name_without_end_takes_no_time_and_is_a_reason(course, tmp_path):
    files = {f"alice/{'1_' * 30_000}.ipynb": nb(), f"{'1_' * 30_000}.ipynb": nb()}
    begin = time.perf_counter()
    done = one(course, tmp_path, files | {"zoe/tiny.ipynb": nb()})
    assert time.perf_counter() - begin < 5
    assert "longer than 1000 letters" in done.problems[NAME]["alice"]
    assert list(done.taken[NAME]) == ["zoe"]


def test_what_a_terminal_would_obey_is_not_printed(course, tmp_path):
    done = one(course, tmp_path, {"alice/\x1b[2J\u202e.pdf": b"x", "\x1b[2J.pdf": b"x"})
    words = str([*done.left.items(), *done.problems[NAME].values()])
    assert "\\x1b" not in words
    assert "\\u202e" not in words


def test_names_of_300_letters_and_of_devices_are_names(course, tmp_path):
    files = {f"{'y' * 300}/tiny.ipynb": nb(), f"aux/{'z' * 300}.ipynb": nb()}
    done = one(course, tmp_path, files)
    assert set(done.taken[NAME]) == {"y" * 60, "aux_"}


def test_bytes_that_are_no_text_in_a_folders_name(course, tmp_path):
    folder = folder_of(tmp_path / "in", {"alice/tiny.ipynb": nb()})
    os.mkdir(os.fsencode(folder) + b"/\xff\xfe")
    with open(os.fsencode(folder) + b"/\xff\xfe/tiny.ipynb", "wb") as file:
        file.write(nb())
    with open(os.fsencode(folder) + b"/bob\xff_tiny.ipynb", "wb") as file:
        file.write(nb())
    done = collect(course, [NAME], folder)
    assert list(done.taken[NAME]) == ["alice", "bob"]
    assert "names no student" in next(iter(done.left.values()))


@pytest.mark.parametrize("pair", [("Alice Doe/tiny", "Alice-Doe/tiny"), ("a_tiny", "A_tiny")])
def test_two_without_a_number_who_would_be_called_the_same_overwrite_nobody(course, tmp_path, pair):
    files = {f"{name}.ipynb": nb() for name in pair} | {"zoe/tiny.ipynb": nb()}
    done = one(course, tmp_path, files)
    assert set(done.left) == {f"{name}.ipynb" for name in pair}
    assert all("2 students would be called" in words for words in done.left.values())
    assert list(done.taken[NAME]) == ["zoe"]


@pytest.mark.parametrize(
    ("pair", "students"),
    [
        (("doealice_1_2_tiny.ipynb", "doealice_3_4_tiny.ipynb"), {"doealice-1", "doealice-3"}),
        ((f"{MOODLE}/tiny.ipynb", f"{MOODLE.replace('123', '9')}/t.ipynb"),
         {"Alice-Doe-123", "Alice-Doe-9"}),
        ((f"{MOODLE}/tiny.ipynb", "alice-doe/tiny.ipynb"), {"Alice-Doe-123", "alice-doe"}),
        ((f"{MOODLE}/tiny.ipynb", f"{MOODLE.lower()}/tiny.ipynb"), {"Alice-Doe"}),
    ],
)  # fmt: skip
def test_two_of_one_name_are_two_students(course, tmp_path, pair, students):
    done = one(course, tmp_path, {name: nb(name) for name in pair})
    assert {*done.taken[NAME]} == students


def test_whoever_has_the_plain_name_keeps_it(course, tmp_path):
    first, second = f"{MOODLE}/tiny.ipynb", f"{MOODLE.replace('123', '9')}/tiny.ipynb"
    one(course, tmp_path, {first: nb()})
    for files in ({first: nb(), second: nb("9")}, {second: nb("9")}, {first: nb()}):
        one(course, tmp_path, files)
        assert got(course, "Alice-Doe") == nb()
    assert got(course, "Alice-Doe-9") == nb("9")


def test_a_name_that_looks_like_anothers_name_and_number(course, tmp_path):
    names = ["Ann_1", "Ann_2", "Ann-1_3"]
    files = {f"{name}_assignsubmission_file_/tiny.ipynb": nb(name) for name in names}
    for _ in range(2):
        one(course, tmp_path, files)
        assert got(course, "Ann-1") == nb("Ann_1")
        assert got(course, "Ann-1-3") == nb("Ann-1_3")


def test_lasting_numbers_keep_two_apart_in_different_sets(course, tmp_path):
    collect(course, [NAME], zip_of(tmp_path / "a.zip", {"doe_1_2_tiny.ipynb": nb()}))
    done = collect(course, ["other"], zip_of(tmp_path / "b.zip", {"doe_7_8_other.ipynb": nb()}))
    assert list(done.taken["other"]) == ["doe-7"]
    done = collect(course, ["other"], zip_of(tmp_path / "c.zip", {"doe_1_9_other.ipynb": nb()}))
    assert list(done.taken["other"]) == ["doe"]


def test_with_a_roster_ids_are_the_same_in_each_set(course, tmp_path):
    table = tmp_path / "r.csv"
    table.write_text("id,name,email\na1,Ann Lee,ann@x.org\na2,Ann Lee,lee@x.org\nb1,Bo Ek,bo@x.org")
    roster = Roster.read(table)
    moodle = "{}_assignsubmission_file_/tiny.ipynb"
    files = {"a1/tiny.ipynb": nb(), "lee@x.org_tiny.ipynb": nb()}
    files |= {moodle.format("Bo Ek_5"): nb(), moodle.format("Ann Lee_6"): nb("?")}
    done = one(course, tmp_path, files, roster=roster)
    assert set(done.taken[NAME]) == {"a1", "a2", "b1", "Ann-Lee"}
    assert origin(course, "b1")["email"] == "bo@x.org"
    other = zip_of(tmp_path / "b.zip", {"Ek, Bo/T/Version 1/other.ipynb": nb()})
    assert list(collect(course, ["other"], other, roster).taken["other"]) == ["b1"]


def test_nobody_takes_the_folder_of_somebody_on_the_roster(course, tmp_path):
    (tmp_path / "r.csv").write_text("id,name\nalice,Alice Doe\n")
    roster = Roster.read(tmp_path / "r.csv")
    files = {"alice_9_8_tiny.ipynb": nb("another"), "alice/tiny.ipynb": nb()}
    done = one(course, tmp_path, files, roster=roster)
    assert set(done.taken[NAME]) == {"alice", "alice-9"}
    assert got(course) == nb()


def test_several_sets_at_once(course, tmp_path):
    files = {
        "alice/tiny/tiny.ipynb": nb("t"), "alice/other/other.ipynb": nb("o"),
        "bob/other.ipynb": nb("o"), "cy/notes.ipynb": nb(), "dan/tiny/x.pdf": b"x",
        f"{MOODLE}/tiny.ipynb": nb(), f"{MOODLE}/x.txt": b"x", "Eve_5_assignsubmission_file_/a.pdf":
        b"x", "alice/readme.txt": b"x",
    }  # fmt: skip
    done = collect(course, [NAME, "other"], zip_of(tmp_path / "all.zip", files))
    assert set(done.taken[NAME]) == {"alice", "Alice-Doe"}
    assert set(done.taken["other"]) == {"alice", "bob"}
    assert set(done.problems[NAME]) == {"dan"}
    assert set(done.left) == {"cy/notes.ipynb", "Eve_5_assignsubmission_file_/a.pdf"}
    assert "ask for one alone" in done.left["cy/notes.ipynb"]


def test_the_name_of_the_source_says_the_set(course, tmp_path):
    files = {f"{MOODLE}/a.ipynb": nb(), "Bob_5_assignsubmission_file_/other.ipynb": nb()}
    source = zip_of(tmp_path / "CS101-Tiny-77.zip", files)
    done = collect(course, ["other", NAME, "tiny_two"], source)
    assert list(done.taken[NAME]) == ["Alice-Doe"]
    assert "another problem set" in done.problems[NAME]["Bob"]


def test_the_download_of_another_set_is_nobodys_mistake(course, tmp_path):
    files = {f"{MOODLE}/tiny.ipynb": nb(), "Bob_5_assignsubmission_file_/x.pdf": b"x"}
    done = collect(course, ["other"], zip_of(tmp_path / "Tiny.zip", files))
    assert (done.taken, done.problems) == ({"other": {}}, {"other": {}})
    assert len(done.left) == 2


def test_work_for_another_set_alone_is_no_hand_in_for_this_one(course, tmp_path):
    files = {"alice/other/other.ipynb": nb(), "alice/notes.txt": b"x", "bob/tiny.ipynb": nb()}
    done = one(course, tmp_path, files)
    assert list(done.taken[NAME]) == ["bob"]
    assert not done.problems[NAME]


def test_other_assignments_of_a_team_are_not_taken_for_this_one(course, tmp_path):
    files = {"Ann/Essay/Version 1/essay.docx": b"x", "Ann/Tiny/Version 1/a.ipynb": nb()}
    done = one(course, tmp_path, files | {"Bob/Essay/Version 1/essay.docx": b"x"})
    assert list(done.taken[NAME]) == ["Ann"]
    assert not done.problems[NAME]
    assert list(done.left) == ["Bob/Essay/Version 1/essay.docx"]


def test_accents_apart_or_together_are_the_same_name(course, tmp_path):
    apart = unicodedata.normalize("NFD", "José")
    one(course, tmp_path, {f"{apart}_tiny.ipynb": nb()})
    assert got(course, "José") == nb()


def test_a_source_that_is_none(course, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder or zip"):
        collect(course, [NAME], tmp_path / "nothing")
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(ValueError, match="no zip that can be read"):
        collect(course, [NAME], tmp_path / "a.zip")
    (tmp_path / "empty").mkdir()
    done = collect(course, [NAME], tmp_path / "empty")
    assert (done.taken, done.problems, done.left) == ({NAME: {}}, {NAME: {}}, {})
