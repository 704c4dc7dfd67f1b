"""The deep regressor: Linear → BatchNorm → activation, repeated, and a linear head.

A network carries all that its predictions need: the scales of inputs and targets as buffers
beside the weights, the names and units of the columns, and the configuration that rebuilds it.
So a saved file is a whole model, and loading it runs no code from the file.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from regression_lib.activations import get_activation
from regression_lib.checks import Table, as_matrix, check_finite
from regression_lib.dropout import Dropout
from regression_lib.embedding import PiecewiseLinear
from regression_lib.losses import checked_quantiles
from regression_lib.storage import PathLike, read_tensors, write_tensors
from regression_lib.words import printable, shorten

if TYPE_CHECKING:
    import pandas as pd

    from regression_lib.ensemble import BatchNorms, Linears

    # Of one network, or of an ensemble.
    Linear: TypeAlias = nn.Linear | Linears
    Norm: TypeAlias = nn.BatchNorm1d | BatchNorms

Init: TypeAlias = Literal["default", "xavier", "kaiming", "post"]
Embedding: TypeAlias = Literal["piecewise_linear"]

LARGEST = 2**31  # of a count: nobody has so many layers, rows of a batch, or members
AT_ONCE = 8192  # rows that pass a network together where no gradient is wanted
FEW = 64  # rows that may take the short way
PASSING = 2**20  # and numbers that stand in a layer's input then: it bounds the memory


class Scaler(nn.Module):
    """(x − mean) / scale, column by column, and back; the identity until it is set.

    Means and scales are kept and applied in double precision on the CPU, whatever type and device
    the network has: of a column that varies by 0.01 around a million, single precision, with its
    seven digits, would leave nothing.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    is_set: torch.Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_columns, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_columns, dtype=torch.float64))
        self.register_buffer("is_set", torch.tensor(False))

    def _apply(self, *_how, **_options):
        return self  # what moves or casts a network passes its scales by

    def set(self, mean: np.ndarray, scale: np.ndarray) -> None:
        """Copy the statistics in; both have shape (n_columns,)."""
        self.mean.copy_(torch.as_tensor(mean))
        self.scale.copy_(torch.as_tensor(scale))
        self.is_set.fill_(True)

    def reset(self) -> None:
        """The identity again."""
        self.mean.zero_()
        self.scale.fill_(1)
        self.is_set.fill_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._in_double(x, lambda x, mean, scale: (x - mean) / scale)

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        return self._in_double(z, lambda z, mean, scale: z * scale + mean)

    def _in_double(self, x, how):
        if not self.is_set:
            return x
        wide = torch.float32 if x.device.type == "mps" else torch.float64  # which mps has not
        mean, scale = (part.to(x.device, wide) for part in (self.mean, self.scale))
        return how(x.to(wide), mean, scale).to(x.dtype)


