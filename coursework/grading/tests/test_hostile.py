"""The hostile corpus: everyone gets what they deserve, and their neighbours what they deserve."""

import json
import os
import re
import socket
import sqlite3
import subprocess
import time

import nbformat
import psutil
import pytest
import tiny
from corpus import CODE, FILES, SHAPES
from grading import report
from grading.assignment import Assignment
from grading.feedback import feedback
from grading.release import release
from grading.run import grade
from nbgrader.api import Gradebook

# Wide enough for the honest on a busy machine, short enough to wait for the others.
LIMITS = {"cell_seconds": 4, "seconds": 40, "megabytes": 1200}


def student(kind):
    return "".join(c if c.isalnum() else "-" for c in kind)


def hand_in(course, who, content):
    folder = course.submitted(who, tiny.NAME)
    folder.mkdir(parents=True)
    path = folder / f"{tiny.NAME}.ipynb"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def graded(course):
    """The whole corpus, graded in one run, with an honest neighbour after each ten."""
    door = socket.create_server(("127.0.0.1", 0))  # open on this machine, closed to the sandbox
    everyone = {kind: tiny.answer(square=code) for kind, (code, *_) in CODE.items()}
    everyone |= {kind: make() for kind, (make, *_) in SHAPES.items()}
    everyone |= {kind: content for kind, (content, _) in FILES.items()}
    for number, (kind, content) in enumerate(everyone.items()):
        if not isinstance(content, bytes):
            text = json.dumps(content).replace("COURSE", f"'{course.root}'")
            content = json.loads(text.replace("PORT", str(door.getsockname()[1])))
        hand_in(course, student(kind), content)
        if number % 10 == 0:
            hand_in(course, f"honest-{number}", tiny.answer())
    secret = course.root.parent / "target.ipynb"
    secret.write_text(json.dumps(tiny.answer()))
    link = course.submitted("a-link", tiny.NAME)
    link.mkdir(parents=True)
    (link / f"{tiny.NAME}.ipynb").symlink_to(secret)
    os.environ["SECRET"] = "of the grader"
    grade(course, tiny.NAME, limits=LIMITS, show=False, workers=4)  # many only wait
    assignment = Assignment.load(course.root, tiny.NAME)
    graded = [row["student"] for row in report.rows(course, assignment) if row["score"] != ""]
    done = feedback(course, assignment, release(course, tiny.NAME), graded, show=False)
    assert done == (len(graded), {}), "each who is graded has a page"
    assert not left_over(), "processes are left"
    door.close()
    return course


def left_over():
    """Processes of these notebooks, or sandboxes of this grader, that have not ended in a while.

    Others' sandboxes do not count: another test may be grading at the same time.
    """
    for _ in range(50):
        own = {str(child.pid) for child in psutil.Process().children(recursive=True)}
        done = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
        lines = [line.split(None, 1) for line in done.stdout.splitlines()]
        boxes = [pid for pid, words in lines if pid in own and "/worker.py" in words]
        found = boxes + [pid for pid, words in lines if "86399" in words]
        if not found:
            break
        time.sleep(0.1)
    return found


def note(course, kind):
    return json.loads(course.note(student(kind), tiny.NAME).read_text())


@pytest.mark.parametrize("kind", CODE)
def test_code(graded, kind):
    _, first, second, hint = CODE[kind]
    cells = note(graded, kind)["cells"]
    assert cells["square-test"]["points"] == first, cells
    assert hint in cells["square-test"]["hint"]
    if second is not None:
        assert cells["total-test"]["points"] == second, cells


@pytest.mark.parametrize("kind", SHAPES)
def test_shape(graded, kind):
    _, first, second = SHAPES[kind]
    cells = note(graded, kind)["cells"]
    assert [cells[name]["points"] for name in ("square-test", "total-test")] == [first, second]


@pytest.mark.parametrize("kind", FILES)
def test_file(graded, kind):
    assert FILES[kind][1] in note(graded, kind)["not_graded"]


def test_a_link_is_not_followed(graded):
    assert "no ordinary file" in note(graded, "a-link")["not_graded"]


def test_honest_neighbours_get_their_points_and_the_gradebook_is_whole(graded):
    assert len(CODE) + len(SHAPES) + len(FILES) >= 90
    base = sqlite3.connect(graded.root / "gradebook.db")
    assert base.execute("pragma integrity_check").fetchone() == ("ok",)
    with Gradebook(graded.db_url) as gradebook:
        found = {s.student.id: s for s in gradebook.assignment_submissions(tiny.NAME)}
        honest = [s for name, s in found.items() if name.startswith("honest")]
        assert len(honest) == (len(CODE) + len(SHAPES) + len(FILES) + 9) // 10
        assert {s.score for s in honest} == {5}
        assert all(s.max_score == 7 and s.needs_manual_grade for s in found.values())
        assert max(s.score for s in found.values()) == 5


def test_no_script_reaches_a_page(graded):
    pages = list(graded.root.glob("feedback/*/*/*.html"))
    assert len(pages) > 60
    for path in pages:
        text = path.read_text()
        assert "<script>alert(1)" not in text
        assert "<img src=x" not in text
        assert "javascript:alert" not in text


def test_hidden_tests_stay_hidden_in_the_feedback(graded):
    for path in graded.root.glob("feedback/*/*/*.html"):
        text = re.sub(r"<[^>]+>", "", path.read_text())
        assert "one square for each number" in text  # the public part
        assert "others = square" not in text
        assert "HIDDEN" not in text


def test_outputs_are_text_and_pictures(graded):
    for path in graded.root.glob("autograded/*/*/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert set(output.get("data", {})) <= {"image/png"}


def test_the_class_page_names_who_was_not_graded(graded):
    assignment = Assignment.load(graded.root, tiny.NAME)
    table = report.write(graded, assignment, names=True)
    lost = {row["student"]: row["reason"] for row in table if row["state"] == "not graded"}
    assert set(lost) == {student(kind) for kind in FILES} | {"a-link"}
    page = (graded.root / "reports" / tiny.NAME / "class.html").read_text()
    assert all(name in page for name in lost)
    assert "<script" not in page
