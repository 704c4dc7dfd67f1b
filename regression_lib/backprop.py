"""Backpropagation, written out: what `loss.backward()` does for the networks of this library.

A network is a chain of simple functions, and each of them is here a class with two methods.
`forward` computes the result and keeps what its slope depends on. `backward` is given the gradient
of the loss with respect to that result, and returns the one with respect to what came in: the chain
rule, one link at a time, from the last function to the first. On the way it leaves the gradients
of the function's own weights where the optimiser looks for them.

PyTorch finds all of this by itself, step by step anew, in memory asked for anew. For small networks
that takes longer than the arithmetic. Here the memory of a batch is asked for once, and the rest
is matrix products.

Every tensor has the shape (K, n_rows, width): K networks of one shape pass side by side, and one
network is K = 1. A sum over the rows is a product with a row of ones, the fastest one there is.

Source: Rumelhart, Hinton & Williams (1986), "Learning representations by back-propagating
errors", Nature 323, 533–536; for batch normalisation Ioffe & Szegedy (2015), arXiv:1502.03167.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from regression_lib.dropout import Dropout
from regression_lib.embedding import PiecewiseLinear
from regression_lib.ensemble import BatchNorms, EnsembleNet, Linears
from regression_lib.network import Layer, RegressionNet, Scaler

if TYPE_CHECKING:
    from regression_lib.network import Linear, Norm


class Memory(dict):
    """Where the passes find their weights and keep their numbers.

    By a width and a name there is memory that several of them use in turn: whoever writes there
    knows that what stood there has been read.
    """

    def __init__(self, net: RegressionNet, n_rows: int) -> None:
        self.k, self.n_rows = len(net) if isinstance(net, EnsembleNet) else 1, n_rows
        self.ones = net.head.weight.detach().new_ones(self.k, 1, n_rows)

    def new(self, width: int) -> torch.Tensor:
        """Memory for the numbers of all rows in a layer of this width."""
        return self.ones.new_empty(self.k, self.n_rows, width)

    def __missing__(self, key):
        self[key] = self.new(key[0])
        return self[key]

    def of(self, tensor: Any, *shape: int) -> tuple[torch.Tensor, Any]:
        """A weight with its members first, in this shape, and the place of its gradient."""
        gradient = None if tensor.grad is None else tensor.grad.view(self.k, *shape)
        return tensor.detach().view(self.k, *shape), gradient


class LinearPass:
    """z = x Wᵀ + b. So ∂W = (∂z)ᵀ x, ∂b = the sum of ∂z over the rows, and ∂x = ∂z W."""

    def __init__(self, module: Linear, memory: Memory, below: torch.Tensor | None) -> None:
        self.ones, self.below, self.bias = memory.ones, below, None
        self.weight, self.weight_grad = memory.of(module.weight, *module.weight.shape[-2:])
        self.transposed = self.weight.mT
        if module.bias is not None:
            self.bias, self.bias_grad = memory.of(module.bias, 1, -1)
        self.z = memory.new(self.weight.shape[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.x = x
        torch.bmm(x, self.transposed, out=self.z)
        return self.z if self.bias is None else self.z.add_(self.bias)

    def backward(self, gradient: torch.Tensor) -> torch.Tensor | None:
        torch.bmm(gradient.mT, self.x, out=self.weight_grad)
        if self.bias is not None:
            torch.bmm(self.ones, gradient, out=self.bias_grad)
        if self.below is None:  # nobody asks what the inputs should have been
            return None
        return torch.bmm(gradient, self.weight, out=self.below)


class BatchNormPass:
    """y = γ (x − μ) / σ + β, where the mean μ and σ = √(variance + ε) are those of the batch.

    Each row moves μ and σ, and so all other rows: ∂x is γ/σ times what is left of ∂y when its mean
    over the rows is taken off, and its part along the normalised rows x̂ = (x − μ) / σ:
    ∂x = γ/σ (∂y − mean(∂y) − x̂ mean(∂y x̂)).
    """

    def __init__(self, module: Norm, memory: Memory, centred: torch.Tensor) -> None:
        self.eps, self.momentum = module.eps, cast(float, module.momentum)
        self.ones, self.n_rows, width = memory.ones, memory.n_rows, centred.shape[2]
        self.mean_of = self.ones / self.n_rows
        self.weight, self.weight_grad = memory.of(module.weight, 1, width)
        self.bias, self.bias_grad = memory.of(module.bias, 1, width)
        self.running_mean, _ = memory.of(module.running_mean, 1, width)
        self.running_var, _ = memory.of(module.running_var, 1, width)
        self.batches, _ = memory.of(module.num_batches_tracked)
        # The batch is scaled by its own variance; what is remembered estimates everybody's.
        self.unbiased = self.n_rows / (self.n_rows - 1)
        self.centred, self.y, self.product = centred, memory.new(width), memory[width, "product"]
        self.mean, self.var, self.inverse, self.scale = map(torch.empty_like, 4 * [self.weight])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.bmm(self.mean_of, x, out=self.mean)
        torch.sub(x, self.mean, out=self.centred)
        torch.mul(self.centred, self.centred, out=self.product)
        torch.bmm(self.mean_of, self.product, out=self.var)
        torch.add(self.var, self.eps, out=self.inverse).rsqrt_()
        torch.mul(self.inverse, self.weight, out=self.scale)
        self.running_mean.lerp_(self.mean, self.momentum)
        self.running_var.lerp_(self.var.mul_(self.unbiased), self.momentum)
        self.batches.add_(1)
        return torch.addcmul(self.bias, self.centred, self.scale, out=self.y)

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        torch.bmm(self.ones, gradient, out=self.bias_grad)
        torch.mul(gradient, self.centred, out=self.product)
        torch.bmm(self.ones, self.product, out=self.weight_grad).mul_(self.inverse)
        share = self.scale / -self.n_rows
        torch.mul(self.weight_grad, self.inverse, out=self.var).mul_(share)
        torch.mul(self.bias_grad, share, out=self.mean)
        torch.addcmul(self.mean, self.centred, self.var, out=self.product)
        return self.product.addcmul_(gradient, self.scale)


class ActivationPass:
    """a = f(z), number by number: ∂z = f′(z) ∂a, and f′ may be known from a itself."""

    def __init__(self, module: nn.Module) -> None:
        self.value, self.back = OF_ITS_VALUE[type(module)]

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        self.a = self.value(z)
        return self.a

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        return self.back(self.a, gradient)


KERNELS = torch.ops.aten  # what PyTorch's own backward calls
OF_ITS_VALUE = {  # f in place of z, and then ∂z in place of a = f(z): ∂a where a > 0, or …
    nn.ReLU: (
        torch.relu_,
        lambda a, da: KERNELS.threshold_backward.grad_input(da, a, 0, grad_input=a),
    ),
    nn.Tanh: (torch.tanh_, lambda a, da: torch.addcmul(da, da, a.square_(), value=-1, out=a)),
    nn.Sigmoid: (
        torch.sigmoid_,
        lambda a, da: torch.addcmul(a, a, a, value=-1, out=a).mul_(da),
    ),
}


class KernelPass:
    """The same where the slope is longer to write down, or is one of z: by PyTorch's own kernel."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.back = module, OF_ITS_INPUT[type(module)]

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        self.z = z
        return self.module(z)

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        return self.back(self.module, gradient, self.z)


