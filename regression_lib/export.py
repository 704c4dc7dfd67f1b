"""A trained network as an ONNX file: it predicts where there is neither Python nor PyTorch.

The graph takes raw features in double precision and gives targets in their own units. It scales
in double precision and computes in single, as the networks do here, and holds nothing else: no
preprocessing that came before the network, and no dropout, which rests in a prediction.

ONNX is described at https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import json
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from regression_lib.backprop import is_known
from regression_lib.ensemble import EnsembleNet
from regression_lib.network import NAMES, RegressionNet
from regression_lib.normalization import fold_pair
from regression_lib.storage import PathLike, write_whole

if TYPE_CHECKING:
    from regression_lib.estimator import DeepRegressor

OPSET, IR_VERSION = 20, 9  # the first that know GELU; what reads later ones reads these
# Those whose settings are, by default, the same here and there.
OPERATORS: dict[type[nn.Module], str] = {
    nn.ReLU: "Relu",
    nn.Sigmoid: "Sigmoid",
    nn.Tanh: "Tanh",
    nn.Softplus: "Softplus",
    nn.LeakyReLU: "LeakyRelu",
    nn.ELU: "Elu",
    nn.GELU: "Gelu",
    nn.Mish: "Mish",
}


def export_onnx(model: DeepRegressor | RegressionNet, path: PathLike) -> None:
    """Write a trained network to one ONNX file, or leave the old file as it was.

    Parameters
    ----------
    model : DeepRegressor, RegressionNet or EnsembleNet
        Of an ensemble the file predicts the members' mean.
    path : path
        The file's input is called ``"X"``, float64 of shape (n_rows, n_features), its output
        ``"y"``, float64 of shape (n_rows, n_targets). A network with quantiles has a second one,
        ``"quantiles"``, of shape (n_rows, n_targets, n_quantiles). Names of columns and their
        units stand in the metadata as JSON: `feature_names`, `target_names`, `units`.

    Raises
    ------
    ImportError
        Without the extra `onnx`.
    TypeError
        If the model is no network of this library.
    ValueError
        If its parts are not those that the library made.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import onnxruntime  # doctest: +SKIP
    >>> export_onnx(model, "house.onnx")  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession("house.onnx")  # doctest: +SKIP
    >>> session.run(["y"], {"X": X.to_numpy(np.float64)})[0]  # doctest: +SKIP
    """
    net = _network_of(model)
    graph = _Graph(_onnx())
    shapes = {"y": [net.config["n_targets"]]}
    outputs = _mean_of_members(graph, net, _in_units(graph, net, _standardised(graph, net, "X")))
    if quantiles := _quantiles(net):
        shapes["quantiles"] = [*shapes["y"], len(quantiles)]
        graph.add("Identity", outputs, name="quantiles")
        outputs = graph.add("Gather", outputs, np.array(quantiles.index(0.5)), axis=-1)
    graph.add("Identity", outputs, name="y")
    write_whole(path, graph.packed(net, shapes))


def _quantiles(net) -> list[float]:
    """The quantiles that a network predicts for each target; none if it predicts the mean."""
    return net.config.get("quantiles") or []


def _onnx():
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ImportError(
            f"export_onnx needs {error.name}, which is not installed: "
            f'pip install "regression-lib[onnx]"'
        ) from error
    return onnx


def _network_of(model) -> RegressionNet:
    """The network of an estimator, or the network itself, of parts that are written below."""
    if hasattr(model, "predict_interval"):
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(model)
        model = model.net_
    if not isinstance(model, RegressionNet):
        raise TypeError(
            f"model must be a DeepRegressor, a RegressionNet or an EnsembleNet, got {model!r}. "
            f"Of a Pipeline, export the last step: its steps before it are no part of the file."
        )
    n_outputs = model.config["n_targets"] * max(1, len(_quantiles(model)))
    if not is_known(model) or model.head.out_features != n_outputs:
        raise ValueError(f"{model!r} has other parts than those that the library made")
    return model


class _Graph:
    """Nodes and numbers of an ONNX graph, which is written as one calls functions."""

    def __init__(self, onnx: ModuleType) -> None:
        self.onnx, self.nodes, self.numbers = onnx, [], []  # type: ignore[var-annotated]

    def add(
        self, operator: str, *inputs: Any, name: str = "", n_outputs: int = 1, **settings: Any
    ) -> str:
        """A node, whose inputs are names of other nodes, or numbers; the name of its output."""
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        outputs = [name, *(f"{name}_{k}" for k in range(1, n_outputs))]
        self.nodes.append(self.onnx.helper.make_node(operator, names, outputs, **settings))
        return name

    def _constant(self, values):
        values = values.detach().cpu() if isinstance(values, torch.Tensor) else values
        name = f"numbers_{len(self.numbers)}"
        self.numbers.append(self.onnx.numpy_helper.from_array(np.asarray(values), name))
        return name

    def packed(self, net: RegressionNet, shapes: dict[str, list[int]]) -> bytes:
        """The bytes of the file, whose outputs have these shapes a row."""
        helper, double = self.onnx.helper, self.onnx.TensorProto.DOUBLE
        x, *outputs = (
            helper.make_tensor_value_info(name, double, ["n_rows", *shape])
            for name, shape in ({"X": [net.config["n_features"]]} | shapes).items()
        )
        graph = helper.make_graph(self.nodes, "regression", [x], outputs, self.numbers)
        operators = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=operators, ir_version=IR_VERSION)
        model.producer_name, model.doc_string = "regression_lib", repr(net)
        about = {name: getattr(net, name) for name in (*NAMES, "units")}
        helper.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
        self.onnx.checker.check_model(model)
        return model.SerializeToString()


def _standardised(graph, net, x):
    """From raw features to standardised outputs; of an ensemble (n_members, n_rows, …)."""
    if net.x_scaler.is_set:
        x = graph.add("Sub", x, net.x_scaler.mean)
        x = graph.add("Div", x, net.x_scaler.scale)
    columns = x = graph.add("Cast", x, to=graph.onnx.TensorProto.FLOAT)
    if net.embedding is not None:
        x = _embedded(graph, x, net.embedding)
    if net.input_norm is not None:
        x = _normalised(graph, x, net.input_norm)
    for layer in net.layers:
        norm = layer.batch_norm()
        linear = layer.linear if norm is None else fold_pair(layer.linear, norm)
        z = _activated(graph, _linear(graph, x, linear), layer.activation)
        x = graph.add("Add", x, z) if layer.skip else z
    z = _linear(graph, x, net.head)
    if net.direct is None:
        return z
    return graph.add("Add", z, _linear(graph, columns, net.direct))


def _in_units(graph, net, z):
    """Outputs in their targets' units; quantiles, in order, on an axis of their own."""
    mean, scale = net.y_scaler.mean, net.y_scaler.scale
    z = graph.add("Cast", z, to=graph.onnx.TensorProto.DOUBLE)
    if quantiles := _quantiles(net):
        kept = [0, 0] if isinstance(net, EnsembleNet) else [0]  # axes that stay as they are
        each = graph.add("Reshape", z, np.array([*kept, len(mean), len(quantiles)]))
        z = graph.add("TopK", each, np.array([len(quantiles)]), n_outputs=2, axis=-1, largest=0)
        mean, scale = mean[:, None], scale[:, None]
    if not net.y_scaler.is_set:
        return z
    return graph.add("Add", graph.add("Mul", z, scale), mean)


