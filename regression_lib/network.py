"""The deep regressor: Linear → BatchNorm → activation, repeated, and a linear head.

A network carries all that its predictions need: the scales of inputs and targets as buffers
beside the weights, the names and units of the columns, and the configuration that rebuilds it.
So a saved file is a whole model, and loading it runs no code from the file.
"""

from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from regression_lib.activations import get_activation
from regression_lib.checks import as_matrix
from regression_lib.embedding import PiecewiseLinear
from regression_lib.storage import read_model, write_model


class Scaler(nn.Module):
    """(x − mean) / scale, column by column, and back; the identity until it is set."""

    def __init__(self, n_columns):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("scale", torch.ones(n_columns))
        self.register_buffer("is_set", torch.tensor(False))

    def set(self, mean, scale):
        """Copy the statistics in; both have shape (n_columns,)."""
        self.mean.copy_(torch.as_tensor(mean))
        self.scale.copy_(torch.as_tensor(scale))
        self.is_set.fill_(True)

    def forward(self, x):
        return (x - self.mean) / self.scale

    def inverse(self, z):
        return z * self.scale + self.mean


class Layer(nn.Sequential):
    """One hidden layer: activation(norm(linear(x))), plus x itself where `skip` is set.

    Without a `norm` (None) there is no such module, and none is asked for on the way.
    """

    def __init__(self, linear, norm, activation, *, skip):
        super().__init__()
        self.linear = linear
        if norm is not None:
            self.norm = norm
        self.activation = activation
        self.skip = skip

    def batch_norm(self):
        """Its BatchNorm, or None."""
        return self._modules.get("norm")

    def forward(self, x):
        z = super().forward(x)
        return x + z if self.skip else z


