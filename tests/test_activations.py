"""The catalogue answers by name, and the responsive range is the one that mathematics gives."""

import math

import pytest
import torch
from torch import nn

from regression_lib.activations import ACTIVATIONS, derivative, get_activation, responsive_range


def logit(p):
    return math.log(p / (1 - p))


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_each_name_gives_a_module_that_keeps_the_shape(name):
    module = get_activation(name)
    assert isinstance(module, nn.Module)
    assert module is not get_activation(name)  # each layer gets its own
    assert module(torch.zeros(3, 2)).shape == (3, 2)


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"'sigmoyd'.*Did you mean 'sigmoid'.*relu, sigmoid"):
        get_activation("sigmoyd")
    with pytest.raises(ValueError, match=r"'ReLU'.*Did you mean 'relu'"):
        get_activation("ReLU")
    with pytest.raises(ValueError, match="Choose from: relu"):
        get_activation("xyzzy")
    for wrong in (None, nn.ReLU, 3):
        with pytest.raises(TypeError, match="by its name"):
            get_activation(wrong)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_the_derivative_is_the_limit_of_differences(name):
    x = torch.linspace(-3, 3, 41, dtype=torch.float64) + 0.01  # not at the corner
    f, h = get_activation(name), 1e-6
    expected = (f(x + h) - f(x - h)) / (2 * h)
    torch.testing.assert_close(derivative(name, x), expected, rtol=0, atol=1e-8)


def test_the_derivative_takes_numbers_modules_and_functions():
    assert derivative("tanh", 0.0).item() == 1.0
    assert derivative("relu", [-1, 2]).tolist() == [0.0, 1.0]
    assert derivative(torch.sin, torch.zeros(2, 3)).shape == (2, 3)
    assert derivative(torch.ones_like, [1.0, 2.0]).tolist() == [0.0, 0.0]
    with torch.no_grad():
        assert derivative("sigmoid", 0.0).item() == 0.25
    module = nn.PReLU()  # has a float32 weight, and keeps it
    assert derivative(module, [-1.0]).dtype == torch.float64
    assert module.weight.dtype == torch.float32
    assert module.weight.grad is None
    x = torch.zeros(2, dtype=torch.float64)
    derivative("tanh", x)
    assert not x.requires_grad
    with pytest.raises(ValueError, match=r"\(2,\) into \(\)"):
        derivative(torch.sum, [1.0, 2.0])


def test_the_sigmoid_responds_to_4_and_tanh_to_2():
    assert responsive_range("sigmoid") == pytest.approx((-4, 4), abs=1e-2)
    assert responsive_range("tanh") == pytest.approx((-2, 2), abs=1e-2)
    assert responsive_range("sigmoid", 0.1) == pytest.approx((-3.64, 3.64), abs=5e-3)
    assert responsive_range("tanh", 0.1) == pytest.approx((-1.82, 1.82), abs=5e-3)


@pytest.mark.parametrize("threshold", [0.001, 0.05, 0.0707, 0.1, 0.5, 0.99])
def test_the_edges_are_exact(threshold):
    low, high = responsive_range("tanh", threshold)
    edge = math.acosh(1 / math.sqrt(threshold))  # 1 − tanh² = 1 / cosh²
    assert (low, high) == pytest.approx((-edge, edge), abs=1e-6)
    # tanh x = 2 σ(2x) − 1, so its edge is half as far out
    assert responsive_range("sigmoid", threshold)[1] / 2 == pytest.approx(high, abs=1e-6)
    # the slope of softplus is the sigmoid, which rises to 1
    assert responsive_range("softplus", threshold) == (
        pytest.approx(logit(threshold), abs=1e-6),
        math.inf,
    )


def test_relu_responds_from_zero_on():
    assert responsive_range("relu") == (0.0, math.inf)
    assert responsive_range("leaky_relu") == (0.0, math.inf)
    assert responsive_range("leaky_relu", 0.005) == (-math.inf, math.inf)
    assert responsive_range(lambda x: -torch.relu(-x)) == (-math.inf, 0.0)
    assert math.copysign(1, responsive_range("relu")[0]) == 1
    assert responsive_range("elu")[0] == pytest.approx(math.log(0.0707), abs=1e-6)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_no_point_outside_responds_and_the_edge_does(name):
    low, high = responsive_range(name)
    x = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    slope = derivative(name, x).abs()
    outside = slope[(x < low - 1e-6) | (x > high + 1e-6)]
    assert outside.numel() == 0 or outside.max() < 0.0707 * slope.max()
    if math.isfinite(low):
        assert derivative(name, low + 1e-5).abs() >= 0.0707 * slope.max() * (1 - 1e-5)


def test_any_function_will_do():
    assert responsive_range(nn.Tanh()) == responsive_range("tanh")
    wide = responsive_range(lambda x: torch.sigmoid(x / 100))
    assert wide[1] == pytest.approx(100 * responsive_range("sigmoid")[1], abs=1e-5)
    moved = responsive_range(lambda x: torch.tanh(x - 1.234567))  # its peak is on no grid point
    assert moved[1] == pytest.approx(responsive_range("tanh")[1] + 1.234567, abs=1e-6)


@pytest.mark.parametrize("threshold", [0, 1, -0.1, 2, float("nan")])
def test_an_impossible_threshold_is_refused(threshold):
    with pytest.raises(ValueError, match="between 0 and 1"):
        responsive_range("tanh", threshold)


def test_functions_without_a_peak_are_refused():
    with pytest.raises(ValueError, match="zero everywhere"):
        responsive_range(torch.ones_like)
    with pytest.raises(ValueError, match="still grows"):
        responsive_range(torch.square)
    with pytest.raises(ValueError, match="not finite"):
        responsive_range(torch.exp)
    with pytest.raises(ValueError, match="Did you mean 'tanh'"):
        responsive_range("tahn")
