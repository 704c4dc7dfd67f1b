"""The explorers as widgets: one JavaScript module each, in a notebook and in the built page.

This module needs anywidget; `regression_lib.course.explore` makes what the widgets show, and loads
it when an explorer is asked for.
"""

from __future__ import annotations

from typing import Any, ClassVar

import anywidget
import traitlets

from regression_lib.course.explore import FOLDER, LABELS
from regression_lib.words import printable


def module(*names: str) -> str:
    """One JavaScript module of several files, each of which may use those before it."""
    return "\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in names)


class Explorer(anywidget.AnyWidget):
    """A widget that shows its title wherever it cannot run, with the same text at every run."""

    kind: ClassVar[str]  # its key among the labels
    _css = FOLDER / "explore.css"
    labels: traitlets.Dict[str, str] = traitlets.Dict().tag(sync=True)
    data: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)

    def __init__(self, **data: Any) -> None:
        super().__init__(labels=self.words(), data=data)

    @classmethod
    def words(cls) -> dict[str, str]:
        """All that it says, by key."""
        return LABELS["common"] | LABELS[cls.kind]

    def __repr__(self) -> str:
        return printable(self.labels["at_rest"].format(title=self.labels["title"]))


class ActivationExplorer(Explorer):
    kind = "activations"
    _esm = module("kit", "curves", "activations")


class LineExplorer(Explorer):
    kind = "line"
    _esm = module("kit", "line")


class BatchNormExplorer(Explorer):
    kind = "batch_norm"
    _esm = module("kit", "curves", "net", "batchnorm")


class Playground(Explorer):
    kind = "playground"
    _esm = module("kit", "curves", "net", "lessons", "playground")


class Replay(Explorer):
    kind = "replay"
    _esm = module("kit", "replay")
