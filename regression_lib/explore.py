"""Pictures to play with: explorers that work in a notebook, and without a kernel in the book.

Each is an anywidget, which takes one JavaScript module, one style sheet and some data. All that it
computes, it computes in the reader's browser; Python sends the data once and hears nothing back.
So the very same module runs in JupyterLab, VS Code and Colab, and in the static page, where a
loader of a few lines stands in for the kernel. Their words stand in `widgets/labels.toml`.
"""

import tomllib
from pathlib import Path

import anywidget
import traitlets

from regression_lib.activations import get_activation

FOLDER = Path(__file__).parent / "widgets"
LABELS = tomllib.loads((FOLDER / "labels.toml").read_text(encoding="utf-8"))


def module(*names):
    """One JavaScript module of several files, each of which may use those before it."""
    return "\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in names)


class Explorer(anywidget.AnyWidget):
    """A widget that shows its title wherever it cannot run, with the same text at every run."""

    _css = FOLDER / "explore.css"
    labels = traitlets.Dict().tag(sync=True)
    data = traitlets.Dict().tag(sync=True)

    def __init__(self, kind, **data):
        super().__init__(labels=LABELS["common"] | LABELS[kind], data=data)

    def __repr__(self):
        return f"{self.labels['title']}: run this cell, or open the page of the book, to use it."


class ActivationExplorer(Explorer):
    _esm = module("kit", "curves", "activations")


def explore_activations(name="tanh", threshold=0.0707):
    """Move an input along an activation, and see where its slope still responds.

    Parameters
    ----------
    name : str
        The activation to begin with, a key of `ACTIVATIONS`.
    threshold : float
        Share of the steepest slope from which on a unit counts as responsive, above 0 and below 1;
        see `responsive_range`.

    Returns
    -------
    Explorer
        Shown as the last value of a cell.

    Raises
    ------
    TypeError, ValueError
        If there is no such activation, or the threshold is out of range.
    """
    get_activation(name)  # which says what is wrong with the name
    if not 0 < threshold < 1:
        raise ValueError(f"threshold={threshold!r} is a share and must lie between 0 and 1.")
    return ActivationExplorer("activations", name=name, threshold=threshold)
