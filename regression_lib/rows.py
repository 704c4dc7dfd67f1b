"""From tables to the tensors that a training runs on: checked, held out, weighted, scaled."""

import numpy as np
import torch

from regression_lib.checks import as_matrix
from regression_lib.data import Dataset


def training_rows(net, X, y, validation, sample_weight, seed, device):
    """Checked and standardised tensors to train on and to judge by: (x, y) or (x, y, weight)."""
    names, targets, units = None, None, {}
    if isinstance(X, Dataset):
        if y is not None:
            raise TypeError("a Dataset brings its own targets: leave y out")
        names, targets, units = X.feature_names, X.target_names, X.units
        X, y = X.X, X.y
    elif hasattr(X, "columns") and all(isinstance(name, str) for name in X.columns):
        names = tuple(X.columns)
    train = _matrices(net, X, y, "", names)
    if sample_weight is not None:
        train = _weighted(*train, sample_weight)
    held_out = None
    if isinstance(validation, (float, int)) and not isinstance(validation, bool):
        train, held_out = _hold_out(train, validation, seed)
    elif validation is not None:
        held_out = _matrices(net, *as_pair(validation), "validation ", names)
    if net.uses_batch_statistics and len(train[0]) < 2:
        raise ValueError("one row to train on: BatchNorm needs two rows or more in train mode")
    net.to(device)
    _set_scales(net, *train)
    net.feature_names, net.target_names, net.units = names, targets, units
    return _to_tensors(net, *train), held_out and _to_tensors(net, *held_out)


def as_pair(validation):
    """X and y of validation rows, or an error that says what they must be."""
    if isinstance(validation, Dataset):
        return validation.X, validation.y
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise TypeError(
            f"validation must be a Dataset or a pair (X, y), got {type(validation).__name__}"
        )
    return validation


def _weighted(x, y, sample_weight):
    """The rows that count, with their weights as a column."""
    weight = np.asarray(sample_weight, dtype=float)
    if weight.shape != (len(x),):
        raise ValueError(f"sample_weight has shape {weight.shape}, X has {len(x)} rows")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError(
            f"sample_weight must be finite and at least 0; it goes from {weight.min()} to "
            f"{weight.max()}"
        )
    if not weight.any():
        raise ValueError("sample_weight is zero for every row: nothing is left to train on")
    counts = weight > 0
    return x[counts], y[counts], weight[counts, None]


def _hold_out(rows, fraction, seed):
    # Loaded when used: scikit-learn takes longer to import than the rest of the library.
    from sklearn.model_selection import train_test_split

    if not 0 < fraction < 1:
        raise ValueError(f"validation as a fraction must be in (0, 1), got {fraction}")
    parts = train_test_split(*rows, test_size=fraction, random_state=seed)
    return parts[::2], parts[1::2]


def _set_scales(net, x, y, weight=None):
    """Learn the scales, and the borders of bins; what an earlier training has learnt stays."""
    from sklearn.preprocessing import StandardScaler

    for scaler, values in [(net.x_scaler, x), (net.y_scaler, y)]:
        if net.config["standardize"] and not scaler.is_set:
            counts = None if weight is None else weight.ravel()
            statistics = StandardScaler().fit(values, sample_weight=counts)
            _refuse_narrow(statistics)
            scaler.set(statistics.mean_, statistics.scale_)
    if net.embedding is not None and not net.embedding.is_set:
        net.embedding.set(net.x_scaler(torch.as_tensor(x).to(net.head.weight)))


def _refuse_narrow(statistics):
    """float32 has seven digits: of a value that varies in the seventh alone, nothing is left."""
    mean, scale = statistics.mean_, statistics.scale_
    narrow = (np.abs(mean) > 1e5 * scale) & (statistics.var_ > 0)
    if narrow.any():
        column = int(narrow.argmax())
        raise ValueError(
            f"column {column} varies by {scale[column]:.3g} around {mean[column]:.8g}, too little "
            f"for float32: subtract a constant from it first"
        )


def _matrices(net, X, y, which, names):
    """X and y as float matrices that fit the network, or an error that says which does not."""
    n_features, n_targets = net.config["n_features"], net.config["n_targets"]
    if y is None:
        raise TypeError(f"{which}y is missing: pass the targets, or a Dataset as X")
    shape = y.shape if hasattr(y, "shape") else np.shape(y)
    if len(shape) == 1:
        raise ValueError(
            f"{which}y has shape ({shape[0]},), the network's output ({shape[0]}, {n_targets}): "
            f"subtracting them would pair every row with every other; pass y.reshape(-1, 1), "
            f"or y.to_frame() of a Series"
        )
    known = names if names is not None and len(names) == n_features else n_features
    x = as_matrix(X, f"{which}X", columns=known)
    y = as_matrix(y, f"{which}y", columns=n_targets)
    if len(x) != len(y):
        raise ValueError(f"{which}X has {len(x)} rows, {which}y has {len(y)}: they must agree")
    return x, y


def _to_tensors(net, x, y, weight=None):
    x, y = (torch.as_tensor(values).to(net.head.weight) for values in (x, y))
    rows = net.x_scaler(x), net.y_scaler(y)
    return rows if weight is None else (*rows, torch.as_tensor(weight / weight.mean()).to(x))


def find_device(net, name):
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
