"""Every quiz has five questions, one right answer each, and a reason for all of them."""

from html.parser import HTMLParser

import pytest

from regression_lib import quiz
from regression_lib.course.quiz import FOLDER, N_QUESTIONS

NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
VOID = {"br", "hr", "img", "input"}


class Balance(HTMLParser):
    """Raises where a tag is closed that is not the last one opened."""

    def __init__(self, html):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", NAMES)
def test_each_question_has_one_right_answer_and_all_reasons(name):
    questions = quiz(name).questions
    assert len(questions) == N_QUESTIONS
    for question in questions:
        answers = question["answer"]
        assert 3 <= len(answers) <= 5
        assert sum(answer.get("right", False) for answer in answers) == 1
        assert all(len(answer["why"]) > 20 for answer in answers), question["ask"]
        assert len({answer["say"] for answer in answers}) == len(answers)


@pytest.mark.parametrize("name", NAMES)
def test_the_right_answer_has_no_fixed_place(name):
    places = [
        [answer.get("right", False) for answer in question["answer"]].index(True)
        for question in quiz(name).questions
    ]
    assert len(set(places)) > 1


@pytest.mark.parametrize("name", NAMES)
def test_the_form_is_sound_and_the_same_on_every_run(name):
    html = quiz(name)._repr_html_()
    tags = Balance(html).seen
    assert html == quiz(name)._repr_html_()
    assert sum(tag == "fieldset" for tag, _ in tags) == N_QUESTIONS
    groups = {attributes["name"] for tag, attributes in tags if tag == "details"}
    assert len(groups) == N_QUESTIONS, "the answers to a question share a name"
    assert "<script" not in html


@pytest.mark.parametrize("name", NAMES)
def test_paper_and_terminal_show_the_questions_and_hide_the_answers(name):
    text = repr(quiz(name))
    assert text.count("\n   a) ") == N_QUESTIONS
    assert "Right" not in text


def test_text_is_escaped():
    from regression_lib.course.quiz import Quiz

    answer = {"say": "`x < 1` & <b>", "why": "<i>", "right": True}
    html = Quiz("x", [{"ask": "<script>?", "answer": [answer]}])._repr_html_()
    assert "<code>x &lt; 1</code> &amp; &lt;b&gt;" in html
    assert "<script>?" not in html


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no quiz named 'nine'; there are 01_tensors"):
        quiz("nine")
    with pytest.raises(ValueError, match="no quiz named"):
        quiz("../quizzes/01_tensors")  # a name, not a path
