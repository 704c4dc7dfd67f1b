"""The functions between the layers: a catalogue by name, and where each one still responds.

A unit learns only where its activation has a slope. `responsive_range` finds that stretch for
any function, by the same rule for all: where the slope is at least a given share of its peak.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Activation: TypeAlias = str | Callable[[torch.Tensor], torch.Tensor]  # a module is one, too

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
}


def get_activation(name: str) -> nn.Module:
    """Make an activation from its name.

    Parameters
    ----------
    name : str
        A key of `ACTIVATIONS`.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    TypeError
        If the name is no text.
    ValueError
        If there is no such activation.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"An activation is chosen by its name, e.g. 'tanh', not by {name!r} "
            f"({type(name).__name__}). Pass one of: {', '.join(ACTIVATIONS)}."
        )
    if name not in ACTIVATIONS:
        close = get_close_matches(name.lower(), ACTIVATIONS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"There is no activation {name!r}.{hint} Choose from: {', '.join(ACTIVATIONS)}."
        )
    return ACTIVATIONS[name]()


def derivative(activation: Activation, x: torch.Tensor | ArrayLike) -> torch.Tensor:
    """Differentiate an activation by autograd, in double precision.

    Parameters
    ----------
    activation : str or callable
        A name from the catalogue, a module, or any elementwise function on tensors.
    x : float, list, array or tensor of any shape
        Where.

    Returns
    -------
    torch.Tensor
        The slope at each point, float64, in the shape of x. Where a function has a corner,
        this is the side that PyTorch chose: relu has slope 0 at 0.

    Raises
    ------
    TypeError, ValueError
        See `get_activation`.
    ValueError
        If the output has another shape than x.
    """
    function = _as_function(activation)
    x = torch.as_tensor(x, dtype=torch.float64).detach().clone().requires_grad_(True)
    with torch.enable_grad():  # also when the caller has switched gradients off
        y = function(x)
    if y.shape != x.shape:
        raise ValueError(
            f"An activation works element by element, but this one turned the shape "
            f"{tuple(x.shape)} into {tuple(y.shape)}. Pass a function that keeps the shape."
        )
    if not y.requires_grad:  # a constant does not even look at x
        return torch.zeros_like(x)
    # Output i depends on input i alone, so one backward pass from ones holds every slope at once.
    return torch.autograd.grad(y, x, torch.ones_like(y))[0]


def responsive_range(fn: Activation, threshold: float = 0.0707) -> tuple[float, float]:
    """Find where an activation responds: the stretch that has a slope worth the name.

    It is the smallest interval that holds every point whose slope, up or down, is at least
    `threshold` times the steepest slope. The default makes it ±4 for the sigmoid and ±2 for tanh.

    Parameters
    ----------
    fn : str or callable
        A name from the catalogue, a module, or any elementwise function on tensors.
    threshold : float
        Share of the peak slope, above 0 and below 1.

    Returns
    -------
    (float, float)
        Low and high end, to within 1e-6; −inf or inf where the slope never fades.

    Raises
    ------
    TypeError, ValueError
        See `get_activation`.
    ValueError
        If the threshold is out of range, or the slope is zero everywhere, not finite, or grows
        without bound.

    Notes
    -----
    The search looks at [−10⁴, 10⁴]: every 0.01 near zero, every 1 % of x farther out. What lies
    beyond, or is narrower than that, escapes it.
    """
    if not 0 < threshold < 1:
        raise ValueError(
            f"threshold={threshold!r} is a share of the peak slope and must lie between 0 and 1; "
            f"0.0707 gives the sigmoid ±4."
        )
    near = torch.arange(-1000, 1001, dtype=torch.float64) / 100
    far = torch.logspace(1, 4, 696, dtype=torch.float64)[1:]
    x = torch.cat([-far.flip(0), near, far])
    slope = derivative(fn, x).abs()
    level = threshold * _peak(fn, x, slope)
    active = torch.nonzero(slope >= level).flatten()
    first, last = int(active[0]), int(active[-1])
    low = -math.inf if first == 0 else _edge(fn, level, x[first - 1], x[first])
    high = math.inf if last == len(x) - 1 else _edge(fn, level, x[last + 1], x[last])
    return low, high


def _as_function(activation):
    if isinstance(activation, nn.Module):
        return copy.deepcopy(activation).double()  # the caller's module stays as it is
    if callable(activation):
        return activation
    return get_activation(activation)


def _peak(fn, x, slope):
    """Find the steepest slope, between the points of the grid too."""
    if not torch.isfinite(slope).all():
        where = x[~torch.isfinite(slope)][0]
        raise ValueError(
            f"The slope at x = {where:g} is not finite, so it has no peak to compare with. "
            f"Pass a function with a finite slope on [-10000, 10000]."
        )
    at = int(slope.argmax())
    if slope[at] == 0:
        raise ValueError("The slope is zero everywhere: pass a function that is not constant.")
    inner = slope[x.abs() <= x[-1] / 2].max()
    if slope[at] > 1.001 * inner:
        raise ValueError(
            f"The slope still grows at x = {x[at]:g}, so it has no peak to compare with. "
            f"Pass a function whose slope is bounded."
        )
    low, high = x[max(at - 1, 0)], x[min(at + 1, len(x) - 1)]
    best = slope[at]
    for _ in range(4):  # each round looks 50 times closer
        closer = torch.linspace(float(low), float(high), 101, dtype=torch.float64)
        slopes = derivative(fn, closer).abs()
        at = int(slopes.argmax())
        best = torch.maximum(best, slopes[at])
        low, high = closer[max(at - 1, 0)], closer[min(at + 1, 100)]
    return best


def _edge(fn, level, outside, inside):
    """Halve the gap between a point that responds and one that does not, far beyond 1e-6."""
    outside, inside = float(outside), float(inside)
    for _ in range(60):
        middle = (outside + inside) / 2
        if abs(float(derivative(fn, middle))) >= level:
            inside = middle
        else:
            outside = middle
    return round(inside, 9) + 0.0  # + 0.0 turns −0.0 into 0.0
