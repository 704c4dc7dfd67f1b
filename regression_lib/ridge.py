"""A ridge regression beside the network, as much of it as predicts best.

A network has to find out that a target follows its columns in straight lines; a line need not, and
where rows are few it is often ahead. The two err in different places, so that a mean of both is
better than either. How much of each, the rows that the network has not trained on say.

What comes of it is one network still: a line is a layer from its inputs to its outputs.

Source: Hoerl & Kennard (1970), "Ridge Regression", Technometrics 12, 55–67; for means of models
by rows left out Breiman (1996), "Stacked Regressions", Machine Learning 24, 49–64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from regression_lib.checks import Column, Table, as_matrix
from regression_lib.network import RegressionNet, evaluating
from regression_lib.rows import Pair, as_pair, hold_out, is_fraction, training_rows

# Of standardised columns; the smallest leaves few rows something to hold their weights by.
PENALTIES = np.logspace(-1, 5, 13)
MOST_ROWS = 10_000  # with more of them, a network has found the line by itself
MOST_NUMBERS = 2**21  # what a singular value decomposition does in a second or two


@dataclass(frozen=True)
class Line:
    """y = x W + b, and what lines without a row say of this row.

    Attributes
    ----------
    weights : ndarray, shape (n_features, n_targets)
    bias : ndarray, shape (n_targets,)
    left_out : ndarray, shape (n_rows, n_targets)
        Each row's prediction by the line of all other rows.
    """

    weights: np.ndarray
    bias: np.ndarray
    left_out: np.ndarray


def ridge(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Line:
    """The ridge regression that predicts rows left out best, of thirteen penalties.

    Parameters
    ----------
    x : ndarray, shape (n_rows, n_features)
        Standardised columns.
    y : ndarray, shape (n_rows, n_targets)
        Each target has a penalty of its own.
    weight : ndarray, shape (n_rows, 1)

    Notes
    -----
    Nothing is fitted twice: a residual of the line of all rows, divided by 1 minus the row's
    leverage, is the residual of the line without that row (Allen 1974, Technometrics 16, 125–127).
    """
    weight = weight / weight.mean()
    root, shares = np.sqrt(weight), weight / weight.sum()
    x_mean, y_mean = (shares * x).sum(0), (shares * y).sum(0)
    u, s, v = np.linalg.svd(root * (x - x_mean), full_matrices=False)
    along = u.T @ (root * (y - y_mean))
    lines = [_line(y - y_mean, root, u, s, v, along, penalty) for penalty in PENALTIES]
    errors = [(shares * left**2).sum(0) for _, left in lines]
    best = np.argmin(errors, axis=0)
    weights, left = (
        np.stack([lines[k][part][:, target] for target, k in enumerate(best)], axis=1)
        for part in (0, 1)
    )
    return Line(weights, y_mean - x_mean @ weights, y - left)


def _line(y, root, u, s, v, along, penalty):
    """The weights for one penalty, and the residual of each row where it is left out."""
    kept = s**2 / (s**2 + penalty)
    residual = y - u @ (kept[:, None] * along) / root
    leverage = (u**2) @ kept[:, None] + root**2 / (root**2).sum()
    weights = v.T @ ((s / (s**2 + penalty))[:, None] * along)
    return weights, residual / np.maximum(1 - leverage, 1e-9)


def network_share(
    predicted: np.ndarray, line: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """The a in [0, 1] of least squared error in a · predicted + (1 − a) · line.

    Parameters
    ----------
    predicted, line, y : ndarray, shape (n_members, n_rows, n_targets)
        All members have the same a: a few rows of one alone say little.
    weight : ndarray, shape (n_members, n_rows, 1)

    Returns
    -------
    ndarray, shape (n_targets,)
        1 where network and line agree.
    """
    gap = predicted - line
    size = (weight * gap**2).sum((0, 1))
    fit = (weight * gap * (y - line)).sum((0, 1))
    return np.clip(np.divide(fit, size, out=np.ones_like(fit), where=size > 0), 0, 1)


def is_small(n_rows: int, n_features: int) -> bool:
    """Whether a line is worth its time."""
    return n_rows <= MOST_ROWS and n_rows * n_features <= MOST_NUMBERS


def mix_in(
    net: RegressionNet,
    X: Table,
    y: Table,
    sample_weight: Column | None,
    validation: Pair | float,
    seeds: Sequence[int],
) -> np.ndarray:
    """Make a trained network the best mean of itself and of a ridge regression.

    Parameters
    ----------
    net : RegressionNet or EnsembleNet
        Changed in place: `direct` holds the line.
    X, y, sample_weight, validation, seeds
        As `fit` had them, so that the rows which it held out, for each member its own, judge.

    Returns
    -------
    ndarray, shape (n_targets,)
        How much of each prediction is still the network's.
    """
    device = net.head.weight.device
    rows = training_rows(net, X, y, None, sample_weight, seeds, device).train
    x, y, *weights = (part.double().cpu().numpy() for part in rows)
    weight = weights[0] if weights else np.ones((len(x), 1))
    line = ridge(x, y, weight)
    if is_fraction(validation):
        held = np.stack([hold_out(np.arange(len(x)), validation, seed)[1] for seed in seeds])
        x, y, lines, weight = (part[held] for part in (x, y, line.left_out, weight))
    else:
        x, y, lines, weight = _judges(net, line, validation)
    share = network_share(_predicted(net, x), lines, y, weight)
    _become(net, line, share)
    return share


def _judges(net, line, validation):
    """Rows of the user's choice: the same for all members."""
    X, y = map(as_matrix, as_pair(validation), ("validation X", "validation y"))
    x, y = (part.double().cpu().numpy()[None] for part in (net.inputs(X), net.targets(y)))
    return x, y, x @ line.weights + line.bias, np.ones((1, x.shape[1], 1))


def _predicted(net, x):
    """What each member says of its rows, standardised: (n_members or 1, n_rows, n_targets)."""
    rows = torch.from_numpy(x if len(x) > 1 else x[0]).to(net.head.weight)
    with evaluating(net), torch.no_grad():
        parts = [net.standardized(part) for part in rows.split(net.rows_at_once, dim=-2)]
    z = torch.cat(parts, dim=-2).double().cpu().numpy()
    return z if z.ndim == 3 else z[None]


@torch.no_grad()
def _become(net, line, share):
    """Let the last layer say `share` of what it said, and `direct` the rest."""
    net.add_direct()
    head, direct, each = net.head, net.direct, share[:, None]
    for part, told, said in [
        (head.weight, each, 0),
        (head.bias, share, line.bias),
        (direct.weight, each, line.weights.T),
    ]:
        part.mul_(torch.as_tensor(told).to(part)).add_(torch.as_tensor((1 - told) * said).to(part))
