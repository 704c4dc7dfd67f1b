"""Batch normalisation: written out by hand, looked into, and folded away.

Source: Ioffe & Szegedy (2015), "Batch Normalization: Accelerating Deep Network Training by
Reducing Internal Covariate Shift", arXiv:1502.03167, algorithms 1 and 2.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

if TYPE_CHECKING:
    import pandas as pd

    from regression_lib.ensemble import Linears
    from regression_lib.network import Norm, RegressionNet

Net = TypeVar("Net", bound="RegressionNet")


class BatchNorm(nn.Module):
    """`torch.nn.BatchNorm1d` in plain tensor operations, to be read rather than to be fast.

    In train mode each column of a batch is moved to mean 0 and variance 1 by the batch's own
    statistics; in eval mode by the running ones, so that a row's result no longer depends on
    its neighbours. The learnt `weight` (γ) and `bias` (β) then scale and shift the columns.

    Parameters
    ----------
    n_features : int
        Columns of the input, which has shape (n_rows, n_features).
    momentum : float
        The share of the newest batch in the running statistics.
    eps : float
        Added to the variance, so that a constant column does not divide by zero.

    Raises
    ------
    ValueError
        For an input of another shape, or for a single row in train mode.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(self, n_features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(n_features))
        self.bias = nn.Parameter(torch.zeros(n_features))
        self.register_buffer("running_mean", torch.zeros(n_features))
        self.register_buffer("running_var", torch.ones(n_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 2 or x.shape[1] != len(self.weight):
            raise ValueError(f"expected shape (n_rows, {len(self.weight)}), got {tuple(x.shape)}")
        mean, var = self._batch_statistics(x) if self.training else self._running_statistics()
        return self.weight * (x - mean) / torch.sqrt(var + self.eps) + self.bias

    def _running_statistics(self):
        return self.running_mean, self.running_var

    def _batch_statistics(self, x):
        n_rows = len(x)
        if n_rows < 2:
            raise ValueError("one row in train mode has no variance: use eval() or more rows")
        mean = x.mean(0)
        var = ((x - mean) ** 2).mean(0)
        with torch.no_grad():
            # The batch is scaled by its own variance; what is remembered estimates everybody's.
            unbiased = var * n_rows / (n_rows - 1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            self.num_batches_tracked += 1
        return mean, var

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, momentum={self.momentum}, eps={self.eps}"


def layer_statistics(net: nn.Module, x: torch.Tensor, bound: float = 2.0) -> pd.DataFrame:
    """What each layer of a network puts out for a batch, in the mode the network is in.

    The pass runs on a copy, so that looking at a network in train mode does not move its
    running statistics.

    Parameters
    ----------
    net : torch.nn.Module
    x : torch.Tensor, shape (n_rows, n_features)
    bound : float
        An output beyond ±`bound` counts as large (2 is where tanh saturates).

    Returns
    -------
    pandas.DataFrame
        One row a layer in the order of the pass: `layer` (its name), `kind` (its class),
        `units`, `mean` (the largest |mean| of a unit over the batch), `sd` (the units' standard
        deviation, averaged) and `large` (the share of outputs with |output| > bound).

    Raises
    ------
    TypeError
        For an ensemble; pass one of its members.
    """
    import pandas as pd

    if not isinstance(net, nn.Module):
        raise TypeError(f"net must be a network of PyTorch, got {net!r}")
    if hasattr(net, "predict_members"):
        raise TypeError("an ensemble has K units for each unit: look at one member, net[k]")
    probe, rows = copy.deepcopy(net), []

    def record(name, module):
        def hook(_module, _inputs, output):
            flat = output.reshape(len(output), -1)
            rows.append(
                {
                    "layer": name,
                    "kind": type(module).__name__,
                    "units": flat.shape[1],
                    "mean": flat.mean(0).abs().max().item(),
                    "sd": flat.std(0, correction=0).mean().item(),
                    "large": (flat.abs() > bound).double().mean().item(),
                }
            )

        return hook

    for name, module in probe.named_modules():
        if not any(module.children()):
            module.register_forward_hook(record(name, module))
    with torch.no_grad():
        probe(x)
    return pd.DataFrame(rows)


def fold_pair(linear: nn.Linear | Linears, norm: Norm) -> nn.Linear | Linears:
    """One linear layer that does what `linear` followed by `norm` (in eval mode) does.

    γ (Wx + b − μ) / √(σ² + ε) + β is linear in x, so its weights can be computed once.

    Parameters
    ----------
    linear : torch.nn.Linear
    norm : torch.nn.BatchNorm1d
        With running statistics and learnt γ and β.

    Returns
    -------
    torch.nn.Linear
        Of an ensemble's K-fold layers, a K-fold layer.
    """
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None
    assert var is not None
    scale = norm.weight / torch.sqrt(var + norm.eps)
    bias = -mean if linear.bias is None else linear.bias - mean
    folded = copy.deepcopy(linear)
    folded.weight = nn.Parameter((linear.weight * scale[..., None]).detach())
    folded.bias = nn.Parameter((bias * scale + norm.bias).detach())
    return folded


def fold_batch_norm(net: Net) -> Net:
    """A copy of a trained `RegressionNet` without its hidden BatchNorm layers, for predicting.

    Its predictions are those of `net` in eval mode, up to rounding; it is smaller and faster,
    and training it further trains another model. The input BatchNorm stays: folding it would
    subtract two large numbers (a longitude near −122 varies by 0.1) and lose digits.

    Parameters
    ----------
    net : RegressionNet or EnsembleNet

    Returns
    -------
    RegressionNet or EnsembleNet
        In eval mode; it can be saved and loaded like any other.

    Raises
    ------
    ValueError
        If the network has no hidden BatchNorm to fold.
    """
    if not hasattr(net, "layers"):
        raise TypeError(f"net must be a RegressionNet or an EnsembleNet, got {net!r}")
    folded = copy.deepcopy(net).eval()
    pairs = [layer for layer in folded.layers if layer.batch_norm() is not None]
    if not pairs:
        raise ValueError(f"no hidden BatchNorm to fold in {net!r}")
    for layer in pairs:
        layer.linear = fold_pair(layer.linear, layer.norm)
        del layer.norm
    folded.config["batch_norm"] = False
    return folded
