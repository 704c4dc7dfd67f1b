"""Collecting: every known shape, whose file it is, and nothing that leads out of its place."""

import os
import stat
import unicodedata
import zipfile

import pytest
from grading.assignment import LIMIT_OF_NOTEBOOK
from grading.collect import collect
from grading.record import Course

NAME = "tiny"
SHAPES = {
    "alice/tiny/tiny.ipynb": "alice",
    "alice/tiny.ipynb": "alice",
    "tiny/alice.ipynb": "alice",
    "alice/tiny (1).ipynb": "alice",
    "alice_tiny.ipynb": "alice",
    "alice.ipynb": "alice",
    "Alice Doe_123456_assignsubmission_file_/tiny.ipynb": "Alice-Doe",
    "Alice Doe_123456_assignsubmission_file/my homework.ipynb": "Alice-Doe",
    "Alice Doe_123456_assignsubmission_file_/sub/tiny.ipynb": "Alice-Doe",
    "Alice_D_123456_assignsubmission_file_/tiny.ipynb": "Alice_D",
    "doealice_12345_67890_tiny.ipynb": "doealice",
    "doealice_12345_67890_tiny-1.ipynb": "doealice",
    "doealice_LATE_12345_67890_tiny-1.ipynb": "doealice",
    "doealice_12345_67890_homework.ipynb": "doealice",
    "a.b+c@x.org/tiny.ipynb": "a.b+c@x.org",
    "Søren Ågård/tiny.ipynb": "Søren-Ågård",
    "王小明_tiny.ipynb": "王小明",
    f"{'x' * 200}/tiny.ipynb": "x" * 60,
}
# Not of this problem set, nobody's, or in a place where a student could claim to be another.
LEFT = {
    "alice/other/other.ipynb": "not of tiny",
    "alice_other.ipynb": "not of tiny",
    "other/tiny.ipynb": "not of tiny",
    "alice/tiny_two.ipynb": "not of tiny",
    "doealice_1_2_other.ipynb": "not of tiny",
    "alice/notes.ipynb": "not of tiny",
    "alice/bob/tiny.ipynb": "too deep",
    "alice/bob_tiny.ipynb": "not of tiny",
    "alice/Bob_1_assignsubmission_file_/tiny.ipynb": "too deep",
    "tiny.ipynb": "names no student",
    "tiny-alice.ipynb": "names no student",
    "---/tiny.ipynb": "names no student",
    "._-.ipynb": None,
    "alice/.ipynb_checkpoints/tiny.ipynb": None,
    "__MACOSX/alice/tiny.ipynb": None,
}


@pytest.fixture
def course(tmp_path):
    for name in (NAME, "other", "tiny_two"):
        (tmp_path / "course" / "source" / name).mkdir(parents=True)
    return Course(tmp_path / "course")


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


def got(course, student="alice"):
    return (course.submitted(student, NAME) / f"{NAME}.ipynb").read_bytes()


def stamp(course, student="alice"):
    return (course.submitted(student, NAME) / "timestamp.txt").read_text()


