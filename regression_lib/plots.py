"""Every figure that the chapters show: Matplotlib `Axes` in and out, with units and a text.

Each function draws on `ax` (or makes one), names the units on the axes, and describes what the
data show in words, `alt_text(ax)`, for readers who do not see the picture. `notebook_style()`
puts that text beside each figure that a notebook shows.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from regression_lib.activations import derivative, get_activation, responsive_range

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from regression_lib.history import History
    from regression_lib.tuning import LRSweep, Search

# Okabe & Ito's palette: told apart with every kind of colour vision, and in grey.
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6E6E6E"
LOSSES = {"train_loss": "training", "validation_loss": "validation"}
LOSS_WORDS = {
    "squared": "mean squared error",
    "absolute": "mean absolute error",
    "huber": "mean Huber loss",
    "quantile": "mean pinball loss",
}


def _axes(ax: Axes | None, size: tuple[float, float] = (5.4, 3.4)) -> Axes:
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="constrained")
    return ax


def describe(ax: Axes, text: str) -> Axes:
    """Attach the words that stand for what is drawn on `ax`; returns `ax`."""
    ax.alt_text = text  # type: ignore[attr-defined]  # ours, on Matplotlib's object
    return ax


def alt_text(figure_or_ax: Figure | Axes) -> str:
    """The words for a figure: those of its axes, in the order in which they were drawn."""
    axes = getattr(figure_or_ax, "axes", None)
    axes = axes if isinstance(axes, list) else [figure_or_ax]
    return " ".join(ax.alt_text for ax in axes if hasattr(ax, "alt_text"))


def _plain_log(axis):
    """Ticks of a logarithmic axis as plain numbers: 0.2, 500, 300k instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 3) if high > 10 * low else (1, 2, 3, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_formatter(NullFormatter())


def _short(value):
    """A number as an axis shows it: 0.3, 500, 300k, 1M."""
    for size, letter in [(1e6, "M"), (1e3, "k")]:
        if value >= size:
            return f"{value / size:.10g}{letter}"
    return f"{value:.10g}"


def _number(value):
    """A number as a sentence shows it: 450,500 and 0.163, never 4.505e+05 or -0."""
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
    return "0" if text == "-0" else text.replace("-", "−")


def plot_history(history: History, ax: Axes | None = None) -> Axes:
    """Training and validation loss against the epoch, on a logarithmic axis.

    Of an ensemble the members' mean, in a band from the lowest to the highest.

    Parameters
    ----------
    history : History
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if len(history) == 0:
        raise ValueError("nothing to draw: no epoch has ended")
    ax, frame, many = _axes(ax), history.frame, history.n_members is not None
    by_epoch = frame.groupby("epoch")
    mean = by_epoch.mean()
    for name, style, color in [("train_loss", "-", BLUE), ("validation_loss", "--", ORANGE)]:
        if mean[name].notna().all():
            ax.semilogy(mean[name], style, color=color, label=LOSSES[name])
            if many:
                low, high = by_epoch[name].min(), by_epoch[name].max()
                ax.fill_between(mean.index, low, high, color=color, alpha=0.2, lw=0)
    train, valid = mean.train_loss, mean.validation_loss
    words = f"Line plot of the loss over {len(mean)} epochs" + (
        f", mean of {history.n_members} members" if many else ""
    )
    words += f": training falls from {train.iloc[0]:.3f} to {train.iloc[-1]:.3f}"
    if valid.notna().all():
        best = valid.idxmin()
        ax.plot(best, valid[best], "o", color=ORANGE, label="best validation")
        words += f", validation reaches its best, {valid[best]:.3f}, at epoch {best}"
    _plain_log(ax.yaxis)
    ax.locator_params(axis="x", integer=True)
    ax.set(xlabel="epoch", ylabel=_what_is_small(history))
    ax.legend()
    return describe(ax, words + ".")


def _what_is_small(history):
    """The loss of a training in words."""
    words = LOSS_WORDS.get(history.loss, f"mean {history.loss} loss")
    return f"{words}\n(standardised target)"


def plot_lr_sweep(sweep: LRSweep, ax: Axes | None = None) -> Axes:
    """Training and validation loss against the learning rate, the valley shaded.

    Parameters
    ----------
    sweep : LRSweep
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax, frame = _axes(ax), sweep.frame
    ax.loglog(frame.lr, frame.train_loss, "o-", ms=3, color=BLUE, label="training")
    ax.loglog(frame.lr, frame.validation_loss, "s--", ms=3, color=ORANGE, label="validation")
    if frame.validation_sd.notna().any():
        low, high = (frame.validation_loss + sign * frame.validation_sd for sign in (-1, 1))
        ax.fill_between(frame.lr, low, high, color=ORANGE, alpha=0.2, lw=0)
    low, high = sweep.valley
    step = np.sqrt(frame.lr.iloc[-1] / frame.lr.iloc[0]) ** (1 / max(1, len(frame) - 1))
    label = "within 10 % of the lowest"
    ax.axvspan(low / step, high * step, color=GREEN, alpha=0.15, lw=0, label=label)
    ax.axvline(sweep.best_lr, color=GREEN)
    ax.set_xlim(frame.lr.iloc[0] / 2, frame.lr.iloc[-1] * 2)
    _plain_log(ax.yaxis)
    ax.set(xlabel="learning rate", ylabel=_what_is_small(sweep.history))
    ax.legend()
    lost = frame.lr[frame.diverged > 0]
    return describe(
        ax,
        f"Line plot of the loss for {len(frame)} learning rates from {frame.lr.min():.2g} to "
        f"{frame.lr.max():.2g}: validation is lowest, {frame.validation_loss.min():.3f}, at "
        f"{sweep.best_lr:.2g}, and within 10 % of that from {low:.2g} to {high:.2g}"
        + (f"; from {lost.min():.2g} on trainings diverge." if len(lost) else "."),
    )


def plot_search(search: Search, ax: Axes | None = None) -> Axes:
    """The lowest loss so far against the number of trials, beside random search.

    The order of random trials means nothing, so theirs is the median over shuffled orders, in a
    band that holds 80 % of them.

    Parameters
    ----------
    search : Search
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax, frame = _axes(ax), search.frame
    losses = {
        name: rows.loss.where(rows.state == "complete").fillna(np.inf).to_numpy()
        for name, rows in frame[frame.state.isin(["complete", "pruned"])].groupby("sampler")
    }
    if "tpe" not in losses:
        raise ValueError("nothing to draw: no trial has ended")
    words = "Line plot of the lowest validation loss so far"
    if "random" in losses:
        shuffled = np.tile(losses["random"], (500, 1))
        orders = np.random.default_rng(0).permuted(shuffled, axis=1)
        low, middle, high = np.quantile(
            np.minimum.accumulate(orders, axis=1), [0.1, 0.5, 0.9], axis=0, method="nearest"
        )
        trials = np.arange(1, len(middle) + 1)
        shown = np.isfinite(high)
        ax.plot(trials, np.where(np.isfinite(middle), middle, np.nan), "--", color=GREY)
        ax.fill_between(trials[shown], low[shown], high[shown], color=GREY, alpha=0.25, lw=0)
        ax.lines[-1].set_label("random search: median, 80 % of orders")
        words += f"; random search reaches {middle[-1]:.4f} in {len(middle)} trials"
    best = np.minimum.accumulate(losses["tpe"])
    ax.plot(np.arange(1, len(best) + 1), np.where(np.isfinite(best), best, np.nan), color=BLUE)
    ax.lines[-1].set_label("TPE")
    ax.locator_params(axis="x", integer=True)
    ax.set(xlabel="trials", ylabel="lowest mean squared error so far\n(standardised target)")
    ax.legend()
    return describe(ax, f"{words}; TPE reaches {best[-1]:.4f} in {len(best)}.")


def plot_losses(
    losses: Sequence[float],
    label: str,
    ax: Axes | None = None,
    xlabel: str = "step",
    ylabel: str = "loss",
) -> Axes:
    """A loss curve that a loop of your own has recorded; a second one beside it on the same `ax`.

    Parameters
    ----------
    losses : sequence of float
    label : str
        What was trained.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax)
    ax.plot(np.arange(1, len(losses) + 1), losses, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    span = f"from {_number(losses[0])} to {_number(losses[-1])} in {len(losses)} {xlabel}s"
    before = getattr(ax, "alt_text", f"Line plot of the {ylabel}.")
    return describe(ax, f"{before} {label}: {span}.")


def plot_distribution(
    values: ArrayLike, label: str, ax: Axes | None = None, bins: int = 60, log: bool = False
) -> Axes:
    """A histogram with the median marked.

    Parameters
    ----------
    values : sequence of float
    label : str
        Name and unit of the values.
    ax : matplotlib.axes.Axes, optional
    bins : int
    log : bool
        Bins of equal ratio on a logarithmic axis.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax, values = _axes(ax), np.asarray(values, dtype=float)
    edges = np.geomspace(values.min(), values.max(), bins + 1).tolist() if log else bins
    ax.hist(values, bins=edges, color=BLUE)
    if log:
        ax.set_xscale("log")
        _plain_log(ax.xaxis)
    median = np.median(values)
    ax.axvline(median, color=ORANGE, label=f"median {_number(median)}")
    ax.set(xlabel=label, ylabel="rows")
    ax.legend()
    low, high = np.quantile(values, [0.05, 0.95])
    shape = "on a logarithmic axis " if log else ""
    return describe(
        ax,
        f"Histogram of {label} {shape}for {len(values):,} rows: median {_number(median)}, nine "
        f"in ten between {_number(low)} and {_number(high)}, largest {_number(values.max())}.",
    )


def plot_predictions(
    truth: ArrayLike, predicted: ArrayLike, unit: str, ax: Axes | None = None, log: bool = False
) -> Axes:
    """Predicted against true values with the line where they agree.

    Parameters
    ----------
    truth, predicted : array, shape (n_rows,) or (n_rows, 1)
    unit : str
    ax : matplotlib.axes.Axes, optional
    log : bool
        Logarithmic axes, for targets such as prices.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax, (4.4, 4.2))
    truth, predicted = np.ravel(truth), np.ravel(predicted)
    ax.plot(truth, predicted, ".", color=BLUE, ms=3, alpha=0.3, mew=0, rasterized=True)
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    ax.plot(ends, ends, color=ORANGE, label="prediction = truth")
    if log:
        ax.set(xscale="log", yscale="log", aspect="equal")
        _plain_log(ax.xaxis)
        _plain_log(ax.yaxis)
    ax.set(xlabel=f"true value, {unit}", ylabel=f"predicted value, {unit}")
    ax.legend()
    correlation = np.corrcoef(truth, predicted)[0, 1]
    return describe(
        ax,
        f"Scatter of {len(truth):,} predictions against the true values in {unit}, around the "
        f"line where both agree; their correlation is {correlation:.2f}.",
    )