class Layer(nn.Sequential):
    """One hidden layer: dropout(activation(norm(linear(x)))), plus x itself where `skip` is set.

    Without a `norm` (None), or with a `dropout` of 0, there is no such module, and none is asked
    for on the way.
    """

    linear: Linear
    norm: Norm

    def __init__(
        self,
        linear: Linear,
        norm: Norm | None,
        activation: nn.Module,
        *,
        skip: bool,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.linear = linear
        if norm is not None:
            self.norm = norm
        self.activation = activation
        if dropout > 0:
            self.dropout = Dropout(dropout)
        self.skip = skip

    def batch_norm(self) -> Norm | None:
        """Its BatchNorm, or None."""
        return cast("Norm | None", self._modules.get("norm"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = super().forward(x)
        return x + z if self.skip else z


def _init_default(linear, generator):
    """PyTorch's own start, which `nn.Linear` draws from the generator of the whole process."""
    nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5), generator=generator)
    if linear.bias is not None:
        bound = 1 / math.sqrt(linear.in_features)
        nn.init.uniform_(linear.bias, -bound, bound, generator=generator)


def _init_xavier(linear, generator):
    nn.init.xavier_uniform_(linear.weight, generator=generator)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def _init_kaiming(linear, generator):
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu", generator=generator)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def _init_post(linear, generator):
    nn.init.normal_(linear.weight, mean=0.0, std=0.1, generator=generator)
    if linear.bias is not None:
        nn.init.constant_(linear.bias, -0.2)


INITS = {
    "default": _init_default,
    "xavier": _init_xavier,
    "kaiming": _init_kaiming,
    "post": _init_post,
}


NAMES = ("feature_names", "target_names")
# What a file means that is older than these options.
EARLIER = {"dropout": 0.0, "quantiles": None, "direct": False}
FLAGS = ("batch_norm", "input_norm", "residual", "direct", "linear_bias", "standardize")


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
    direct : bool
        Add a line of the standardised inputs to the outputs, past all layers; it starts at 0
        (the wide part of Cheng et al. 2016, arXiv:1606.07792).
    dropout : float
        The share of units that each step leaves out after each hidden activation, in [0, 1)
        (Srivastava et al. 2014).
    bn_momentum : float
        The share of the newest batch in BatchNorm's running statistics, in (0, 1].
    init : {"default", "xavier", "kaiming", "post"}
        Weights at the start: PyTorch's; Glorot & Bengio (2010); He et al. (2015,
        arXiv:1502.01852); or the post's N(0, 0.1) with every bias at −0.2.
    linear_bias : bool
        A bias in the hidden linear layers even where BatchNorm, which subtracts it again,
        follows. Without BatchNorm they always have one.
    standardize : bool
        Let `fit` set the scales of inputs and targets from the training rows: the standard
        deviation, or half the distance of an input's only two values. A network that is
        trained again keeps the scales of the first time, for which its weights were made.
    numeric_embedding : {None, "piecewise_linear"}
        Cut each column into at most `n_bins` pieces at the quantiles of the training rows
        (`PiecewiseLinear`; Gorishniy et al. 2022, arXiv:2203.05556).
    n_bins : int or sequence of int
        The same for all columns, or one number for each.
    quantiles : sequence of float, optional
        Predict these quantiles of each target, such as (0.05, 0.5, 0.95), and not its mean; 0.5
        must be among them. `fit` then wants ``loss="quantile"``.
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

    config: dict[str, Any]
    feature_names: tuple[str, ...] | None
    target_names: tuple[str, ...] | None
    units: dict[str, str]
    embedding: PiecewiseLinear | None
    input_norm: Norm | None
    layers: Sequence[Layer]  # a ModuleList, which does not tell the kind of its modules
    head: Linear
    direct: Linear | None

    def __init__(
        self,
        n_features: int,
        n_targets: int = 1,
        *,
        hidden: Sequence[int] = (128, 128, 128),
        activation: str = "relu",
        batch_norm: bool = True,
        input_norm: bool = False,
        residual: bool = False,
        direct: bool = False,
        dropout: float = 0.0,
        bn_momentum: float = 0.1,
        init: Init = "default",
        linear_bias: bool = False,
        standardize: bool = True,
        numeric_embedding: Embedding | None = None,
        n_bins: int | Sequence[int] = 64,
        quantiles: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        options = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        self._set_up(_checked(**options))

    def _set_up(self, config):
        self.config = config
        self.feature_names = self.target_names = None
        self.units = {}
        with torch.inference_mode(False):  # also where gradients are off, it is made to be trained
            self._make_parts()

    def _make_parts(self):
        c = self.config
        self.x_scaler, self.y_scaler = Scaler(c["n_features"]), Scaler(c["n_targets"])
        self.embedding = PiecewiseLinear(c["n_bins"]) if c["numeric_embedding"] else None
        n_inputs = self.embedding.n_outputs if self.embedding else c["n_features"]
        self.input_norm = self._norm(c["n_features"]) if c["input_norm"] else None
        widths = [n_inputs, *c["hidden"]]
        self.layers = nn.ModuleList(map(self._layer, widths, c["hidden"]))
        self.head = self._linear(widths[-1], self.n_outputs, bias=True)
        self.direct = None
        if c["direct"]:
            self.add_direct()
        if not self.head.weight.is_meta:  # there is nothing to fill yet: a file brings the weights
            self._initialize()

    def _initialize(self):
        # A generator of its own: networks that are made side by side leave each other alone.
        generator = torch.Generator(self.head.weight.device).manual_seed(self.config["seed"])
        for linear in [*(layer.linear for layer in self.layers), self.head]:
            INITS[self.config["init"]](linear, generator)

    def add_direct(self) -> None:
        """Give the network the line that ``direct=True`` means, of weights 0, if it has none."""
        self.config["direct"] = True
        if self.direct is None:
            line = self._linear(self.config["n_features"], self.n_outputs, bias=False)
            self.direct = line.to(self.head.weight)
            nn.init.zeros_(line.weight)

    @classmethod
    def from_post(cls, n_features: int = 4, n_targets: int = 3, **changes: Any) -> Self:
        """The network of the post: 20 × [Linear 130 → BatchNorm → tanh] on a normalised input.

        Weights from N(0, 0.1), every bias at −0.2, BatchNorm momentum 0.5, nothing
        standardised beforehand. `changes` replaces any of these options by name.
        """
        post: dict[str, Any] = {
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
        # Made without values, so that it draws none from the generator of the whole process.
        linear = nn.Linear(n_in, n_out, bias=bias, device="meta")
        return linear.to_empty(device=torch.get_default_device())

    def _norm(self, width):
        return nn.BatchNorm1d(width, momentum=self.config["bn_momentum"])

    def _layer(self, n_in, n_out):
        c = self.config
        return Layer(
            self._linear(n_in, n_out, bias=c["linear_bias"] or not c["batch_norm"]),
            self._norm(n_out) if c["batch_norm"] else None,
            get_activation(c["activation"]),
            skip=c["residual"] and n_in == n_out,
            dropout=c["dropout"],
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Targets in their own units, shape (n_rows, n_targets), for x (n_rows, n_features)."""
        self._check_input(x)
        return self._in_units(self.standardized(self.x_scaler(x)))[..., self._medians]

    @property
    def quantiles(self) -> list[float] | None:
        """The quantiles that are predicted for each target, or None."""
        return self.config.get("quantiles")

    @property
    def n_outputs(self) -> int:
        """Columns of the head: one for each target, or the quantiles of each, side by side."""
        return self.config["n_targets"] * len(self.quantiles or [0.5])

    @property
    def _medians(self):
        """Where among the outputs the prediction proper stands."""
        shares = self.quantiles
        return slice(shares.index(0.5), None, len(shares)) if shares else slice(None)

    def _in_units(self, z):
        """From standardised outputs to the targets' units.

        Quantiles that cross are put in order, which brings them no farther from the true ones:
        Chernozhukov, Fernández-Val & Galichon (2010), Econometrica 78, 1093–1125.
        """
        if not self.quantiles:
            return self.y_scaler.inverse(z)
        each = z.unflatten(-1, (-1, len(self.quantiles))).sort(-1).values
        return self.y_scaler.inverse(each.mT).mT.flatten(-2)

    def standardized(self, x: torch.Tensor) -> torch.Tensor:
        """From standardised inputs to standardised targets: the part that is trained.

        Of a network with `quantiles` these are those of the first target, of the second, and so
        on: (n_rows, n_targets · n_quantiles).
        """
        self._check_input(x)
        return self.past_embedding(x if self.embedding is None else self.embedding(x))

    def past_embedding(self, x: torch.Tensor) -> torch.Tensor:
        """The rest of `standardized`, for inputs that have passed the embedding if there is one."""
        line = None
        if self.direct is not None:  # the columns themselves stand before their bins
            line = self.direct(x.narrow(self._columns, 0, self.config["n_features"]))
        if self.input_norm is not None:
            x = self.input_norm(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x) if line is None else self.head(x) + line

    _columns = -1  # the axis of a layer's input that they stand along

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

    def batch_norms(self) -> list[Norm]:
        """The BatchNorm modules that there are, from the input to the head."""
        norms = [self.input_norm, *(layer.batch_norm() for layer in self.layers)]
        return [norm for norm in norms if norm is not None]

    def dropouts(self) -> list[Dropout]:
        """The Dropout modules that there are."""
        return [layer.dropout for layer in self.layers] if self.config.get("dropout") else []

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether the network has BatchNorm, and so needs two rows or more in train mode."""
        return len(self.batch_norms()) > 0

    def predict(self, X: Table, batch_size: int = 8192) -> np.ndarray:
        """Predictions in the targets' units, always in eval mode.

        Parameters
        ----------
        X : array, frame or tensor, shape (n_rows, n_features)
        batch_size : int
            Rows at a time; it bounds the memory and does not change the result.

        Returns
        -------
        numpy.ndarray of float64, shape (n_rows, n_targets)

        Raises
        ------
        TypeError, ValueError
            If X holds text, NaN or infinity, has other columns than those trained on, or a row so
            far from all those trained on that no number comes of it.
        """
        return self._predict(X, batch_size)[..., self._medians]

    def predict_quantiles(self, X: Table, batch_size: int = 8192) -> np.ndarray:
        """The predicted quantiles of each target in its units, which never cross.

        Parameters
        ----------
        X : array, frame or tensor, shape (n_rows, n_features)
        batch_size : int

        Returns
        -------
        numpy.ndarray, shape (n_rows, n_targets, n_quantiles)
            Of an ensemble, the members' mean.

        Raises
        ------
        TypeError, ValueError
            As in `predict`, or if the network was made without `quantiles`.
        """
        if not self.quantiles:
            raise ValueError(
                f"{self!r} predicts no quantiles: make it with quantiles=(0.05, 0.5, 0.95), for "
                f"example, and train it with loss='quantile'"
            )
        found = self._predict(X, batch_size)
        found = found.reshape(*found.shape[:-1], -1, len(self.quantiles))
        return found if found.ndim == 3 else found.mean(0)

    def _predict(self, X, batch_size):
        known = self.feature_names or self.config["n_features"]
        rows = as_matrix(X, "X", columns=known, dtype=None, copy=False)
        size = count_of("batch_size", batch_size)
        if len(rows) <= min(size, FEW):
            from regression_lib.shortcut import predicted  # which leans on what stands here

            found = predicted(self, rows)
            if found is not None:
                return found
        size = min(size, self.rows_at_once)
        parts = [range(len(rows))[start : start + size] for start in range(0, len(rows), size)]
        with evaluating(self), torch.no_grad():
            parts = [self._predict_part(rows[part.start : part.stop], part) for part in parts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-2)

    def _predict_part(self, rows, numbers):
        z = self.standardized(self.inputs(rows, numbers)).cpu().double()
        predicted = self._in_units(z).numpy()
        bad = ~np.isfinite(predicted).reshape(-1, *predicted.shape[-2:]).all(axis=(0, 2))
        if bad.any():
            self._say_why(rows[bad.argmax()], numbers[bad.argmax()])
        return predicted

    def _say_why(self, row, number):
        """Raise the error for a row of which the network makes no finite number."""
        weights = torch.cat([p.detach().flatten() for p in self.parameters()])
        if not weights.isfinite().all():
            raise ValueError(f"the weights of {self!r} hold NaN or infinity: train it anew")
        z = self.x_scaler(torch.from_numpy(row[None]).double())[0].abs()
        far = int(z.argmax())
        name = self.feature_names[far] if self.feature_names else far
        raise ValueError(
            f"row {number} of X gives no finite prediction: column {name!r} holds {row[far]:g}, "
            f"{z[far]:.3g} standard deviations from the mean of the training rows"
        )

    def inputs(self, rows: np.ndarray, numbers: Sequence[int] | None = None) -> torch.Tensor:
        """Standardised inputs as a tensor of the network's type and device.

        Parameters
        ----------
        rows : numpy.ndarray of float64 or float32, shape (n_rows, n_features)
        numbers : sequence of int, optional
            The rows' own numbers, for an error.

        Raises
        ------
        ValueError
            If a number is too large for the network's type, also after it was scaled.
        """
        return self._narrowed(rows, self.x_scaler, "X", self.feature_names, numbers)

    def targets(self, rows: np.ndarray, numbers: Sequence[int] | None = None) -> torch.Tensor:
        """Standardised targets; as `inputs`."""
        return self._narrowed(rows, self.y_scaler, "y", self.target_names, numbers)

    def _narrowed(self, rows, scaler, what, names, numbers):
        # What a frame lends is read-only, and PyTorch warns of such memory.
        rows = rows if rows.flags.writeable else rows.copy()
        values = scaler(torch.from_numpy(rows).double()).to(self.head.weight)
        if not values.isfinite().all():
            # NumPy has no bfloat16, whose largest number is that of float32.
            single = values.dtype == torch.bfloat16
            shown = values.cpu().float() if single else values.cpu()
            check_finite(shown.numpy(), rows, names or range(rows.shape[1]), what, numbers)
        return values

    @property
    def rows_at_once(self) -> int:
        """How many rows may pass together: wide layers, and many bins, take fewer at a time."""
        c = self.config
        first = self.embedding.n_outputs if self.embedding else c["n_features"]
        widest = max(first, c.get("n_members", 1) * max(c["hidden"], default=1))
        return max(1, min(AT_ONCE, PASSING // widest))

    def summary(self) -> pd.DataFrame:
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
        rows.append(("Linear (head)", self.n_outputs, _count(self.head)))
        if self.direct is not None:
            rows.append(("Linear (direct)", self.n_outputs, _count(self.direct)))
        table = [(name, f"(n, {width})", count) for name, width, count in rows]
        table.append(("total", "", _count(self)))
        return pd.DataFrame(table, columns=["layer", "shape", "parameters"])

    def __repr__(self) -> str:
        c = self.config
        flags = [f for f in ("batch_norm", "input_norm", "residual", "direct") if c[f]]
        flags += [f"dropout {c['dropout']:g}"] if c["dropout"] else []
        flags += [f"{len(self.quantiles)} quantiles"] if self.quantiles else []
        flags += [c["numeric_embedding"]] if c["numeric_embedding"] else []
        parts = [self._widths(), c["activation"], *flags, f"{_count(self):,} parameters"]
        return printable(f"{type(self).__name__}({', '.join(parts)})")

    def _widths(self):
        return _shorten(
            [self.config["n_features"], *self.config["hidden"], self.config["n_targets"]]
        )

    def save(self, path: PathLike) -> None:
        """Write the whole model to one safetensors file, or leave the old file as it was.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If names or units that were set by hand do not fit the network.
        """
        about = {"config": self.config, "units": self.units}
        about |= {name: getattr(self, name) for name in NAMES}
        self._set_names(about)
        write_tensors(path, type(self).__name__, self.state_dict(), about)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """The model that `save` wrote, on the CPU and in eval mode.

        The file holds numbers and names only; none of its content is run, and the model owns its
        memory: what becomes of the file afterwards does not matter.

        Raises
        ------
        FileNotFoundError
        ValueError
            If the file is cut short or damaged, no model of this library, or of another version.
        """
        kind, tensors, about = read_tensors(path)
        if kind != cls.__name__:
            raise ValueError(f"{path} cannot be read as a {cls.__name__}: use {kind}.load")
        try:
            return cls._rebuilt(tensors, about)
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise ValueError(f"{path} cannot be read as a {cls.__name__}: {error}") from error

    @classmethod
    def _rebuilt(cls, tensors, about):
        config = EARLIER | about["config"]
        _check_size(config, tensors)
        with torch.device("meta"):  # no memory is taken before the shapes are known to agree
            net = cls(**config)
        if net.config != config:
            raise ValueError(f"its configuration {config} should be {net.config}")
        net.to(tensors["head.weight"].dtype)
        check_tensors(tensors, net.state_dict())
        net.load_state_dict(tensors, assign=True)
        net._set_names(about)
        return net.eval()

    def _set_names(self, about):
        """Take names and units over, or say what is wrong with them."""
        for which, count in zip(NAMES, ("n_features", "n_targets"), strict=True):
            names = about[which]
            fits = names is None or (
                isinstance(names, (list, tuple))
                and len(names) == len(set(map(str, names))) == self.config[count]
                and all(isinstance(name, str) for name in names)
            )
            if not fits:
                raise ValueError(
                    f"{which} must be None or {self.config[count]} different texts, got {names!r}"
                )
            setattr(self, which, names if names is None else tuple(names))
        units = about["units"]
        if not isinstance(units, dict) or not all(
            isinstance(text, str) for pair in units.items() for text in pair
        ):
            raise ValueError(f"units must map names to texts, got {units!r}")
        self.units = units


_LOOKING: WeakKeyDictionary = WeakKeyDictionary()  # [how many look, what was in train mode]
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def evaluating(net: RegressionNet) -> Iterator[RegressionNet]:
    """Eval mode for a while; afterwards every module is in the mode in which it was.

    Several threads may look at a network at the same time: the last one gives the mode back.
    """
    with _ONE_AT_A_TIME:
        looking = _LOOKING.setdefault(net, [0, []])
        if looking[0] == 0:
            # These alone care about the mode, and asking every module takes longer.
            modal = (net, *net.batch_norms(), *net.dropouts())
            looking[1] = [module for module in modal if module.training]
            _set_training(looking[1], False)
        looking[0] += 1
    try:
        yield net
    finally:
        with _ONE_AT_A_TIME:
            looking[0] -= 1
            if looking[0] == 0:
                _set_training(looking[1], True)


def _set_training(modules, training):
    for module in modules:
        module.training = training


def _check_size(config, tensors):
    """Refuse a configuration of more parts than the file has numbers, before it is built."""
    parts = [config["n_features"], config["n_targets"], *config["hidden"]]
    parts += [*filter(None, config["n_bins"] or []), config.get("n_members", 1)]
    held = sum(tensor.numel() for tensor in tensors.values())
    if not all(type(part) is int and part > 0 for part in parts) or sum(parts) > held:
        raise ValueError(f"its {held} numbers are not those of its configuration, {config}")


def check_tensors(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Refuse tensors of other names, shapes or types than those expected."""
    if found.keys() != expected.keys():
        odd = sorted(found.keys() ^ expected.keys())
        raise ValueError(f"it lacks tensors, or has more than it should: {shorten(odd, 6)}")
    for name, tensor in expected.items():
        if (found[name].shape, found[name].dtype) != (tensor.shape, tensor.dtype):
            raise ValueError(
                f"{name} should be {tuple(tensor.shape)} of {tensor.dtype}, and is "
                f"{tuple(found[name].shape)} of {found[name].dtype}"
            )


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
    for name in FLAGS:
        if not isinstance(o[name], (int, np.bool_)) or o[name] not in (0, 1):
            raise TypeError(f"{name} must be True or False, got {o[name]!r}")
    if np.ndim(o["hidden"]) != 1:
        raise TypeError(f"hidden must list the widths, such as (64, 64), got {o['hidden']!r}")
    get_activation(o["activation"])
    for name, known in [("init", list(INITS)), ("numeric_embedding", [None, "piecewise_linear"])]:
        if not (o[name] is None or isinstance(o[name], str)) or o[name] not in known:
            raise ValueError(f"unknown {name} {o[name]!r}; choose one of {known}")
    momentum = o["bn_momentum"]
    if isinstance(momentum, bool) or not isinstance(momentum, Real) or not 0 < momentum <= 1:
        raise ValueError(f"bn_momentum must be in (0, 1], got {o['bn_momentum']!r}")
    dropout = o["dropout"]
    if isinstance(dropout, bool) or not isinstance(dropout, Real) or not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout!r}")
    if o["input_norm"] and o["numeric_embedding"]:
        raise ValueError(
            "input_norm moves the columns while the borders of the numeric embedding stay: "
            "choose one of the two"
        )
    return options | {
        "hidden": [count_of("a width in hidden", width) for width in o["hidden"]],
        "bn_momentum": float(o["bn_momentum"]),
        "dropout": float(dropout),
        "quantiles": checked_quantiles(o["quantiles"]),
        "seed": seed_of(o["seed"]),
        **{name: bool(o[name]) for name in FLAGS},
        **{name: count_of(name, o[name]) for name in ("n_features", "n_targets")},
        "n_bins": _bins(o["n_bins"], o["n_features"]) if o["numeric_embedding"] else None,
    }


def _bins(n_bins, n_features):
    if np.ndim(n_bins) == 0:
        return [count_of("n_bins", n_bins)] * n_features
    each = list(n_bins)
    if len(each) != n_features:
        raise ValueError(f"n_bins has {len(each)} numbers for {n_features} features")
    return [0 if n == 0 and not isinstance(n, bool) else count_of("n_bins", n) for n in each]


def seed_of(value: int) -> int:
    """A seed that every generator takes, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"seed must be a whole number, got {value!r}")
    if not 0 <= value < 2**32:
        raise ValueError(f"seed must be in [0, 2**32), got {value}")
    return int(value)


def count_of(name: str, value: int) -> int:
    """A whole number of at least 1, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    if value >= LARGEST:
        raise ValueError(f"{name} must be below {LARGEST:,}, got {value}")
    return int(value)