def _mean_of_members(graph, net, y):
    if not isinstance(net, EnsembleNet):
        return y
    return graph.add("ReduceMean", y, np.array([0]), keepdims=0)


def _embedded(graph, x, embedding):
    """The columns, and for each of their bins the share that a value has come through it."""
    shares = graph.add("Gather", x, embedding.column, axis=1)
    shares = graph.add("Sub", shares, embedding.left.float())
    shares = graph.add("Div", shares, embedding.width.float())
    shares = graph.add("Clip", shares, np.float32(0), np.float32(1))
    shares = graph.add("Sub", shares, embedding.mean.float())
    return graph.add("Concat", x, shares, axis=-1)


def _normalised(graph, x, norm):
    """BatchNorm in eval mode, the mean taken off first: there the digits would be lost."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    x = graph.add("Sub", x, norm.running_mean[..., None, :].float())
    x = graph.add("Mul", x, scale[..., None, :].float())
    return graph.add("Add", x, norm.bias[..., None, :].float())


def _linear(graph, x, linear):
    z = graph.add("MatMul", x, linear.weight.mT.float())
    return z if linear.bias is None else graph.add("Add", z, linear.bias[..., None, :].float())


def _activated(graph, z, activation):
    if repr(activation) != repr(type(activation)()):
        raise ValueError(f"the settings of {activation} are not those of the library")
    if isinstance(activation, nn.SiLU):
        return graph.add("Mul", z, graph.add("Sigmoid", z))
    return graph.add(OPERATORS[type(activation)], z)
