"""Saving a notebook fixes what means nothing, and measures what it costs."""

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
import save_notebooks
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output


def chapter():
    opening = new_markdown_cell("# Why?\n\n**Running time** about 0 seconds on two cores.")
    return new_notebook(cells=[opening, new_code_cell("import regression_lib")])


def run_first_cell(source, monkeypatch, missing):
    """Run a cell as a notebook does; what `%pip` was asked."""
    asked = []
    shell = SimpleNamespace(run_line_magic=lambda name, line: asked.append(f"{name} {line}"))
    found = None if missing else "here"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    exec(TransformerManager().transform_cell(source), {"get_ipython": lambda: shell})
    return asked


def test_the_library_is_fetched_where_it_is_missing(monkeypatch):
    notebook = chapter()
    for _ in range(2):
        save_notebooks.set_install_cell(notebook, "https://example.org/course.git", "01_why")
    _opening, install, _lesson = notebook.cells
    assert install.id == "01-why-install"
    assert "remove-cell" in install.metadata.tags  # the page of the book does not show it
    assert run_first_cell(install.source, monkeypatch, missing=False) == []
    (asked,) = run_first_cell(install.source, monkeypatch, missing=True)
    wanted = '"regression-lib[explore] @ git+https://example.org/course.git"'
    assert asked == f"pip install --quiet {wanted}"


def test_without_a_public_repository_the_cell_says_what_to_do(monkeypatch):
    notebook = chapter()
    save_notebooks.set_install_cell(notebook, "https://example.org/course.git", "01_why")
    save_notebooks.set_install_cell(notebook, None, "01_why")
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code", "code"]
    source = notebook.cells[1].source
    assert run_first_cell(source, monkeypatch, missing=False) == []
    with pytest.raises(ModuleNotFoundError, match=r"whole course.*make lab.*README"):
        run_first_cell(source, monkeypatch, missing=True)


def test_runs_are_counted_anew_and_outputs_with_them():
    notebook = chapter()
    result = new_output("execute_result", {"text/plain": "1"}, execution_count=1)
    notebook.cells[1].update(execution_count=1, outputs=[result])
    save_notebooks.set_install_cell(notebook, None, "01_why")
    counts = [cell.execution_count for cell in notebook.cells[1:]]
    assert counts == [1, 2]
    assert notebook.cells[2].outputs[0].execution_count == 2
    nbformat.validate(notebook)


def test_the_address_comes_from_one_place(monkeypatch, tmp_path):
    config = tmp_path / "_config.yml"
    config.write_text("title: x\nrepository: {url: https://example.org/configured}\n")
    monkeypatch.setattr(save_notebooks, "CONFIG", config)
    monkeypatch.delenv("REPOSITORY_URL", raising=False)
    assert save_notebooks.repository() == "https://example.org/configured"
    monkeypatch.setenv("REPOSITORY_URL", "https://example.org/named")
    assert save_notebooks.repository() == "https://example.org/named"
    monkeypatch.delenv("REPOSITORY_URL")
    config.write_text("title: x\n")
    assert save_notebooks.repository() is None


@pytest.mark.parametrize("path", save_notebooks.everything(), ids=str)
def test_the_first_cell_of_every_notebook_knows_the_address(path):
    notebook = nbformat.read(path, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert save_notebooks.is_install(first), "run make install-cells"
    wanted = save_notebooks.install_source(save_notebooks.repository())
    assert first.source == wanted, "the address has changed: run make install-cells"
    assert len([cell for cell in notebook.cells if save_notebooks.is_install(cell)]) == 1


def test_ids_texts_and_costs_are_set():
    notebook = chapter()
    save_notebooks.set_install_cell(notebook, None, "01_why")
    lesson = notebook.cells[2]
    figure = new_output("display_data", {}, metadata={"image/svg+xml": {"alt": "A line."}})
    lesson.outputs = [figure]
    save_notebooks.tidy(notebook, "01_why", 33.0, 620.0)
    assert [cell.id for cell in notebook.cells] == ["01-why-00", "01-why-install", "01-why-01"]
    assert lesson.metadata.mystnb.image.alt == "A line."
    assert notebook.metadata.cost == {"seconds": 35, "megabytes": 600}
    assert "about 30 seconds on two cores" in notebook.cells[0].source
    nbformat.validate(notebook)


def test_memory_of_started_processes_is_seen():
    with save_notebooks.Memory(interval=0.01) as memory:
        hold = "held = bytearray(60_000_000); import time; time.sleep(0.3)"
        subprocess.run([sys.executable, "-c", hold], check=True)
    assert memory.peak > 60
