"""Pictures to play with: explorers that work in a notebook, and without a kernel in the book.

Each is an anywidget, which takes one JavaScript module, one style sheet and some data. All that it
computes, it computes in the reader's browser; Python sends the data once and hears nothing back.
So the very same module runs in JupyterLab, VS Code and Colab, and in the static page, where a
loader of a few lines stands in for the kernel. Their words stand in `widgets/labels.toml`.
"""

from __future__ import annotations

import math
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regression_lib.activations import get_activation
from regression_lib.checks import Table, as_matrix
from regression_lib.data import Dataset, load_king_county

if TYPE_CHECKING:
    import pandas as pd

    from regression_lib.course.explorer import Explorer
    from regression_lib.network import RegressionNet

FOLDER = Path(__file__).parent / "widgets"
LABELS = tomllib.loads((FOLDER / "labels.toml").read_text(encoding="utf-8"))
N_SQUARES = 9  # rows whose square the line explorer draws
DIGITS = 9  # as many as tell every float32 from its neighbours


def _explorer(kind, **data):
    """A widget of that class; the library as a whole does without anywidget."""
    try:
        widgets = import_module("regression_lib.course.explorer")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"the explorers need {error.name}, which is not installed: "
            f'pip install "regression-lib[explore]"'
        ) from error
    return getattr(widgets, kind)(**data)


def explore_activations(name: str = "tanh", threshold: float = 0.0707) -> Explorer:
    """Move an input along an activation, and see where its slope still responds.

    Parameters
    ----------
    name : str
        The activation to begin with, a key of `ACTIVATIONS`.
    threshold : float
        Share of the steepest slope from which on a unit counts as responsive, above 0 and below 1;
        see `responsive_range`.

    Returns
    -------
    Explorer
        Shown as the last value of a cell.

    Raises
    ------
    TypeError, ValueError
        If there is no such activation, or the threshold is out of range.
    """
    get_activation(name)  # which says what is wrong with the name
    if not 0 < threshold < 1:
        raise ValueError(f"threshold={threshold!r} is a share and must lie between 0 and 1.")
    return _explorer("ActivationExplorer", name=name, threshold=threshold)


def explore_line(data: Dataset, *, rate: float = 0.1, scaled: bool = True) -> Explorer:
    """Drag a line, watch its squares and its place in the valley of the loss, and step down.

    Parameters
    ----------
    data : Dataset
        One feature and one target; some hundred rows are plenty. A large target is shown in
        thousands.
    rate : float
        The learning rate to begin with, above 0.
    scaled : bool
        Whether the feature is standardised at the beginning; else it is divided by a power of ten.

    Returns
    -------
    Explorer
        Shown as the last value of a cell.

    Raises
    ------
    ValueError
        If there is more than one feature or target, the feature is the same in all rows, or the
        rate is not above 0.
    """
    if (data.X.shape[1], data.y.shape[1]) != (1, 1):
        columns = [*data.feature_names, *data.target_names]
        raise ValueError(f"a line has one feature and one target, got {columns}")
    if not 0 < rate < math.inf:
        raise ValueError(f"rate={rate!r} is the length of a step and must be above 0.")
    x, y = data.X.to_numpy()[:, 0], data.y.to_numpy()[:, 0]
    if len(x) < N_SQUARES or x.min() == x.max():
        raise ValueError(f"{N_SQUARES} rows that differ are needed, got {len(x)} from {x.min()} on")
    names = {"x": data.feature_names[0], "y": data.target_names[0]}
    units = {axis: data.units[name] for axis, name in names.items()}
    if np.median(y) >= 10_000:
        y, units["y"] = y / 1000, LABELS["batch_norm"]["thousand"].format(unit=units["y"])
    ranked = np.argsort(x, kind="stable")
    between = np.linspace(0, len(x) - 1, 2 * N_SQUARES + 1).astype(int)[1::2]
    ends = np.quantile(x, [0.05, 0.95])
    digits = 1 - math.floor(math.log10(ends[1] - ends[0]))
    return _explorer(
        "LineExplorer",
        x=_numbers(x),
        y=_numbers(y),
        names=names,
        units=units,
        shown=[int(k) for k in ranked[between]],
        handles=[round(float(end), digits) for end in ends],
        rate=float(rate),
        scaled=scaled,
    )


