"""Run the book's notebooks and save them with their outputs: `make notebooks`.

What could differ from run to run without meaning anything is fixed: ids of cells, times of
execution, versions of the kernel, the pieces in which a stream arrives. Each figure's text
(`regression_lib.plots.alt_text`) moves to where the book reads it. The measured running time goes
into the chapter's opening line, time and memory into its metadata, rounded, so that they change
only when it matters. The two pages that are made from the notebooks are written at the end.

Once `_config.yml` names the public repository (`repository: {url: …}`), each notebook begins with
a cell that fetches the library from there wherever it is missing, as on Colab.
"""

import argparse
import json
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
INSTALL = """\
# Where the course's library is missing, as on Colab, fetch it first.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("regression_lib") is None:
    source = "regression-lib[explore] @ git+{url}"
    command = [sys.executable, "-m", "pip", "install", "--quiet", source]
    subprocess.run(command, check=True)
    importlib.invalidate_caches()"""
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
    """The public repository's address in `_config.yml`, or None."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    return config.get("repository", {}).get("url")


def set_install_cell(notebook, url):
    """Put the cell that fetches the library behind the opening; without a url take it out."""
    cells = [c for c in notebook.cells if "install" not in c.metadata.get("tags", [])]
    if url:
        cell = nbformat.v4.new_code_cell(INSTALL.format(url=url), metadata={"tags": ["install"]})
        cells.insert(1, cell)
    notebook.cells = cells


def run(path):
    """Execute one notebook from the top; the notebook, its seconds and its megabytes."""
    notebook = nbformat.read(path, as_version=4)
    set_install_cell(notebook, repository())
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
    for number, cell in enumerate(notebook.cells):
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of the book by default")
    parser.add_argument("--explorers", action="store_true", help="renew their code, run nothing")
    options = parser.parse_args()
    for path in options.notebooks or sorted(BOOK.glob("*.ipynb")):
        (renew if options.explorers else save)(path)
    ledger.main()
    running_times.main()


if __name__ == "__main__":
    sys.exit(main())
