"""Numeric features as piecewise-linear ones: what brings networks level with boosted trees.

A network bends its answer where its units switch on, a tree wherever the data ask for it. Cutting
each column at its quantiles, and telling the first layer how far a value has come through every
piece, hands the network those places to bend at.

Source: Gorishniy, Rubachev & Babenko (2022), "On Embeddings for Numerical Features in Tabular
Deep Learning", arXiv:2203.05556, section 3.2.
"""

import torch
from torch import nn


class PiecewiseLinear(nn.Module):
    """Each column as `n_bins` columns: 1 for a bin passed, 0 for one not reached, else the share.

    Parameters
    ----------
    n_features : int
        Columns of the input, which has shape (…, n_features).
    n_bins : int
        Bins a column; the output has shape (…, n_features · n_bins).

    Attributes
    ----------
    edges : torch.Tensor, shape (n_features, n_bins + 1)
        The bins' borders in rising order; `set` puts them at the quantiles of the training rows.
        A column with few values has fewer borders; the last one is then repeated, and the bins
        without a width stay 0.
    """

    def __init__(self, n_features, n_bins):
        super().__init__()
        self.register_buffer("edges", torch.linspace(-3, 3, n_bins + 1).repeat(n_features, 1))
        self.register_buffer("is_set", torch.tensor(False))

    @property
    def n_outputs(self):
        return self.edges[:, 1:].numel()

    def set(self, x):
        """Put the borders at the quantiles of x, shape (n_rows, n_features)."""
        steps = torch.linspace(0, 1, self.edges.shape[1], dtype=torch.float64)
        for edges, column in zip(self.edges, x.double().cpu().T, strict=True):
            borders = torch.quantile(column, steps).unique()
            edges[: len(borders)] = borders
            edges[len(borders) :] = borders[-1]
        self.is_set.fill_(True)

    def forward(self, x):
        left, width = self.edges[:, :-1], self.edges.diff()
        share = (x[..., None] - left) / width.where(width > 0, torch.inf)
        return share.clamp(0, 1).flatten(-2)