def explore_batch_norm(net: RegressionNet, X: Table) -> Explorer:
    """Send batches through a trained network, and watch what their company does to one row.

    Parameters
    ----------
    net : RegressionNet
        With batch normalisation, one target, and no embedding. A small one: its weights
        travel with the picture.
    X : array or frame, shape (n_rows, n_features)
        The rows that batches are drawn from; some hundred are plenty.

    Returns
    -------
    Explorer
        Shown as the last value of a cell. A target whose unit is a logarithm, ``ln(US$)``,
        is shown as what it is the logarithm of.

    Raises
    ------
    TypeError, ValueError
        If the network has no batch normalisation in its first layer, more than one target or an
        embedding, or X does not fit it.
    """
    rows = as_matrix(X, "X", columns=net.feature_names or net.config["n_features"])
    if not net.config["hidden"] or not net.config["batch_norm"]:
        raise ValueError(f"{net} has no batch normalisation in its first layer to look at.")
    if net.config["n_targets"] != 1 or net.embedding is not None or net.quantiles or net.dropouts():
        raise ValueError(
            f"{net}: the explorer takes one target, no quantiles, no dropout and no embedding."
        )
    return _explorer(
        "BatchNormExplorer",
        shape=network_shape(net),
        weights=network_weights(net),
        scales={"x": _scale(net.x_scaler), "y": _scale(net.y_scaler)},
        rows=[_numbers(row) for row in rows],
        target=_target(net, float(np.median(net.predict(rows)))),
    )


def network_shape(net: RegressionNet) -> dict[str, Any]:
    """How the network in JavaScript (widgets/net.js) names the options of a `RegressionNet`."""
    c = net.config
    names = {"inputs": "n_features", "norm": "batch_norm", "inputNorm": "input_norm"}
    shape = {name: c[key] for name, key in names.items()} | {"hidden": list(c["hidden"])}
    same = {"activation": c["activation"], "residual": c["residual"]}
    return shape | same | {"momentum": c["bn_momentum"]}


def network_weights(net: RegressionNet) -> dict[str, Any]:
    """Weights, and the memories of batch normalisation, in the order and layout of net.js."""
    parts: list[Any] = [] if net.input_norm is None else [net.input_norm]
    for layer in net.layers:
        parts += [layer.linear] + ([] if layer.batch_norm() is None else [layer.norm])
    values = []
    for part in [*parts, net.head]:
        values.append(part.weight.T if part.weight.ndim == 2 else part.weight)
        values.append(part.weight.new_zeros(part.out_features) if part.bias is None else part.bias)
    memories = [
        {"mean": _numbers(norm.running_mean), "variance": _numbers(norm.running_var)}
        for norm in net.batch_norms()
    ]
    return {"parameters": [_numbers(value) for value in values], "memories": memories}


def _numbers(values):
    """Plain numbers, flat, without digits that carry nothing."""
    flat = values.detach().numpy() if hasattr(values, "detach") else np.asarray(values)
    return [float(f"{value:.{DIGITS}g}") for value in flat.ravel()]


def _scale(scaler):
    return {"mean": _numbers(scaler.mean), "scale": _numbers(scaler.scale)}


def _target(net, typical):
    """The target's name and unit as a reader wants them: no logarithms, and thousands as such."""
    name = (net.target_names or ["target"])[0]
    unit = net.units.get(name) or ""
    log = unit.startswith("ln(")
    if log:
        name, unit, typical = name.removeprefix("log_"), unit[3:-1], math.exp(typical)
    factor = 1000 if abs(typical) >= 10_000 else 1
    return {"name": name, "log": log, "factor": factor} | {
        "unit": LABELS["batch_norm"]["thousand"].format(unit=unit) if factor > 1 else unit
    }


