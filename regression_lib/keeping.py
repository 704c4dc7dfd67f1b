"""A fitted `DeepRegressor` in one file: network, parameters, ranges and what its card tells.

A pickle runs whatever its writer put into it, and breaks when a library moves a class. Here
numbers stand as tensors, and all else as one line of JSON; what is read is looked at and never
run.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from regression_lib.card import Facts
from regression_lib.ensemble import EnsembleNet
from regression_lib.history import History, Row
from regression_lib.intervals import Calibration
from regression_lib.network import NAMES, RegressionNet
from regression_lib.seen import Seen
from regression_lib.storage import PathLike, read_tensors, write_tensors

if TYPE_CHECKING:
    from regression_lib.estimator import DeepRegressor

    Model = TypeVar("Model", bound=DeepRegressor)

KIND = "DeepRegressor"
NETS: dict[str, type[RegressionNet]] = {"RegressionNet": RegressionNet, "EnsembleNet": EnsembleNet}
SEEN = ("_seen", "_seen_y")
PLAIN = ("_one_target", "_seeds", "_held_of", "_aside_of", "n_iter_")  # as JSON has them


def save_model(model: DeepRegressor, path: PathLike) -> None:
    """Write a fitted estimator; see `DeepRegressor.save`."""
    net, calibration = model.net_, model.calibration_
    tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    for name in SEEN:
        seen = getattr(model, name)
        tensors[f"{name}.quartiles"] = torch.from_numpy(seen.quartiles)
        tensors[f"{name}.n_distinct"] = torch.from_numpy(seen.n_distinct)
    if calibration is not None:
        tensors["calibration.predicted"] = torch.from_numpy(calibration.predicted)
        tensors["calibration.errors"] = torch.from_numpy(calibration.errors)
    history = model.history_
    about = {
        "parameters": {name: _plain(name, v) for name, v in model.get_params(deep=False).items()},
        "net": {name: getattr(net, name) for name in ("config", "units", *NAMES)},
        "kind": type(net).__name__,
        "facts": dataclasses.asdict(model._facts),
        "history": {f.name: getattr(history, f.name) for f in dataclasses.fields(history)},
        "feature_names": [*map(str, getattr(model, "feature_names_in_", []))],
    }
    about |= {name: _plain(name, getattr(model, name)) for name in PLAIN}
    write_tensors(path, KIND, tensors, about)


def _plain(name, value):
    """A parameter as JSON can hold it, or an error that says why it cannot."""
    value = value.item() if isinstance(value, np.generic) else value
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(value, (list, tuple)):
        return [_plain(name, part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    cure = "a number, by set_params" if name == "random_state" else "plain values, by set_params"
    raise ValueError(
        f"{name}={value!r} is a {type(value).__name__}, which a file cannot keep: give {name} "
        f"{cure}, before you save (the network stays as it is)"
    )


def load_model(cls: type[Model], path: PathLike) -> Model:
    """The estimator that `save` wrote; see `DeepRegressor.load`."""
    kind, tensors, about = read_tensors(path)
    if kind != KIND:
        raise ValueError(f"{path} cannot be read as a {KIND}: use {kind}.load")
    try:
        return _rebuilt(cls, tensors, about)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, IndexError) as error:
        raise ValueError(f"{path} cannot be read as a {KIND}: {error}") from error


def _rebuilt(cls, tensors, about):
    # JSON has lists alone, where Python's own options, as `hidden`, are tuples.
    model = cls(**{name: _tuples(value) for name, value in about["parameters"].items()})
    parts = {name: _under(name, tensors) for name in ("net", "calibration", *SEEN)}
    net = NETS[about["kind"]]._rebuilt(parts.pop("net"), about["net"])
    _check_shapes(parts, net.config["n_features"], net.config["n_targets"])
    calibration, *seen = ({k: v.numpy() for k, v in part.items()} for part in parts.values())
    learnt = {name: _tuples(about[name]) for name in PLAIN}
    learnt |= {name: Seen(**part) for name, part in zip(SEEN, seen, strict=True)}
    learnt |= {"n_features_in_": net.config["n_features"], "n_outputs_": net.config["n_targets"]}
    if about["feature_names"]:
        learnt["feature_names_in_"] = np.array(about["feature_names"], dtype=object)
    model.__dict__.update(learnt, net_=net, history_=_history(about["history"]))
    model.calibration_ = Calibration(**calibration) if calibration else None
    model._facts = Facts(**about["facts"])
    return model


def _check_shapes(parts, n_features, n_targets):
    """Refuse numbers of other columns than those of the network."""
    widths = {"calibration": n_targets, "_seen": n_features, "_seen_y": n_targets}
    for part, tensors in parts.items():
        for name, tensor in tensors.items():
            if tensor.shape[-1] != widths[part]:
                raise ValueError(
                    f"{part}.{name} has the shape {tuple(tensor.shape)}, where {widths[part]} "
                    f"columns are expected"
                )


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _under(name, tensors):
    """The tensors of one part, by their own names."""
    start = f"{name}."
    return {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}


def _history(fields):
    return History(**fields | {"rows": [Row(*row) for row in fields["rows"]]})
