"""Pictures that lessons alone need: neighbours, squares, a valley of losses, and a network.

Each function draws on `ax` (or makes one), names the units on the axes, and describes in words
what it drew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from regression_lib.plots import BLUE, GREY, ORANGE, _axes, _number, describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 8  # units of a layer that are drawn; of more, the first and the last few
THICKEST = 3.5  # points: the line of the largest weight of a layer


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
    tallest = max(min(width, SHOWN) for width in widths)
    ax = _axes(ax, (5.4, 1.0 + 0.42 * max(3, tallest)))
    drawn = [_drawn(width) for width in widths]
    places = [_places(units, k) for k, units in enumerate(drawn)]
    for k, weight in enumerate(weights):
        _wires(ax, weight[np.ix_(drawn[k + 1], drawn[k])], places[k], places[k + 1])
    for k, (units, place) in enumerate(zip(drawn, places, strict=True)):
        _units(ax, place, BLUE if 0 < k < len(widths) - 1 else GREY)
        if len(units) < widths[k]:
            middle = place[SHOWN // 2 - 1 : SHOWN // 2 + 1].mean(0)
            ax.text(*middle, "⋮", ha="center", va="center", size=14)
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
        return widths, [np.ones((b, a)) for a, b in zip(widths, widths[1:])], [[]] * len(widths)
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


def _drawn(width):
    """Which units of a layer are drawn."""
    half = SHOWN // 2
    return [*range(width)] if width <= SHOWN else [*range(half), *range(width - half, width)]


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
        width = max(0.15, THICKEST * share) if weights.std() else 0.8
        ends_of = np.array([starts[j], ends[i]]).T
        ax.plot(*ends_of, lw=width, alpha=0.25 + 0.6 * share, zorder=1, **style)


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
