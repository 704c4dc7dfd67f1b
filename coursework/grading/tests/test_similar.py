"""Code in common is found under other names and words, and only what students wrote counts."""

import nbformat
import pytest
import tiny
from grading.course import Course
from grading.similar import MODEL, MOST_CODE, compare, fingerprint, write
from nbformat.v4 import new_code_cell
from unboxed import course_at, hand_in

LONG = """\
def square(x):
    total = np.zeros(len(x))
    for k in range(len(x)):
        value = x[k]
        total[k] = value * value
        if total[k] < 0:
            raise ValueError("never")
    return total"""
RENAMED = """\
def square(x):
    # my very own idea
    out = np.zeros(len(x))
    for row in range(len(x)):

        item = x[row]  # look at one
        out[row] = item * item
        if out[row] < 1:
            raise ValueError('cannot be')
    return out"""
OTHER = """\
def square(x):
    powers = [np.power(abs(value), 2.0) for value in np.asarray(x).tolist()]
    while powers and powers[-1] is None:
        powers.pop()
    return np.stack([np.float64(power) for power in powers]).reshape(np.shape(x))"""


def test_names_comments_and_spaces_make_no_difference():
    assert fingerprint([LONG]).runs.keys() == fingerprint([RENAMED]).runs.keys()
    assert not fingerprint([LONG]).runs.keys() & fingerprint([OTHER]).runs.keys()


def test_names_of_libraries_make_a_difference():
    one, two = (fingerprint([LONG.replace("zeros", name)]) for name in ("zeros", "ones"))
    assert one.runs.keys() != two.runs.keys()


def test_lines_of_a_run_are_those_of_the_whole_text():
    code = fingerprint(["# first\nx = 1", LONG])
    assert code.lines[2] == "def square(x):"
    assert set().union(*code.runs.values()) == set(range(1, 10))


def test_a_pair_is_found_and_what_all_share_counts_little():
    common = "\n".join(f"y{k} = f{k}(a, {k})[{k}].mean(axis={k})" for k in range(9))
    codes = {f"s{k}": fingerprint([f"{common}\nz = {'+'.join('abcd'[: k + 1])}"]) for k in range(9)}
    codes["ada"], codes["bob"] = fingerprint([common, LONG]), fingerprint([common, RENAMED])
    pairs = compare(codes, set())
    assert {pairs[0][1], pairs[0][2]} == {"ada", "bob"}
    assert pairs[0][0] > 0.9
    own = compare(codes, fingerprint([common]).runs.keys())
    assert [(one, two) for _, one, two in own] == [("ada", "bob")]


@pytest.mark.parametrize("code", ["", "x = (", "def f(:\n  1", "é = 'x", "\t x\n y", "\x00"])
def test_what_is_no_python_is_no_trouble(code):
    assert compare({"a": fingerprint([code]), "b": fingerprint([LONG])}, set()) == []


def test_the_page_shows_both_sides_and_accuses_nobody(tmp_path):
    course = course_at(tmp_path)
    hand_in(course, "ada", tiny.answer(square=LONG))
    notebook = tiny.answer(square="raise NotImplementedError")
    notebook.cells.insert(3, new_code_cell(RENAMED.replace("never", "<script>")))
    hand_in(course, "bob", notebook)
    hand_in(course, "eve", tiny.answer(square=OTHER))
    hand_in(course, "dan", "no notebook")
    path = write(Course(course.root), tiny.NAME)
    assert path == course.reports(tiny.NAME) / "similar.html"
    text = path.read_text()
    assert "100 % in common: ada and bob" in text
    assert text.count("<summary>") == 1
    assert "3 notebooks were compared" in text
    assert "dan: it is no notebook" in text
    assert "<mark>    out = np.zeros(len(x))\n</mark>" in text
    assert "accuses nobody" in text
    assert "<script" not in text


def test_the_model_solution_takes_part(tmp_path):
    course = course_at(tmp_path)
    source = tiny.source()
    tiny.cell(source, "square").source = tiny.solution(LONG)
    nbformat.write(source, course.root / "source" / tiny.NAME / f"{tiny.NAME}.ipynb")
    hand_in(course, "ada", tiny.answer(square=RENAMED))
    text = write(Course(course.root), tiny.NAME).read_text()
    assert f"in common: {MODEL} and ada" in text


def test_what_would_fill_the_memory_is_left_out_and_named(course):
    hand_in(course, "eve", tiny.answer(square=tiny.SQUARE + "\n" + "a+" * (MOST_CODE // 2) + "a"))
    page = write(course, tiny.NAME).read_text()
    assert "eve" in page
    assert "characters of code; 200,000 are compared" in page