def plot_error_by_band(
    truth: ArrayLike, predicted: ArrayLike, unit: str, ax: Axes | None = None, n_bands: int = 8
) -> Axes:
    """The relative error's median and middle half in bands of equally many rows.

    Parameters
    ----------
    truth, predicted : array, shape (n_rows,) or (n_rows, 1)
        Positive values, such as prices.
    unit : str
    ax : matplotlib.axes.Axes, optional
    n_bands : int

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax)
    truth, predicted = np.ravel(truth), np.ravel(predicted)
    error = 100 * (predicted / truth - 1)
    bands = np.array_split(np.argsort(truth), n_bands)
    low, mid, high = np.array([np.quantile(error[b], [0.25, 0.5, 0.75]) for b in bands]).T
    ax.axhline(0, color=GREY, lw=1)
    ax.errorbar(range(n_bands), mid, [mid - low, high - mid], fmt="o", color=BLUE, capsize=4)
    names = [f"{truth[b].min() / 1e3:,.0f}–\n{truth[b].max() / 1e3:,.0f}" for b in bands]
    ax.set_xticks(range(n_bands), names, fontsize=8)
    ax.set(xlabel=f"band of true values, thousand {unit}", ylabel="error of the prediction, %")
    return describe(
        ax,
        f"Median and middle half of the relative error in {n_bands} bands of the true value: "
        f"median {_number(mid[0])} % in the lowest band, {_number(mid[n_bands // 2])} % in the "
        f"middle, {_number(mid[-1])} % in the highest.",
    )


def plot_map(
    longitude: ArrayLike,
    latitude: ArrayLike,
    values: ArrayLike,
    label: str,
    ax: Axes | None = None,
    limit: float | None = None,
    fewest: int = 3,
) -> Axes:
    """The median of values in each small cell of a map; blue below zero, red above.

    Parameters
    ----------
    longitude, latitude, values : array, shape (n_rows,)
        Degrees, degrees, and what is mapped.
    label : str
        Name and unit of the values.
    ax : matplotlib.axes.Axes, optional
    limit : float, optional
        Where the colours end; by default the largest |median| of a cell.
    fewest : int
        Cells with fewer rows stay empty: a median of one row is no median.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax, (5.4, 4.2))
    x, y, values = (np.ravel(v) for v in (longitude, latitude, values))
    style: dict[str, Any] = {"gridsize": 40, "mincnt": fewest, "cmap": "RdBu_r", "linewidths": 0.2}
    cells = ax.hexbin(x, y, C=values, reduce_C_function=np.median, **style)
    medians = np.ma.compressed(cells.get_array())  # type: ignore[arg-type]  # hexbin has set it
    limit = limit or np.abs(medians).max()
    cells.set_clim(-limit, limit)
    ax.figure.colorbar(cells, ax=ax, label=label, extend="both")
    # One degree of longitude is shorter than one of latitude by the cosine of the latitude.
    ax.set_aspect(1 / np.cos(np.radians(y.mean())))
    ax.set(xlabel="longitude, degrees", ylabel="latitude, degrees")
    shown = np.asanyarray(cells.get_offsets())
    (west, south), (east, north) = shown.min(0), np.quantile(shown, [0.995, 1], axis=0).diagonal()
    margin = 0.03 * (north - south)  # room for the cells at the edge, whose centres these are
    ax.set(xlim=(west - margin, east + margin), ylim=(south - margin, north + margin))
    low, high = np.quantile(medians, [0.1, 0.9])
    return describe(
        ax,
        f"Map of {len(medians)} cells coloured by {label}: eight in ten cells lie "
        f"between {_number(low)} and {_number(high)}.",
    )


