"""Drawings of numbers on their way: tables and their parts, arithmetic of two shapes, a module.

Cells of a table are boxes with their numbers in them. A box with a dashed edge is a copy that
broadcasting makes; a filled one is what a sentence of the lesson speaks of. Each function draws
on `ax` (or makes one), and describes in words what it drew.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from regression_lib.plots import BLUE, GREEN, GREY, ORANGE, _axes, describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor, nn

SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "−": operator.sub,
    "×": operator.mul,
    "÷": operator.truediv,
}
GAP, STRIP = 0.7, 0.75  # between drawings, and for the line of words below, in heights of a cell
STEP = 1.75  # from one stage of a flow to the next
MANY = 6  # more numbers than these are counted, not drawn


def plot_shapes(*tensors: Tensor, ax: Axes | None = None) -> Axes:
    """Tensors side by side as boxes with numbers, each with its shape below.

    Parameters
    ----------
    *tensors : torch.Tensor
        Of no, one or two dimensions. One of one dimension is drawn as a row, as PyTorch prints it.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    grids = [_grid(tensor) for tensor in tensors]
    height, width = max(len(g) for g in grids), _width(grids)
    ax = _canvas(ax, width * sum(g.shape[1] for g in grids) + GAP * (len(grids) - 1), height)
    left, words = 0.0, []
    for tensor, grid in zip(tensors, grids, strict=True):
        _boxes(ax, grid, left, height, width)
        _below(ax, left + width * grid.shape[1] / 2, height - len(grid), _shape(tensor))
        words.append(f"shape {_shape(tensor)}, {_in_words(tensor)}")
        left += width * grid.shape[1] + GAP
    return describe(ax, f"Tensors drawn as boxes with numbers: {'; '.join(words)}.")


def plot_slices(table: Tensor, slices: Sequence[str], ax: Axes | None = None) -> Axes:
    """What slices take from a table: the table once for each of them, the chosen cells filled.

    Parameters
    ----------
    table : torch.Tensor, shape (n_rows, n_columns)
    slices : sequence of str
        What stands between the brackets, as in ``"0, :"`` or ``":, 1:3"``.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if table.ndim != 2:
        raise ValueError(f"a table has two dimensions, got the shape {_shape(table)}")
    grid = _grid(table)
    (rows, columns), width = grid.shape, _width([grid])
    across, high = width * columns + GAP, rows + 2.2  # two tables side by side, then the next line
    lines = -(-len(slices) // 2)
    ax = _canvas(ax, across * min(2, len(slices)) - GAP, high * lines - 1.2)
    words = []
    for k, text in enumerate(slices):
        part = table[_index(text)]
        chosen = np.zeros(grid.shape, dtype=bool)
        chosen[_index(text)] = True
        left, top = across * (k % 2), high * (lines - k // 2) - 2.2
        _boxes(ax, grid, left, top, width, chosen)
        middle = left + width * columns / 2
        ax.text(middle, top + 0.45, f"[{text}]", ha="center", va="center", family="monospace")
        _below(ax, middle, top - rows, _shape(part))
        words.append(f"[{text}] takes {chosen.sum()} numbers, shape {_shape(part)}")
    title = f"A table of shape {_shape(table)} and what slices take from it"
    return describe(ax, f"{title}: {'; '.join(words)}.")


def plot_arithmetic(
    a: Tensor,
    sign: str,
    b: Tensor,
    *,
    meant: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Two tensors, a sign, and what comes out; copies made by broadcasting have a dashed edge.

    Parameters
    ----------
    a, b : torch.Tensor
        Of no, one or two dimensions.
    sign : {"+", "−", "×", "÷"}
        The hyphen, the asterisk and the slash do as well.
    meant : {"diagonal"}, optional
        Fill only the cells of the result that were wanted.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    sign = {"-": "−", "*": "×", "/": "÷"}.get(sign, sign)
    if sign not in SIGNS:
        raise ValueError(f"sign must be one of {', '.join(SIGNS)}, got {sign!r}")
    result = SIGNS[sign](a, b)
    grids = [_grid(t.expand(result.shape)) for t in (a, b)] + [_grid(result)]
    rows, columns = grids[-1].shape
    width = _width(grids)
    each = width * columns + 1.1
    ax = _canvas(ax, each * 3 - 1.1, rows, STRIP)
    for k, (tensor, grid) in enumerate(zip((a, b, result), grids, strict=True)):
        left = each * k
        own = tensor if k < 2 else torch.zeros(result.shape)
        _boxes(ax, grid, left, rows, width, _filled(k, grid, meant), _copies(own, grid.shape))
        _below(ax, left + width * columns / 2, 0, _shape(tensor))
        if k < 2:
            ax.text(left + each - 0.55, rows / 2, (sign, "=")[k], ha="center", va="center", size=16)
    return describe(ax, _said(a, sign, b, result, grids[-1], meant))


def plot_flow(
    row: Sequence[float] | Tensor,
    names: Sequence[str],
    module: nn.Module | None = None,
    answer: str = "a price",
    ax: Axes | None = None,
) -> Axes:
    """One row of numbers on its way to one number, from top to bottom.

    Parameters
    ----------
    row : sequence of float, or torch.Tensor
        One number for each name.
    names : sequence of str
        What the numbers are, with their units.
    module : torch.nn.Module, optional
        Asked in eval mode; its parts are drawn, and the numbers between them. Without it there is
        one closed box, and what comes out is a question mark.
    answer : str
        What comes out, with its unit.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    values = row if torch.is_tensor(row) else torch.tensor(np.asarray(row))
    values = values.detach().reshape(-1)
    if len(values) != len(names):
        raise ValueError(f"{len(values)} numbers need as many names, got {list(names)}")
    stages = _stages(module, values) if module is not None else ["a network", None]
    width = 3.4
    whole = width * len(values)
    ax = _canvas(ax, whole, STEP * len(stages) + 1.7, 0.1, inch=0.27)
    level = STEP * len(stages)
    _boxes(ax, _grid(values), 0, level + 1, width, np.ones((1, len(values)), dtype=bool))
    for k, name in enumerate(names):
        ax.text(width * (k + 0.5), level + 1.4, name, ha="center", va="center", size=11)
    for stage in stages:
        ax.annotate(
            "", (whole / 2, level - STEP + 1.05), (whole / 2, level - 0.05),
            arrowprops={"arrowstyle": "-|>", "color": GREY},
        )  # fmt: skip
        level -= STEP
        _draw_stage(ax, stage, level, whole, width)
    ax.text(whole / 2 + 0.75 * width, 0.5, answer, ha="left", va="center", size=11)
    through = "; ".join(stage if isinstance(stage, str) else _numbers(stage) for stage in stages)
    given = ", ".join(f"{n} {v}" for n, v in zip(names, _grid(values)[0], strict=True))
    return describe(ax, f"From top to bottom: one row, {given}; {through}: {answer}.")


