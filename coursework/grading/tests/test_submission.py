"""What a student's notebook is taken for: nothing that they wrote is lost, nothing else counts."""

import base64
import contextlib
import copy
import json
from dataclasses import replace

import nbformat
import pytest
import tiny
from grading.assignment import Assignment
from grading.submission import ELSEWHERE, NotGraded, read
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output, new_raw_cell

STUB = "YOUR ANSWER HERE"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n picture").decode()


@pytest.fixture(scope="module")
def assignment(tmp_path_factory):
    root = tmp_path_factory.mktemp("submission")
    tiny.write_source(root)
    return Assignment.load(root, tiny.NAME)


@pytest.fixture
def taken(assignment, tmp_path):
    """Reads a notebook, given as one or as JSON."""
    released = {tiny.name(c): c.source for c in assignment.notebook.cells if tiny.name(c)}
    released["why"] = STUB

    def take(notebook):
        path = tmp_path / "handed_in.ipynb"
        path.write_text(json.dumps(notebook))
        return read(path, assignment, released)

    return take


def place(notebook, name):
    return next(k for k, cell in enumerate(notebook.cells) if tiny.name(cell) == name)


def halves(notebook, name, first, second, between=()):
    """A cell split in two by JupyterLab: both halves carry its id, and its metadata."""
    k = place(notebook, name)
    cells = [copy.deepcopy(notebook.cells[k]) for _ in range(2)]
    cells[0].source, cells[1].source, cells[1].id = first, second, "another"
    notebook.cells[k : k + 1] = [cells[0], *between, cells[1]]
    return notebook


def below(notebook, name, *cells):
    k = place(notebook, name) + 1
    notebook.cells[k:k] = cells
    return notebook


def code_of(submission, name):
    """All code of a question, in the order in which it runs."""
    return [submission.code[name], *(c.source for c in submission.added.get(name, []) if c.is_code)]


