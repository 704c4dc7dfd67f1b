"""Drawings of bends: their words carry the numbers, and the parts of a layer add up."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

import regression_lib as rl
from regression_lib.activations import ACTIVATIONS, derivative
from regression_lib.plots import alt_text

X = torch.linspace(-3, 3, 61).reshape(-1, 1)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def hill():
    net = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        net[0].weight[:] = 1
        net[0].bias[:] = torch.tensor([1.0, 0.0, -1.0])
        net[2].weight[:] = torch.tensor([[1.0, -2.0, 1.0]])
        net[2].bias[:] = 0
    return net


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_parts_lie_within_the_range_and_hold_slopes_alone_that_count(name):
    parts, (low, high) = rl.bends.responsive_parts(name), rl.responsive_range(name)
    assert parts[0][0] == pytest.approx(low, abs=2e-3)
    assert parts[-1][1] == pytest.approx(high, abs=2e-3)
    peak = derivative(name, np.linspace(-10, 10, 20001)).abs().max()
    for start, end in parts:
        inside = np.linspace(max(start, -40), min(end, 40), 999)[1:-1]
        assert derivative(name, inside).abs().min() >= 0.0706 * peak


@pytest.mark.parametrize(("name", "n"), [("tanh", 1), ("relu", 1), ("gelu", 2), ("silu", 2)])
def test_a_dip_cuts_the_range_in_two(name, n):
    assert len(rl.bends.responsive_parts(name)) == n


def test_a_line_responds_everywhere():
    assert rl.bends.responsive_parts(lambda x: 2 * x) == [(-math.inf, math.inf)]


def test_lines_carry_their_names_and_their_ends():
    lines = {"up": X, "hill": -(X**2)}
    ax = rl.bends.plot_lines(X, lines, "size, m", "price, US$", points=(X, X))
    assert [text.get_text() for text in ax.texts] == ["hill", "up"]
    assert "up from −3 at −3 to 3 at 3" in alt_text(ax)
    assert "hill from −9 at −3 to −9 at 3, highest 0 at 0" in alt_text(ax)
    assert "61 dots" in alt_text(ax)


def test_names_of_lines_that_end_together_do_not_touch():
    ax = rl.bends.plot_lines(X, dict.fromkeys("abcd", X), "x", "y")
    heights = sorted(text.xy[1] for text in ax.texts)
    assert min(np.diff(heights)) > 0.04
    assert heights[-1] <= 1


def test_a_logarithmic_axis_places_names_by_powers():
    ax = rl.bends.plot_lines([1, 2], {"a": [1, 1e-9], "b": [1, 1e9]}, "layer", "sd", log=True)
    assert ax.get_yscale() == "log"
    assert np.ptp([text.xy[1] for text in ax.texts]) > 0.7


def test_five_lines_are_refused():
    with pytest.raises(ValueError, match="got 5"):
        rl.bends.plot_lines(X, dict.fromkeys("abcde", X), "x", "y")


def test_the_parts_of_a_layer_add_up():
    net = hill()
    with torch.no_grad():
        net[2].bias[:] = 0.5
    axes = rl.bends.plot_parts(net, X)
    parts = [line.get_ydata() for line in axes[0].lines[:3]]
    assert np.allclose(sum(parts) + 0.5, axes[1].lines[0].get_ydata(), atol=1e-6)
    assert "given 0: −1, 0, 1." in alt_text(axes[1])
    assert "highest 1.5 at 0" in alt_text(axes[1])


def test_only_a_layer_of_few_units_is_taken_apart():
    with pytest.raises(ValueError, match="up to 4 units"):
        rl.bends.plot_parts(nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, 1)), X)


def test_slopes_say_where_they_respond():
    axes = rl.bends.plot_slopes(["relu", "tanh", "mish"])
    assert len(axes) == 3
    assert "responds from 0.00 on" in alt_text(axes[0])
    assert "responds from −2.00 to 2.00" in alt_text(axes[1])
    assert " and from " in alt_text(axes[2])


def test_units_are_described_by_what_they_are_given():
    inputs = {"switch": ("tanh", [-9.0, 9.0]), "dead": ("relu", [-5.0, -4.0])}
    axes = rl.bends.plot_units(inputs)
    assert "50% below −2 and 50% above 2; its outputs have mean 0 and sd 1" in alt_text(axes[0])
    assert "mean 0 and sd 0" in alt_text(axes[1])
