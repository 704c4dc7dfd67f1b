"""Saving a notebook fixes what means nothing, and measures what it costs."""

import subprocess
import sys

import nbformat
import save_notebooks
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output


def chapter():
    opening = new_markdown_cell("# Why?\n\n**Running time** about 0 seconds on two cores.")
    return new_notebook(cells=[opening, new_code_cell("import regression_lib")])


def test_the_library_is_fetched_where_it_is_missing():
    notebook = chapter()
    for _ in range(2):
        save_notebooks.set_install_cell(notebook, "https://example.org/course.git")
    assert len(notebook.cells) == 3
    install = notebook.cells[1]
    assert "git+https://example.org/course.git" in install.source
    exec(install.source, {})  # the library is here: nothing is fetched


def test_without_a_public_repository_there_is_no_such_cell():
    notebook = chapter()
    save_notebooks.set_install_cell(notebook, "https://example.org/course.git")
    save_notebooks.set_install_cell(notebook, None)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code"]


def test_ids_texts_and_costs_are_set():
    notebook = chapter()
    figure = new_output("display_data", {}, metadata={"image/svg+xml": {"alt": "A line."}})
    notebook.cells[1].outputs = [figure]
    save_notebooks.tidy(notebook, "01_why", 33.0, 620.0)
    assert [cell.id for cell in notebook.cells] == ["01-why-00", "01-why-01"]
    assert notebook.cells[1].metadata.mystnb.image.alt == "A line."
    assert notebook.metadata.cost == {"seconds": 35, "megabytes": 600}
    assert "about 30 seconds on two cores" in notebook.cells[0].source
    nbformat.validate(notebook)


def test_memory_of_started_processes_is_seen():
    with save_notebooks.Memory(interval=0.01) as memory:
        hold = "held = bytearray(60_000_000); import time; time.sleep(0.3)"
        subprocess.run([sys.executable, "-c", hold], check=True)
    assert memory.peak > 60
