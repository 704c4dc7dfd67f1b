"""The pages that students get: made when there is news, alone, and loading nothing."""

import base64
import os
import re
import shutil
import time
from html.parser import HTMLParser

import nbformat
import pytest
import tiny
from grading import feedback as making
from grading.assignment import Assignment
from grading.course import Course
from grading.feedback import feedback
from grading.pages import markdown
from grading.release import release
from grading.terminal import last_state
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook
from unboxed import course_at, grade, hand_in

PNG = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
).decode()
HELD_UP = {
    "a megabyte of words": "word " * 200_000,
    "formulas without end": "\\(" * 20_000,
    "brackets": "[" * 50_000,
    "emphasis": "*a " * 50_000,
    "quotes in quotes": ">" * 20_000,
    "half a dollar": "$" * 50_001,
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class of whom some write what holds renderers up."""
    course = course_at(tmp_path_factory.mktemp("feedback"))
    release(course, tiny.NAME)
    answers = {"ada": tiny.answer(), "bob": tiny.answer(square="def square(x):\n    return 0 * x")}
    answers |= {f"up-{k}": tiny.answer(why=words) for k, words in enumerate(HELD_UP.values())}
    answers["pia"] = tiny.answer(why="![a](attachment:a.png) and ![b](attachment:none.png)")
    answers["pia"].cells[-1]["attachments"] = {"a.png": {"image/png": PNG}}
    answers["mia"] = tiny.answer(why="$$\\frac{1}{2}$$ and $x_1$, \\href{javascript:alert(1)}{x}")
    answers["mia"].cells += [
        new_markdown_cell("More of it: <img src=x onerror=alert(1)> ![](http://example.org/x.png)"),
        new_code_cell("print('mine')"),
    ]
    for student, notebook in answers.items():
        hand_in(course, student, notebook)
    with pytest.MonkeyPatch.context() as patch:
        assert grade(course, patch)["graded"] == len(answers)
    (course.root / "grading.toml").write_text("[limits]\ncheck_seconds = 6\n")
    return course.root, sorted(answers)


@pytest.fixture
def course(graded, tmp_path):
    shutil.copytree(graded[0], tmp_path, dirs_exist_ok=True)
    return Course(tmp_path)


class Loads(HTMLParser):
    """What a page would load or run."""

    def __init__(self):
        super().__init__()
        self.found, self.links = [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag in ("script", "iframe", "link", "object", "embed", "form", "base", "svg", "style"):
            self.found += [tag] if tag != "style" or attributes else []
        self.found += [name for name in values if name.startswith("on")]
        if not (values.get("src") or "data:image/").startswith("data:image/"):
            self.found.append(values["src"])
        self.links += [values["href"]] if "href" in values else []
        if not values.get("href", "#").startswith(("#", "http://", "https://")):
            self.found.append(values["href"])


def never(*_):
    while True:
        pass


def make(course, *students):
    assignment = Assignment.load(course.root, tiny.NAME)
    return feedback(course, assignment, release(course, tiny.NAME), students, show=False)


def page(course, student):
    return (course.feedback(student, tiny.NAME) / f"{tiny.NAME}.html").read_text(encoding="utf-8")


def words(text):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))


def test_a_page_says_what_was_earned_and_why(course):
    assert make(course, "ada", "bob") == (2, {})
    ada, bob = words(page(course, "ada")), words(page(course, "bob"))
    assert "5 of 7 points." in ada
    assert "still to be read by a person" in ada
    assert "3 of 7 points." in bob
    assert "these are no squares" in bob
    assert "square-test: 0 of 2 points" in bob
    assert "not read yet, of 2 points" in bob
    for text in (ada, bob):
        assert "negative numbers have squares" not in text, "a hidden test"
        assert "one square for each number" in text, "a test that students see"


def test_only_news_is_written(course, monkeypatch):
    make(course, "ada", "bob")
    assert make(course, "ada", "bob") == (0, {})
    with Gradebook(course.db_url) as gradebook:
        gradebook.find_grade("why", tiny.NAME, tiny.NAME, "ada").manual_score = 1.5
        comment = gradebook.find_comment("why", tiny.NAME, tiny.NAME, "ada")
        comment.manual_comment = "well <b>said</b>"
        code = gradebook.find_comment("square", tiny.NAME, tiny.NAME, "ada")
        code.manual_comment = "a neat square"
        gradebook.db.commit()
    assert make(course, "ada", "bob") == (1, {})
    assert "6.5 of 7 points." in words(page(course, "ada"))
    assert "well &lt;b&gt;said" in page(course, "ada")
    assert page(course, "ada").count("a neat square") == 1
    assert "No response" not in page(course, "bob")
    os.remove(course.feedback("bob", tiny.NAME) / f"{tiny.NAME}.html")
    assert make(course, "ada", "bob") == (1, {})


@pytest.mark.parametrize("kind", range(len(HELD_UP)), ids=list(HELD_UP))
def test_words_that_hold_a_renderer_up_are_shown_plainly(course, kind):
    assert make(course, f"up-{kind}") == (1, {})
    written = list(HELD_UP.values())[kind]
    assert len(words(page(course, f"up-{kind}"))) > min(len(written) / 2, 10_000)


def test_a_page_that_takes_too_long_is_made_without_markdown(course, monkeypatch):
    (course.root / "grading.toml").write_text("[limits]\ncheck_seconds = 1\n")
    monkeypatch.setattr(making, "page", never)
    assert make(course, "mia") == (1, {})
    assert '<pre class="words">$$\\frac{1}{2}$$' in page(course, "mia")
    monkeypatch.setattr(making, "plain_page", never)
    (written, failed), text = make(course, "ada"), "it took longer than 1 s"
    assert (written, text in failed["ada"]) == (0, True)


def test_one_page_that_cannot_be_made_is_named_and_the_others_are_made(course):
    (course.graded("bob", tiny.NAME) / f"{tiny.NAME}.ipynb").write_text("no notebook")
    written, failed = make(course, "ada", "bob", "pia")
    assert written == 2
    assert list(failed) == ["bob"]
    assert "no page could be made" in failed["bob"]
    assert make(course, "ada", "bob", "pia")[1] == failed, "it is tried again"


def test_pictures_stand_in_the_page_and_formulas_need_no_script(course):
    make(course, "pia", "mia")
    assert f"data:image/png;base64,{PNG}" in page(course, "pia")
    mia = page(course, "mia")
    assert "<mfrac>" in mia
    assert "More of it" in mia
    assert "a cell that you added" in mia
    assert "mine" in mia


def test_a_page_loads_nothing_and_runs_nothing(graded, course):
    make(course, *graded[1])
    for student in graded[1]:
        text = page(course, student)
        assert "default-src 'none'" in text
        seen = Loads()
        seen.feed(text)
        assert seen.links, "each question is linked"
        assert seen.found == []


def test_tags_of_students_are_words_and_those_of_instructors_are_tags():
    assert "<b>" in markdown("<b>now</b>", own=True)
    assert "<b>" not in markdown("<b>now</b>")
    assert "javascript:" not in markdown("[a](javascript:alert(1))")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a\rb", "b"),
        ("abc\rd", "dbc"),
        ("a\r\nb\n", "a\nb\n"),
        ("10%\r20%\r100%\ndone", "100%\ndone"),
        ("one\ntwo\x1b[A\rONE\n", "ONE\ntwo"),
        ("long line\r\x1b[Kx", "x"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("ab\x08c", "ac"),
        ("a\nb\x1b[1A\r\x1b[Jc", "c"),
        ("\x1b[99999999999A!", "!"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]0;title\x1b\\x", "x"),
        ("\x1b]x\x1b]0;title\x07y", "xy"),
        ("x\x1b", "x"),
    ],
)
def test_a_terminal_shows_the_last_state(written, shown):
    assert last_state(written) == shown


def test_titles_that_never_end_are_read_in_a_moment():
    begin = time.process_time()
    assert last_state("\x1b]" * 60_000) == ""
    assert time.process_time() - begin < 5


def test_a_progress_bar_of_an_hour_is_one_line(course, monkeypatch):
    bar = "import sys\nfor k in range(3000): sys.stdout.write(f'\\r{k}/3000 |' + '#' * (k % 40))"
    hand_in(course, "tim", tiny.answer(square=f"{bar}\n{tiny.SQUARE}"))
    record = making.pages._output(nbformat.v4.new_output("stream", text="a\rb"))
    assert record == {"text": "ab"}
    with monkeypatch.context() as patch:
        grade(course, patch)
    make(course, "tim")
    assert len(page(course, "tim")) < 40_000
