"""The contract: how a graded cell is taken apart, what may come back, what a check says of it."""

import base64
import json
import math
from html.parser import HTMLParser

import numpy as np
import pytest
import tiny
from grading.assignment import Assignment
from grading.contract import LIMIT_OF_ANSWERS, from_plain, lint, split
from grading.judge import BadCheck, judge
from grading.record import graded_notebook
from grading.session import plain
from grading.submission import Submission, without_markup
from nbconvert.filters import markdown2html


def array(body=b"", dtype="<f8", shape=(0,)):
    return {"array": base64.b64encode(body).decode(), "dtype": dtype, "shape": list(shape)}


# --- the cell ---------------------------------------------------------------------------------


def test_split_gives_three_parts():
    parts = split("a = 1\n  # --- answers  \nb = 2\n# --- check\nassert b")
    assert (parts.setup, parts.answers, parts.check) == ("a = 1", "b = 2", "assert b")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "# --- answers\na = 1",
        "a = 1\n# --- check",
        "# --- check\n# --- answers",
        "# --- answers\n# --- answers\n# --- check",
        "# --- answers\n# --- check\n# --- check",
        "# --- answers # --- check",
        "x = '# --- answers'\n# --- check",
    ],
)
def test_split_refuses_wrong_markers(source):
    with pytest.raises(ValueError, match="needs one line"):
        split(source)


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        ("a = 1\nb, (c, *d) = 1, (2, 3)\na = 4", ["a", "b", "c", "d"]),
        ("a: int = 1\na += 1", ["a"]),
        ("with open('x') as f:\n    if f:\n        a = 1", ["f", "a"]),
        ("for k in range(3):\n    a = k", ["k", "a"]),
        ("a = [k for k in range(3) for _ in range(k)]\nb = {k: k for k in a}", ["a", "b"]),
        ("a = list(k for k in range(3))\nb = {k for k in a}\nc = lambda k: k", ["a", "b", "c"]),
        ("def f():\n    inner = 1\nclass C:\n    inner = 2\na = f()", ["a"]),
        ("async def f():\n    inner = 1", []),
        ("a.b = 1\nc[0] = 2", []),
    ],
)
def test_names_are_what_the_top_level_assigns(answers, names):
    assert split(f"# --- answers\n{answers}\n# --- check").names == names


def test_lint_names_each_mistake():
    def wrong(**changes):
        notebook = tiny.source()
        test = tiny.cell(notebook, "square-test")
        test.source = changes.get("source", test.source)
        test.metadata.nbgrader.update(changes.get("about", {}))
        return lint(notebook)

    assert wrong() == []
    assert "needs one line" in wrong(source="assert True")[0]
    assert "assign nothing" in wrong(source="# --- answers\n# --- check\npass")[0]
    assert "invalid syntax" in wrong(source="# --- answers\na = 1\n# --- check\na b")[0]
    assert "invalid syntax" in wrong(source="# --- answers\na b\n# --- check")[0]
    assert "no points" in wrong(about={"points": 0})[0]
    assert "tasks are not graded here" in wrong(about={"task": True})[0]
    assert wrong(about={"grade_id": "total-test"}) == [
        "total-test: there are two cells of this name"
    ]


# --- what comes back --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -2.5,
        "text",
        [1, [2, ["three"]]],
        {"a": {"b": 1}},
        np.arange(6.0).reshape(2, 3),
        np.array([True, False]),
        np.zeros((0, 3), np.int32),
        np.float32(1.5),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
    ],
)
def test_plain_there_and_back(value):
    back = from_plain(json.loads(json.dumps(plain(value))))
    if isinstance(value, (np.ndarray, np.generic)):
        assert back.dtype == value.dtype
        assert np.array_equal(back, value)
        assert np.shape(back) == np.shape(value)
    else:
        assert back == value
        assert type(back) is type(value)


def test_not_a_number_stays_one():
    assert math.isnan(from_plain(json.loads(json.dumps(plain(math.nan)))))
    assert np.isnan(from_plain(plain(np.array([np.nan])))).all()


def nested(depth, key="list"):
    value = 1
    for _ in range(depth):
        value = {key: [value]}
    return value


