"""Numeric features as piecewise-linear ones: what brings networks level with boosted trees.

A network bends its answer where its units switch on, a tree wherever the data ask for it. Cutting
each column at its quantiles, and telling the first layer how far a value has come through every
piece, hands the network those places to bend at.

Source: Gorishniy, Rubachev & Babenko (2022), "On Embeddings for Numerical Features in Tabular
Deep Learning", arXiv:2203.05556, section 3.2.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

ROWS = 10_000  # among so many, a column of many values shows that it has them


class PiecewiseLinear(nn.Module):
    """Each column, and for each of its bins a column: 0 before it, 1 past it, the share within.

    The training rows' mean is taken off those shares: networks learn faster from columns that
    are centred.

    Parameters
    ----------
    n_bins : sequence of int
        Bins of each column. The input has shape (…, n_features), the output
        (…, n_features + sum(n_bins)).

    Notes
    -----
    Below the first border and above the last one the shares stay 0 and 1; the column itself,
    which is passed on beside them, still tells such values apart.
    """

    column: torch.Tensor
    left: torch.Tensor
    width: torch.Tensor
    mean: torch.Tensor
    is_set: torch.Tensor

    def __init__(self, n_bins: Sequence[int]) -> None:
        super().__init__()
        counts = torch.tensor(n_bins, device="cpu")
        self.n_bins = list(n_bins)
        self.n_outputs = len(n_bins) + sum(n_bins)
        column = torch.arange(len(n_bins), device="cpu").repeat_interleave(counts)
        self.register_buffer("column", column, persistent=False)  # whose bin it is
        self.register_buffer("left", torch.zeros(sum(n_bins)))
        self.register_buffer("width", torch.full((sum(n_bins),), torch.inf))
        self.register_buffer("mean", torch.zeros(sum(n_bins)))
        self.register_buffer("is_set", torch.tensor(False))

    def set(self, x: torch.Tensor) -> None:
        """Put the borders where x, shape (n_rows, n_features), has its values."""
        self.reset()
        buffers = (part.split(self.n_bins) for part in (self.left, self.width, self.mean))
        for k, (n_bins, *parts) in enumerate(zip(self.n_bins, *buffers, strict=True)):
            column = np.sort(x[:, k].double().cpu().numpy())
            borders = borders_of(column, n_bins)
            found = borders[:-1], np.diff(borders), mean_shares(column, borders)
            # Where many rows share a value, quantiles coincide: the bins left over stay 0.
            for part, values in zip(parts, found, strict=True):
                part[: len(values)] = torch.from_numpy(values)
        self.is_set.fill_(True)

    def reset(self) -> None:
        """No borders, and so shares of 0."""
        for values, start in [(self.left, 0), (self.width, torch.inf), (self.mean, 0)]:
            values.fill_(start)
        self.is_set.fill_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = x.index_select(
            -1, self.column
        )  # bins by the hundred: each copy that is saved counts
        shares = shares.sub_(self.left).div_(self.width).clamp_(0, 1).sub_(self.mean)
        return torch.cat([x, shares], dim=-1)


def borders_of(column: np.ndarray, n_bins: int) -> np.ndarray:
    """Where to cut a sorted column into at most `n_bins` pieces: at its values, or quantiles."""
    values = column[np.diff(column, prepend=-np.inf) > 0]
    if len(values) <= n_bins + 1:
        return values
    return np.unique(np.quantile(column, np.linspace(0, 1, n_bins + 1)))


def mean_shares(column: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """The mean share of each bin over a sorted column.

    The shares of a million rows would be some hundred million numbers. In a sorted column the
    rows within a bin stand side by side, so that one sum tells theirs, and all later rows have 1.
    """
    if len(borders) < 2:
        return np.zeros(0)
    starts = np.searchsorted(column, borders[:-1])
    counts = np.diff(starts, append=len(column))
    sums = np.where(counts > 0, np.add.reduceat(column, starts), 0)
    within = (sums - counts * borders[:-1]) / np.diff(borders)
    return (within + len(column) - starts - counts) / len(column)


def useful_bins(X: np.ndarray, most: int) -> list[int]:
    """How many bins each column can fill: one for each gap between its values, `most` at most.

    One of two values needs none: between them the column itself is all there is to tell.
    """
    gaps = [_gaps(column, max(most, 2)) for column in X.T]
    return [min(gap, most) if gap > 1 else 0 for gap in gaps]


def _gaps(column, most):
    first = len(np.unique(column[:ROWS])) - 1
    return first if first >= most or len(column) <= ROWS else len(np.unique(column)) - 1