def plot_scores(
    scores: Mapping[str, Sequence[float] | np.ndarray] | pd.DataFrame,
    label: str,
    ax: Axes | None = None,
    reference: str | None = None,
    over: str = "seeds",
) -> Axes:
    """Repeated measurements of several models: each as a dot, mean ± sd as a bar.

    Parameters
    ----------
    scores : dict of str to sequence of float, or pandas.DataFrame
        By model; one value a seed.
    label : str
        Name and unit of the score.
    ax : matplotlib.axes.Axes, optional
    reference : str, optional
        A model whose mean is drawn through.
    over : str
        What was repeated, for the words.

    Returns
    -------
    matplotlib.axes.Axes
    """
    names, words = list(scores), []
    ax = _axes(ax, (5.4, 0.9 + 0.45 * len(names)))
    for row, (name, values) in enumerate(scores.items()):
        values = np.asarray(values, dtype=float)
        mean, sd = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
        ax.plot(values, np.full(len(values), row), "o", ms=4, color=GREY, alpha=0.6)
        ax.errorbar(mean, row, xerr=sd, fmt="D", ms=6, color=BLUE, capsize=4)
        words.append(f"{name} {mean:.3f}" + (f" ± {sd:.3f}" if len(values) > 1 else ""))
    if reference is not None:
        ax.axvline(float(np.mean(scores[reference])), color=ORANGE, lw=1, zorder=0)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel=label)
    ax.invert_yaxis()
    return describe(ax, f"{label}, mean ± standard deviation over {over}: {'; '.join(words)}.")


