"""The class at a glance: nobody ungraded has a score, nothing of a student's runs on the page."""

import csv
import re
from html.parser import HTMLParser

import pytest
import tiny
from grading import report
from grading.assignment import Assignment
from nbgrader.api import Gradebook
from unboxed import course_at, grade, hand_in

WRONG = "def square(x):\n    return x + 1"
SHY = "def square(x):\n    return np.arange(4.0) ** 2"
BAD_NAMES = ["=cmd", "+a", "@x", "-b"]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Eight are graded, one of them late; two are not."""
    course = course_at(tmp_path_factory.mktemp("report"))
    with pytest.MonkeyPatch.context() as patch:
        grade(course, patch)  # nobody is there yet
        with Gradebook(course.db_url) as gradebook:
            gradebook.update_or_create_assignment(tiny.NAME, duedate="2026-03-02 00:00:00 UTC")
        (course.root / "nbgrader_config.py").write_text(
            "c = get_config()\nc.LateSubmissionPlugin.penalty_method = 'zero'\n"
        )
        hand_in(course, "alice", tiny.answer(why="YOUR ANSWER HERE"))
        hand_in(course, "bob", tiny.answer(square=WRONG))
        hand_in(course, "carol", tiny.answer(square=SHY))
        hand_in(course, "late", tiny.answer(), "2026-03-02 12:00:00 UTC")
        for name in BAD_NAMES:
            hand_in(course, name, tiny.answer(square=WRONG, total="def total(x):\n    return 0"))
        hand_in(course, "broken", "<script>no notebook</script>")
        grade(course, patch)
    # A run that was stopped has a row in the gradebook already, and no note.
    hand_in(course, "stopped", tiny.answer())
    with Gradebook(course.db_url) as gradebook:
        gradebook.update_or_create_student("stopped")
        gradebook.update_or_create_submission(tiny.NAME, "stopped")
    return course


@pytest.fixture(scope="module")
def assignment(course):
    return Assignment.load(course.root, tiny.NAME)


@pytest.fixture(scope="module")
def written(course, assignment):
    report.write(course, assignment, names=True)
    return course.root / "reports" / tiny.NAME


@pytest.fixture(scope="module")
def table(written):
    with open(written / "grades.csv", newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def page(written):
    return (written / "class.html").read_text(encoding="utf-8")


def section(page, title):
    """Cells of the table below a heading, row by row, without markup."""
    body = re.search(rf"<h2>{title}</h2>\n<div[^>]*><table>(.*?)</table>", page, re.S)[1]
    lines = re.findall(r"<tr>(.*?)</tr>", body, re.S)[1:]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", line, re.S) for line in lines]
    return [[re.sub(r"<[^>]*>", "", cell).strip() for cell in line] for line in cells]


def test_whoever_is_not_graded_has_no_score(table):
    for student, reason in (("broken", "no notebook"), ("stopped", "not reached")):
        row = table[student]
        assert (row["state"], row["score"], row["max_score"]) == ("not graded", "", "")
        assert reason in row["reason"]


def test_scores_penalties_and_what_waits(table):
    def of(student):
        row = table[student]
        return [row[k] for k in ("state", "score", "max_score", "late_hours", "late_penalty")]

    assert of("alice") == ["graded", "5.0", "7.0", "0.0", "0.0"]
    assert of("bob") == ["graded", "3.0", "7.0", "0.0", "0.0"]
    assert of("late") == ["graded", "0.0", "7.0", "12.0", "5.0"]
    assert [table[name]["needs_manual"] for name in ("alice", "bob")] == ["False", "True"]
    assert all(table[name]["reason"] == "" for name in ("alice", "bob", "late"))


def test_no_cell_is_a_formula(table, written):
    assert {"'=cmd", "'@x", "'+a", "'-b"} < set(table)
    for row in csv.reader((written / "grades.csv").read_text(encoding="utf-8").splitlines()):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


def test_the_histogram_sums_to_the_graded(page):
    lines = section(page, "Scores")
    assert len(lines) == 10
    counts = {name: int(count) for name, count, _ in lines}
    assert sum(counts.values()) == 8
    assert counts["0 – 0.7"] == 5, "four with nothing and one too late"
    assert counts["3.5 – 4.2"] == 0
    assert counts["4.9 – 5.6"] == 1


def test_the_success_of_each_question_and_its_most_frequent_hint(page):
    first, second = section(page, "Questions")
    assert first[:2] == ["square-test", "2 of 8"]
    assert first[3] == "these are no squares"
    assert second[:2] == ["total-test", "4 of 8"]
    assert "the sum of the file is 6" in second[3]


def test_who_got_all_parts_has_solved_the_question(assignment):
    added_up = 0.0
    for _ in range(20):
        added_up += 0.1
    note = {"cells": {"square-test": {"points": added_up, "hint": "", "said": ""}}}
    assert added_up != 2
    assert report._questions(assignment, {"ada": note})[0][:3] == ("square-test", 1, 1)


def test_summary_slowest_late_and_lost(page):
    assert "8 of 10 graded; mean 1.4 of 7 points; 7 wait for points by hand." in page
    assert section(page, "Slowest") == [
        [name, "0.5"] for name in ["+a", "-b", "=cmd", "@x", "alice"]
    ]
    assert section(page, "Late") == [["late", "12.0", "5"]]
    lost = dict(section(page, "Not graded"))
    assert set(lost) == {"broken", "stopped"}
    assert "no notebook" in lost["broken"]
    assert "Leaderboard" not in page


class Elements(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found, self.meters, self.handlers = set(), [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.add(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        if tag == "meter":
            self.meters.append(dict(attributes))


def hostile_page(assignment):
    """A page whose every word comes from somebody who wants it to run."""
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    row = {"student": evil, "state": "graded", "score": 1, "max_score": 7, "late_hours": 1.0}
    row |= {"late_penalty": 1, "needs_manual": True, "reason": ""}
    lost = row | {"state": "not graded", "reason": evil}
    said = f"{evil}\nleaderboard: rmse=1"
    cell = {"points": 0, "hint": evil, "said": said, "seconds": 1.0}
    notes = {evil: {"cells": {"square-test": cell}}}
    return report.page(assignment, [row, lost], notes, names=True)


def test_the_page_has_no_script_and_says_what_it_is(assignment, page):
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert "<title>tiny: the class</title>" in page
    for text in (page, hostile_page(assignment)):
        elements = Elements(text)
        assert not elements.found & {"script", "img", "iframe", "a", "link", "form"}
        assert elements.handlers == []
        assert elements.meters
        for meter in elements.meters:
            assert meter["aria-label"]
            assert 0 <= float(meter["value"]) <= float(meter["max"])
    assert hostile_page(assignment).count("&lt;script&gt;") == 6


def test_the_leaderboard_is_sorted_and_names_each_student_once(assignment):
    def said(*lines):
        cell = {"points": 1, "hint": "", "said": "\n".join(lines), "seconds": 0.0}
        return {"cells": {"square-test": cell}}

    notes = {
        "slow": said("leaderboard: rmse=10.5 in 3 s"),
        "best": said("some words", "leaderboard: rmse=0.25", "leaderboard: rmse=0.5"),
        "tie": said("leaderboard: rmse=0.25"),
        "never": said("leaderboard: rmse=nan", "leaderboard: rmse=inf", "leaderboard: rmse="),
        "words": said("leaderboard: rmse=none"),
        "else": said("my leaderboard: rmse=0"),
        "lost": {"not_graded": "why"},
    }
    table = section(report.page(assignment, [], notes, names=True), "Leaderboard")
    places = [["1", "best", "0.2500"], ["2", "tie", "0.2500"], ["3", "slow", "10.5000"]]
    assert table == places
    nameless = section(report.page(assignment, [], notes), "Leaderboard")
    assert nameless == [[place, error] for place, _, error in places]


def test_the_page_names_nobody_unless_told_to(course, assignment, page):
    report.write(course, assignment)
    shown = (course.root / "reports" / tiny.NAME / "class.html").read_text(encoding="utf-8")
    report.write(course, assignment, names=True)
    for name in ("alice", "late", "broken", "stopped", "=cmd"):
        assert name in page
        assert f">{name}<" not in shown
    assert dict(map(reversed, section(shown, "Not graded"))) == {
        "it is no notebook (not JSON with cells)": "1",
        "grading has not reached it yet": "1",
    }
    assert "1 handed in late" in shown


def test_a_class_of_nobody_has_a_page(assignment):
    text = report.page(assignment, [], {})
    assert "0 of 0 graded" in text
    assert section(text, "Questions")[0][:2] == ["square-test", "0 of 0"]
