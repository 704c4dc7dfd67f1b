"""Write `book/running_times.md`: what each chapter holds and costs, from the saved notebooks."""

import re
import sys

import nbformat
from ledger import BOOK, notebooks

PAGE = BOOK / "running_times.md"
OPENING = """\
# Running times

What each notebook holds, and what a run of it from top to bottom costs on two CPU cores without a
GPU. `make notebooks` measures both and writes this page; the tests hold every lesson to 30 seconds,
its evidence to 120, a chapter that is still both at once to 90, and each to 2 GB. Memory is the
most that the kernel and its workers held at one time, with pages that they share counted once for
each, so a little high.

| Chapter | Words | Code cells | Figures | Time | Memory |
|---|--:|--:|--:|--:|--:|
"""
NOT_WORDS = re.compile(r"```.*?```|<[^>]+>|\]\([^)]*\)", re.DOTALL)


def measured(path):
    """One row of the table, as a dict; time and memory are None before a notebook was saved."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code = [cell for cell in code if "install" not in cell.metadata.get("tags", [])]
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return {
        "title": prose.split("\n")[0].lstrip("# "),
        "file": path.relative_to(BOOK).as_posix(),
        "words": len(NOT_WORDS.sub(" ", prose.partition("## Exercises")[0]).split()),
        "cells": len(code),
        "figures": sum("mystnb" in cell.metadata for cell in code),
        **{key: notebook.metadata.get("cost", {}).get(key) for key in ("seconds", "megabytes")},
    }


def page():
    """The page as it must stand in `book/running_times.md`."""
    return OPENING + "".join(_line(**measured(path)) for path in notebooks())


def _line(title, file, words, cells, figures, seconds, megabytes):
    cost = f"{seconds} s | {megabytes:,} MB" if seconds else "– | –"
    return f"| [{title}]({file}) | {words:,} | {cells} | {figures} | {cost} |\n"


def main():
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