def plot_curves(
    curves: Mapping[str, pd.DataFrame] | Mapping[float, pd.DataFrame],
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
    log: Literal["", "x", "y", "xy"] = "",
) -> Axes:
    """How a measurement changes with a setting: mean over seeds as a line, ± sd as a band.

    Parameters
    ----------
    curves : dict of str (or of float) to pandas.DataFrame
        By name; one row a setting, which is the index, one column a seed. Names that are
        numbers, such as learning rates, get colours from dark to light.
    xlabel, ylabel : str
        Names and units.
    ax : matplotlib.axes.Axes, optional
    log : {"", "x", "y", "xy"}
        Which axes are logarithmic. On a logarithmic y the band ends at the smallest value, and
        an x that starts at 0 is logarithmic from its second setting on.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax, words = _axes(ax), []
    ax.set(xlabel=xlabel, ylabel=ylabel)
    looks = _looks(curves)
    for (name, frame), look in zip(curves.items(), looks, strict=True):
        words.append(_curve(ax, name, frame, look, "y" in log))
    settings = sorted({x for frame in curves.values() for x in frame.index})
    if "x" in log:
        _log_settings(ax, settings)
    if "y" in log:
        ax.set_yscale("log")
        if ax.get_ylim()[1] < 50 * ax.get_ylim()[0]:
            _plain_log(ax.yaxis)
    # Among more than three curves there is seldom room for the names.
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3 if _numbers(curves) else 2}
    ax.legend(**above if len(curves) > 3 else {})
    return describe(ax, f"{ylabel} by {xlabel}, mean over seeds: {'; '.join(words)}.")


def _numbers(curves):
    return not any(isinstance(name, str) for name in curves)


def _looks(curves):
    """A marker for each curve; a colour too, from dark to light, where the names are numbers."""
    from matplotlib import colormaps

    looks = [{"marker": marker} for marker, _ in zip("osD^vPX*h" * 9, curves, strict=False)]
    if _numbers(curves):
        for look, shade in zip(looks, np.linspace(0, 0.85, len(curves)), strict=True):
            look["color"] = colormaps["viridis"](shade)
    return looks


def _curve(ax, name, frame, look, log):
    """Draw one curve with its band; its words."""
    mean, sd = frame.mean(axis=1), frame.std(axis=1)
    low = np.maximum(mean - sd, frame.min(axis=1)) if log else mean - sd
    look = look | ({"ms": 4} if len(frame) <= 40 else {"marker": ""})
    name = name if isinstance(name, str) else f"{name:g}"
    (line,) = ax.plot(frame.index, mean, label=name, **look)
    ax.fill_between(frame.index, low, mean + sd, color=line.get_color(), alpha=0.2, lw=0)
    ends = [f"{_number(mean.iloc[i])} at {_number(frame.index[i])}" for i in (0, -1)]
    lowest = f"{_number(mean.min())} at {_number(mean.idxmin())}"
    return f"{name} from {ends[0]} to {ends[1]}, lowest {lowest}"


def _log_settings(ax, settings):
    """A logarithmic x; from the second setting on where the first is 0."""
    if settings[0] == 0:
        ax.set_xscale("symlog", linthresh=settings[1], linscale=0.3)
        ax.set_xticks(settings, [_short(x) for x in settings])
    else:
        ax.set_xscale("log")
        if settings[-1] < 50 * settings[0]:  # else powers of ten are clearer
            _plain_log(ax.xaxis)


def plot_activation(
    name: str,
    ax: Axes | None = None,
    threshold: float = 0.0707,
    interval: tuple[float, float] | None = None,
    reach: float = 6.0,
) -> Axes:
    """An activation, its slope, and the stretch in which it responds.

    Parameters
    ----------
    name : str
        A key of `ACTIVATIONS`.
    ax : matplotlib.axes.Axes, optional
    threshold : float
        See `responsive_range`.
    interval : (float, float), optional
        Marked by two dotted lines, to compare with.
    reach : float
        The x axis goes from −reach to reach.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from matplotlib.ticker import MultipleLocator

    ax = _axes(ax)
    x = np.linspace(-reach, reach, 481)
    bent = get_activation(name)(torch.as_tensor(x)).numpy()
    low, high = responsive_range(name, threshold)
    ax.axvspan(max(low, -reach), min(high, reach), color=GREY, alpha=0.15, lw=0)
    ax.plot(x, bent, color=BLUE, label="value")
    ax.plot(x, derivative(name, x), "--", color=ORANGE, label="slope")
    for edge in interval or ():
        if np.isfinite(edge):
            ax.axvline(edge, color=PINK, ls=":", lw=1.5)
    ax.set(title=name, xlabel="input", ylabel="output, slope", xlim=(-reach, reach))
    ax.xaxis.set_major_locator(MultipleLocator(2))
    ax.set_ylim(max(bent.min(), -1.5) - 0.2, min(bent.max(), 2.5) + 0.2)
    ends = f"from {low:.2f} {f'to {high:.2f}' if np.isfinite(high) else 'on'}".replace("-", "−")
    return describe(ax, f"{name} and its slope; it responds {ends}.")