OF_ITS_INPUT = {
    nn.Softplus: lambda f, da, z: KERNELS.softplus_backward(da, z, f.beta, f.threshold),
    nn.LeakyReLU: lambda f, da, z: KERNELS.leaky_relu_backward(da, z, f.negative_slope, False),
    nn.ELU: lambda f, da, z: KERNELS.elu_backward(da, f.alpha, 1, 1, False, z),
    nn.GELU: lambda f, da, z: KERNELS.gelu_backward(da, z, approximate=f.approximate),
    nn.SiLU: lambda _f, da, z: KERNELS.silu_backward(da, z),
    nn.Mish: lambda _f, da, z: KERNELS.mish_backward(da, z),
}


class DropoutPass:
    """y = m x, where m is 0 for the units that are left out, and so ∂x = m ∂y."""

    def __init__(self, module: Dropout, memory: Memory, width: int) -> None:
        self.module, self.y = module, memory.new(width)
        self.mask = self.y.new_empty(module.masks(memory.k), memory.n_rows, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.mul(x, self.module.draw(self.mask), out=self.y)

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        return torch.mul(gradient, self.mask, out=self.y)


class LayerPass:
    """A chain of passes, and around it the way of what came in, where the layer adds it."""

    def __init__(self, layer: Layer, memory: Memory, below: torch.Tensor | None) -> None:
        linear = LinearPass(layer.linear, memory, below)
        self.parts: list[Any] = [linear]
        if layer.batch_norm() is not None:
            self.parts.append(BatchNormPass(layer.norm, memory, linear.z))
        known = type(layer.activation) in OF_ITS_VALUE
        self.parts.append((ActivationPass if known else KernelPass)(layer.activation))
        if "dropout" in layer._modules:
            self.parts.append(DropoutPass(layer.dropout, memory, linear.z.shape[2]))
        self.sum = torch.empty_like(linear.z) if layer.skip else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = x
        for part in self.parts:
            z = part.forward(z)
        return z if self.sum is None else torch.add(x, z, out=self.sum)

    def backward(self, gradient: torch.Tensor) -> torch.Tensor | None:
        below: torch.Tensor | None = gradient
        for part in reversed(self.parts):
            below = part.backward(below)
        return below if self.sum is None or below is None else below.add_(gradient)


class Backpropagation:
    """Forward and backward of a network for batches of `n_rows`, with memory of its own.

    Parameters
    ----------
    net : RegressionNet or EnsembleNet
        One that `is_written_out`, whose parameters have gradients to write to, as those of a
        `Descent` have.
    n_rows : int

    Notes
    -----
    What `forward` returns is overwritten by the next call of either method.
    """

    def __init__(self, net: RegressionNet, n_rows: int) -> None:
        memory = Memory(net, n_rows)
        self.shape = memory.k, n_rows, -1
        self.passes: list[Any] = []
        if net.input_norm is not None:
            centred = memory.new(net.config["n_features"])
            self.passes.append(BatchNormPass(net.input_norm, memory, centred))
        # On its way down the gradient goes from one of two places to the other, so that a layer
        # that adds what came in still finds there what came from above.
        for i, part in enumerate((*net.layers, net.head)):
            linear: Linear = part.linear if isinstance(part, Layer) else part
            below = memory[linear.in_features, i % 2] if self.passes else None
            make: Any = LayerPass if isinstance(part, Layer) else LinearPass
            self.passes.append(make(part, memory, below))
        z = self.passes[-1].z
        self.predicted = z if isinstance(net, EnsembleNet) else z[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised predictions for standardised inputs that have passed the embedding."""
        x = x.expand(self.shape)
        for part in self.passes:
            x = part.forward(x)
        return self.predicted

    def backward(self, gradient: torch.Tensor) -> None:
        """Leave in each parameter's `grad` its gradient, from that of the predictions."""
        gradient = gradient.view(self.shape)
        for part in reversed(self.passes):
            gradient = part.backward(gradient)


def is_known(net: RegressionNet) -> bool:
    """Whether a network is a chain of just the functions above, and nobody listens in.

    A class of one's own, another module in the place of one, or a hook may do whatever else.
    """
    modules, named = list(net.modules()), net.named_parameters(remove_duplicate=False)
    return (
        type(net) in (RegressionNet, EnsembleNet)
        and all(type(module) in KNOWN and not vars(module).keys() & OWN for module in modules)
        and all(list(layer._modules) in CHAINS for layer in net.layers)
        and not any(getattr(layer.activation, "inplace", False) for layer in net.layers)
        and not any(getattr(norm, name) is None for norm in net.batch_norms() for name in OF_NORMS)
        and len(list(named)) == len(list(net.parameters()))
        and not any(getattr(module, name) for module in modules for name in HOOKS)
        and not HOOKED_ALL()
    )


def is_written_out(net: RegressionNet) -> bool:
    """Whether `Backpropagation` does what PyTorch would, for all weights of this network."""
    parameters = list(net.parameters())
    return (
        is_known(net)
        and net.direct is None
        and all(p.requires_grad and p.device.type == "cpu" for p in parameters)
        and {p.dtype for p in parameters} in ({torch.float32}, {torch.float64})
        and not any(getattr(p, name, None) for p in parameters for name in HOOKS_OF_TENSORS)
        and not torch.is_autocast_enabled("cpu")
    )


CHAINS = [
    ["linear", *norm, "activation", *dropout]
    for norm in ([], ["norm"])
    for dropout in ([], ["dropout"])
]
KNOWN = {RegressionNet, EnsembleNet, Scaler, PiecewiseLinear, nn.ModuleList, Layer}
KNOWN |= {nn.Linear, Linears, nn.BatchNorm1d, BatchNorms, Dropout, *OF_ITS_VALUE, *OF_ITS_INPUT}
OWN = {"forward", "standardized", "past_embedding"}  # put into a module, not into its class
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
HOOKS_OF_TENSORS = ("_backward_hooks", "_post_accumulate_grad_hooks")
HOOKED_ALL = getattr(nn.modules.module, "_has_any_global_hook", bool)
OF_NORMS = ("weight", "bias", "running_mean", "running_var", "momentum")


class Autograd:
    """The same two calls for a network that is not written out here, or not known at all.

    One that is not known is given the inputs before its embedding.

    Parameters
    ----------
    net : RegressionNet
    gradient : torch.Tensor
        The memory of all its gradients: PyTorch adds to what stands there.
    """

    def __init__(self, net: RegressionNet, gradient: torch.Tensor) -> None:
        self.call = net.past_embedding if is_known(net) else net.standardized
        self.gradient = gradient

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            self.predicted = self.call(x)
        return self.predicted.detach()

    def backward(self, gradient: torch.Tensor) -> None:
        self.gradient.zero_()
        self.predicted.backward(gradient)