class TestCode:
    def test_halves_that_run_apart_stay_apart_and_in_order(self, taken):
        notebook = halves(tiny.answer(), "square", "a = 1", "def square(x):\n    return x * x")
        assert code_of(taken(notebook), "square") == ["a = 1", "def square(x):\n    return x * x"]

    def test_a_stub_that_raises_does_not_stop_the_half_below_it(self, taken):
        notebook = halves(tiny.answer(), "square", "raise NotImplementedError()", tiny.SQUARE)
        assert code_of(taken(notebook), "square") == ["raise NotImplementedError()", tiny.SQUARE]

    @pytest.mark.parametrize("between", [(), (new_markdown_cell("half of it:"),)])
    def test_a_function_that_was_cut_through_its_middle_is_whole(self, taken, between):
        notebook = halves(tiny.answer(), "square", "def square(x):", "    return x * x", between)
        found = taken(notebook)
        if between:
            assert found.code["square"] == "def square(x):"
        else:
            assert code_of(found, "square") == ["def square(x):\n    return x * x"]

    def test_a_function_in_three_pieces_is_whole(self, taken):
        notebook = halves(tiny.answer(), "square", "def square(x):", "    return y * x")
        middle = copy.deepcopy(tiny.cell(notebook, "square"))
        middle.source = "    if True:\n        y = x"
        notebook.cells.insert(place(notebook, "square") + 1, middle)
        whole = "def square(x):\n    if True:\n        y = x\n    return y * x"
        assert code_of(taken(notebook), "square") == [whole]

    def test_a_copy_counts_if_the_first_is_as_it_was_handed_out(self, taken, assignment):
        notebook = tiny.answer(square=tiny.cell(assignment.notebook, "square").source)
        again = copy.deepcopy(tiny.cell(notebook, "square"))
        again.source = tiny.SQUARE
        notebook.cells.append(again)
        found = taken(notebook)
        assert code_of(found, "square") == [tiny.SQUARE]
        assert found.notes == ["square stands there twice; the one that was changed counts"]

    @pytest.mark.parametrize("name", ["start", "square-test"])
    def test_what_stands_in_a_copy_of_ours_is_noted(self, taken, name):
        first, last = tiny.cell(tiny.answer(), name).source.split("\n", 1)
        assert taken(halves(tiny.answer(), name, f"{first}\n{last}", last)).notes == []
        notebook = halves(tiny.answer(), name, f"{first}\n{last}", "import os")
        assert taken(notebook).notes == [f"{name} stands there twice; the original counts"]

    def test_a_cell_magic_begins_its_own_cell(self, taken):
        notebook = halves(tiny.answer(), "square", tiny.SQUARE, "%%time\nb = 2")
        assert code_of(taken(notebook), "square") == [tiny.SQUARE, "%%time\nb = 2"]

    def test_a_copy_somewhere_else_is_named_and_set_aside(self, taken):
        notebook = tiny.answer()
        again = copy.deepcopy(tiny.cell(notebook, "square"))
        again.source = "def square(x):\n    return 0"
        notebook.cells.append(again)
        found = taken(notebook)
        assert code_of(found, "square") == [tiny.SQUARE]
        assert found.notes == ["square stands there twice; the first one counts"]

    def test_own_cells_belong_to_the_question_before_them(self, taken):
        notebook = below(tiny.answer(), "square", new_code_cell("b = 2"), new_raw_cell("words"))
        added = taken(notebook).added["square"]
        assert [(c.source, c.is_code) for c in added] == [("b = 2", True), ("words", False)]

    def test_empty_cells_are_none(self, taken):
        notebook = below(tiny.answer(), "square", new_code_cell(" \n"), new_markdown_cell(""))
        assert taken(notebook).added == {}

    def test_a_solution_that_was_turned_into_text_is_run(self, taken):
        notebook = tiny.answer()
        tiny.cell(notebook, "square").cell_type = "markdown"
        found = taken(notebook)
        assert found.code["square"] == tiny.SQUARE
        assert found.notes == ["square was turned into text; it is run as code"]

    def test_what_is_missing_or_changed_is_noted(self, taken):
        notebook = tiny.answer()
        tiny.cell(notebook, "start").source += "\nimport os"
        tiny.cell(notebook, "square-test").source += "  \n"  # an editor's spaces
        notebook.cells = [c for c in notebook.cells if tiny.name(c) not in ("total", "total-test")]
        assert sorted(taken(notebook).notes) == [
            "start is not as it was handed out; the original was run",
            "total is missing",
            "total-test is missing",
        ]

    def test_where_no_cell_has_an_id_none_is_taken_for_another(self, assignment, tmp_path):
        mine = replace(assignment, notebook=copy.deepcopy(assignment.notebook))
        notebook = below(tiny.answer(), "square", new_code_cell("b = 2"))
        for cell in [*mine.notebook.cells, *notebook.cells]:
            del cell["id"]  # as before nbformat 4.5
        path = tmp_path / "in.ipynb"
        path.write_text(json.dumps(notebook))
        found = read(path, mine)
        assert code_of(found, "square") == [tiny.SQUARE, "b = 2"]
        assert found.written["why"].source == "Squares grow, and I say why."

    def test_without_metadata_and_ids_the_texts_of_ours_tell(self, assignment, taken):
        """The student retyped the notebook, or an editor kept nothing but the cells."""
        notebook = tiny.answer(why="Since they do.")
        for cell in notebook.cells:
            cell.metadata.pop("nbgrader", None)
            cell.id = f"x{id(cell)}"
        found = taken(notebook)
        assert [c.source for c in found.added["start"]] == [tiny.SQUARE]
        assert [c.source for c in found.added["square-test"]] == [tiny.TOTAL]
        assert "Since they do." in [c.source for c in found.added["total-test"]]
        mine = replace(assignment, notebook=copy.deepcopy(assignment.notebook))
        task = new_markdown_cell("Say why, in words.", metadata=tiny.about("task", locked=True))
        mine.notebook.cells.insert(place(mine.notebook, "why"), task)
        notebook.cells.insert(-1, new_markdown_cell("Say why, in words."))
        path = mine.folder / "in.ipynb"
        path.write_text(json.dumps(notebook))
        released = {tiny.name(c): c.source for c in mine.notebook.cells if tiny.name(c)}
        assert read(path, mine, released | {"why": STUB}).written["why"].source == "Since they do."

    def test_without_nbgraders_metadata_the_ids_of_cells_tell(self, assignment, taken):
        notebook = copy.deepcopy(assignment.notebook)
        for cell in notebook.cells:
            cell.metadata.pop("nbgrader", None)
        found = taken(notebook)
        assert set(found.code) == {"square", "total"}
        assert found.notes == []


