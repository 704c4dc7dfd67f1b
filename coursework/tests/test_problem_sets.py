"""The problem sets: solutions pass, wrong answers lose what they should, nothing leaks out."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbgrader.nbgraderformat.v3 import MetadataValidatorV3
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

from regression_lib import load_king_county, load_tecator

sys.path.insert(0, str(Path(__file__).parent))
import runner
from grading.contract import split
from wrong_answers import QUICK, WRONG

TOTALS = {
    "ps1_tensors": 20,
    "ps2_activations_and_batch_norm": 20,
    "ps3_deep_regressor": 20,
    "ps4_tuning_project": 30,
}
SETS = [name for name in TOTALS if name in runner.SETS]
MISTAKES = [pytest.param(name, m, id=f"{name[:3]} {m.name}") for name in SETS for m in WRONG[name]]


@pytest.fixture(scope="module")
def notebooks():
    return {name: runner.read(path) for name, path in runner.SETS.items()}


def cells(notebook, wanted):
    return [cell for cell in notebook.cells if wanted(cell)]


def student_version(notebook):
    """What nbgrader makes of a source notebook for students."""
    released = nbformat.from_dict(json.loads(json.dumps(notebook)))
    for step in (ClearSolutions(), ClearHiddenTests()):
        released, _ = step.preprocess(released, {})
    return released


def changed(notebook, swaps):
    """The source of some solution cells, each with a few strings replaced."""
    source = {runner.about(cell)["grade_id"]: cell.source for cell in notebook.cells}
    result = {}
    for cell, pairs in swaps.items():
        result[cell] = source[cell]
        for old, new in pairs:
            assert old in result[cell], f"the model solution no longer has {old!r}"
            result[cell] = result[cell].replace(old, new)
    return result


# ------------------------------------------------------------------------------ they work


@pytest.mark.parametrize("name", SETS)
def test_model_solutions_pass(notebooks, name):
    found, printed, warned = runner.run(notebooks[name], runner.SETS[name].parent)
    assert found
    assert {cell: wrong for cell, wrong in found.items() if wrong} == {}
    assert warned == [], "nbgrader takes a warning on stderr for a failed cell"
    boards = re.findall(r"^leaderboard: rmse=(\d\.\d{4})$", printed, re.M)
    assert len(boards) == (name == "ps4_tuning_project")


@pytest.mark.parametrize("name", SETS)
def test_a_student_version_fails_only_where_nothing_is_written(notebooks, name):
    found = runner.run(student_version(notebooks[name]), runner.SETS[name].parent).found
    assert {wrong.split(":")[0] for wrong in found.values()} == {"NotImplementedError"}


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
def test_a_wrong_answer_loses_what_it_should_with_its_hint(notebooks, name, mistake):
    swaps = {**QUICK.get(name, {})}
    swaps[mistake.cell] = [*swaps.get(mistake.cell, []), *mistake.swaps]
    answer = changed(notebooks[name], swaps)
    found = runner.run(notebooks[name], runner.SETS[name].parent, answer).found
    lost = {cell: wrong for cell, wrong in found.items() if wrong}
    assert mistake.loses.keys() <= lost.keys(), lost
    assert lost.keys() <= {*mistake.loses, *mistake.may_lose}, lost
    for cell, hint in mistake.loses.items():
        assert lost[cell].startswith("AssertionError: hint: "), lost[cell]
        assert hint in lost[cell]


def test_every_set_has_wrong_answers_enough():
    assert all(len(WRONG[name]) >= 6 for name in SETS)


def test_every_tested_cell_is_lost_by_some_wrong_answer(notebooks):
    for name in SETS:
        pointed = {
            runner.about(cell)["grade_id"] for cell in cells(notebooks[name], runner.is_test)
        }
        assert pointed == set().union(*(mistake.loses for mistake in WRONG[name]))


# ------------------------------------------------------------------------------ they are in order


@pytest.mark.parametrize("name", SETS)
def test_cells_are_what_nbgrader_expects(notebooks, name):
    notebook = notebooks[name]
    MetadataValidatorV3().validate_nb(notebook)
    abouts = [runner.about(cell) for cell in notebook.cells]
    ids = [about["grade_id"] for about in abouts]
    assert len(set(ids)) == len(ids)
    assert [cell.id for cell in notebook.cells] == ids
    for cell, about in zip(notebook.cells, abouts, strict=True):
        assert about["schema_version"] == 3
        assert about["cell_type"] == cell.cell_type
        assert about["task"] is False
        assert about["locked"] == (not about["solution"])
        assert ("points" in about) == about["grade"]
        assert cell.get("outputs", []) == [], "outputs belong to the release, not to the source"
    assert sum(about.get("points", 0) for about in abouts) == TOTALS[name]


@pytest.mark.parametrize("name", SETS)
def test_a_test_cell_has_its_parts_with_and_without_hidden_tests(notebooks, name):
    for cell in cells(notebooks[name], runner.is_test):
        shown = runner.without_regions(cell.source)
        for source in (cell.source, shown):
            parts = split(source)
            assert parts.names, "answers that assign nothing"
            statements = ast.parse(parts.answers).body
            assert all(isinstance(s, (ast.Assign, ast.Expr)) for s in statements)
            asserts = [n for n in ast.walk(ast.parse(parts.check)) if isinstance(n, ast.Assert)]
            assert asserts, "a check that asserts nothing"
            assert all("hint: " in ast.unparse(a.msg) for a in asserts)


def named(code):
    return {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name)}


@pytest.mark.parametrize("name", SETS)
def test_only_answers_name_what_students_write(notebooks, name):
    written = set()
    for cell in cells(notebooks[name], runner.is_solution):
        body = ast.parse(cell.source).body
        written |= {n.name for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    for cell in cells(notebooks[name], runner.is_test):
        parts = split(cell.source)
        assert not named(parts.setup + "\n" + parts.check) & written
        assert named(parts.answers) & written


@pytest.mark.parametrize("name", SETS)
def test_the_rubric_adds_up_and_says_what_a_student_must_know(notebooks, name):
    about = notebooks[name].cells[0].source
    rows = [line.split("|") for line in about.splitlines() if line.startswith("| ")][1:]
    assert sum(int(row[2]) for row in rows) == TOTALS[name]
    for word in ("chapter", "minutes", "You may use", "To hand in", "Honesty", "you can"):
        assert word in about
    assert f"**{TOTALS[name]} points**" in about


# ------------------------------------------------------------------------------ nothing leaks


@pytest.mark.parametrize("name", SETS)
def test_no_solution_and_no_hidden_test_is_released(notebooks, name):
    source, released = notebooks[name], student_version(notebooks[name])
    shown = "\n".join(cell.source for cell in released.cells)
    assert "BEGIN " not in shown
    assert "HIDDEN" not in shown
    for cell, out in zip(source.cells, released.cells, strict=True):
        kept = runner.without_regions(cell.source).split("\n")
        secret = [line for line in cell.source.split("\n") if line.strip() and line not in kept]
        assert not set(secret) & set(out.source.split("\n"))


def test_data_are_what_the_script_makes(tmp_path):
    script = runner.SOURCE.parent / "tools" / "make_data.py"
    subprocess.run([sys.executable, script, tmp_path], check=True)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.csv")}
    kept = {
        path.relative_to(runner.SOURCE): path.read_bytes() for path in runner.SOURCE.rglob("*.csv")
    }
    assert made == kept
    assert max(map(len, kept.values())) < 600_000


def test_no_held_out_answer_is_in_a_released_file():
    new = pd.read_csv(runner.SOURCE / "ps4_tuning_project/new_houses.csv")
    spectra = pd.read_csv(runner.SOURCE / "ps3_deep_regressor/new_spectra.csv")
    assert not {"price", "water", "fat", "protein"} & {*new.columns, *spectra.columns}
    seen = pd.read_csv(runner.SOURCE / "ps4_tuning_project/houses.csv")
    meats = pd.read_csv(runner.SOURCE / "ps3_deep_regressor/meats.csv")
    assert not rows_of(new) & rows_of(seen[new.columns])
    assert not rows_of(spectra) & rows_of(meats[spectra.columns])
    for path in runner.SOURCE.rglob("*.csv"):
        table = pd.read_csv(path)
        assert "fat" not in table or rows_of(table) <= rows_of(meats)
        assert "price" not in table or rows_of(table) <= rows_of(seen[table.columns])


def test_the_library_knows_each_held_out_row_once():
    new = pd.read_csv(runner.SOURCE / "ps4_tuning_project/new_houses.csv")
    sales = load_king_county()
    found = new.merge(sales.X.join(sales.y), how="left", on=list(new))
    assert len(found) == len(new) == 1500
    assert found["price"].notna().all()
    spectra = pd.read_csv(runner.SOURCE / "ps3_deep_regressor/new_spectra.csv").to_numpy()
    meats = load_tecator().X.to_numpy()
    equal = np.isclose(meats[None], spectra[:, None], rtol=0, atol=1e-9).all(2)
    assert (equal.sum(1) == 1).all()


def rows_of(table):
    return set(table.itertuples(index=False, name=None))
