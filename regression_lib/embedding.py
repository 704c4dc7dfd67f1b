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

AT_ONCE = 2**22  # numbers that are looked at together: it bounds the memory


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
        lefts, widths = self.left.split(self.n_bins), self.width.split(self.n_bins)
        for k, (n_bins, left, width) in enumerate(zip(self.n_bins, lefts, widths, strict=True)):
            borders = borders_of(x[:, k].cpu().double(), n_bins)
            # Where many rows share a value, quantiles coincide: the bins left over stay 0.
            left[: len(borders) - 1] = borders[:-1]
            width[: len(borders) - 1] = borders.diff()
        # A million rows become some hundred columns each: so a part of them at a time, and a sum
        # of so many digits that the parts leave no trace in it.
        total = torch.zeros(len(self.left), dtype=torch.float64)
        for part in x.split(max(1, AT_ONCE // self.n_outputs)):
            total += self._shares(part.to(self.left)).cpu().double().sum(0)
        self.mean.copy_(total / len(x))
        self.is_set.fill_(True)

    def reset(self) -> None:
        """No borders, and so shares of 0."""
        for values, start in [(self.left, 0), (self.width, torch.inf), (self.mean, 0)]:
            values.fill_(start)
        self.is_set.fill_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self._shares(x) - self.mean], dim=-1)

    def _shares(self, x):
        return ((x[..., self.column] - self.left) / self.width).clamp_(0, 1)


def borders_of(column: torch.Tensor, n_bins: int) -> torch.Tensor:
    """Where to cut a column into at most `n_bins` pieces: at its values if few, else quantiles."""
    values = column.unique()
    if len(values) <= n_bins + 1:
        return values
    shares = np.linspace(0, 1, n_bins + 1)  # NumPy's quantile takes any number of rows
    return torch.from_numpy(np.quantile(column.numpy(), shares)).unique()