class TestAnswers:
    def answer(self, taken, notebook):
        return taken(notebook).written["why"]

    def test_in_its_cell(self, taken):
        assert self.answer(taken, tiny.answer(why="So.")).source == "So."

    @pytest.mark.parametrize("stub", [STUB, "", f" {STUB}\n"])
    def test_in_a_new_cell_below_the_stub(self, taken, stub):
        notebook = below(tiny.answer(why=stub), "why", new_markdown_cell("So."))
        assert self.answer(taken, notebook).source == "So."

    def test_in_several_cells_and_in_half_of_the_stub(self, taken):
        notebook = halves(tiny.answer(), "why", STUB, "First.", [new_markdown_cell("Second.")])
        below(notebook, "total-test", new_markdown_cell("not for this question"))
        found = taken(notebook)
        assert found.written["why"].source == "Second.\n\nFirst."
        assert found.added["total-test"][0].source == "not for this question"

    def test_between_the_task_and_its_cell(self, taken, assignment):
        notebook = tiny.answer(why=STUB)
        mine = replace(assignment, notebook=copy.deepcopy(assignment.notebook))
        task = new_markdown_cell("Why?", metadata=tiny.about("task", locked=True))
        mine.notebook.cells.insert(place(mine.notebook, "why"), task)
        notebook.cells[-1:-1] = [task, new_markdown_cell("So.")]
        path = mine.folder / "in.ipynb"
        nbformat.write(notebook, path)
        assert read(path, mine, {"why": STUB}).written["why"].source == "So."
        notebook.cells[-3:-1] = [copy.deepcopy(task)]
        notebook.cells[-2].source += "\nSo."  # into the task itself
        nbformat.write(notebook, path)
        assert read(path, mine, {"why": STUB, "task": "Why?"}).written["why"].source == "So."

    @pytest.mark.parametrize("named", [True, False])
    @pytest.mark.parametrize("way", ["split", "copied", "written into", "below", "copied below"])
    def test_in_the_task_or_a_copy_of_it(self, assignment, tmp_path, way, named):
        task = new_markdown_cell("Why?\n\nSay it.", id="task")
        task.metadata = tiny.about("task", locked=True) if named else {}
        mine = replace(assignment, notebook=copy.deepcopy(assignment.notebook))
        mine.notebook.cells.insert(place(mine.notebook, "why"), task)
        first, second = copy.deepcopy(task), copy.deepcopy(task)
        second.source, second.id = "So.", "another"
        if way == "split":
            first.source, second.source = "Why?", "Say it.\n\nSo."
        elif way == "written into":
            first.source, second.source = "Why?\nSo.\nSay it.", ""
        elif way == "below":
            second.metadata = {}
        notebook = tiny.answer(why=STUB)
        notebook.cells[-1:-1] = [first] if way == "copied below" else [first, second]
        notebook.cells += [second] if way == "copied below" else []
        path = tmp_path / "in.ipynb"
        path.write_text(json.dumps(notebook))
        found = read(path, mine, {"why": STUB, "task": task.source})
        assert "So." in found.written["why"].source
        assert not [c for cells in found.added.values() for c in cells if "So." in c.source]

    def test_in_code_below_it_somebody_is_asked_to_look(self, taken):
        notebook = below(tiny.answer(why=STUB), "why", new_code_cell("print('So.')"))
        found = taken(notebook)
        assert found.written["why"].source == ELSEWHERE
        assert [c.source for c in found.added["why"]] == ["print('So.')"]

    def test_nobody_answered(self, taken):
        assert self.answer(taken, tiny.answer(why=STUB)).source == ""

    def test_pictures_stay_with_their_words(self, taken):
        notebook = tiny.answer(why="![a](attachment:a.png)")
        tiny.cell(notebook, "why")["attachments"] = {"a.png": {"image/png": PNG}}
        more = new_markdown_cell(
            "![a](attachment:a.png)", attachments={"a.png": {"image/png": PNG}}
        )
        found = self.answer(taken, below(notebook, "why", more))
        assert found.source == "![a](attachment:a.png)\n\n![a](attachment:1-a.png)"
        assert set(found.pictures) == {"a.png", "1-a.png"}

    def test_pictures_in_the_text_as_colab_has_them(self, taken):
        words = f"![a](data:image/png;base64,{PNG}) ![b](data:image/png;base64,AAAA)"
        found = self.answer(taken, tiny.answer(why=words))
        assert found.source == "![a](attachment:in-text-0) ![b](attachment:in-text-1)"
        assert found.pictures == {"in-text-0": {"image/png": PNG}}
        large = base64.b64encode(base64.b64decode(PNG) + bytes(6 << 20)).decode()
        photograph = tiny.answer(why=f"![a](data:image/png;base64,{large})")
        assert len(self.answer(taken, photograph).pictures) == 1

    def test_an_answer_that_was_turned_into_code_is_shown_as_code(self, taken):
        notebook = json.loads(nbformat.writes(tiny.answer(why="# So.")))
        notebook["cells"][-1]["cell_type"] = "code"
        assert self.answer(taken, notebook).source == "```python\n# So.\n```"

    @pytest.mark.parametrize(
        "attachments",
        [
            {"a.svg": {"image/svg+xml": "<svg onload='alert(1)'>"}},
            {"a.png": {"image/png": base64.b64encode(b"<svg onload=alert(1)>").decode()}},
            {"a.png": {"image/png": "###"}},
            {"a.png": {"image/png": 3}},
            {"a.png": {"image/png": ["a", 3]}},
            {"a.png": "x"},
            ["a.png"],
            {"a.png": {"image/png": base64.b64encode(b"\x89PNG\r\n" + bytes(21 << 20)).decode()}},
        ],
    )
    def test_what_is_no_picture_is_dropped(self, taken, attachments):
        notebook = json.loads(nbformat.writes(tiny.answer()))
        notebook["cells"][-1]["attachments"] = attachments
        found = self.answer(taken, notebook)
        assert found.pictures == {}
        assert found.source


