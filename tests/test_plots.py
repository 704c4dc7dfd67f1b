"""Figures carry units and words, use the axes they are given, and are the same bytes each time."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from regression_lib import History, RegressionNet, layer_statistics, plots
from regression_lib.history import Row

rng = np.random.default_rng(0)
TRUTH = rng.lognormal(13, 0.5, 300)
PREDICTED = TRUTH * rng.lognormal(0, 0.2, 300)
HISTORY = History(
    [
        Row(1, 0, 1.0, 0.9, 1e-3, 0.1),
        Row(2, 0, 0.5, 0.6, 1e-3, 0.1),
        Row(3, 0, 0.3, 0.7, 1e-3, 0.1),
    ]
)


ROWS = torch.tensor(rng.normal(size=(20, 3)), dtype=torch.float32)
LAYERS = {"relu": layer_statistics(RegressionNet(3), ROWS)}
CURVES = {"relu": pd.DataFrame({0: [3.0, 1.0, 2.0], 1: [4.0, 1.5, 2.0]}, index=[1e-3, 1e-2, 0.1])}


FIGURES = {
    "history": lambda ax: plots.plot_history(HISTORY, ax=ax),
    "losses": lambda ax: plots.plot_losses([3.0, 2.0, 1.0], "a net", ax=ax),
    "distribution": lambda ax: plots.plot_distribution(TRUTH, "price, US$", ax=ax, log=True),
    "predictions": lambda ax: plots.plot_predictions(TRUTH, PREDICTED, "US$", ax=ax, log=True),
    "band": lambda ax: plots.plot_error_by_band(TRUTH, PREDICTED, "US$", ax=ax),
    "map": lambda ax: plots.plot_map(TRUTH % 1 - 122, TRUTH % 2 + 47, TRUTH % 3, "error, %", ax=ax),
    "scores": lambda ax: plots.plot_scores(
        {"a": [1, 2], "b": [2, 4]}, "RMSE", ax=ax, reference="a"
    ),
    "residuals": lambda ax: plots.plot_residuals(TRUTH, PREDICTED, "US$", ax=ax),
    "ridges": lambda ax: plots.plot_ridges({"a": TRUTH, "b": PREDICTED}, "price, US$", ax=ax),
    "curves": lambda ax: plots.plot_curves(CURVES, "lr", "RMSE", ax=ax, log="xy"),
    "activation": lambda ax: plots.plot_activation("tanh", ax=ax, interval=(-2, 2)),
    "layers": lambda ax: plots.plot_layers(LAYERS, "sd", "standard deviation", ax=ax),
}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_draws_where_it_is_told(name):
    _, ax = plt.subplots()
    assert FIGURES[name](ax) is ax
    assert FIGURES[name](None) is not ax


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_labels_and_words_with_numbers(name):
    ax = FIGURES[name](None)
    assert ax.get_xlabel()
    assert ax.get_ylabel() or name in (
        "scores",
        "ridges",
    )  # there the models' names stand on the axis
    assert any(letter.isdigit() for letter in ax.alt_text)
    assert plots.alt_text(ax.figure) == ax.alt_text


@pytest.mark.parametrize("name", FIGURES)
def test_svg_is_the_same_twice(name):
    first, second = (plots.svg(FIGURES[name](None).figure) for _ in range(2))
    assert first == second
    assert first.lstrip().startswith("<?xml")


def test_curves_take_numbers_as_names_and_an_x_from_zero():
    table = pd.DataFrame({0: [3.0, 1.0, 2.0], 1: [4.0, 1.5, 2.0]}, index=[0, 1, 10])
    ax = plots.plot_curves({1e-4: table, 1e-3: table + 1}, "layers", "error", log="x")
    assert ax.get_xscale() == "symlog"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "1", "10"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0.0001", "0.001"]
    dark, light = (sum(matplotlib.colors.to_rgb(line.get_color())) for line in ax.lines)
    assert dark < light
    many = plots.plot_curves(dict.fromkeys("abcd", table), "layers", "error")
    many.figure.canvas.draw()
    assert many.get_legend().get_window_extent().y0 >= many.bbox.y1 - 1


def test_words_come_from_the_data():
    words = plots.plot_history(HISTORY).alt_text
    assert "training falls from 1.000 to 0.300" in words
    assert "best, 0.600, at epoch 2" in words
    assert "a 1.500 ± 0.707" in plots.plot_scores({"a": [1, 2]}, "RMSE").alt_text
    assert "over batches: a 1.5" in plots.plot_scores({"a": [1, 2]}, "MAE", over="batches").alt_text
    assert "relu from 3.5 at 0.001 to 2 at 0.1, lowest 1.25" in FIGURES["curves"](None).alt_text
    assert "responds from −2.00 to 2.00" in FIGURES["activation"](None).alt_text
    two = plots.plot_losses([2.0, 1.0], "b", ax=plots.plot_losses([3.0, 2.5], "a")).alt_text
    assert "a: from 3 to 2.5 in 2 steps. b: from 2 to 1 in 2 steps." in two
    band = plots.plot_error_by_band(TRUTH, 1.1 * TRUTH, "US$").alt_text
    assert "median 10 % in the lowest band" in band


def test_numbers_are_written_for_readers():
    shown = [plots._number(v) for v in (450_500, 0.16345, -0.0, -9.04, 1e6)]
    assert shown == ["450,500", "0.163", "0", "−9.04", "1,000,000"]


def test_numbers_on_an_axis_are_short():
    shown = [plots._short(v) for v in (0.3, 500, 300_000, 1e6, 2.5e6)]
    assert shown == ["0.3", "500", "300k", "1M", "2.5M"]


def test_a_map_shows_medians_of_cells_with_enough_rows():
    place = np.array([0.0, 0, 0, 1, 1, 1, 0.5])
    ax = plots.plot_map(place - 122, place + 47, [1, 2, 9, -4, -4, -4, 99], "error, %")
    assert sorted(ax.collections[0].get_array()) == [-4, 2]


def test_a_history_without_validation():
    history = History([Row(1, 0, 1.0, np.nan, 1e-3, 0.1), Row(2, 0, 0.5, np.nan, 1e-3, 0.1)])
    assert "validation" not in plots.plot_history(history).alt_text


def test_style_outside_a_notebook():
    plots.notebook_style()
    assert plots._shell() is None


def test_the_history_of_an_ensemble_is_a_mean_and_a_band():
    rows = [Row(e, k, 1 / e + k / 10, 1 / e + k / 5, 1e-3, 0.1) for e in (1, 2) for k in (0, 1)]
    ax = plots.plot_history(History(rows, n_members=2))
    assert np.allclose(ax.lines[0].get_ydata(), [1.05, 0.55])
    assert len(ax.collections) == 2
    assert "of 2 members" in ax.alt_text


def test_nothing_has_happened_yet():
    with pytest.raises(ValueError, match="no epoch has ended"):
        plots.plot_history(History())


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("squared", "mean squared error"),
        ("absolute", "mean absolute error"),
        ("huber(2)", "mean huber(2) loss"),
    ],
)
def test_the_axis_names_the_loss(loss, words):
    history = History([Row(epoch, 0, 1 / epoch, 2 / epoch, 0.1, 1) for epoch in (1, 2)], loss=loss)
    assert history.plot().get_ylabel() == f"{words}\n(standardised target)"