def _init_xavier(linear):
    nn.init.xavier_uniform_(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def _init_kaiming(linear):
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def _init_post(linear):
    nn.init.normal_(linear.weight, mean=0.0, std=0.1)
    if linear.bias is not None:
        nn.init.constant_(linear.bias, -0.2)


INITS = {
    "default": nn.Linear.reset_parameters,
    "xavier": _init_xavier,
    "kaiming": _init_kaiming,
    "post": _init_post,
}


FLAGS = ("batch_norm", "input_norm", "residual", "linear_bias", "standardize")


class RegressionNet(nn.Module):
    """A fully connected regression network.

    Parameters
    ----------
    n_features, n_targets : int
        Columns of the input and of the output.
    hidden : sequence of int
        The width of each hidden layer; empty for a linear model.
    activation : str
        A name of `regression_lib.ACTIVATIONS`.
    batch_norm : bool
        BatchNorm between each hidden linear layer and its activation.
    input_norm : bool
        BatchNorm of the raw inputs, before the first layer.
    residual : bool
        Add a layer's input to its output where both have the same width
        (He et al. 2015, arXiv:1512.03385).
    bn_momentum : float
        The share of the newest batch in BatchNorm's running statistics, in (0, 1].
    init : {"default", "xavier", "kaiming", "post"}
        Weights at the start: PyTorch's; Glorot & Bengio (2010); He et al. (2015,
        arXiv:1502.01852); or the post's N(0, 0.1) with every bias at −0.2.
    linear_bias : bool
        A bias in the hidden linear layers even where BatchNorm, which subtracts it again,
        follows. Without BatchNorm they always have one.
    standardize : bool
        Let `fit` set the scales of inputs and targets from the training rows. A network that is
        trained again keeps the scales of the first time, for which its weights were made.
    numeric_embedding : {None, "piecewise_linear"}
        Cut each column into at most `n_bins` pieces at the quantiles of the training rows
        (`PiecewiseLinear`; Gorishniy et al. 2022, arXiv:2203.05556).
    n_bins : int or sequence of int
        The same for all columns, or one number for each.
    seed : int
        Of the initial weights; the global generator is left as it was.

    Attributes
    ----------
    config : dict
        The arguments above.
    feature_names, target_names : tuple of str, or None
    units : dict of str
        By column name. `fit` sets names and units when it is given them.

    Raises
    ------
    TypeError, ValueError
        For an option out of range, with its value.

    Examples
    --------
    >>> RegressionNet(4, hidden=(64, 64))
    RegressionNet(4 → 64 → 64 → 1, relu, batch_norm, 4,673 parameters)
    """

    def __init__(
        self,
        n_features,
        n_targets=1,
        *,
        hidden=(128, 128, 128),
        activation="relu",
        batch_norm=True,
        input_norm=False,
        residual=False,
        bn_momentum=0.1,
        init="default",
        linear_bias=False,
        standardize=True,
        numeric_embedding=None,
        n_bins=64,
        seed=0,
    ):
        super().__init__()
        options = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        self._set_up(_checked(**options))

    def _set_up(self, config):
        self.config = c = config
        self.feature_names = self.target_names = None
        self.units = {}
        self.x_scaler, self.y_scaler = Scaler(c["n_features"]), Scaler(c["n_targets"])
        self.embedding = PiecewiseLinear(c["n_bins"]) if c["numeric_embedding"] else None
        n_inputs = self.embedding.n_outputs if self.embedding else c["n_features"]
        with torch.random.fork_rng(devices=[]):
            self.input_norm = self._norm(c["n_features"]) if c["input_norm"] else None
            widths = [n_inputs, *c["hidden"]]
            self.layers = nn.ModuleList(map(self._layer, widths, c["hidden"]))
            self.head = self._linear(widths[-1], c["n_targets"], bias=True)
            self._initialize()

    def _initialize(self):
        torch.manual_seed(self.config["seed"])
        for linear in [*(layer.linear for layer in self.layers), self.head]:
            INITS[self.config["init"]](linear)

    @classmethod
    def from_post(cls, n_features=4, n_targets=3, **changes):
        """The network of the post: 20 × [Linear 130 → BatchNorm → tanh] on a normalised input.

        Weights from N(0, 0.1), every bias at −0.2, BatchNorm momentum 0.5, nothing
        standardised beforehand. `changes` replaces any of these options by name.
        """
        post = {
            "hidden": (130,) * 20,
            "activation": "tanh",
            "batch_norm": True,
            "input_norm": True,
            "bn_momentum": 0.5,
            "init": "post",
            "linear_bias": True,
            "standardize": False,
        }
        sizes = {"n_features": n_features, "n_targets": n_targets}
        return cls(**(sizes | post | changes))

    def _linear(self, n_in, n_out, *, bias):
        return nn.Linear(n_in, n_out, bias=bias)

    def _norm(self, width):
        return nn.BatchNorm1d(width, momentum=self.config["bn_momentum"])

    def _layer(self, n_in, n_out):
        c = self.config
        return Layer(
            self._linear(n_in, n_out, bias=c["linear_bias"] or not c["batch_norm"]),
            self._norm(n_out) if c["batch_norm"] else None,
            get_activation(c["activation"]),
            skip=c["residual"] and n_in == n_out,
        )

    def forward(self, x):
        """Targets in their own units, shape (n_rows, n_targets), for x (n_rows, n_features)."""
        self._check_input(x)
        return self.y_scaler.inverse(self.standardized(self.x_scaler(x)))

    def standardized(self, x):
        """From standardised inputs to standardised targets: the part that is trained."""
        self._check_input(x)
        return self._through(x if self.embedding is None else self.embedding(x))

    def _through(self, x):
        if self.input_norm is not None:
            x = self.input_norm(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)

    def _check_input(self, x):
        if x.ndim != 2 or x.shape[1] != self.config["n_features"]:
            raise ValueError(
                f"expected inputs of shape (n_rows, {self.config['n_features']}), got "
                f"{tuple(x.shape)}; a single row is x.reshape(1, -1)"
            )
        if len(x) == 1 and self.training and self.uses_batch_statistics:
            raise ValueError(
                "one row in train mode: BatchNorm cannot take a variance of one row; "
                "use predict(), call eval() first, or pass at least two rows"
            )

    def batch_norms(self):
        """The BatchNorm modules that there are, from the input to the head."""
        norms = [self.input_norm, *(layer.batch_norm() for layer in self.layers)]
        return [norm for norm in norms if norm is not None]

    @property
    def uses_batch_statistics(self):
        """Whether the network has BatchNorm, and so needs two rows or more in train mode."""
        return len(self.batch_norms()) > 0

    def predict(self, X, batch_size=8192):
        """Predictions in the targets' units, always in eval mode.

        Parameters
        ----------
        X : array, frame or tensor, shape (n_rows, n_features)
        batch_size : int
            Rows at a time; it bounds the memory and does not change the result.

        Returns
        -------
        numpy.ndarray, shape (n_rows, n_targets)

        Raises
        ------
        TypeError, ValueError
            If X holds text, NaN or infinity, or has other columns than those trained on.
        """
        return self._predict(X, batch_size)

    def _predict(self, X, batch_size):
        rows = as_matrix(X, "X", columns=self.feature_names or self.config["n_features"])
        x = torch.as_tensor(rows).to(self.head.weight)
        with evaluating(self), torch.no_grad():
            if len(x) <= batch_size:
                return self(x).cpu().numpy()
            parts = [self(part).cpu().numpy() for part in x.split(batch_size)]
        return np.concatenate(parts, axis=-2)

    def summary(self):
        """A table of the layers: `layer`, `shape` of the output, `parameters`; and a total."""
        import pandas as pd

        norm, rows = self.input_norm, [("input", self.config["n_features"], 0)]
        if norm is not None:
            rows.append(("BatchNorm (input)", norm.num_features, _count(norm)))
        for number, layer in enumerate(self.layers, 1):
            parts = [type(part).__name__ for part in layer.children()]
            name = f"{number}: " + " → ".join(parts).replace("BatchNorm1d", "BatchNorm")
            name += " + skip" if layer.skip else ""
            rows.append((name, layer.linear.out_features, _count(layer)))
        rows.append(("Linear (head)", self.config["n_targets"], _count(self.head)))
        table = [(name, f"(n, {width})", count) for name, width, count in rows]
        table.append(("total", "", _count(self)))
        return pd.DataFrame(table, columns=["layer", "shape", "parameters"])

    def __repr__(self):
        c = self.config
        flags = [f for f in ("batch_norm", "input_norm", "residual") if c[f]]
        flags += [c["numeric_embedding"]] if c["numeric_embedding"] else []
        parts = [self._widths(), c["activation"], *flags, f"{_count(self):,} parameters"]
        return f"{type(self).__name__}({', '.join(parts)})"

    def _widths(self):
        return _shorten(
            [self.config["n_features"], *self.config["hidden"], self.config["n_targets"]]
        )

    def save(self, path):
        """Write the whole model to one safetensors file, or leave the old file as it was."""
        about = {
            "kind": type(self).__name__,
            "config": self.config,
            "feature_names": self.feature_names,
            "target_names": self.target_names,
            "units": self.units,
        }
        write_model(path, self.state_dict(), about)

    @classmethod
    def load(cls, path):
        """The model that `save` wrote, on the CPU and in eval mode.

        The file holds numbers and names only; none of its content is run.

        Raises
        ------
        FileNotFoundError
        ValueError
            If the file is cut short, is no model of this library, or is of another version.
        """
        tensors, about = read_model(path)
        try:
            if about["kind"] != cls.__name__:
                raise ValueError(f"it is one of {about['kind']}: use {about['kind']}.load")
            with torch.device("meta"):  # no memory is taken before the shapes are known to agree
                net = cls(**about["config"])
            net.load_state_dict(tensors, assign=True)
        except (KeyError, TypeError, ValueError, RuntimeError, MemoryError) as error:
            raise ValueError(f"{path} cannot be read as a {cls.__name__}: {error}") from error
        for attribute in ("feature_names", "target_names"):
            names = about[attribute]
            setattr(net, attribute, names if names is None else tuple(names))
        net.units = about["units"]
        return net.eval()


@contextmanager
def evaluating(net):
    """Eval mode for a while; afterwards every module is in the mode in which it was."""
    # Batch norms alone care about the mode, and asking every module takes longer than a pass.
    training = [module for module in (net, *net.batch_norms()) if module.training]
    for module in training:
        module.training = False
    try:
        yield net
    finally:
        for module in training:
            module.training = True


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def _shorten(widths):
    """4 → 130 × 20 → 3 instead of twenty arrows, from four equal widths on."""
    parts, start = [], 0
    for end in range(1, len(widths) + 1):
        if end == len(widths) or widths[end] != widths[start]:
            run = end - start
            parts += [f"{widths[start]} × {run}"] if run > 3 else [str(widths[start])] * run
            start = end
    return " → ".join(parts)


def _checked(**options):
    """The options as plain values, which JSON can hold, or an error that names the wrong one."""
    o = options
    if np.ndim(o["hidden"]) != 1:
        raise TypeError(f"hidden must list the widths, such as (64, 64), got {o['hidden']!r}")
    get_activation(o["activation"])
    for name, known in [("init", list(INITS)), ("numeric_embedding", [None, "piecewise_linear"])]:
        if o[name] not in known:
            raise ValueError(f"unknown {name} {o[name]!r}; choose one of {known}")
    if not 0 < o["bn_momentum"] <= 1:
        raise ValueError(f"bn_momentum must be in (0, 1], got {o['bn_momentum']!r}")
    if o["input_norm"] and o["numeric_embedding"]:
        raise ValueError(
            "input_norm moves the columns while the borders of the numeric embedding stay: "
            "choose one of the two"
        )
    return options | {
        "hidden": [count_of("a width in hidden", width) for width in o["hidden"]],
        "bn_momentum": float(o["bn_momentum"]),
        "seed": seed_of(o["seed"]),
        **{name: bool(o[name]) for name in FLAGS},
        **{name: count_of(name, o[name]) for name in ("n_features", "n_targets")},
        "n_bins": _bins(o["n_bins"], o["n_features"]) if o["numeric_embedding"] else None,
    }


def _bins(n_bins, n_features):
    each = [n_bins] * n_features if np.ndim(n_bins) == 0 else list(n_bins)
    if len(each) != n_features:
        raise ValueError(f"n_bins has {len(each)} numbers for {n_features} features")
    return [count_of("n_bins", n) for n in each]


def seed_of(value):
    """A seed that every generator takes, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"seed must be a whole number, got {value!r}")
    if not 0 <= value < 2**32:
        raise ValueError(f"seed must be in [0, 2**32), got {value}")
    return int(value)


def count_of(name, value):
    """A whole number of at least 1, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)