def playground(setting: str = "") -> Explorer:
    """Train a network in the page, or two side by side, and turn its knobs while it learns.

    Parameters
    ----------
    setting : str
        What to begin with, as the book's page writes it behind the # of its address:
        ``"lesson=parabola&a.depth=8&a.norm=true"``. What it does not name, is as usual.

    Returns
    -------
    Explorer
        Shown as the last value of a cell.
    """
    sold = load_king_county(features=("sqft_living", "lat")).log_target()
    few = sold.rows(np.flatnonzero(sold.X.sqft_living <= 5000)[::26])  # the few villas leave room
    order = np.random.default_rng(0).permutation(len(few))
    area, latitude = few.X.to_numpy()[order].T
    price = few.y.to_numpy()[order, 0]
    x = [[int(a), round(float(b), 4)] for a, b in zip(area, latitude, strict=True)]
    houses = {"x": x, "y": [round(float(p), 3) for p in price]}
    return _explorer("Playground", setting=setting, houses=houses)


def explore_sweep(
    table: pd.DataFrame,
    *,
    x: str,
    over: str,
    values: dict[str, str],
    by: str | None = None,
    log: bool = False,
    label: str = "",
    names: dict[str, str] | None = None,
) -> Explorer:
    """Replay a sweep over a setting: how its curve came about, with the spread over seeds.

    Parameters
    ----------
    table : pandas.DataFrame
        A row for each setting, moment and seed, as an experiment collects them.
    x : str
        The column of the setting, laid out from left to right.
    over : str
        The column of the moment, such as the epoch, which the replay goes through.
    values : dict
        The columns to show: ``{words: column}``. With `by` each has a picture of its own, else
        they share one.
    by : str, optional
        The column that tells lines apart.
    log : bool
        Whether the values have a logarithmic axis.
    label : str
        What the values are, where they share a picture.
    names : dict, optional
        Words for `x` and `over`, ``{column: words}``.

    Returns
    -------
    Explorer
        Shown as the last value of a cell.

    Raises
    ------
    ValueError
        If the table lacks one of the columns.
    """
    wanted = [x, over, *values.values(), *([by] if by else [])]
    missing = [column for column in wanted if column not in table]
    if missing:
        raise ValueError(f"the table has no column {missing}; it has {list(table)}")
    words = {x: x, over: over} | (names or {})
    if by:
        kinds = list(table[by].unique())
        parts = [(kind, table[table[by] == kind]) for kind in kinds]
        pictures = [
            _picture(name, log, [_frames(kind, rows, x, over, column) for kind, rows in parts])
            for name, column in values.items()
        ]
    else:
        lines = [_frames(name, table, x, over, column) for name, column in values.items()]
        pictures = [_picture(label, log, lines)]
    places, moments = (sorted(table[column].unique()) for column in (x, over))
    return _explorer(
        "Replay",
        x={"label": words[x], "names": [f"{place:g}" for place in places]},
        over=words[over],
        frames=[float(moment) for moment in moments],
        pictures=pictures,
    )


def _frames(name, table, x, over, column):
    """A line: mean and spread over seeds, each a list of settings for each moment."""
    cells = table.groupby([over, x])[column]
    parts = {"mean": cells.mean().unstack(), "sd": cells.std().fillna(0).unstack()}
    return {"name": name} | {
        kind: [
            [float(f"{v:.4g}") if np.isfinite(v) else None for v in row] for row in part.to_numpy()
        ]
        for kind, part in parts.items()
    }


def _picture(label, log, lines):
    """Lines with an axis that holds all their means."""
    means = [v for line in lines for row in line["mean"] for v in row if v is not None]
    low, high = min(means), max(means)
    room = 0.05 * (high - low)
    span = [10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))]
    return {"label": label, "log": log, "lines": lines} | {
        "range": span if log else [low - room, high + room]
    }
