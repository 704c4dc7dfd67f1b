"""The table of rules: what each LMS's names say, and that nothing else is believed."""

import contextlib
import datetime
import string
from pathlib import PurePosixPath

import pytest
from grading import lms
from hypothesis import given, settings
from hypothesis import strategies as st

WHEN = datetime.datetime(2026, 3, 1, 12, 0)
SAID = {
    "Alice Doe_12_assignsubmission_file_/x/a.ipynb": ("Moodle", "Alice Doe", "12", "x/a.ipynb"),
    "Alice Doe_12_assignsubmission_file_a_b.ipynb": ("Moodle", "Alice Doe", "12", "a_b.ipynb"),
    "Alice_12_assignsubmission_onlinetext/o.html": ("Moodle", "Alice", "12", "o.html"),
    "Team 3_77_assignsubmission_file/a.ipynb": ("Moodle", "Team 3", "77", "a.ipynb"),
    "doealice_1_2_a_3_4_b.ipynb": ("Canvas", "doealice", "1", "a_3_4_b.ipynb"),
    "doe_alice_1_2_a.ipynb": ("Canvas", "doe_alice", "1", "a.ipynb"),
    "doealice_LATE_1_text.html": ("Canvas", "doealice", "1", "text.html"),
    "7-9 - Al - Jr - Mar 1, 2026 1200 PM - a - b.ipynb": (
        "Brightspace", "Al - Jr", "7", "a - b.ipynb",
    ),
    "7-9 - Al - March 1, 2026 1200PM/a.ipynb": ("Brightspace", "Al", "7", "a.ipynb"),
    "submission_5/a.ipynb": ("Gradescope", "", "5", "a.ipynb"),
    "ps1-tensors-al-do/a.ipynb": ("GitHub Classroom", "al-do", "al-do", "a.ipynb"),
    "Al/Set/Version 3/a.ipynb": ("Teams", "Al", "", "Set/Version 3/a.ipynb"),
    "Al Do - My - a.ipynb": ("Google Classroom", "Al Do", "", "My - a.ipynb"),
    "al/a.ipynb": ("", "al", "", "a.ipynb"),
    "al.ipynb": ("", "al.ipynb", "", "."),
}  # fmt: skip
# Nothing in these but letters, digits and what LMSs put between them.
TEXT = st.text(string.ascii_letters + string.digits + "_- .,", min_size=1, max_size=30)
OWN = st.sampled_from([
    "Bob_1_assignsubmission_file_x.ipynb", "bob_1_2_x.ipynb", "submission_9", "Bob - x.ipynb",
    "T_bob_attempt_2026-03-01-12-00-00_x.ipynb", "1-1 - Bob - Mar 1, 2026 900 AM - x.ipynb",
    "ps1_tensors-bob", "Version 2",
])  # fmt: skip
FORMS = {
    "Moodle": "{name}_{number}_assignsubmission_file_/{own}",
    "Moodle flat": "{name}_{number}_assignsubmission_file_{own}",
    "Canvas": "{name}_{number}_22_{own}",
    "Canvas late": "{name}_LATE_{number}_22_{own}",
    "Blackboard": "Set 1_{name}_attempt_2026-03-01-12-00-00_{own}",
    "Brightspace": "{number}-9 - {name} - Mar 1, 2026 1200 PM - {own}",
    "Brightspace folder": "{number}-9 - {name} - Mar 1, 2026 1200 PM/{own}",
    "GitHub": "ps1_tensors-{name}/{own}",
    "Teams": "{name}/Set 1/Version 2/{own}",
    "plain": "{name}/{own}",
}


@pytest.mark.parametrize("path", SAID)
def test_what_a_name_says(path):
    claim = lms.read(PurePosixPath(path), ["ps1_tensors"])
    assert (claim.lms, claim.name, claim.number, str(claim.own)) == SAID[path]


def test_times_attempts_and_lateness():
    times = {
        "T_al_attempt_2026-03-01-12-00-00_a.ipynb": WHEN,
        "T_al_attempt_2026-03-01-12-00-00.txt": WHEN,
        "T_al_attempt_2026-13-41-12-00-00_a.ipynb": None,
        "7-9 - Al - Mar 1, 2026 1200 PM - a.ipynb": WHEN,
        "7-9 - Al - Mar 1, 2026 905 AM/a.ipynb": WHEN.replace(hour=9, minute=5),
        "7-9 - Al - Foo 1, 2026 905 AM/a.ipynb": None,
    }
    for path, when in times.items():
        claim = lms.read(PurePosixPath(path))
        assert claim.when == when, path
        assert claim.lms in ("Blackboard", "Brightspace")
    assert lms.read(PurePosixPath("Al/T/Version 12/a.ipynb")).attempt == 12
    assert lms.read(PurePosixPath("al_LATE_1_2_a.ipynb")).late
    assert not lms.read(PurePosixPath("al_1_2_LATE.ipynb")).late
    assert lms.read(PurePosixPath("al_1_23_a.ipynb")).upload == 23


def test_hidden_names_stay_hidden():
    for path in ("Participant_12_assignsubmission_file_/a.ipynb", "anon_aB3xY_2_a.ipynb"):
        claim = lms.read(PurePosixPath(path))
        assert claim.name == ""
        assert claim.anonymous
        assert claim.number in ("12", "aB3xY")


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(["Ann", "Bo", "zoe7"]), number=st.integers(1, 10**9),
       own=st.lists(TEXT | OWN, min_size=1, max_size=3))  # fmt: skip
def test_nothing_that_a_student_names_changes_whose_it_is(form, name, number, own):
    tail = "/".join(own) if "/{own}" in FORMS[form] else "_".join(own)
    plain = FORMS[form].format(name=name, number=number, own="a.ipynb")
    tried = FORMS[form].format(name=name, number=number, own=f"{tail}.ipynb")
    titles = ["ps1_tensors"]
    assert lms.read(PurePosixPath(tried), titles).key == lms.read(PurePosixPath(plain), titles).key


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=5))
def test_any_path_is_a_claim_or_a_reason(parts):
    path = PurePosixPath(*parts)
    if not path.parts:
        return
    with contextlib.suppress(ValueError):
        claim = lms.read(path, ["ps1_tensors"])
        assert claim.name or claim.number or claim.anonymous or claim.login


@pytest.mark.parametrize(
    ("maker", "names"),
    [
        ("Blackboard", ["HW_1_2_al_attempt_2026-03-01-12-00-00.txt",
                        "HW_1_2_al_attempt_2026-03-01-12-00-00_a.ipynb"]),
        ("Canvas", ["al_1_20_a.ipynb", "bo_2_21_x_cy_attempt_2026-03-01-12-00-00_a.ipynb"]),
        ("Canvas", ["bo_2_21_x_cy_attempt_2026-03-01-12-00-00_a.ipynb"]),
        ("Canvas", ["bo_2_21_Cy_3_assignsubmission_file_a.ipynb"]),
        ("Google Classroom", ["Al - a.ipynb", "Bo - a.ipynb", "Cy_3_assignsubmission_file_a"]),
        ("", ["al_tiny.ipynb", "bo.ipynb"]),
        ("", []),
    ],
)  # fmt: skip
def test_one_download_is_one_lmss(maker, names):
    assert lms.maker_of(names) == maker


def test_nobody_imitates_another_lms_where_names_are_free():
    forged = PurePosixPath("Cy_3_assignsubmission_file_a.ipynb")
    assert lms.read(forged, maker="Google Classroom").number == ""
