"""The class, from every table that is known; and errors that name file, line, value, remedy."""

import datetime
import time

import pytest
from grading.roster import Roster, name_keys, safe
from hypothesis import given
from hypothesis import strategies as st

OWN = "id,name,email,extension\na1,Alice Doe,alice@x.org,2\nb1,Bo Ek,bo@x.org,\n"
WORKSHEET = """\
Identifier,Full name,ID number,Email address,Status,Grade,Maximum Grade,Last modified (submission)
Participant 123,Alice Doe,a1,alice@x.org,Submitted,,20,"Sunday, 1 March 2026, 1:30 PM"
Participant 124,Bo Ek,b1,bo@x.org,No submission,,20,-
"""
CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,Essay (9),tiny (10)
,,,,,Manual Posting,
    Points Possible,,,,,10,20
"Doe, Alice",501,a1,adoe,S1,9,
"Ek, Bo",502,b1,bek,S1,,
"Student, Test",503,,zz,S1,,
"""
TABLES = {
    "own": (OWN, "", {"a1": "Alice Doe", "b1": "Bo Ek"}),
    "nbgrader": ("id,first_name,last_name\na1,Alice,Doe\n", "", {"a1": "Alice Doe"}),
    "worksheet": (WORKSHEET, "Moodle", {"a1": "Alice Doe", "b1": "Bo Ek"}),
    "blind": ("Identifier,Status,Grade\nParticipant 7,x,\n", "Moodle", {"7": ""}),
    "participants": (
        "First name,Last name,ID number,Email address\nAlice,Doe,a1,alice@x.org\n",
        "Moodle",
        {"a1": "Alice Doe"},
    ),
    "without numbers": (
        "First name,Last name,Email address\nAlice,Doe,alice@x.org\n",
        "Moodle",
        {"alice@x.org": "Alice Doe"},
    ),
    "canvas": (CANVAS, "Canvas", {"a1": "Doe, Alice", "b1": "Ek, Bo"}),
    "blackboard": (
        '"Last Name","First Name","Username","Student ID","tiny [Total Pts: 20] |7"\n'
        '"Doe","Alice","adoe","a1",""\n',
        "Blackboard",
        {"a1": "Alice Doe"},
    ),
    "brightspace": (
        "OrgDefinedId,Username,Last Name,First Name,Email,End-of-Line Indicator\n"
        "#a1,#adoe,Doe,Alice,alice@x.org,#\n",
        "Brightspace",
        {"a1": "Alice Doe"},
    ),
    "github": (
        "identifier,github_username,github_id,name\na1,alice-gh,7,Alice Doe\n",
        "GitHub Classroom",
        {"a1": "Alice Doe"},
    ),
}
WRONG = {
    "no id column": (
        "who,mark\nx,1\n",
        "line 1: no column says who a student is (it has who, mark",
    ),
    "twice": ("id,name\na1,A\nb1,B\na1,C\n", "line 4: id 'a1': the same id stands in line 2"),
    "no id": ("id,name\n,Alice\n", "line 2: id '': each student needs an id"),
    "no folder": ("id,name\n../..,Alice\n", "line 2: id '../..': no folder can be called so"),
    "same folder": ("id,name\na b,A\na-b,B\n", "its folder would be that of 'a b'"),
    "small letters": ("id,name\nAB,A\nab,B\n", "line 3: id 'ab': the same id stands in line 2"),
    "extension": ("id,extension\na1,next week\n", "line 2: extension 'next week': write days as"),
    "negative": ("id,extension\na1,-2\n", "line 2: extension '-2': write days as"),
    "empty": ("", "is empty; export it anew"),
}


def write(path, text, encoding="utf-8", delimiter=","):
    path.write_bytes(text.replace(",", delimiter).encode(encoding))
    return path


def read(tmp_path, *texts, **more):
    paths = [write(tmp_path / f"{k}.csv", text) for k, text in enumerate(texts)]
    return Roster.read(*paths, **more)


@pytest.mark.parametrize("kind", TABLES)
def test_each_table_is_known_by_its_header(tmp_path, kind):
    text, lms, people = TABLES[kind]
    roster = read(tmp_path, text)
    assert {person.id: person.name for person in roster.people.values()} == people
    assert roster.templates[0].lms == lms
    assert roster.templates[0].table.rows[0] == roster.templates[0].table.rows[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_encoding_and_delimiter(tmp_path, encoding, delimiter, end):
    text = "ID , NAME,Email\na1,Zoë Ågård,zoe@x.org\n\nb1,Bo,\n".replace("\n", end)
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    roster = Roster.read(write(tmp_path / "r.csv", mark + text, encoding, delimiter))
    assert roster.people["a1"].name == "Zoë Ågård"
    assert set(roster.people) == {"a1", "b1"}


def test_a_name_in_quotes_may_hold_the_delimiter(tmp_path):
    roster = Roster.read(write(tmp_path / "r.csv", 'id,name\na1,"Doe; A; B; C"\n'))
    assert roster.people["a1"].name == "Doe; A; B; C"


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_named_with_what_to_do(tmp_path, kind):
    text, words = WRONG[kind]
    with pytest.raises(ValueError, match=r"0\.csv") as error:
        read(tmp_path, text)
    assert words in str(error.value)


def test_a_roster_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no roster"):
        Roster.read(tmp_path / "none.csv")


def test_several_tables_are_one_class(tmp_path):
    roster = read(tmp_path, CANVAS, WORKSHEET, OWN)
    assert set(roster.people) == {"a1", "b1"}
    alice = roster.people["a1"]
    assert (alice.name, alice.login, alice.extension) == ("Alice Doe", "adoe", 2.0)
    assert alice.numbers == {"Canvas": {"501"}, "Moodle": {"123"}}
    assert [template.lms for template in roster.templates] == ["", "Canvas", "Moodle"]


def test_by_email_by_number_and_by_a_name_that_is_unique(tmp_path):
    sheet = "Identifier,Full name,Email address,Grade\nParticipant 1,A. Doe,ALICE@x.org,\n"
    again = "Identifier,Full name,Grade\nParticipant 1,Another,\nParticipant 2,Ek Bo,\n"
    roster = read(tmp_path, OWN, sheet, again)
    assert roster.people["a1"].numbers == {"Moodle": {"1"}}
    assert roster.people["b1"].numbers == {"Moodle": {"2"}}
    assert len(roster.people) == 2


def test_two_of_one_name_stay_two(tmp_path):
    two = "id,name,email\na1,Ann Lee,ann@x.org\na2,Ann Lee,lee@x.org\n"
    sheet = "Identifier,Full name,Grade\nParticipant 7,Ann Lee,\nParticipant 8,Ann Lee,\n"
    roster = read(tmp_path, two, sheet)
    assert set(roster.people) == {"a1", "a2", "Ann-Lee", "Ann-Lee-8"}
    assert roster.find(name="Ann Lee") is None


def test_tables_that_contradict_each_other(tmp_path):
    other = "Identifier,Full name,ID number,Email address,Grade\nParticipant 1,A,a1,bo@x.org,\n"
    with pytest.raises(ValueError, match=r"1\.csv, line 2: .* this is a1 and b1; correct one"):
        read(tmp_path, OWN, other)


def test_who_is_meant(tmp_path):
    roster = read(tmp_path, OWN, WORKSHEET, CANVAS)
    alice = roster.people["a1"]
    for word in ("a1", "A1", "alice@X.org", "adoe", "Alice Doe", "Doe, Alice", "doealice"):
        assert roster.find(word) is alice, word
    assert roster.find(lms="Moodle", number="123") is alice
    assert roster.find(lms="Canvas", number="501") is alice
    assert roster.find(lms="Canvas", number="123") is None
    assert roster.find("nobody") is roster.find("") is None


@pytest.mark.parametrize(
    ("text", "extension"),
    [
        ("", None),
        ("3", 3.0),
        ("1.5", 1.5),
        ("2026-03-05", datetime.datetime(2026, 3, 5, 22, 59, 59, tzinfo=datetime.UTC)),
        ("2026-03-05 18:00", datetime.datetime(2026, 3, 5, 17, tzinfo=datetime.UTC)),
        ("2026-03-05T18:00Z", datetime.datetime(2026, 3, 5, 18, tzinfo=datetime.UTC)),
    ],
)
def test_extensions(tmp_path, text, extension):
    roster = read(tmp_path, f"id,extension\na1,{text}\n", zone="Europe/Berlin")
    assert roster.people["a1"].extension == extension


def test_a_moment_without_a_zone_is_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        until = read(tmp_path, "id,extension\na1,2026-03-05 18:00\n").people["a1"].extension
    finally:
        monkeypatch.undo()
        time.tzset()
    assert until == datetime.datetime(2026, 3, 5, 9, tzinfo=datetime.UTC)


def test_a_worksheet_says_when(tmp_path):
    roster = read(tmp_path, WORKSHEET, zone="Europe/Berlin")
    moment = datetime.datetime(2026, 3, 1, 12, 30, tzinfo=datetime.UTC)
    assert roster.people["a1"].handed_in == {("Moodle", "123"): moment}
    assert roster.people["b1"].handed_in == {}


def test_names_are_the_same_in_each_order():
    assert name_keys("Alice Doe") & name_keys("doealice")
    assert name_keys("Doe, Alice Marie") & name_keys("Alice Marie Doe")
    assert not name_keys("Alice Doe") & name_keys("Alice Dole")
    assert not name_keys("Ann Lee") & name_keys("Lee")


@given(st.text(max_size=200))
def test_a_safe_name_is_one_folder(text):
    try:
        name = safe(text)
    except ValueError:
        return
    assert name not in ("", ".", "..")
    assert not {"/", "\\", "\0", ":", "\n"} & set(name)
    assert not name.startswith((".", "-"))
    assert len(name) <= 61
    assert safe(name) in (name, f"{name}_")
