"""Dropout: in each step other units are left out, so that none can lean on its neighbours.

Source: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov (2014), "Dropout: A Simple Way to
Prevent Neural Networks from Overfitting", Journal of Machine Learning Research 15, 1929–1958.
"""

import torch
from torch import nn


class Dropout(nn.Module):
    """`torch.nn.Dropout` of one network or of many, with random numbers of the training's own.

    In train mode each number becomes 0 with the probability `share`, and is divided by 1 − `share`
    otherwise, so that its mean stays. In eval mode nothing happens.

    Parameters
    ----------
    share : float
        In [0, 1).

    Attributes
    ----------
    generators : list of torch.Generator
        Lent by `fit`: one for all networks, or one for each. Without them PyTorch's global
        generator draws, as in its own layer.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generators: list[torch.Generator] = []

    def draw(self, mask: torch.Tensor) -> torch.Tensor:
        """Fill a mask, shape (K, n_rows, width), with 0 and 1 / (1 − share)."""
        if not self.generators:
            mask.uniform_()
        for member, generator in zip(mask, self.generators, strict=bool(self.generators)):
            member.uniform_(generator=generator)
        return mask.ge_(self.share).div_(1 - self.share)

    def masks(self, n_members: int) -> int:
        """How many masks are drawn for so many networks: with one generator they share one."""
        return len(self.generators) or n_members

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of shape (n_rows, width), or of an ensemble (K, width, n_rows)."""
        if not self.training:
            return x
        if x.ndim == 2:
            return x * self.draw(torch.empty_like(x)[None])[0]
        k, width, n_rows = x.shape
        return x * self.draw(x.new_empty(self.masks(k), n_rows, width)).mT

    def extra_repr(self) -> str:
        return f"share={self.share}"
