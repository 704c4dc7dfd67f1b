"""Pictures that lessons alone need: neighbours, squares, a valley of losses, and a network.

Each function draws on `ax` (or makes one), names the units on the axes, and describes in words
what it drew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from torch import nn

from regression_lib.plots import BLUE, GREEN, GREY, ORANGE, PINK, _axes, _number, describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers: TypeAlias = Any  # an array, a tensor or a list of them

COLORS = (BLUE, ORANGE, GREEN, PINK)
AREA, PRICE = "living area (ft²)", "price (US$ 1,000)"
SHOWN, NAMED = 8, 20  # units of a layer, inputs with names that are drawn; of more, the ends
HEIGHT = 0.82  # of a map of losses, as a share of its width
THICKEST = 5.0  # points: the line of the largest weight of a layer


def plot_network(
    net_or_widths: nn.Module | Sequence[int],
    ax: Axes | None = None,
    names: Sequence[str] | None = None,
) -> Axes:
    """A network as circles and lines: a circle for each unit, a line for each weight.

    A line is as wide as its weight is large, compared with the largest of its layer. Positive
    weights are blue and solid, negative ones orange and dashed.

    Parameters
    ----------
    net_or_widths : torch.nn.Module, or sequence of int
        A network whose `nn.Linear` layers follow one another; what stands between them is named
        below. Or only how many units each layer has, the inputs first: all lines are alike then.
    ax : matplotlib.axes.Axes, optional
    names : sequence of str, optional
        Of the inputs; one more is the name of what comes out.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no layer to draw, one does not fit the one before, or names are missing.

    Examples
    --------
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> ax = plot_network(net, names=["area", "rooms", "price"])
    """
    widths, weights, between = _layers(net_or_widths)
    if names is not None and len(names) not in (widths[0], widths[0] + 1):
        raise ValueError(f"{widths[0]} inputs need as many names, or one more, got {list(names)}")
    drawn = [
        _drawn(w, NAMED if names is not None and k == 0 else SHOWN) for k, w in enumerate(widths)
    ]
    tallest = max(len(units) for units in drawn)
    ax = _axes(ax, (5.4, 1.0 + (0.42 if tallest <= SHOWN else 0.3) * max(3, tallest)))
    places = [_places(units, k) for k, units in enumerate(drawn)]
    for k, weight in enumerate(weights):
        _wires(ax, weight[np.ix_(drawn[k + 1], drawn[k])], places[k], places[k + 1])
    for k, (units, place) in enumerate(zip(drawn, places, strict=True)):
        _units(ax, place, BLUE if 0 < k < len(widths) - 1 else GREY)
        if len(units) < widths[k]:
            middle = place[len(units) // 2 - 1 : len(units) // 2 + 1].mean(0)
            ax.text(middle[0], middle[1], "⋮", ha="center", va="center", size=14)
        label = _label(k, widths, between)
        ax.text(k, -tallest / 2 - 0.35, label, ha="center", va="top", size=10)
    if names is not None:
        for place, name in zip(places[0], np.array(names[: widths[0]])[drawn[0]], strict=True):
            ax.text(place[0] - 0.12, place[1], name, ha="right", va="center", size=10)
        if len(names) > widths[0] and widths[-1] == 1:
            ax.text(places[-1][0, 0] + 0.12, 0, names[-1], ha="left", va="center", size=10)
    side = 0.7 if names is not None else 0.3
    ax.set(xlim=(-side, len(widths) - 1 + side), ylim=(-tallest / 2 - 1.3, tallest / 2 + 0.1))
    ax.set_axis_off()
    return describe(ax, _network_in_words(widths, weights, between, names, net_or_widths))


def _layers(net_or_widths):
    """How many units each layer has, the weights between them, and what else a layer does."""
    if not isinstance(net_or_widths, nn.Module):
        widths = [int(width) for width in net_or_widths]
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"a network has an input and an output at least, got {widths}")
        ones = [np.ones((after, before)) for before, after in pairwise(widths)]
        return widths, ones, [[]] * len(widths)
    widths, weights, between = [], [], []
    for part in net_or_widths.modules():
        if isinstance(part, nn.Linear):
            if widths and widths[-1] != part.in_features:
                raise ValueError(
                    f"a layer of {widths[-1]} units cannot be followed by {part}: only layers "
                    f"that follow one another can be drawn"
                )
            widths = widths or [part.in_features]
            between = between or [[]]
            widths.append(part.out_features)
            between.append([])
            weights.append(part.weight.detach().double().numpy())
        elif widths and not list(part.children()):
            between[-1].append(type(part).__name__)
    if not weights:
        raise ValueError(f"{type(net_or_widths).__name__} has no nn.Linear layer to draw")
    return widths, weights, between


def _drawn(width, most):
    """Which units of a layer are drawn."""
    half = most // 2
    return [*range(width)] if width <= most else [*range(half), *range(width - half, width)]


def _places(units, k):
    """The centres of a layer's circles, from the top; a gap where units are left out."""
    n = len(units)
    height = (n - 1) / 2 - np.arange(n, dtype=float)
    if units[-1] != n - 1:
        height *= 0.9
        height[n // 2 :] -= 0.2
        height[: n // 2] += 0.2
    return np.column_stack([np.full(n, float(k)), height])


def _wires(ax, weights, starts, ends):
    """A line for each weight, the thin ones first."""
    largest = np.abs(weights).max() or 1.0
    thin_first = np.argsort(np.abs(weights), axis=None)
    for i, j in zip(*np.unravel_index(thin_first, weights.shape), strict=True):
        share = abs(weights[i, j]) / largest
        style = {"color": BLUE, "ls": "-"} if weights[i, j] >= 0 else {"color": ORANGE, "ls": "--"}
        width = max(0.5, THICKEST * share) if weights.std() else 0.8
        ends_of = np.array([starts[j], ends[i]]).T
        ax.plot(*ends_of, lw=width, alpha=0.4 + 0.5 * share, zorder=1, **style)


def _units(ax, places, color):
    ax.plot(*places.T, "o", ms=11, mfc="white", mec=color, mew=1.8, zorder=3)


def _label(k, widths, between):
    count = widths[k]
    if k == 0:
        return f"{count} input{'s' * (count > 1)}"
    what = "output" if k == len(widths) - 1 else "unit"
    return "\n".join([f"{count} {what}{'s' * (count > 1)}", *between[k]])


def _network_in_words(widths, weights, between, names, net):
    """Layer by layer, with the largest weight of each."""
    layers = [_label(k, widths, between).replace("\n", ", then ") for k in range(len(widths))]
    words = f"Drawing of a network: {'; '.join(layers)}."
    if not isinstance(net, nn.Module):
        return words
    sources = [list(names[: widths[0]])] if names is not None else [[]]
    for k, weight in enumerate(weights):
        i, j = np.unravel_index(np.abs(weight).argmax(), weight.shape)
        given = sources[0][j] if k == 0 and sources[0] else f"number {j + 1}"
        words += f" Largest weight of layer {k + 1}: {_number(weight[i, j])}, from {given}"
        words += f" to unit {i + 1}." if weight.shape[0] > 1 else "."
    return words


def plot_neighbours(
    x: Numbers,
    y: Numbers,
    at: float,
    k: int = 10,
    ax: Axes | None = None,
    xlabel: str = AREA,
    ylabel: str = PRICE,
) -> Axes:
    """A scatter, the k rows nearest to a place, and their mean as the guess for it.

    Parameters
    ----------
    x, y : array, shape (n_rows,) or (n_rows, 1)
    at : float
        The place that is asked about.
    k : int
        How many neighbours; 0 for the scatter and the place alone.
    ax : matplotlib.axes.Axes, optional
    xlabel, ylabel : str
        Names and units.

    Returns
    -------
    matplotlib.axes.Axes
    """
    x, y, ax = _flat(x), _flat(y), _axes(ax)
    if not 0 <= k <= len(x):
        raise ValueError(f"k={k} neighbours of {len(x)} rows: choose from 0 to {len(x)}")
    _scatter(ax, x, y)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    ax.axvline(at, color=ORANGE, ls=":", lw=1.5)
    words = f"Scatter of {len(x)} rows, {ylabel} by {xlabel}: {_trend(x, y)}"
    if k == 0:
        ax.text(at, ax.get_ylim()[1], f" {_number(at)}", color=ORANGE, ha="left", va="top")
        return describe(ax, f"{words}. A dotted line marks {_number(at)}.")
    near = np.argsort(np.abs(x - at), kind="stable")[:k]
    guess = y[near].mean()
    ends = [x[near].min(), x[near].max()]
    ax.plot(x[near], y[near], "o", ms=6, mfc="none", mec=ORANGE, mew=1.6)
    edge = ax.get_xlim()
    ax.plot([edge[0], at], [guess, guess], color=ORANGE, lw=1.5, zorder=1)
    ax.set_xlim(edge)
    ax.plot(at, guess, "D", color=ORANGE, ms=8, mec="white", zorder=4)
    ax.annotate(
        f"the guess: {_number(guess)}", (edge[0], guess), (4, 5), textcoords="offset points",
        color=ORANGE, weight="bold",
    )  # fmt: skip
    return describe(
        ax,
        f"{words}. The {k} nearest to {_number(at)} lie between {_number(ends[0])} and "
        f"{_number(ends[1])}, with values from {_number(y[near].min())} to "
        f"{_number(y[near].max())}; their mean, the guess, is {_number(guess)}.",
    )


def plot_lines(
    x: Numbers,
    y: Numbers,
    lines: Mapping[str, tuple[float, float]],
    ax: Axes | None = None,
    xlabel: str = AREA,
    ylabel: str = PRICE,
) -> Axes:
    """A scatter with straight lines through it, each with its name at the right.

    Parameters
    ----------
    x, y : array, shape (n_rows,) or (n_rows, 1)
    lines : dict of str to (float, float)
        By name: weight and bias, for x as it is drawn.
    ax : matplotlib.axes.Axes, optional
    xlabel, ylabel : str
        Names and units.

    Returns
    -------
    matplotlib.axes.Axes
    """
    x, y, ax = _flat(x), _flat(y), _axes(ax)
    _scatter(ax, x, y)
    ends, words = np.array([x.min(), x.max()]), []
    for (name, (weight, bias)), color in zip(lines.items(), COLORS, strict=False):
        weight, bias = float(weight), float(bias)
        heights = weight * ends + bias
        ax.plot(ends, heights, color=color, lw=2.2)
        ax.annotate(
            name, (ends[1], heights[1]), (6, 0), textcoords="offset points", color=color,
            va="center", weight="bold",
        )  # fmt: skip
        words.append(f"{name}, from {_number(heights[0])} on the left to {_number(heights[1])}")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_xlim(right=ends[1] + 0.2 * (ends[1] - ends[0]))  # room for the names
    title = f"Scatter of {len(x)} rows, {ylabel} by {xlabel}, with straight lines"
    return describe(ax, f"{title}: {'; '.join(words)}.")


def plot_squares(
    x: Numbers,
    y: Numbers,
    weight: float,
    bias: float,
    ax: Axes | None = None,
    xlabel: str = AREA,
    ylabel: str = PRICE,
) -> Axes:
    """A line, and at each row the square of what it misses: the side is the miss, drawn as one.

    Parameters
    ----------
    x, y : array, shape (n_rows,) or (n_rows, 1)
        Some rows; a dozen can be told apart.
    weight, bias : float
        Of the line.
    ax : matplotlib.axes.Axes, optional
    xlabel, ylabel : str
        Names and units.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from matplotlib.patches import Rectangle

    x, y, ax = _flat(x), _flat(y), _axes(ax)
    weight, bias = float(weight), float(bias)
    line = weight * x + bias
    room = 0.12 * (x.max() - x.min())
    ends = np.array([x.min() - room, x.max() + room])
    heights = [*y, *line]
    margin = 0.12 * (max(heights) - min(heights))
    ax.set(xlim=ends, ylim=(min(heights) - margin, max(heights) + margin))
    ax.set(xlabel=xlabel, ylabel=ylabel)
    # As wide on paper as it is high: units of x for one unit of y.
    cast("Figure", ax.figure).draw_without_rendering()
    box = ax.get_window_extent()
    across = (ax.get_xlim()[1] - ax.get_xlim()[0]) / box.width
    up = (ax.get_ylim()[1] - ax.get_ylim()[0]) / box.height
    for place, height, said in zip(x, y, line, strict=True):
        miss = said - height
        corner = (place, min(height, said))
        wide = miss * across / up  # to the right where the line is too high
        ax.add_patch(Rectangle(corner, wide, abs(miss), fc=ORANGE, ec=ORANGE, alpha=0.25, lw=1.2))
    ax.plot(ends, weight * ends + bias, color=BLUE, lw=2.2)
    ax.plot(x, y, "o", ms=5, color="black", zorder=3)
    misses = np.abs(line - y)
    return describe(
        ax,
        f"{len(x)} rows, a line, and a square on each miss. Sides of the squares from "
        f"{_number(misses.min())} to {_number(misses.max())}; the mean of the squares is "
        f"{_number((misses**2).mean())}, its root {_number(np.sqrt((misses**2).mean()))}.",
    )


def plot_valley(
    feature: Numbers,
    y: Numbers,
    paths: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    ax: Axes | None = None,
    xlabel: str = "weight",
    ylabel: str = "bias",
) -> Axes:
    """The mean squared error of every line as a landscape seen from above, and paths through it.

    Each contour joins lines of equal loss. They are drawn around the lowest point, so that the
    first point of the first path lies on the outermost but one.

    Parameters
    ----------
    feature, y : array, shape (n_rows,) or (n_rows, 1)
    paths : dict of str to sequence of (float, float), optional
        By name: weights and biases, one pair a step.
    ax : matplotlib.axes.Axes, optional
    xlabel, ylabel : str
        Names and units.

    Returns
    -------
    matplotlib.axes.Axes
    """
    feature, y, ax = _flat(feature), _flat(y), _axes(ax, (5.4, 4.6))
    walks = {name: np.array(path, dtype=float) for name, path in (paths or {}).items()}
    columns = np.column_stack([feature, np.ones_like(feature)])
    lowest, *_ = np.linalg.lstsq(columns, y, rcond=None)
    curvature = columns.T @ columns / len(y)
    start = next(iter(walks.values()))[0] if walks else np.zeros(2)
    first = (start - lowest) @ curvature @ (start - lowest)
    reach = 1.25 * np.sqrt(first * np.diag(np.linalg.inv(curvature)))
    w, b = (np.linspace(c - r, c + r, 121) for c, r in zip(lowest, reach, strict=True))
    away = np.stack(np.meshgrid(w, b), -1) - lowest
    height = np.einsum("...i,ij,...j", away, curvature, away)
    levels = first * np.array([0.02, 0.1, 0.25, 0.5, 1.0, 1.5])
    ax.contourf(w, b, height, levels=[0, *levels], cmap="Greys", alpha=0.35, vmax=2.5 * first)
    ax.contour(w, b, height, levels=levels, colors=GREY, linewidths=0.8)
    words = []
    for (name, path), color, mark in zip(walks.items(), COLORS, "oDs^", strict=False):
        ax.plot(*path.T, color=color, marker=mark, ms=4, lw=1.4, label=name)
        words.append(f"{name} goes from {_pair(path[0])} to {_pair(path[-1])} in {len(path) - 1}")
    ax.plot(*lowest, "*", ms=15, color="black", mec="white", zorder=4)
    # The same scale along both axes: what is round looks round.
    unit = max(reach[0], reach[1] / HEIGHT)
    ax.set(xlim=lowest[0] + np.array([-unit, unit]), xlabel=xlabel, ylabel=ylabel)
    ax.set(ylim=lowest[1] + HEIGHT * np.array([-unit, unit]), aspect="equal")
    if walks:
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}
        ax.legend(**above)
    long, short = np.sqrt(np.linalg.eigvalsh(np.linalg.inv(curvature))[::-1])
    shape = f"{_number(long / short)} times as long as wide" if long > 1.1 * short else "round"
    steps = "".join(f" {said} steps." for said in words)
    return describe(
        ax,
        f"Contours of the mean squared error by {xlabel} and {ylabel}: a valley, {shape}, with "
        f"its lowest point, {_number(((columns @ lowest - y) ** 2).mean())}, at "
        f"{_pair(lowest)}.{steps}",
    )


def plot_misses(
    x: Numbers,
    miss: Numbers,
    ax: Axes | None = None,
    xlabel: str = AREA,
    ylabel: str = "price − prediction (US$ 1,000)",
    n_bands: int = 8,
) -> Axes:
    """What a model misses along a feature: each row, and the mean in bands of equal count.

    Parameters
    ----------
    x : array, shape (n_rows,) or (n_rows, 1)
    miss : array, shape (n_rows,) or (n_rows, 1)
        Truth minus prediction.
    ax : matplotlib.axes.Axes, optional
    xlabel, ylabel : str
        Names and units.
    n_bands : int

    Returns
    -------
    matplotlib.axes.Axes
    """
    x, miss, ax = _flat(x), _flat(miss), _axes(ax)
    ax.plot(x, miss, ".", ms=3, color=GREY, alpha=0.35, mew=0, rasterized=True)
    bands = np.array_split(np.argsort(x, kind="stable"), n_bands)
    centres = [np.median(x[band]) for band in bands]
    means = [miss[band].mean() for band in bands]
    ax.axhline(0, color=BLUE, lw=1.5)
    ax.plot(centres, means, "D-", color=ORANGE, ms=6)
    far = np.quantile(np.abs(miss), 0.97)
    few = np.quantile(x, [0.001, 0.995])  # so that one palace does not squeeze all others
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=few, ylim=(-far, far))
    ax.annotate(
        "mean", (centres[-1], means[-1]), (-4, 8), textcoords="offset points", color=ORANGE,
        weight="bold", ha="right",
    )  # fmt: skip
    said = ", ".join(f"{_number(m)} at {_number(c)}" for c, m in zip(centres, means, strict=True))
    return describe(ax, f"{ylabel} by {xlabel} for {len(x):,} rows; means in bands: {said}.")


def _flat(values):
    """A column of numbers as a flat array."""
    values = values.detach() if hasattr(values, "detach") else values
    return np.asarray(values, dtype=float).reshape(-1)


def _scatter(ax, x, y):
    ax.plot(x, y, "o", ms=3.5, color=GREY, alpha=0.55, mew=0)


def _trend(x, y):
    """What a scatter shows, in words."""
    order = np.argsort(x, kind="stable")
    low, high = order[: len(x) // 4], order[-(len(x) // 4 or 1) :]
    return (
        f"median {_number(np.median(y[low]))} in the lowest quarter of the first, "
        f"{_number(np.median(y[high]))} in the highest"
    )


def _pair(point):
    return f"({_number(point[0])}, {_number(point[1])})"