def everything(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("zipped", [False, True])
def test_known_shapes(course, tmp_path, shape, zipped):
    files = {shape: b"one"}
    source = zip_of(tmp_path / "all.zip", files) if zipped else folder_of(tmp_path / "in", files)
    assert collect(course, NAME, source) == {SHAPES[shape]: shape}
    assert got(course, SHAPES[shape]) == b"one"


@pytest.mark.parametrize("shape", LEFT)
def test_what_is_left_out_is_named_with_the_reason(course, tmp_path, shape):
    files = {shape: b"one", "zoe/tiny.ipynb": b"two"}
    done = collect(course, NAME, folder_of(tmp_path / "in", files))
    left = done.pop("", [])
    assert list(done) == ["zoe"]
    if LEFT[shape]:
        (words,) = left
        assert words.startswith(f"{shape}: ")
        assert LEFT[shape] in words
    else:
        assert left == []
    assert {name.split("/")[1] for name in everything(course.root)} == {"zoe"}


def test_the_newest_wins_and_a_right_name_goes_before(course, tmp_path):
    moodle = "Alice_1_assignsubmission_file_"
    names = ["alice/tiny.ipynb", "alice/tiny-2.ipynb", f"{moodle}/tiny.ipynb", f"{moodle}/b.ipynb"]
    for number, name in enumerate(names):
        path = folder_of(tmp_path / "in", {name: name.encode()}) / name
        os.utime(path, (1e9 + number, 1e9 + number))
    assert list(collect(course, NAME, tmp_path / "in")) == [""], "two would be called alice"
    (tmp_path / "in" / moodle).rename(tmp_path / "in" / moodle.replace("Alice", "Zoe"))
    collect(course, NAME, tmp_path / "in")
    assert got(course) == b"alice/tiny-2.ipynb"
    assert got(course, "Zoe") == f"{moodle}/tiny.ipynb".encode()


def test_a_resubmission_replaces_and_an_unchanged_one_keeps_its_time(course, tmp_path):
    files = {"alice/tiny.ipynb": b"one", "bob/tiny.ipynb": b"same"}
    collect(course, NAME, zip_of(tmp_path / "a.zip", files, (2026, 3, 1, 12, 0, 0)))
    before = stamp(course)
    files["alice/tiny.ipynb"] = b"two"
    collect(course, NAME, zip_of(tmp_path / "b.zip", files, (2026, 3, 2, 12, 0, 0)))
    assert got(course) == b"two"
    assert before.startswith("2026-03-01")
    assert stamp(course).startswith("2026-03-02")
    assert stamp(course, "bob") == before


def test_stopped_between_stamp_and_notebook_the_next_one_mends_it(course, tmp_path, monkeypatch):
    collect(course, NAME, zip_of(tmp_path / "a.zip", {"alice/tiny.ipynb": b"one"}))
    again = zip_of(tmp_path / "b.zip", {"alice/tiny.ipynb": b"two"}, (2026, 3, 9, 9, 0, 0))
    replace = os.replace

    def stop(source, target):
        if str(target).endswith(".ipynb"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        collect(course, NAME, again)
    monkeypatch.undo()
    assert got(course) == b"one"
    collect(course, NAME, again)
    assert got(course) == b"two"
    assert stamp(course).startswith("2026-03-09")
    assert len(everything(course.root / "submitted")) == 2, "no half-written file is left"


def test_a_stamp_of_nbgrader_counts_but_none_that_a_student_uploaded(course, tmp_path):
    early = b"2020-01-01 00:00:00 UTC"
    moodle = "Bob_1_assignsubmission_file_"
    files = {"alice/tiny/tiny.ipynb": b"1", "alice/tiny/timestamp.txt": early}
    files |= {f"{moodle}/tiny.ipynb": b"1", f"{moodle}/timestamp.txt": early}
    files |= {"zoe/tiny.ipynb": b"1", "zoe/timestamp.txt": b"\xff never"}
    files |= {"dan_tiny.ipynb": b"1", "timestamp.txt": early}
    collect(course, NAME, zip_of(tmp_path / "a.zip", files))
    assert stamp(course) == early.decode()
    for student in ("Bob", "zoe", "dan"):
        assert stamp(course, student).startswith("2026-03-01"), student


def test_a_month_of_zero_in_a_zip_is_no_reason_to_stop(course, tmp_path):
    path = zip_of(tmp_path / "a.zip", {"alice/tiny.ipynb": b"1"}, (1980, 0, 0, 0, 0, 0))
    assert list(collect(course, NAME, path)) == ["alice"]


def test_the_folder_around_all_in_a_zip_is_no_student(course, tmp_path):
    files = {"class/alice/tiny.ipynb": b"1", "class/bob_tiny.ipynb": b"1", "__MACOSX/._x": b""}
    assert set(collect(course, NAME, zip_of(tmp_path / "class.zip", files))) == {"alice", "bob"}


def test_paths_that_lead_out_of_a_zip_are_refused(course, tmp_path):
    bad = [
        "../tiny.ipynb",
        "../../mallory/tiny.ipynb",
        "/mallory/tiny.ipynb",
        "a/../bob/tiny.ipynb",
    ]
    bad += ["..\\mallory\\tiny.ipynb", "C:\\mallory\\tiny.ipynb", "../mallory_tiny.ipynb"]
    before = everything(tmp_path)
    path = zip_of(tmp_path / "a.zip", dict.fromkeys(bad, b"evil") | {"alice/tiny.ipynb": b"1"})
    done = collect(course, NAME, path)
    assert len(done.pop("")) == len(bad)
    assert list(done) == ["alice"]
    new = everything(tmp_path) - before
    place = f"course/submitted/alice/{NAME}"
    assert new == {"a.zip", f"{place}/tiny.ipynb", f"{place}/timestamp.txt"}


def test_links_are_not_followed(course, tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_text("secret")
    folder = folder_of(tmp_path / "in", {"alice/tiny.ipynb": b"1"})
    for name in ("bob/tiny.ipynb", "alice/timestamp.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(secret)
    (folder / "carol").symlink_to(folder / "alice")
    os.mkfifo(folder / "dan_tiny.ipynb")  # to read it would wait for ever
    (folder / "eve_tiny.ipynb").mkdir()
    done = collect(course, NAME, folder)
    assert sorted(words.split(":")[0] for words in done.pop("")) == [
        "bob/tiny.ipynb",
        "dan_tiny.ipynb",
        "eve_tiny.ipynb",
    ]
    assert list(done) == ["alice"]
    assert "secret" not in stamp(course)
    link = zipfile.ZipInfo("bob/tiny.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, str(secret))
    assert list(collect(course, NAME, tmp_path / "a.zip")) == [""]


def test_a_bomb_costs_no_more_than_a_notebook(course, tmp_path):
    bomb = zip_of(tmp_path / "a.zip", {"alice/tiny.ipynb": bytes(40 << 20)})
    assert bomb.stat().st_size < 100_000
    collect(course, NAME, bomb)
    assert len(got(course)) == LIMIT_OF_NOTEBOOK + 1, "enough for grading to say: too large"


def test_more_than_would_fit_is_refused(course, tmp_path, monkeypatch):
    monkeypatch.setattr("grading.collect.MOST_BYTES", 5)
    with pytest.raises(ValueError, match="of notebooks"):
        collect(course, NAME, zip_of(tmp_path / "a.zip", {"alice/tiny.ipynb": b"123456"}))
    assert not (course.root / "submitted").exists()


def test_one_broken_entry_does_not_stop_the_others(course, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("alice/tiny.ipynb", b"of alice")
        archive.writestr("bob/tiny.ipynb", b"of bob")
    path.write_bytes(path.read_bytes().replace(b"of bob", b"of BOB"))
    done = collect(course, NAME, path)
    assert "bob/tiny.ipynb: it cannot be read" in done.pop("")[0]
    assert list(done) == ["alice"]


@pytest.mark.parametrize(
    "pair",
    [
        ("Alice Doe/tiny.ipynb", "Alice-Doe/tiny.ipynb"),
        ("alice_tiny.ipynb", "Alice_tiny.ipynb"),
        ("doealice_1_2_tiny.ipynb", "doealice_3_4_tiny.ipynb"),
        ("A B_1_assignsubmission_file_/tiny.ipynb", "A B_2_assignsubmission_file_/tiny.ipynb"),
    ],
)
def test_two_who_would_be_called_the_same_overwrite_nobody(course, tmp_path, pair):
    files = dict.fromkeys(pair, b"1") | {"zoe/tiny.ipynb": b"2"}
    done = collect(course, NAME, zip_of(tmp_path / "a.zip", files))
    left = done.pop("")
    assert sorted(words.split(": ")[0] for words in left) == sorted(pair)
    assert all("2 students would be called" in words for words in left)
    assert list(done) == ["zoe"]


def test_accents_apart_or_together_are_the_same_name(course, tmp_path):
    apart = unicodedata.normalize("NFD", "José")
    collect(course, NAME, zip_of(tmp_path / "a.zip", {f"{apart}_tiny.ipynb": b"1"}))
    assert got(course, "José") == b"1"


def test_a_source_that_is_none(course, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder or zip"):
        collect(course, NAME, tmp_path / "nothing")
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(ValueError, match="no zip that can be read"):
        collect(course, NAME, tmp_path / "a.zip")
    (tmp_path / "empty").mkdir()
    assert collect(course, NAME, tmp_path / "empty") == {}
