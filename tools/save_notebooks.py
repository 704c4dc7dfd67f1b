"""Run the book's notebooks and save them with their outputs: `make notebooks`.

What could differ from run to run without meaning anything is fixed: ids of cells, times of
execution, versions of the kernel, the pieces in which a stream arrives. Each figure's text
(`regression_lib.plots.alt_text`) moves to where the book reads it, and the measured running
time goes into the chapter's opening line, rounded, so that it changes only when it matters.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

BOOK = Path(__file__).resolve().parent.parent / "book"
RUNNING_TIME = re.compile(r"(?<=\*\*Running time\*\* )[^.]*(?=\.)")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def run(path):
    """Execute one notebook from the top; the notebook and the seconds that it took."""
    notebook = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    return notebook, time.perf_counter() - start


def tidy(notebook, stem, seconds):
    """Fix what means nothing, move the figures' texts, note the running time."""
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{stem}-{number:02d}".replace("_", "-")
        if cell.cell_type == "code":
            _move_alt_text(cell)
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    opening = notebook.cells[0]
    opening.source = RUNNING_TIME.sub(_in_words(seconds), opening.source)


def _move_alt_text(cell):
    texts = [out.get("metadata", {}).get("image/svg+xml", {}).get("alt") for out in cell.outputs]
    texts = [text for text in texts if text]
    if texts:
        cell.metadata["mystnb"] = {"image": {"alt": " ".join(texts)}}


def _in_words(seconds):
    if seconds < 10:
        return "under ten seconds on two cores"
    return f"about {round(seconds, -1):.0f} seconds on two cores"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of the book by default")
    for path in parser.parse_args().notebooks or sorted(BOOK.glob("*.ipynb")):
        notebook, seconds = run(path)
        tidy(notebook, path.stem, seconds)
        nbformat.write(notebook, path)
        print(f"{path.name}: {len(notebook.cells)} cells, {seconds:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