def _stages(module, values):
    """What happens to a row: the names of parts, and the numbers that come out of each."""
    seen, was_training = [], module.training
    hooks = [
        part.register_forward_hook(
            lambda part, given, out, name=name: seen.append((name, part, given[0], out))
        )
        for name, part in module.named_children()
    ]
    try:
        with torch.no_grad():
            last = module.eval()(values.float().reshape(1, -1))
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    stages, flowing = [], values.float().reshape(1, -1)
    for name, part, given, out in seen:
        if not torch.equal(given, flowing):
            stages += ["arithmetic in forward()", given]
        stages += [f"{name}: {type(part).__name__}", out]
        flowing = out
    return stages if torch.equal(flowing, last) else [*stages, "arithmetic in forward()", last]


def _draw_stage(ax, stage, level, whole, width):
    """A rounded box with a name, or the numbers between two of these."""
    from matplotlib.patches import FancyBboxPatch

    if isinstance(stage, str):
        box = FancyBboxPatch(
            (whole * 0.1, level), whole * 0.8, 1, boxstyle="round,pad=0,rounding_size=0.4",
            facecolor=ORANGE + "22", edgecolor=ORANGE,
        )  # fmt: skip
        ax.add_patch(box)
        ax.text(whole / 2, level + 0.5, stage, ha="center", va="center")
        return
    grid = np.array([["?"]]) if stage is None else _grid(stage)
    if grid.shape[1] > MANY:
        ax.text(whole / 2, level + 0.5, f"{grid.shape[1]} numbers", ha="center", va="center")
        return
    left = (whole - width * grid.shape[1]) / 2
    _boxes(ax, grid, left, level + 1, width, np.ones(grid.shape, dtype=bool), color=GREEN)


def _numbers(tensor):
    if tensor is None:
        return "?"
    grid = _grid(tensor)
    return ", ".join(grid[0]) if grid.shape[1] <= MANY else f"{grid.shape[1]} numbers"


