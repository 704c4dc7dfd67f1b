"""Drawings of bends: curves by name, a hidden layer taken apart, slopes, and what units are given.

Lines carry their names at their right ends instead of in a legend. Each function draws on `ax` (or
makes one), and describes in words what it drew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import nn

from regression_lib.activations import Activation, derivative, get_activation, responsive_range
from regression_lib.plots import BLUE, GREEN, GREY, ORANGE, PINK, _axes, _number, alt_text, describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers: TypeAlias = Any  # an array, a tensor or a list of them

COLOURS = (BLUE, ORANGE, GREEN, PINK)
BARS = 45  # of the histograms below a curve


def responsive_parts(
    fn: Activation, threshold: float = 0.0707, reach: float = 50.0
) -> list[tuple[float, float]]:
    """The stretches of an activation in which its slope, up or down, is worth the name.

    Where `responsive_range` gives the one interval that holds them all, this leaves out what lies
    between them: the turn of a dip, where the slope passes through 0.

    Parameters
    ----------
    fn : str or callable
        A name from the catalogue, a module, or any elementwise function on tensors.
    threshold : float
        Share of the peak slope, above 0 and below 1.
    reach : float
        The stretch from −reach to reach is looked at, every 0.001.

    Returns
    -------
    list of (float, float)
        From left to right; −inf or inf where a stretch goes on to the end of what is looked at.
    """
    responsive_range(fn, threshold)  # which says what is wrong with either
    x = np.linspace(-reach, reach, round(2000 * reach) + 1)
    slope = derivative(fn, x).abs().numpy()
    strong = np.concatenate([[False], slope >= threshold * slope.max(), [False]])
    turns = np.flatnonzero(np.diff(strong.astype(int)))
    last = len(x) - 1
    return [
        (-math.inf if first == 0 else float(x[first]), math.inf if end > last else float(x[end]))
        for first, end in zip(turns[::2], turns[1::2], strict=True)
    ]


def plot_lines(
    x: Numbers,
    lines: Mapping[str, Numbers],
    xlabel: str,
    ylabel: str,
    *,
    points: tuple[Numbers, Numbers] | None = None,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Lines over one x, each with its name at its right end.

    Parameters
    ----------
    x : array, shape (n,) or (n, 1)
    lines : dict of str to array, shape (n,) or (n, 1)
        At most four.
    xlabel, ylabel : str
        Names and units.
    points : (x, y), optional
        Measured rows, drawn as grey dots behind the lines.
    log : bool
        Whether the y axis is logarithmic.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if not 1 <= len(lines) <= len(COLOURS):
        raise ValueError(f"one to {len(COLOURS)} lines can be told apart, got {len(lines)}")
    ax, x = _axes(ax), _flat(x)
    words = [_dots(ax, points)] if points is not None else []
    ends: dict[str, float] = {}
    for (name, values), color in zip(lines.items(), COLOURS, strict=False):
        y = _flat(values)
        ax.plot(x, y, color=color, lw=2)
        ends[name] = float(y[-1])
        words.append(_course(name, x, y))
    ax.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    ax.margins(x=0.02)
    if np.array_equal(x, np.round(x)):  # numbers of layers, say
        ax.locator_params(axis="x", integer=True)
    _names_at_the_end(ax, ends, log)
    return describe(ax, f"{ylabel} by {xlabel}: {'; '.join(words)}.")


def _flat(values):
    """Numbers as a flat array, of tensors too."""
    values = values.detach() if isinstance(values, torch.Tensor) else values
    return np.ravel(np.asarray(values, dtype=float))


def _dots(ax, points):
    """Draw rows as dots; their words."""
    x, y = (_flat(values) for values in points)
    ax.plot(x, y, ".", color=GREY, ms=4, alpha=0.35, mew=0, zorder=0)
    return f"{len(x):,} dots"


def _course(name, x, y):
    """A line in words: its ends, and its highest or lowest point where that lies between them."""
    span = np.nanmax(y) - np.nanmin(y)

    def at(k):
        height, place = (  # what rounding left of 0 is 0
            0.0 if abs(value) < 1e-6 * size else value
            for value, size in [(y[k], span), (x[k], np.ptp(x))]
        )
        return f"{_number(height)} at {_number(place)}"

    words = f"{name} from {at(0)} to {at(-1)}"
    for which, k in [("highest", int(np.nanargmax(y))), ("lowest", int(np.nanargmin(y)))]:
        if min(abs(y[k] - y[0]), abs(y[k] - y[-1])) > 1e-3 * span:
            words += f", {which} {at(k)}"
    return words


def _names_at_the_end(ax, ends, log=False):
    """Write each line's name right of its end, moved apart where two would touch."""
    low, high = ax.get_ylim()
    scale = np.log10 if log else np.asarray
    low, high = scale(low), scale(high)
    names = sorted(ends, key=ends.get)
    places = np.array([(scale(ends[name]) - low) / (high - low) for name in names])
    apart = 0.2 / ax.get_figure().get_size_inches()[1] * max(1.0, 0.8 / ax.get_position().height)
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + apart)
    places -= max(0.0, places[-1] - 1.0)
    for k in range(len(places) - 1, 0, -1):
        places[k - 1] = min(places[k - 1], places[k] - apart)
    for name, place in zip(names, places, strict=True):
        color = COLOURS[list(ends).index(name)]
        ax.annotate(
            name, (1, place), xycoords="axes fraction", xytext=(5, 0),
            textcoords="offset points", va="center", color=color, fontsize=10,
        )  # fmt: skip