HOSTILE = {
    "no form": [1],
    "an unknown form": {"set": []},
    "keys that are no text": {1: 2},
    "a list that is none": {"list": 3},
    "a dict of threes": {"dict": [[1, 2, 3]]},
    "a dict with a key that is a list": {"dict": [[[], 1]]},
    "nested deeper than any answer": nested(9),
    "nested a hundred thousand deep": nested(10**5),
    "no base64": array() | {"array": "###"},
    "base64 beyond ASCII": array() | {"array": "é"},
    "a negative size": array(shape=(-1, -8)),
    "a size that is a float": array(bytes(8), shape=(1.0,)),
    "a size that is true": array(bytes(8), shape=(True,)),
    "a huge size": array(bytes(8), shape=(10**18,)),
    "a huge size of nothing": array(shape=(0, 2**63)),
    "a size beyond all integers": array(shape=(0, 10**4000)),
    "many dimensions": array(bytes(8), shape=(1,) * 9),
    "too few bytes": array(bytes(7), shape=(1,)),
    "too many bytes": array(bytes(9), shape=(1,)),
    "objects": array(bytes(8), "O", (1,)),
    "objects in a struct": array(bytes(16), "f8,O", (1,)),
    "text": array(bytes(8), "<U2", (1,)),
    "dates": array(bytes(8), "<M8[s]", (1,)),
    "a dtype that is none": array(bytes(8), "f9", (1,)),
    "a dtype that is no syntax": array(bytes(8), "(1,", (1,)),
    "a dtype of a megabyte": array(bytes(8), "f8," * 10**5, (1,)),
    "four megabytes and more": array(
        bytes(LIMIT_OF_ANSWERS + 8), shape=(LIMIT_OF_ANSWERS // 8 + 1,)
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_values_are_refused(kind):
    words = "base64|ASCII" if "base64" in kind else "an answer"  # before NumPy sees it
    with pytest.raises(ValueError, match=words):
        from_plain(HOSTILE[kind])


# --- what is made of it, without a sandbox ----------------------------------------------------


@pytest.fixture(scope="module")
def assignment(tmp_path_factory):
    root = tmp_path_factory.mktemp("contract")
    tiny.write_source(root)
    return Assignment.load(root, tiny.NAME)


@pytest.fixture(autouse=True)
def _there(assignment, monkeypatch):
    monkeypatch.chdir(assignment.folder)  # a locked cell reads data.csv


SOLVED = {"squares": [0.0, 1.0, 4.0, 9.0], "others": [49.0, 36.0, 25.0, 16.0]}
SOLVED = {name: plain(np.array(value)) for name, value in SOLVED.items()}
RECORD = {"id": "square-test", "seconds": 0.5, "answers": SOLVED}


def verdict(assignment, **changes):
    result = {"records": [RECORD | changes], "ended": None}
    return judge(assignment, result)["square-test"]


def test_a_right_answer_earns_the_points(assignment):
    assert verdict(assignment).points == 2
    assert verdict(assignment, answers=None).hint == "its answers are no plain data"


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_answer_gets_a_reason(assignment, kind):
    given = verdict(assignment, answers=SOLVED | {"squares": HOSTILE[kind]})
    assert (given.points, given.hint) == (0, "its answers are no plain data")


@pytest.mark.parametrize("error", [3, [], {"name": 1}, {"name": "E"}, {"name": [], "message": {}}])
def test_an_error_of_any_form_costs_the_points(assignment, error):
    assert verdict(assignment, error=error).hint == "the cell ended with an error"


def test_an_error_deep_as_json_goes_is_no_trouble(assignment):
    error = {"name": "E", "message": "m", "lines": [nested(900)]}
    assert verdict(assignment, error=error).hint == "E: m"
    assert verdict(assignment, error={"name": nested(900)}).points == 0


@pytest.mark.parametrize("seconds", [None, "1", True, -1, math.nan, math.inf, 10**400, [1]])
def test_seconds_that_are_none_are_not_believed(assignment, seconds):
    assert verdict(assignment, seconds=seconds).seconds == 0.0


def test_a_hint_is_bounded(assignment):
    source = "# --- answers\nsquares = 1\n# --- check\nprint(squares)\nassert False, squares"
    long = "x" * 10**6
    mine = Assignment("tiny", assignment.folder, tiny.source(), {})
    tiny.cell(mine.notebook, "square-test").source = source
    given = verdict(mine, answers={"squares": long})
    assert len(given.hint) == len(given.said) == 4000


@pytest.mark.parametrize("broken", ["start", "square-test"])
def test_a_mistake_of_the_instructor_is_no_mistake_of_the_students(assignment, broken):
    mine = Assignment("tiny", assignment.folder, tiny.source(), {})
    cell = tiny.cell(mine.notebook, broken)
    cell.source = "undefined\n" + cell.source
    with pytest.raises(BadCheck, match=f"{broken} does not run by itself: NameError"):
        verdict(mine)


def forged(**record):
    return {"records": [{"id": "square", "seconds": 0} | record, {}, {"id": 3}], "ended": None}


@pytest.mark.parametrize(
    "record",
    [
        {"pictures": 5},
        {"pictures": [None, "x", 3, {}, base64.b64encode(b"<svg onload=alert(1)>").decode()]},
        {"text": ["<b>"]},
        {"error": {"name": nested(900), "message": 2}},
        {"error": "text"},
    ],
)
def test_a_forged_record_leaves_no_output(assignment, record):
    submission = Submission(code={"square": "1"})
    notebook = graded_notebook(assignment, tiny.source(), submission, forged(**record), {})
    assert tiny.cell(notebook, "square").outputs == []


def test_much_text_and_many_pictures_are_cut(assignment):
    picture = base64.b64encode(b"\x89PNG\r\n").decode()
    result = forged(text="x" * 10**7, pictures=[picture] * 1000)
    notebook = graded_notebook(assignment, tiny.source(), Submission(), result, {})
    text, *pictures = tiny.cell(notebook, "square").outputs
    assert len(text.text) <= 1 << 17
    assert len(pictures) == 8


def test_the_digest_changes_with_names_and_contents_of_files(assignment):
    def digest(files):
        return Assignment("tiny", assignment.folder, assignment.notebook, files).digest

    files = [{"a": b"12"}, {"b": b"12"}, {"a": b"1", "b": b"2"}, {"a": b"12", "b": b""}, {}]
    assert len({digest(f) for f in files}) == len(files)
    assert digest({"a": b"12"}) == digest({"a": b"12"})


# --- what a student writes --------------------------------------------------------------------

SCRIPTS = [
    "<script>alert(1)</script>",
    "<div onmouseover=alert(1) ",
    "<div\n<img src=x onerror=alert(1)//",
    "</div><img src=x onerror=alert(1)>",
    "<!-- --><svg onload=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java&#115;cript:alert(1))",
    "[a](javascript&colon;alert(1))",
    "[a](javascript\\:alert(1))",
    "[a](<javascript:alert(1)>)",
    "[a](vbscript:alert(1))",
    "[a](data:text/html,alert)",
    "[r]\n\n[r]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "![a](javascript:alert(1))",
]


class Runs(HTMLParser):
    """Whether a page has an element, a handler or a link that runs something."""

    found = False

    def handle_starttag(self, tag, attributes):
        links = [value or "" for name, value in attributes if name in ("href", "src")]
        schemes = {link.strip().partition(":")[0].lower() for link in links if ":" in link}
        handlers = [name for name, _ in attributes if name.startswith("on")]
        if tag == "script" or handlers or schemes & {"javascript", "vbscript", "data"}:
            self.found = True


def runs(text):
    parser = Runs()
    parser.feed(markdown2html(text) + "</div>")
    return parser.found


@pytest.mark.parametrize("text", SCRIPTS)
def test_no_script_is_left_in_an_answer(text):
    assert runs(text)
    assert not runs(without_markup(text))


@pytest.mark.parametrize(
    "text",
    [
        "If a < b and c > d, then $x < 1 \\leq y$.",
        "R&D costs 5 < 6; [a page](https://example.org/?a=1&b=2) says so.",
        "`f(x) -> y`, *emphasis*, **bold**\n\n- one\n- two\n\n> quoted",
    ],
)
def test_honest_text_is_left_as_it_is(text):
    assert without_markup(text) == text


def test_nothing_that_was_written_is_lost():
    text = "if a<b and c>d: the data: <table>, x&lt;y"
    assert without_markup(text).replace(" ", "") == text.replace(" ", "")
