"""One step down the gradient, and how long each step is.

A small network has its weights in a dozen small tensors, and an optimiser that visits them one
by one spends its time on the way. Here all weights lie end to end in one vector and all gradients
in another; the network's own tensors become windows on them, and a step is one call.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Literal, TypeAlias, get_args

import torch
from torch import nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd


def _one_cycle(step, n_steps):
    """From 1/25 up to 1 in the first 30 %, then down to 4e-6, along cosines."""
    if n_steps == 1:  # PyTorch's would take it at 4e-6, and so learn nothing
        return 1.0
    peak = 0.3 * n_steps - 1
    if step <= peak:
        return _cosine_between(1 / 25, 1, step / peak)
    return _cosine_between(1, 4e-6, (step - peak) / (n_steps - 1 - peak))


def _cosine(step, n_steps):
    return _cosine_between(1, 0, step / n_steps)


def _constant(_step, _n_steps):
    return 1.0


def _cosine_between(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


# The share of `lr` that a step takes, by its number (from 0) and the number of steps.
SCHEDULES = {"one_cycle": _one_cycle, "cosine": _cosine, "constant": _constant}
Schedule: TypeAlias = Literal["one_cycle", "cosine", "constant"]
Optimizer: TypeAlias = Literal["adamw", "adam", "sgd"]
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)


class Average:
    """A running mean of tensors over the last steps, which can stand in for them.

    While the learning rate is high the weights jump about what they are after; their mean over
    many steps lies nearer to it than any of them: Polyak & Juditsky (1992), "Acceleration of
    stochastic approximation by averaging"; Izmailov et al. (2018), arXiv:1803.05407.

    Parameters
    ----------
    tensors : list of torch.Tensor
        Looked at some sixteen times in `n_steps` steps: more often costs time and changes nothing.
    n_steps : float
        Over how many steps; older ones fade.
    """

    def __init__(self, tensors: list[torch.Tensor], n_steps: float) -> None:
        self.tensors, self.means = tensors, [tensor.clone() for tensor in tensors]
        self.every = max(1, int(n_steps / 16))
        self.n_seen = max(1.0, n_steps / self.every)

    def see(self, step: int) -> None:
        """Take in what the tensors are after a step; steps count from 0."""
        number, rest = divmod(step, self.every)
        if rest == 0:
            share = 1 / min(number + 1, self.n_seen)
            for mean, tensor in zip(self.means, self.tensors, strict=True):
                mean.lerp_(tensor, share)

    @contextmanager
    def instead(self) -> Iterator[None]:
        """For a while the tensors hold their means."""
        now = [tensor.clone() for tensor in self.tensors]
        self._fill(self.means)
        try:
            yield
        finally:
            self._fill(now)

    def _fill(self, values):
        for tensor, value in zip(self.tensors, values, strict=True):
            tensor.copy_(value)


class Descent:
    """The weights of a network as one vector, their gradients as another, and steps for them.

    While it lives, each parameter of the network and its gradient are windows on the two
    vectors; `release` gives the network tensors of its own again.

    Parameters
    ----------
    net : torch.nn.Module
    optimizer : {"adamw", "adam", "sgd"}
        AdamW: Loshchilov & Hutter (2017), arXiv:1711.05101; Adam: Kingma & Ba (2014),
        arXiv:1412.6980, with the decay in the gradient; SGD: Nesterov momentum 0.9.
    lr : float, or sequence of float
        One rate for all weights, or one for each slice of every parameter's first dimension,
        that is, for each member of an ensemble.
    weight_decay : float

    Raises
    ------
    ValueError
        If every parameter is frozen.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: Optimizer,
        lr: float | Sequence[float],
        weight_decay: float,
    ) -> None:
        self.optimizer, self.weight_decay = optimizer, weight_decay
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError("nothing to train: every parameter is frozen (requires_grad=False)")
        self.weights = torch.cat([p.detach().flatten() for p in self.parameters])
        self.gradient, self.momentum, self.square = torch.zeros(3, len(self.weights)).to(
            self.weights
        )
        self.steps = torch.zeros((), device=self.weights.device)
        self.lr = lr if isinstance(lr, float) else self._rates(lr)
        windows = zip(self._windows(self.weights), self._windows(self.gradient), strict=True)
        for parameter, (weight, gradient) in zip(self.parameters, windows, strict=True):
            parameter.data, parameter.grad = weight, gradient

    def _windows(self, vector):
        parts = vector.split([p.numel() for p in self.parameters])
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]

    def _rates(self, lr):
        """The members' rates, repeated for each of their weights."""
        rates = torch.empty_like(self.weights)
        for window in self._windows(rates):
            window.copy_(torch.tensor(lr, dtype=torch.float64).view(-1, *[1] * (window.ndim - 1)))
        return rates

    def step(self, share: float = 1.0) -> None:
        """Change the weights along the gradient, at this share of the learning rate."""
        if isinstance(self.lr, float):
            self._update(share * self.lr)
            return
        # An update is proportional to its rate, so each weight takes its part of one at rate 1.
        before = self.weights.clone()
        self._update(share)
        torch.lerp(before, self.weights, self.lr, out=self.weights)

    def _update(self, lr):
        how = {"lr": lr, "weight_decay": self.weight_decay, "maximize": False}
        weights, gradient, momentum = [self.weights], [self.gradient], [self.momentum]
        if self.optimizer == "sgd":
            how |= {"momentum": 0.9, "dampening": 0.0, "nesterov": True, "fused": True}
            sgd(weights, gradient, momentum, **how)
            return
        rule = _rule_of(self.optimizer)
        rule(weights, gradient, momentum, [self.square], [], [self.steps], **how, **ADAM)

    def state(self) -> dict[str, torch.Tensor]:
        """All that later steps depend on, beside the weights."""
        return {"momentum": self.momentum, "square": self.square, "steps": self.steps}

    def load(self, state: dict[str, torch.Tensor]) -> None:
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    def release(self) -> None:
        """Give each parameter its own memory again, and no gradient."""
        for parameter in self.parameters:
            parameter.data, parameter.grad = parameter.detach().clone(), None


BARE = {name: getattr(torch, f"_fused_{name}_", None) for name in ("adam", "adamw")}
ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False}


@cache
def _rule_of(optimizer: str) -> Callable[..., None]:
    """PyTorch's step of Adam or AdamW: without its checks, which take longer than a small step.

    What stands behind the checks has a private name: it is taken if it is there, and if a step of
    it is the step of the public one.
    """
    checked = partial(adamw if optimizer == "adamw" else adam, foreach=False, fused=True)

    def at_once(weights, gradient, momentum, square, largest, steps, **how):
        steps[0].add_(1)
        BARE[optimizer](weights, gradient, momentum, square, largest, steps, **how)

    def a_step(rule):
        weights, gradient, momentum, square = torch.linspace(1, 2, 12).split(3)
        steps = torch.ones(())
        rule(
            [weights],
            [gradient],
            [momentum],
            [square],
            [],
            [steps],
            lr=0.1,
            weight_decay=0.1,
            maximize=False,
            **ADAM,
        )
        return torch.cat([weights, momentum, square, steps[None]])

    try:
        return at_once if torch.equal(a_step(at_once), a_step(checked)) else checked
    except (TypeError, RuntimeError):
        return checked
