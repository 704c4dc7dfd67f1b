"""Many networks trained as one.

A small network spends its time in the framework: calling a product of two small matrices costs
more than the product. K networks of one shape share the calls: their weights stand in one tensor
(K, n_out, n_in), one batched product serves them all, and one native batch norm sees their units
as K · n_out channels. They share nothing else, and each is trained as it would be alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from regression_lib.checks import Table, index_of
from regression_lib.network import NAMES, RegressionNet, count_of, seed_of

SHARED = ("x_scaler.", "y_scaler.", "embedding.")  # one for all members; the rest is K-fold


class Linears(nn.Module):
    """K linear layers: (K, n_in, n_rows) to (K, n_out, n_rows).

    Rows stand last, so that each unit's values lie side by side in memory: batch norm, which
    goes through them unit by unit, then needs no copy.
    """

    def __init__(self, n_members: int, n_in: int, n_out: int, *, bias: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = n_in, n_out
        self.weight = nn.Parameter(torch.empty(n_members, n_out, n_in))
        self.bias = nn.Parameter(torch.empty(n_members, n_out)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.bias is None:
            return torch.bmm(self.weight, x)
        return torch.baddbmm(self.bias[:, :, None], self.weight, x)


class BatchNorms(nn.Module):
    """K batch norms, as one over K · n_features channels: x has shape (K, n_features, n_rows)."""

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(self, n_members: int, n_features: int, momentum: float, eps: float = 1e-5) -> None:
        super().__init__()
        self.num_features, self.momentum, self.eps = n_features, momentum, eps
        self.weight = nn.Parameter(torch.ones(n_members, n_features))
        self.bias = nn.Parameter(torch.zeros(n_members, n_features))
        self.register_buffer("running_mean", torch.zeros(n_members, n_features))
        self.register_buffer("running_var", torch.ones(n_members, n_features))
        self.register_buffer("num_batches_tracked", torch.zeros(n_members, dtype=torch.long))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        mean, var = self.running_mean.view(-1), self.running_var.view(-1)
        learnt = self.weight.view(-1), self.bias.view(-1)
        channels = x.reshape(1, -1, x.shape[-1])
        result = F.batch_norm(channels, mean, var, *learnt, self.training, self.momentum, self.eps)
        return result.view(x.shape)


class EnsembleNet(RegressionNet):
    """K independent `RegressionNet`s that are trained as one, by the same `fit`.

    Parameters
    ----------
    n_members : int
    n_features, n_targets : int
    seed : int or sequence of int
        Member k starts as ``RegressionNet(…, seed=seed + k)``, or by the k-th of the seeds.
    **options
        Those of `RegressionNet`, the same for all members.

    Notes
    -----
    ``net[k]`` is member k as a plain `RegressionNet`, ``len(net)`` the number of members. What
    members may have of their own in the training, their learning rate and their shuffling, are
    the arguments `lr` and `seed` of `fit`.

    The mean over members that differ in their start alone is a deep ensemble: Lakshminarayanan,
    Pritzel & Blundell (2017), arXiv:1612.01474.

    Examples
    --------
    >>> EnsembleNet(5, 4, hidden=(64, 64))
    EnsembleNet(5 × (4 → 64 → 64 → 1), relu, batch_norm, 23,365 parameters)
    """

    def __init__(
        self,
        n_members: int,
        n_features: int,
        n_targets: int = 1,
        *,
        seed: int | Sequence[int] = 0,
        **options: Any,
    ) -> None:
        nn.Module.__init__(self)
        k = count_of("n_members", n_members)
        seeds = _seeds(seed, k)
        alone = RegressionNet(n_features, n_targets, **options)
        self._set_up({**alone.config, "n_members": k, "seed": seeds})

    def _initialize(self):
        for k in range(len(self)):
            member = RegressionNet(**self._member_config(k)).state_dict()
            with torch.no_grad():
                for name, tensor in self.state_dict().items():
                    if not name.startswith(SHARED):
                        tensor[k].copy_(member[name])

    def _member_config(self, k):
        config = {name: v for name, v in self.config.items() if name != "n_members"}
        return config | {"seed": config["seed"][k]}

    def _linear(self, n_in, n_out, *, bias):
        return Linears(len(self), n_in, n_out, bias=bias)

    def _norm(self, width):
        return BatchNorms(len(self), width, self.config["bn_momentum"])

    def _check_input(self, x):
        if x.ndim == 3 and len(x) != len(self):
            raise ValueError(
                f"expected rows for {len(self)} members, (n_members, n_rows, n_features), got "
                f"{tuple(x.shape)}"
            )
        super()._check_input(x[0] if x.ndim == 3 else x)

    def _widths(self):
        return f"{len(self)} × ({super()._widths()})"

    def __len__(self) -> int:
        return self.config["n_members"]

    @overload
    def __getitem__(self, k: slice) -> EnsembleNet: ...
    @overload
    def __getitem__(self, k: int) -> RegressionNet: ...
    def __getitem__(self, k: int | slice) -> RegressionNet:
        """Member k as a plain network, or those of a slice as an ensemble.

        Either has weights of its own: later training leaves it alone.

        Raises
        ------
        IndexError
            If there is no such member.
        TypeError
            If `k` is neither a whole number nor a slice.
        """
        several = isinstance(k, slice)
        numbers = range(len(self))[k] if isinstance(k, slice) else [index_of(k, len(self))]
        if not numbers:
            raise IndexError(f"no member is left in {k}: the ensemble has {len(self)}")
        with torch.device("meta"):
            config = self.config | {"seed": [self.config["seed"][i] for i in numbers]}
            config |= {"n_members": len(numbers)}
            net = EnsembleNet(**config) if several else RegressionNet(**self._member_config(k))
        weights = {
            name: (tensor if name.startswith(SHARED) else tensor[numbers if several else k]).clone()
            for name, tensor in self.state_dict().items()
        }
        net.load_state_dict(weights, assign=True)
        for name in (*NAMES, "units"):
            setattr(net, name, getattr(self, name))
        return net.train(self.training)

    def __iter__(self) -> Iterator[RegressionNet]:
        return (self[k] for k in range(len(self)))

    def standardized(self, x: torch.Tensor) -> torch.Tensor:
        """From standardised inputs to standardised targets: the part that is trained.

        Parameters
        ----------
        x : torch.Tensor, shape (n_rows, n_features) or (n_members, n_rows, n_features)
            The same rows for all members, or rows for each.

        Returns
        -------
        torch.Tensor, shape (n_members, n_rows, n_targets)
        """
        return super().standardized(x)

    def past_embedding(self, x: torch.Tensor) -> torch.Tensor:
        """As that of one network, (n_members, n_rows, n_targets)."""
        x = x.expand(len(self), *x.shape[-2:]).transpose(1, 2)
        return super().past_embedding(x).transpose(1, 2)

    _columns = -2

    @overload
    def predict(
        self, X: Table, batch_size: int = ..., *, return_std: Literal[False] = ...
    ) -> np.ndarray: ...
    @overload
    def predict(
        self, X: Table, batch_size: int = ..., *, return_std: Literal[True]
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def predict(
        self, X: Table, batch_size: int = 8192, *, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """The members' mean prediction in the targets' units, always in eval mode.

        Parameters
        ----------
        X : array, frame or tensor, shape (n_rows, n_features)
        batch_size : int
            Rows at a time; it bounds the memory and does not change the result.
        return_std : bool
            Return the members' standard deviation as well: how far they disagree, which is
            what further members could average away, and not the noise of the target.

        Returns
        -------
        numpy.ndarray, shape (n_rows, n_targets); with `return_std` two of them

        Raises
        ------
        TypeError, ValueError
            If X holds text, NaN or infinity, or has other columns than those trained on.
        """
        members = self.predict_members(X, batch_size)
        # By a power of two, which costs no digit: sums of 1e308, and squares, would be infinite.
        power = np.frexp(np.abs(members).max())[1]
        members = np.ldexp(members, -power)
        mean = np.ldexp(members.mean(0), power)
        return (mean, np.ldexp(members.std(0), power)) if return_std else mean

    def predict_members(self, X: Table, batch_size: int = 8192) -> np.ndarray:
        """Each member's own prediction, shape (n_members, n_rows, n_targets)."""
        return self._predict(X, batch_size)[..., self._medians]


def _seeds(seed, k):
    """One for each of k members: those that are given, or the numbers from the one that is."""
    several = [seed_of(seed) + i for i in range(k)] if np.ndim(seed) == 0 else seed
    seeds = [seed_of(s) for s in several]
    if len(seeds) != k:
        raise ValueError(f"{k} members need one seed or {k} seeds, got {len(seeds)}")
    return seeds
