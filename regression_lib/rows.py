"""From tables to the tensors that a training runs on: checked, held out, weighted, scaled."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeGuard

import numpy as np
import torch

from regression_lib.checks import Column, Table, as_matrix, as_vector, column_names, is_column
from regression_lib.data import Dataset

if TYPE_CHECKING:
    from regression_lib.network import RegressionNet

# What to judge a training by; a number is the share of its rows that is held out.
Pair: TypeAlias = Dataset | tuple[Table, Table]
Validation: TypeAlias = Pair | float | None

BLOCK = 2**18  # numbers that are scaled together: it bounds the memory
FEW = 1000  # rows that tell of most columns that they have more than two values
TINY = np.finfo(np.float32).tiny
NAMES_OF = {"X": "feature_names", "y": "target_names"}


class Rows(NamedTuple):
    """What a training runs on: (x, y) or (x, y, weight), standardised.

    Where members hold out rows of their own, `train` has all rows, and `own` the numbers of those
    that each member trains on, and of those that it is judged by: (n_members, n_rows) each.
    """

    train: tuple[torch.Tensor, ...]
    valid: tuple[torch.Tensor, ...] | None
    own: tuple[torch.Tensor, torch.Tensor] | None


def training_rows(
    net: RegressionNet,
    X: Dataset | Table,
    y: Table | None,
    validation: Validation,
    sample_weight: Column | None,
    seeds: Sequence[int],
    device: torch.device,
) -> Rows:
    """Checked and standardised rows: of several seeds each holds out rows of its own."""
    X, y, units = unpacked(X, y)
    # A network that has been trained keeps its names, for which its weights were made.
    names = (net.feature_names or column_names(X), net.target_names or column_names(y, "y"))
    x, y = _matrices(net, X, y, "", names)
    weight = None if sample_weight is None else _weights(sample_weight, len(x))
    train = np.arange(len(x)) if weight is None else np.flatnonzero(weight)
    held_out = own = None
    if is_fraction(validation) and len(seeds) > 1:
        parts = [hold_out(np.arange(len(train)), validation, seed) for seed in seeds]
        chosen, held = (np.stack(rows) for rows in zip(*parts, strict=True))
        own = torch.from_numpy(chosen).to(device), torch.from_numpy(held).to(device)
    elif is_fraction(validation):
        train, held = hold_out(train, validation, seeds[0])
        held_out = x, y, weight, held
    elif validation is not None:
        held_out = _matrices(net, *_validation(validation, names, y), "validation ", names)
    _check_number(train, weight)
    net.to(device)
    with _as_before_if_it_fails(net):
        net.feature_names, net.target_names, net.units = *names, units or net.units
        _set_scales(net, x, y, weight, train)
        rows = _to_tensors(net, x, y, weight, train)
        if net.embedding is not None and not net.embedding.is_set:
            net.embedding.set(rows[0])
        return Rows(rows, held_out and _to_tensors(net, *held_out), own)


@contextmanager
def _as_before_if_it_fails(net):
    """Take names and scales back if the rows turn out to be none to train on."""
    names = {name: getattr(net, name) for name in (*NAMES_OF.values(), "units")}
    learning = [net.x_scaler, net.y_scaler] + ([] if net.embedding is None else [net.embedding])
    learning = [part for part in learning if not part.is_set]
    try:
        yield
    except BaseException:
        vars(net).update(names)
        for part in learning:
            part.reset()
        raise


def unpacked(X: Dataset | Table, y: Table | None) -> tuple[Table, Table, dict[str, str]]:
    """X, y and units of a Dataset, or of the two tables themselves."""
    if not isinstance(X, Dataset):
        return X, y, {}
    if y is not None:
        raise TypeError("a Dataset brings its own targets: leave y out")
    return X.X, X.y, {name: unit for name, unit in X.units.items() if isinstance(name, str)}


def is_fraction(validation: Validation) -> TypeGuard[float]:
    return isinstance(validation, Real) and not isinstance(validation, bool)


def as_pair(validation: Pair) -> tuple[Table, Table]:
    """X and y of validation rows, or an error that says what they must be."""
    if isinstance(validation, Dataset):
        return validation.X, validation.y
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise TypeError(
            f"validation must be a Dataset or a pair (X, y), got {type(validation).__name__}"
        )
    return validation


def _validation(validation, names, trained) -> tuple[Table, Table]:
    X, y = as_pair(validation)
    if names[1] is None and trained.shape[1] > 1 and column_names(y, "validation y") is not None:
        raise ValueError(
            "validation y has column names, y has none, so nobody can tell whether they hold the "
            "same: pass both as frames, or both as arrays"
        )
    if names[0] is None and column_names(X, "validation X") is not None:
        raise ValueError(
            "validation X has column names, X has none, so nobody can tell whether they hold the "
            "same. Within a Pipeline, X has passed the steps before and validation has not: pass "
            "it transformed, pipeline[:-1].transform(X), or use validation_fraction"
        )
    return X, y


def _weights(sample_weight, n_rows):
    """How much each row counts, one column."""
    weight = as_vector(sample_weight, "sample_weight")
    if len(weight) != n_rows:
        raise ValueError(f"sample_weight has shape {weight.shape}, X has {n_rows} rows")
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight must be finite and at least 0; it goes from {weight.min()} to "
            f"{weight.max()}"
        )
    if not weight.any():
        raise ValueError("sample_weight is zero for every row: nothing is left to train on")
    return weight[:, None] / weight.max()  # their ratios count, and sums of them must be numbers


def hold_out(rows: np.ndarray, fraction: float, seed: int) -> list[np.ndarray]:
    """The numbers of the rows to train on, and of those to judge by: the same for the same seed."""
    # Loaded when used: scikit-learn takes longer to import than the rest of the library.
    from sklearn.model_selection import train_test_split

    if not 0 < fraction < 1:
        raise ValueError(f"validation as a fraction must be in (0, 1), got {fraction}")
    return train_test_split(rows, test_size=float(fraction), random_state=seed)


def _check_number(train, weight):
    if len(train) < 2:
        why = "" if weight is None else ", since sample_weight is zero for the others"
        raise ValueError(
            f"one row to train on (n_samples=1){why}: two are needed for anything to vary"
        )


def _set_scales(net, x, y, weight, train):
    """Learn the scales; what an earlier training has learnt stays."""
    for scaler, values, what in [(net.x_scaler, x, "X"), (net.y_scaler, y, "y")]:
        if scaler.is_set:
            continue
        if net.config["standardize"]:
            counts = None if weight is None else weight[train, 0]
            mean, scale = mean_and_scale(values, train, counts)
            scaler.set(mean, _not_rare(values, train, scale) if what == "X" else scale)
        elif net.head.weight.dtype != torch.float64:
            _refuse_narrow(values, train, what, getattr(net, NAMES_OF[what]))


def mean_and_scale(
    values: np.ndarray, rows: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of columns, with all digits that they have.

    Each column is first moved to one of its own values and divided by its size, both without
    rounding where it matters. So a column that varies by a millionth around a million, or one of
    numbers as small as 1e-300 or as large as 1e300, is like any other to what follows.
    """
    mean, scale = np.zeros((2, values.shape[1]))
    width = max(1, BLOCK // len(rows))
    for start in range(0, values.shape[1], width):
        block = slice(start, start + width)
        part = values[rows, block].astype(np.float64, copy=False)
        size = _power_of_two(part)
        part /= size
        first = part[0].copy()
        part -= first
        spread = _power_of_two(part)
        part /= spread
        middle = np.average(part, axis=0, weights=weight)
        part -= middle
        part *= part
        mean[block] = (first + middle * spread) * size
        scale[block] = np.sqrt(np.average(part, axis=0, weights=weight)) * spread * size
    return mean, np.where(scale == 0, 1, scale)


def _not_rare(values, rows, scale):
    """Half the distance for a column of two values, instead of its standard deviation.

    By that, the few ones of a category that one row in a thousand has would stand 30 away.
    """
    for column in range(values.shape[1]):
        if len(np.unique(values[rows[:FEW], column])) <= 2:
            part = values[rows, column].astype(np.float64)
            low, high = part.min(), part.max()
            if low < high and ((part == low) | (part == high)).all():
                scale[column] = high / 2 - low / 2
    return scale


def _power_of_two(values):
    """The power of two next to the largest magnitude of each column; 1 for a column of zeros."""
    largest = np.abs(values).max(0)
    return np.where(largest > 0, np.exp2(np.floor(np.log2(np.where(largest > 0, largest, 1)))), 1)


def _refuse_narrow(values, rows, what, names):
    """Unscaled, a column that varies beyond the seven digits of float32 would be nothing."""
    mean, scale = mean_and_scale(values, rows)
    spread = np.ptp(values[rows], axis=0)
    narrow = (spread > 0) & ((np.abs(mean) > 1e5 * scale) | (spread < TINY))
    if narrow.any():
        column = int(narrow.argmax())
        name = names[column] if names else column
        raise ValueError(
            f"column {name!r} of {what} varies by {scale[column]:.3g} around {mean[column]:.8g}, "
            f"too little for float32 without standardize=True: subtract a constant from it and "
            f"scale it first"
        )


def _matrices(net, X, y, which, names):
    """X and y as float matrices that fit the network, or an error that says which does not."""
    n_features, n_targets = net.config["n_features"], net.config["n_targets"]
    if y is None:
        raise TypeError(f"{which}y is missing: pass the targets, or a Dataset as X")
    if is_column(y, f"{which}y"):
        raise ValueError(
            f"{which}y has shape ({len(y)},), the network's output ({len(y)}, {n_targets}): "
            f"subtracting them would pair every row with every other; pass y.reshape(-1, 1), "
            f"or y.to_frame() of a Series"
        )
    features, targets = (
        known if known is not None and len(known) == count else count
        for known, count in zip(names, (n_features, n_targets), strict=True)
    )
    x = as_matrix(X, f"{which}X", columns=features, dtype=None, copy=False)
    y = as_matrix(y, f"{which}y", columns=targets, dtype=None, copy=False)
    if len(x) != len(y):
        raise ValueError(f"{which}X has {len(x)} rows, {which}y has {len(y)}: they must agree")
    return x, y


def _to_tensors(net, x, y, weight=None, rows=None):
    """Standardised rows in the network's type, with their weights where there are some."""
    rows = np.arange(len(x)) if rows is None else rows
    parts = [_in_parts(net.inputs, x, rows), _in_parts(net.targets, y, rows)]
    if weight is not None:
        counts = weight[rows]
        parts.append(torch.as_tensor(counts / counts.mean()).to(parts[0]))
    return tuple(parts)


def _in_parts(standardize, values, rows):
    """All those rows, standardised a part at a time."""
    size = max(1, BLOCK // values.shape[1])
    part = standardize(values[rows[:size]], rows[:size])
    whole = part.new_empty(len(rows), values.shape[1])
    whole[:size] = part
    for start in range(size, len(rows), size):
        piece = rows[start : start + size]
        whole[start : start + size] = standardize(values[piece], piece)
    return whole


def find_device(net: RegressionNet, name: str | torch.device | None) -> torch.device:
    """The device by that name, if this machine has it; without a name, where the network is."""
    if name is None:
        return net.head.weight.device
    here = ["cpu"]
    here += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    here += ["mps"] if torch.backends.mps.is_available() else []
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"unknown device {name!r}; here there are: {', '.join(here)}") from error
    full = "cuda:0" if str(device) == "cuda" else str(device)
    if full not in here and device.type not in [h for h in here if ":" not in h]:
        raise ValueError(f"device {name!r} is not on this machine; here: {', '.join(here)}")
    return device