def plot_residuals(
    truth: ArrayLike, predicted: ArrayLike, unit: str, ax: Axes | None = None, n_bands: int = 12
) -> Axes:
    """What the predictions miss, against the predictions: median and middle half in bands.

    Parameters
    ----------
    truth, predicted : array, shape (n_rows,) or (n_rows, 1)
    unit : str
    ax : matplotlib.axes.Axes, optional
    n_bands : int
        Bands of equal count along the predictions.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax)
    truth, predicted = np.ravel(truth), np.ravel(predicted)
    residual, order = truth - predicted, np.argsort(predicted)
    ax.scatter(predicted, residual, s=3, alpha=0.25, color=BLUE, lw=0, rasterized=True)
    bands = np.array_split(order, n_bands)
    centres = [np.median(predicted[band]) for band in bands]
    low, middle, high = np.array([np.quantile(residual[b], [0.25, 0.5, 0.75]) for b in bands]).T
    ax.fill_between(centres, low, high, color=ORANGE, alpha=0.3, lw=0, label="middle half")
    ax.plot(centres, middle, color=ORANGE, label="median")
    ax.axhline(0, color=GREY, lw=0.8)
    ax.set(xlabel=f"predicted value, {unit}", ylabel=f"truth − prediction, {unit}")
    ax.legend()
    widths = f"{_number(high[0] - low[0])} wide at the low end, {_number(high[-1] - low[-1])} at"
    medians = f"between {_number(middle.min())} and {_number(middle.max())}"
    return describe(
        ax, f"Residuals by prediction: medians {medians}; middle half {widths} the top."
    )


def plot_ridges(
    samples: Mapping[str, ArrayLike],
    label: str,
    ax: Axes | None = None,
    bins: int = 60,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """Histograms one above the other, all to one scale: how a distribution develops.

    Parameters
    ----------
    samples : dict of str to array of any shape
        From the top down.
    label : str
        Name and unit of the values.
    ax : matplotlib.axes.Axes, optional
    bins : int
    limits : (float, float), optional
        Of the values; by default what holds all but one in a thousand.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax, words = _axes(ax), []
    values = {name: np.ravel(np.asarray(sample, dtype=float)) for name, sample in samples.items()}
    low, high = limits or np.quantile(np.concatenate(list(values.values())), [0.0005, 0.9995])
    edges = np.linspace(low, high, bins + 1)
    shares = {name: np.histogram(v, edges)[0] / v.size for name, v in values.items()}
    highest = max(share.max() for share in shares.values())
    for row, (name, sample) in enumerate(values.items()):
        top = row - 0.9 * shares[name] / highest
        ax.fill_between(edges[:-1], row, top, step="post", color=BLUE, alpha=0.7, lw=0)
        words.append(f"{name} mean {_number(sample.mean())}, sd {_number(sample.std())}")
    ax.set_yticks(range(len(values)), list(values))
    ax.set(xlabel=label, ylim=(len(values) - 0.5, -1))
    return describe(ax, f"Histograms of {label}: {'; '.join(words)}.")


