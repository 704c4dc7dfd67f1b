"""Run the book's notebooks and save them with their outputs: `make notebooks`.

The evidence runs first, and its verdicts go into the store from which the lessons show them.

What could differ from run to run without meaning anything is fixed: ids of cells, times of
execution, versions of the kernel, the pieces in which a stream arrives. Each figure's text
(`regression_lib.plots.alt_text`) moves to where the book reads it. The measured running time goes
into the chapter's opening line, time and memory into its metadata, rounded, so that they change
only when it matters. The two pages that are made from the notebooks are written at the end.

Each notebook begins with a cell for those who have the notebook alone, as on Colab: it says how to
get the library. Once the environment variable `REPOSITORY_URL` or `_config.yml` names the public
repository (`repository: {url: …}`), it installs the library from there instead. `--install` sets
this cell without running anything.
"""

import argparse
import json
import os
import re
import sys
import threading
import time
from pathlib import Path

import ledger
import nbformat
import psutil
import running_times
import yaml
from nbclient import NotebookClient

from regression_lib.course.explorer import Explorer

BOOK = Path(__file__).resolve().parent.parent / "book"
CONFIG = BOOK.parent / "_config.yml"
MISSING = """\
# This page uses the course's library. Where it is missing, as on Colab:
from importlib.util import find_spec

if find_spec("regression_lib") is None:
"""
FETCH = """\
    %pip install --quiet "regression-lib[explore] @ git+{url}"
"""
EXPLAIN = """\
    raise ModuleNotFoundError(
        "regression_lib is missing. Get the whole course from where you "
        "found this page, and type `make lab` in its folder, or on "
        "Windows `py tools/set_up.py`. Its README.md says more."
    )
"""
RUNNING_TIME = re.compile(r"(?<=\*\*Running time\*\* )[^.]*(?=\.)")
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


class Memory(threading.Thread):
    """Watches the processes that this one has started; `peak` is the most that they held, in MB."""

    def __init__(self, interval=0.2):
        super().__init__(daemon=True)
        self.peak, self.interval, self.ended = 0, interval, threading.Event()

    def run(self):
        while not self.ended.wait(self.interval):
            self.peak = max(self.peak, self._held() / 1e6)

    def _held(self):
        held = 0
        for process in psutil.Process().children(recursive=True):
            try:
                held += process.memory_info().rss
            except psutil.NoSuchProcess:  # it ended between the two lines above
                continue
        return held

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.ended.set()
        self.join()


def repository():
    """The public repository's address, from the environment or from `_config.yml`, or None."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    return os.environ.get("REPOSITORY_URL") or config.get("repository", {}).get("url")


def install_source(url):
    """The code of the first cell: fetch the library from the url, or without one say what to do."""
    return MISSING + (FETCH.format(url=url) if url else EXPLAIN).rstrip()


def is_install(cell):
    return "install" in cell.metadata.get("tags", [])


def set_install_cell(notebook, url, stem):
    """Put the cell that fetches or explains behind the opening, and count the runs anew."""
    cells = [cell for cell in notebook.cells if not is_install(cell)]
    cell = nbformat.v4.new_code_cell(install_source(url), id=f"{stem}-install".replace("_", "-"))
    cell.metadata["tags"] = ["install", "remove-cell"]  # a page of the book does without
    cells.insert(1, cell)
    notebook.cells = cells
    code = (cell for cell in cells if cell.cell_type == "code")
    for count, cell in enumerate(code, start=1):
        for part in (cell, *cell.outputs):
            if "execution_count" in part:
                part["execution_count"] = count


def run(path):
    """Execute one notebook from the top; the notebook, its seconds and its megabytes."""
    notebook = nbformat.read(path, as_version=4)
    set_install_cell(notebook, repository(), path.stem)
    start = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    with Memory() as memory:
        client.execute()
    return notebook, time.perf_counter() - start, memory.peak


def tidy(notebook, stem, seconds, megabytes):
    """Fix what means nothing, move the figures' texts, note the costs."""
    for number, cell in enumerate(c for c in notebook.cells if not is_install(c)):
        cell["id"] = f"{stem}-{number:02d}".replace("_", "-")
        if cell.cell_type == "code":
            _move_alt_text(cell)
    cost = {"seconds": _rounded(seconds, 5), "megabytes": _rounded(megabytes, 50)}
    widgets = _shown_widgets(notebook)
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}, "cost": cost} | widgets
    )
    _number_widgets(notebook, stem)
    opening = notebook.cells[0]
    opening.source = RUNNING_TIME.sub(_in_words(seconds), opening.source)