class TestFile:
    def test_outputs_count_for_nothing(self, taken):
        notebook = tiny.answer()
        tiny.cell(notebook, "square").outputs = [new_output("stream", text="x" * (6 << 20))]
        assert taken(notebook).code["square"] == tiny.SQUARE

    def test_text_without_end_is_refused(self, taken):
        with pytest.raises(NotGraded, match="without outputs is larger than 5 MB"):
            taken(tiny.answer(square="#" * (6 << 20)))

    def test_many_cells_are_refused(self, taken):
        notebook = tiny.answer()
        notebook.cells += [new_code_cell("1")] * 1000
        with pytest.raises(NotGraded, match="1,007 cells"):
            taken(notebook)

    @pytest.mark.parametrize("depth", [100, 900, 990, 1000, 5000, 100_000])
    def test_nested_json_has_a_reason_or_is_read(self, assignment, tmp_path, depth):
        path = tmp_path / "in.ipynb"
        deep = "[" * depth + "]" * depth
        text = nbformat.writes(tiny.answer())
        path.write_text(text.replace('"metadata": {}', f'"metadata": {{"deep": {deep}}}', 1))
        if depth < 900:
            assert read(path, assignment).code["square"] == tiny.SQUARE
        elif depth > 1000:
            with pytest.raises(NotGraded, match="no notebook"):
                read(path, assignment)
        else:  # whichever it is depends on how deep the reader itself stands
            with contextlib.suppress(NotGraded):
                assert read(path, assignment).code["square"] == tiny.SQUARE
