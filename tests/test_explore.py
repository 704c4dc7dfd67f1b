"""The explorers' arithmetic is PyTorch's: their JavaScript runs here, in a small engine."""

import json

import numpy as np
import pytest
import torch

from regression_lib import ACTIVATIONS, RegressionNet, responsive_range
from regression_lib.activations import derivative
from regression_lib.explore import LABELS, explore_activations, module

quickjs = pytest.importorskip("quickjs")


@pytest.fixture(scope="module")
def script():
    """Evaluate an expression after the given files; what it gives, as Python's own."""
    context = quickjs.Context()

    def evaluate(expression, **values):
        for name, value in values.items():
            context.eval(f"globalThis.{name} = {json.dumps(value)}")
        return json.loads(context.eval(f"JSON.stringify({expression})"))

    context.eval(module("kit", "curves", "net"))
    return evaluate


@pytest.mark.parametrize("name", ACTIVATIONS)
class TestCurves:
    def test_value_and_slope_are_those_of_pytorch(self, script, name):
        x = torch.linspace(-30, 30, 2001, dtype=torch.float64)
        found = script(f"x.map(x => CURVES.{name}.map(f => f(x)))", x=x.tolist())
        value, slope = torch.tensor(found, dtype=torch.float64).T
        torch.testing.assert_close(value, ACTIVATIONS[name]()(x), rtol=0, atol=1e-6)
        torch.testing.assert_close(slope, derivative(name, x), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("threshold", [0.0707, 0.3])
    def test_the_band_is_the_responsive_range(self, script, name, threshold):
        found = script(f"band('{name}', {threshold}).map(String)")
        assert [float(end.replace("Infinity", "inf")) for end in found] == pytest.approx(
            responsive_range(name, threshold), abs=1e-6
        )


def fill(script, net):
    """Give the network in JavaScript the weights of one in Python."""
    parts = [] if net.input_norm is None else [net.input_norm.weight, net.input_norm.bias]
    for layer in net.layers:
        parts += [layer.linear.weight.T, layer.linear.bias]
        parts += [] if layer.batch_norm() is None else [layer.norm.weight, layer.norm.bias]
    parts += [net.head.weight.T, net.head.bias]
    values = [part.detach().flatten().tolist() for part in parts]
    script("values.forEach((v, k) => net.parameters[k].set(v)) ?? 0", values=values)


def parameters(net):
    """Weights or gradients of a network, in the order and layout of the JavaScript."""
    inner = [net.input_norm] if net.input_norm is not None else []
    for layer in net.layers:
        inner += [layer.linear] + ([] if layer.batch_norm() is None else [layer.norm])
    return [p for part in [*inner, net.head] for p in (part.weight, part.bias)]


def flat(tensors):
    return torch.cat([(t.T if t.ndim == 2 else t).flatten() for t in tensors])


@pytest.mark.parametrize("norm", [False, True], ids=["plain", "BN"])
@pytest.mark.parametrize("residual", [False, True], ids=["", "residual"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
class TestNet:
    @pytest.fixture
    def pair(self, script, norm, residual, activation):
        """The same network and batch in both languages."""
        shape = {"hidden": (6,) * 4, "activation": activation, "batch_norm": norm}
        options = {"input_norm": norm, "residual": residual, "linear_bias": True}
        net = RegressionNet(2, **shape, **options, bn_momentum=0.3).double()
        options = {"inputs": 2, "depth": 4, "width": 6, "norm": norm, "residual": residual}
        options |= {"activation": activation, "momentum": 0.3}
        script("(globalThis.net = new Net(options)) && 0", options=options)
        fill(script, net)
        rng = np.random.default_rng(0)
        x, y = rng.normal(2, 3, (16, 2)), rng.normal(size=(16, 1))
        batch = {"x": x.ravel().tolist(), "y": y.ravel().tolist()}
        script("(batch = {x: Float64Array.from(x), y: Float64Array.from(y)}) && 0", batch={}, **batch)
        return net, torch.tensor(x), torch.tensor(y)

    def test_loss_and_gradients(self, script, pair):
        net, x, y = pair
        loss = torch.nn.functional.mse_loss(net(x), y)
        loss.backward()
        assert script("net.loss(batch.x, batch.y, 16)") == pytest.approx(loss.item(), rel=1e-9)
        found = torch.tensor(script("net.gradients.flatMap(g => [...g])"), dtype=torch.float64)
        torch.testing.assert_close(found, flat([p.grad for p in parameters(net)]), rtol=1e-5, atol=1e-8)

    def test_steps_of_adam_and_eval_mode(self, script, pair):
        net, x, y = pair
        adam = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(3):
            adam.zero_grad()
            torch.nn.functional.mse_loss(net(x), y).backward()
            adam.step()
            script("(net.loss(batch.x, batch.y, 16), net.step(0.01)) ?? 0")
        found = torch.tensor(script("[...net.forward(batch.x, 16)]"), dtype=torch.float64)
        torch.testing.assert_close(found, net.eval()(x).detach().ravel(), rtol=1e-5, atol=1e-5)


class TestExplorers:
    def test_says_what_it_is_where_it_cannot_run(self):
        assert repr(explore_activations()).startswith("Activation explorer")

    def test_another_name_is_refused(self):
        with pytest.raises(ValueError, match="Did you mean 'relu'"):
            explore_activations("rellu")

    @pytest.mark.parametrize("threshold", [0, 1, -0.1])
    def test_a_threshold_that_is_no_share_is_refused(self, threshold):
        with pytest.raises(ValueError, match="between 0 and 1"):
            explore_activations(threshold=threshold)

    def test_labels_are_strings(self):
        assert all(isinstance(text, str) for table in LABELS.values() for text in table.values())