def _move_alt_text(cell):
    texts = [out.get("metadata", {}).get("image/svg+xml", {}).get("alt") for out in cell.outputs]
    texts = [text for text in texts if text]
    if texts:
        cell.metadata["mystnb"] = {"image": {"alt": " ".join(texts)}}


def _shown_widgets(notebook):
    """The state of the widgets that an output shows, and of those that these refer to."""
    state = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    wanted = [out.data[VIEW]["model_id"] for out in outputs if VIEW in out.get("data", {})]
    for name in wanted:  # grows while it runs
        referred = re.findall(r"IPY_MODEL_(\w+)", json.dumps(state.get(name, {})))
        wanted += [other for other in referred if other not in wanted]
    shown = {name: state[name] for name in wanted if name in state}
    page = {"state": shown, "version_major": 2, "version_minor": 0}
    return {"widgets": {STATE: page}} if shown else {}


def _number_widgets(notebook, stem):
    """Names for widgets that are the same at each run, instead of random ones."""
    page = notebook.metadata.get("widgets", {}).get(STATE, {"state": {}})
    names = {old: f"{stem}-{k}".replace("_", "-") for k, old in enumerate(page["state"])}
    text = json.dumps(page)
    for old, new in names.items():
        text = text.replace(old, new)
    page |= json.loads(text)
    for cell in notebook.cells:
        for out in cell.get("outputs", []):
            if VIEW in out.get("data", {}):
                view = out.data[VIEW]
                view["model_id"] = names[view["model_id"]]


def refresh_explorers(notebook):
    """Give the explorers in a saved notebook the code and words of today; their data stay."""
    page = notebook.metadata.get("widgets", {}).get(STATE, {"state": {}})
    kinds = {kind.words()["title"]: kind for kind in Explorer.__subclasses__()}
    for model in page["state"].values():
        kind = kinds.get(model["state"].get("labels", {}).get("title"))
        if kind:
            today = kind()
            code = {name: str(getattr(today, name)) for name in ("_esm", "_css")}
            model["state"] |= code | {"labels": kind.words()}


def _rounded(value, step):
    return max(step, round(value / step) * step)


def _in_words(seconds):
    if seconds < 10:
        return "under ten seconds on two cores"
    return f"about {round(seconds, -1):.0f} seconds on two cores"


def everything():
    """The evidence, and the lessons."""
    return [*sorted(BOOK.glob("evidence/*.ipynb")), *sorted(BOOK.glob("*.ipynb"))]


def save(path):
    """Run a notebook and write it back."""
    notebook, seconds, megabytes = run(path)
    tidy(notebook, path.stem, seconds, megabytes)
    nbformat.write(notebook, path)
    print(f"{path.name}: {len(notebook.cells)} cells, {seconds:.1f} s, {megabytes:.0f} MB")


def renew(path):
    """Write a notebook back with the explorers' code of today."""
    notebook = nbformat.read(path, as_version=4)
    refresh_explorers(notebook)
    nbformat.write(notebook, path)


def point(path):
    """Write a notebook back with the first cell that the address of today asks for."""
    notebook = nbformat.read(path, as_version=4)
    set_install_cell(notebook, repository(), path.stem)
    nbformat.write(notebook, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of the book by default")
    parser.add_argument("--explorers", action="store_true", help="renew their code, run nothing")
    parser.add_argument("--install", action="store_true", help="set the first cell, run nothing")
    options = parser.parse_args()
    treat = renew if options.explorers else point if options.install else save
    for path in sorted(options.notebooks or everything(), key=ledger.is_evidence, reverse=True):
        treat(path)
        if ledger.is_evidence(path.resolve()):
            ledger.write_store()
    ledger.main()
    running_times.main()


if __name__ == "__main__":
    sys.exit(main())
