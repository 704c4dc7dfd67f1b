"""What a training makes small, and its slope, which backpropagation starts from."""

from __future__ import annotations

import torch


def squared(
    predicted: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean squared error, one number or one for each member, and the gradient of it."""
    error = predicted - y
    share = error if weight is None else error * weight
    loss = (share * error).mean((-2, -1))
    return loss, share.mul_(2 / y.shape[-2:].numel())