def plot_parts(
    net: nn.Sequential,
    x: Numbers,
    xlabel: str = "input",
    ylabel: str = "output",
    *,
    points: tuple[Numbers, Numbers] | None = None,
    axes: Sequence[Axes] | None = None,
) -> Sequence[Axes]:
    """A network of one hidden layer, taken apart: what each unit adds, and the sum.

    Parameters
    ----------
    net : torch.nn.Sequential
        Linear, activation, linear: of one input, at most four units and one output.
    x : array, shape (n,) or (n, 1)
    xlabel, ylabel : str
        Names and units.
    points : (x, y), optional
        Measured rows, drawn as grey dots behind the sum.
    axes : two matplotlib.axes.Axes, optional

    Returns
    -------
    two matplotlib.axes.Axes
    """
    import matplotlib.pyplot as plt

    first: Any
    last: Any
    first, bend, last = net
    if (first.in_features, last.out_features) != (1, 1) or last.in_features > len(COLOURS):
        raise ValueError(f"one input, up to {len(COLOURS)} units and one output, got {net}")
    if axes is None:
        _, axes = plt.subplots(2, 1, figsize=(5.4, 5), layout="constrained", sharex=True)
    flat = _flat(x)
    with torch.no_grad():
        column = torch.as_tensor(flat, dtype=first.weight.dtype).reshape(-1, 1)
        parts = bend(first(column)) * last.weight[0]
        whole = _flat(net(column))
    ax = plot_lines(
        flat,
        {f"unit {k + 1}": parts[:, k] for k in range(parts.shape[1])},
        xlabel,
        "what each unit adds",
        ax=axes[0],
    )
    ax.set_xlabel("")
    plot_lines(flat, {"sum": whole}, xlabel, ylabel, points=points, ax=axes[1])
    bends = [-b / w for w, b in zip(_flat(first.weight), _flat(first.bias), strict=True) if w]
    for place, color in zip(bends, COLOURS, strict=False):
        if flat.min() < place < flat.max():
            for one in axes:
                one.axvline(place, color=color, ls=":", lw=1.2, zorder=0)
    words = ", ".join(_number(place) for place in bends)
    describe(axes[1], f"{alt_text(axes[1])} Dotted lines mark where a unit is given 0: {words}.")
    return axes