def plot_layers(
    statistics: Mapping[str, pd.DataFrame],
    column: str,
    label: str,
    ax: Axes | None = None,
    log: bool = False,
) -> Axes:
    """One column of `layer_statistics` through the depth, a line for each kind of layer.

    Parameters
    ----------
    statistics : dict of str to pandas.DataFrame
        By network, one row a layer that is to be drawn.
    column : str
    label : str
        Name and unit of the column.
    ax : matplotlib.axes.Axes, optional
    log : bool
        A logarithmic y axis.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax, words = _axes(ax), []
    for (name, frame), marker in zip(statistics.items(), "osD^vPX*h", strict=False):
        depth = np.arange(1, len(frame) + 1)
        ax.plot(depth, frame[column], marker=marker, ms=4, label=name)
        first, last = frame[column].iloc[[0, -1]]
        ends = f"{_number(first)} in layer 1 to {_number(last)} in layer {len(frame)}"
        words.append(f"{name} from {ends}")
    ax.locator_params(axis="x", integer=True)
    ax.set(xlabel="hidden layer", ylabel=label, yscale="log" if log else "linear")
    ax.legend()
    return describe(ax, f"Line plot of {label} by layer: {'; '.join(words)}.")


def svg(figure: Figure) -> str:
    """The figure as SVG text, the same bytes each time."""
    import matplotlib

    content = io.StringIO()
    # Without what Matplotlib notes by itself: the day, its version and its address.
    metadata = {"Date": None, "Creator": None}
    with matplotlib.rc_context({"svg.hashsalt": "regression_lib"}):
        figure.savefig(content, format="svg", metadata=metadata, dpi=130)
    return content.getvalue()


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None}, dpi=100)
    return content.getvalue()


def notebook_style() -> None:
    """Set a notebook's figures: sharp, alike on each run, in safe colours, with their text.

    A figure becomes SVG, which is sharp at any size, and PNG, since JupyterLab shows no SVG of
    a notebook that somebody else has run. Its `alt_text` travels with it as the output's
    metadata, where `tools/save_notebooks.py` finds it. Outside a notebook only the style is set.
    """
    import matplotlib.pyplot as plt
    from cycler import cycler
    from matplotlib.figure import Figure

    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, PINK, GREY]),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "font.size": 11,
        }
    )
    shell = _shell()
    if shell is None:
        return
    from matplotlib_inline.backend_inline import configure_inline_support

    # The inline backend sets a PNG of its own when it starts, so it is started first.
    shell.run_line_magic("matplotlib", "inline")
    configure_inline_support(shell, "inline")
    formatters = shell.display_formatter.formatters
    for kind, draw in [("image/svg+xml", svg), ("image/png", png)]:
        formatters[kind].for_type(Figure, lambda f, draw=draw: (draw(f), {"alt": alt_text(f)}))


def _shell():
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return get_ipython()
