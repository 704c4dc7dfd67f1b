"""What a training makes small, and the slope of it, where backpropagation starts.

The square answers with the mean, and follows a few far-off rows a long way. The absolute error
answers with the median, which they hardly move. Huber's is a square near 0 and straight beyond.
The pinball loss of a share τ makes too low dear and too high cheap, or the other way round, and so
answers with the value that a share τ of the rows stay below.

Sources: Huber (1964), "Robust Estimation of a Location Parameter", Annals of Mathematical
Statistics 35, 73–101; Koenker & Bassett (1978), "Regression Quantiles", Econometrica 46, 33–50.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch

if TYPE_CHECKING:
    from regression_lib.network import RegressionNet

Name: TypeAlias = Literal["squared", "absolute", "huber", "quantile"]
Loss: TypeAlias = Name | tuple[Literal["huber"], float]
NAMES: tuple[Name, ...] = get_args(Name)

# From errors, predicted − y, to the loss of each and to a share of its slope.
OfErrors: TypeAlias = Callable[[torch.Tensor, float], tuple[torch.Tensor, torch.Tensor]]


class MeanLoss:
    """The mean loss of a batch, weighted by row, and its gradient.

    Parameters
    ----------
    name : str
        As `loss_of` gives it.
    of_errors : callable
    n_quantiles : int
        How many predictions there are for each target, side by side.
    """

    def __init__(self, name: str, of_errors: OfErrors, n_quantiles: int = 1) -> None:
        self.name, self.of_errors, self.n_quantiles = name, of_errors, n_quantiles

    def __call__(
        self, predicted: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One number, or one for each member; and the gradient for the predictions."""
        y = y if self.n_quantiles == 1 else y.repeat_interleave(self.n_quantiles, -1)
        values, slope = self.of_errors(predicted - y, 1 / y.shape[-2:].numel())
        if weight is not None:
            values, slope = values.mul_(weight), slope.mul_(weight)
        return values.mean((-2, -1)), slope


def squared(error: torch.Tensor, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """e², of slope 2e."""
    return error * error, error.mul_(2 * share)


def absolute(error: torch.Tensor, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """|e|, of slope ±1."""
    return error.abs(), error.sign_().mul_(share)


def huber(delta: float) -> OfErrors:
    """e² / 2 within ±δ, and δ (|e| − δ / 2) beyond: its slope is e, but no steeper than δ."""

    def of_errors(error, share):
        slope = error.clamp(-delta, delta)
        return error.sub_(slope, alpha=0.5).mul_(slope), slope.mul(share)

    return of_errors


def pinball(levels: torch.Tensor) -> OfErrors:
    """(1 − τ) e where a prediction is too high, and −τ e where it is too low."""

    def of_errors(error, share):
        slope = error.gt(0).to(error.dtype).sub_(levels.to(error))
        return error.mul_(slope), slope.mul_(share)

    return of_errors


def loss_of(loss: Loss, net: RegressionNet) -> MeanLoss:
    """The loss by that name for that network, or an error that says why there is none."""
    name, delta = (loss, 1.0) if isinstance(loss, str) else _with_delta(loss)
    if name not in NAMES:
        raise ValueError(f"unknown loss {name!r}; choose one of {', '.join(NAMES)}")
    quantiles = net.quantiles
    if (name == "quantile") != (quantiles is not None):
        cure = (
            f"predicts the quantiles {', '.join(map(str, quantiles))}: pass loss='quantile'"
            if quantiles
            else "has none: make it with quantiles=(0.05, 0.5, 0.95), for example"
        )
        raise ValueError(f"loss={loss!r}, but the network {cure}")
    if quantiles is not None:
        levels = torch.tensor(quantiles, dtype=torch.float64).repeat(net.config["n_targets"])
        return MeanLoss(name, pinball(levels.to(net.head.weight)), len(quantiles))
    if name == "huber":
        return MeanLoss("huber" if delta == 1 else f"huber({delta:g})", huber(delta))
    return MeanLoss(name, squared if name == "squared" else absolute)


def _with_delta(loss):
    """The name and δ of ("huber", δ)."""
    if not isinstance(loss, (tuple, list)) or len(loss) != 2 or loss[0] != "huber":
        raise ValueError(f"loss must be one of {', '.join(NAMES)}, or ('huber', δ), got {loss!r}")
    delta = loss[1]
    if isinstance(delta, bool) or not isinstance(delta, Real) or not 0 < delta < math.inf:
        raise ValueError(f"the δ of ('huber', δ) must be positive and finite, got {delta!r}")
    return "huber", float(delta)


def checked_quantiles(quantiles: Sequence[float] | None) -> list[float] | None:
    """Shares between 0 and 1 in order, 0.5 among them; or an error that says what is wrong."""
    if quantiles is None:
        return None
    try:
        found = [float(share) for share in quantiles]
    except (TypeError, ValueError):
        found = []
    if not found or not all(0 < share < 1 for share in found):
        raise ValueError(f"quantiles must be shares between 0 and 1, got {quantiles!r}")
    if any(a >= b for a, b in pairwise(found)):
        raise ValueError(f"quantiles must rise from one to the next, got {quantiles!r}")
    if 0.5 not in found:
        raise ValueError(f"quantiles must hold 0.5, which `predict` returns, got {quantiles!r}")
    return found