def _canvas(ax, width, height, below=STRIP, inch=0.36):
    """An empty drawing, a cell high being 1, as wide as a page of the book."""
    room = 5.4
    if ax is None:
        ax = _axes(None, (room, max(0.9, inch * (height + below) + 0.1)))
    ax.set(xlim=(-0.1, width + 0.1), ylim=(-below, height + 0.1))
    ax.set_axis_off()
    return ax


def _grid(tensor):
    """The numbers of a tensor as short texts, always as a table."""
    values = tensor.detach()
    if values.ndim > 2:
        raise ValueError(f"only up to two dimensions can be drawn, got the shape {_shape(tensor)}")
    table = values.reshape(1, -1) if values.ndim < 2 else values
    return np.array([[_short(number) for number in line] for line in table.tolist()])


def _short(number):
    """A number in few signs: 2,000, 47.62 and −0.50."""
    if isinstance(number, bool):
        return str(number)
    whole = abs(number) >= 1000 or float(number).is_integer()
    text = f"{number:,.0f}" if whole else f"{float(f'{number:.6g}'):.2f}"  # float32 as typed
    return text.replace("-", "−") if float(text.replace(",", "")) else text.strip("-")


def _width(grids):
    """How wide the cells must be, as a multiple of their height."""
    longest = max(len(text) for grid in grids for text in grid.flat)
    return max(1.0, 0.32 * longest + 0.3)


def _boxes(ax, grid, left, top, width, filled=None, copies=None, color=BLUE):
    """The cells of a table, from the top left corner."""
    from matplotlib.patches import Rectangle

    size = _size(ax, width, grid)
    for (i, j), text in np.ndenumerate(grid):
        fill = filled is not None and filled[i, j]
        copy = copies is not None and copies[i, j]
        corner = (left + width * j, top - i - 1)
        look = {"facecolor": color + "33" if fill else "none", "edgecolor": GREY if copy else color}
        ax.add_patch(
            Rectangle(corner, width, 1, ls=":" if copy else "-", zorder=1 if copy else 2, **look)
        )
        ax.text(
            corner[0] + width / 2, corner[1] + 0.5, text, ha="center", va="center", size=size,
            color=GREY if copy else "black", zorder=3,
        )  # fmt: skip


def _size(ax, width, grid):
    """The size at which the longest text of a grid fits into its cell, at most 12 points."""
    low, high = ax.get_xlim()
    points = ax.figure.get_figwidth() * ax.get_position().width * 72 * 1.2 * width / (high - low)
    return min(12.0, points / (0.65 * max(len(text) for text in grid.flat)))


def _below(ax, middle, bottom, shape):
    ax.text(middle, bottom - 0.4, f"shape {shape}", ha="center", va="center", size=11)


def _copies(tensor, shape):
    """Which cells of a stretched tensor are copies of others."""
    copies = np.ones(shape, dtype=bool)
    own = tensor.reshape(1, -1) if tensor.ndim < 2 else tensor
    copies[: own.shape[0], : own.shape[1]] = False
    return copies


def _filled(k, grid, meant):
    """The result is filled, or its diagonal where that alone was meant."""
    if k < 2:
        return None
    return np.eye(*grid.shape, dtype=bool) if meant == "diagonal" else np.ones(grid.shape, bool)


def _index(text):
    """The slice or numbers between the brackets of a text, without running it."""
    node = ast.parse(f"_[{text}]", mode="eval").body.slice
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return tuple(_part(part) for part in parts)


def _part(node):
    if isinstance(node, ast.Slice):
        ends = (node.lower, node.upper, node.step)
        return slice(*(None if end is None else ast.literal_eval(end) for end in ends))
    return ast.literal_eval(node)


def _shape(tensor):
    return str(tuple(tensor.shape))


def _in_words(tensor):
    grid = _grid(tensor)
    if grid.size > 24:
        return f"{grid.size} numbers"
    return " / ".join(" ".join(line) for line in grid)


def _said(a, sign, b, result, grid, meant):
    """The words for an arithmetic drawing."""
    stretched = [t for t in (a, b) if t.shape != result.shape]
    shapes = " and ".join(f"{_shape(t)} stretched to {_shape(result)}" for t in stretched)
    how = f", {shapes}" if stretched else ", element by element"
    wanted = "; only the diagonal was meant" if meant else ""
    rows = " / ".join(" ".join(line) for line in grid)
    return f"{_shape(a)} {sign} {_shape(b)} = {_shape(result)}{how}: {rows}{wanted}."