def plot_slopes(
    names: Sequence[str], threshold: float = 0.0707, reach: float = 5.0
) -> Sequence[Axes]:
    """Activations, each with its slope, and grey where the slope is worth the name.

    Parameters
    ----------
    names : sequence of str
        Keys of `ACTIVATIONS`.
    threshold : float
        Share of the steepest slope; see `responsive_parts`.
    reach : float
        The x axes go from −reach to reach.

    Returns
    -------
    sequence of matplotlib.axes.Axes
        One for each name.
    """
    import matplotlib.pyplot as plt

    lines = -(-len(names) // 2)
    size = (5.4, 0.5 + 2.1 * lines)
    figure, grid = plt.subplots(
        lines, 2, sharex=True, squeeze=False, figsize=size, layout="constrained"
    )
    for ax in grid.flat[len(names) :]:
        ax.set_axis_off()
    for ax, name in zip(grid.flat, names, strict=False):
        _slope(ax, name, threshold, reach)
    for ax in grid.flat[max(0, len(names) - 2) : len(names)]:
        ax.set_xlabel("input")
        ax.tick_params(labelbottom=True)
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return list(grid.flat[: len(names)])


def _slope(ax, name, threshold, reach):
    """One activation with its slope and its responsive stretches."""
    x = np.linspace(-reach, reach, 501)
    bent = get_activation(name)(torch.as_tensor(x)).numpy()
    parts = responsive_parts(name, threshold)
    for k, (low, high) in enumerate(parts):
        label = None if k else "responsive"
        ends = max(low, -reach), min(high, reach)
        ax.axvspan(*ends, color=GREY, alpha=0.2, lw=0, label=label)
    ax.plot(x, bent, color=BLUE, lw=2, label="value")
    ax.plot(x, derivative(name, x), "--", color=ORANGE, lw=2, label="slope")
    ax.set_title(name.replace("_", " "), fontsize=11)
    ax.set(xlim=(-reach, reach), ylim=(max(bent.min(), -1.2) - 0.2, min(bent.max(), 2.2) + 0.2))
    words = " and ".join(_stretch(part) for part in parts)
    describe(ax, f"{name} and its slope; it responds {words}.")


def _stretch(part):
    """A stretch in words."""
    low, high = (f"{value:.2f}".replace("-", "−") for value in part)
    start = "" if math.isinf(part[0]) else f"from {low} "
    return (start + ("on" if math.isinf(part[1]) else f"to {high}")).strip() or "everywhere"


def plot_units(
    units: Mapping[str, tuple[str, Numbers]], bound: float = 2.0, reach: float = 12.0
) -> Sequence[Axes]:
    """What units are given, row by row, under the curve that bends it.

    Parameters
    ----------
    units : dict of str to (name of an activation, array of inputs)
        By the unit's title; an even number of them.
    bound : float
        Inputs beyond ±bound are counted in the words.
    reach : float
        The x axes go from −reach to reach.

    Returns
    -------
    sequence of matplotlib.axes.Axes
        One for each unit.
    """
    import matplotlib.pyplot as plt

    lines = -(-len(units) // 2)
    size = (5.4, 0.4 + 2.2 * lines)
    _, grid = plt.subplots(lines, 2, sharex=True, squeeze=False, figsize=size, layout="constrained")
    for ax, (title, (name, inputs)) in zip(grid.flat, units.items(), strict=False):
        _unit(ax, title, name, _flat(inputs), bound, reach)
    for ax in grid[-1]:
        ax.set_xlabel("input of the activation")
    for ax in grid[:, 0]:
        ax.set_ylabel("output")
    return list(grid.flat[: len(units)])


def _unit(ax, title, name, inputs, bound, reach):
    """One unit: the curve above, a histogram of its inputs below."""
    x = np.linspace(-reach, reach, 481)
    bend = get_activation(name)
    ax.plot(x, bend(torch.as_tensor(x)), color=GREY, lw=1.5)
    outputs = bend(torch.as_tensor(inputs)).numpy()
    ax.plot(inputs, outputs, "o", color=BLUE, ms=4, alpha=0.15, mew=0)
    shares, edges = np.histogram(inputs, np.linspace(-reach, reach, BARS + 1))
    tall: Any = -2.6 + 1.1 * shares / shares.max()
    ax.fill_between(edges[:-1], -2.6, tall, step="post", color=ORANGE, alpha=0.7, lw=0)
    ax.text(-reach, -1.65, " rows", color=ORANGE, fontsize=9, va="center")
    ax.set_title(title, fontsize=11)
    ax.set(xlim=(-reach, reach), ylim=(-2.7, 2.2), yticks=[-1, 0, 1, 2])
    low, high = np.mean(inputs < -bound), np.mean(inputs > bound)
    describe(
        ax,
        f"{title}: {len(inputs)} inputs of {name}, {low:.0%} below −{bound:g} and {high:.0%} above "
        f"{bound:g}; its outputs have mean {_number(outputs.mean())} and sd "
        f"{_number(outputs.std())}.",
    )
