"""Backpropagation by hand: every gradient and every buffer is autograd's."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import regression_lib.training as training
from regression_lib import ACTIVATIONS, EnsembleNet, RegressionNet, backprop, fit
from regression_lib.backprop import Autograd, Backpropagation, is_known, is_written_out
from regression_lib.losses import MeanLoss, squared
from regression_lib.optimizers import Descent

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 3))
Y = np.stack([X @ [1, 0.2, -1], np.sin(X[:, 0])], axis=1) + 0.1 * RNG.normal(size=(150, 2))
LOSS = MeanLoss("squared", squared)
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-10}


def made(members, dtype=torch.float64, **options):
    net = EnsembleNet(members, **options) if members else RegressionNet(**options)
    return net.to(dtype).train()


def by_both(net, batches, n_generators=1):
    """The predictions, gradients and buffers after the last of some batches, by hand and not."""
    results = []
    for make in (
        lambda net, d, n: Backpropagation(net, n),
        lambda net, d, _: Autograd(net, d.gradient),
    ):
        own = copy.deepcopy(net)
        for dropout in own.dropouts():  # the copies' generators start alike
            dropout.generators = [torch.Generator().manual_seed(k) for k in range(n_generators)]
        descent = Descent(own, "adamw", 1e-3, 0.0)
        passes = {n: make(own, descent, n) for n in {y.shape[-2] for _, y, _ in batches}}
        for x, y, weight in batches:
            predicted = passes[y.shape[-2]].forward(x)
            shown = predicted.clone()
            passes[y.shape[-2]].backward(LOSS(predicted, y, weight)[1])
        gradients = {name: p.grad.clone() for name, p in own.named_parameters()}
        results.append({"predicted": shown, **gradients, **dict(own.named_buffers())})
    return results


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_gradient_and_buffer_is_autograds(data):
    draw, flag = data.draw, st.booleans()
    members, dtype = draw(st.sampled_from([None, 1, 3])), draw(st.sampled_from(list(TOLERANCE)))
    width = st.integers(1, 6)
    options = {
        "n_features": draw(width),
        "n_targets": draw(st.integers(1, 3)),
        "hidden": draw(st.lists(width, max_size=4) | st.just([5, 5, 5])),
        "activation": draw(st.sampled_from(list(ACTIVATIONS))),
        **{name: draw(flag) for name in ("batch_norm", "input_norm", "residual")},
        # In single precision the gradient of a bias before batch norm is rounding errors alone.
        "linear_bias": draw(flag) and dtype == torch.float64,
        "bn_momentum": draw(st.sampled_from([0.1, 0.7, 1.0])),
        # In double precision alone, where masks are others than in single.
        "dropout": draw(st.sampled_from([0, 0.3])) if dtype == torch.float64 else 0,
    }
    net = made(members, dtype, **options)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    for parameter in net.parameters():  # β of its own, so that no constant unit is at relu's corner
        parameter.data.normal_(generator=generator)
    own = (members,) if members and draw(flag) else ()  # batches for each
    batches, weighted = [], draw(flag)
    for n_rows in (size := draw(st.integers(4, 20)), size, draw(st.integers(3, size))):
        x = torch.randn(*own, n_rows, options["n_features"], generator=generator, dtype=dtype)
        y = torch.randn(*own, n_rows, options["n_targets"], generator=generator, dtype=dtype)
        weight = torch.rand(*own, n_rows, 1, generator=generator, dtype=dtype) if weighted else None
        batches.append((x, y, weight))
    assert is_written_out(net)
    generators = members if own else 1
    mine, theirs = by_both(net, batches, generators)
    exact = theirs
    if dtype == torch.float32:
        wide = [[None if part is None else part.double() for part in batch] for batch in batches]
        exact = by_both(net.double(), wide)[1]
    # A sum is as exact as its largest term, and one that should be 0 has large ones as well.
    size = max(1.0, *(v.abs().max().item() for v in exact.values() if v.is_floating_point()))
    for name, value in exact.items():
        if not value.is_floating_point():
            assert torch.equal(mine[name], value), name
            continue
        rounding = (theirs[name] - value).abs().max().item()  # autograd's own
        close = 10 * rounding + TOLERANCE[dtype] * size
        torch.testing.assert_close(mine[name].double(), value, rtol=0, atol=close, msg=name)


def test_large_means_keep_their_digits():
    """Batch norm takes the mean off before it squares, so that nothing is lost around 1,000."""
    net = made(None, torch.float32, n_features=3, hidden=(6,), linear_bias=True)
    nn.init.constant_(net.layers[0].linear.bias, 1e3)
    x = torch.from_numpy(X[:30]).float()
    mine, theirs = by_both(net, [(x, torch.from_numpy(Y[:30, :1]).float(), None)])
    for name in ("layers.0.norm.running_var", "predicted", "head.weight", "layers.0.norm.weight"):
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-3, atol=1e-3)


KINDS = {
    "plain": {"batch_norm": False},
    "batch norm": {"activation": "mish"},
    "residual": {"residual": True, "hidden": (6, 6, 6), "activation": "tanh"},
    "raw": {"input_norm": True, "standardize": False, "linear_bias": True},
    "bins": {"numeric_embedding": "piecewise_linear", "n_bins": 4, "batch_norm": False},
    "linear": {"hidden": ()},
    "dropout": {"dropout": 0.3, "batch_norm": False, "residual": True, "hidden": (6, 6)},
}
TRAINING = {"epochs": 3, "batch_size": 32, "lr": 0.01, "validation": (X[:40] + 0.1, Y[:40])}


@pytest.mark.parametrize("how", [{}, {"weights": True}, {"members": 3}, {"members": 3, "own": 1}])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_fit_is_the_same_by_hand_and_by_autograd(options, how, monkeypatch):
    options = {"n_features": 3, "n_targets": 2, "hidden": (7, 5)} | options
    how = dict(how)
    members, own = how.pop("members", None), how.pop("own", None)
    training_options = TRAINING | ({"seed": [3, 4, 5]} if own else {})
    if how:
        training_options["sample_weight"] = RNG.uniform(0, 2, 150)
    nets = [made(members, **options) for _ in range(2)]
    first = fit(nets[0], X, Y, **training_options)
    monkeypatch.setattr(training, "is_written_out", lambda _: False)
    for module in (training, backprop):  # and so of embeddings each batch's own
        monkeypatch.setattr(module, "is_known", lambda _: False)
    second = fit(nets[1], X, Y, **training_options)
    columns = ["epoch", "train_loss", "validation_loss", "lr"]
    assert first.frame[columns].to_numpy() == pytest.approx(second.frame[columns].to_numpy())
    for (name, a), b in zip(
        nets[0].state_dict().items(), nets[1].state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9, msg=name)


def test_bins_are_computed_once_where_they_fit(monkeypatch):
    options = {"n_features": 3, "n_targets": 2, **KINDS["bins"]}
    nets = [made(None, **options) for _ in range(2)]
    for net, room in zip(nets, [2**26, 100], strict=True):
        monkeypatch.setattr(training, "EMBEDDED", room)
        fit(net, X, Y, **TRAINING)
    for a, b in zip(nets[0].state_dict().values(), nets[1].state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


class Doubled(RegressionNet):
    """A user's own network, of which nobody can know what it does."""

    def standardized(self, x):
        return 2 * super().standardized(x)


def changed(change):
    net = made(None, torch.float32, n_features=3, n_targets=2, hidden=(6, 6))
    change(net)
    return net


def freeze(net):
    net.head.weight.requires_grad_(False)


def tie(net):
    net.layers[1].norm.weight = net.layers[0].norm.weight


def without_affine(net):
    net.layers[0].norm = nn.BatchNorm1d(6, affine=False)


def another_activation(net):
    net.layers[0].activation = nn.Hardswish()


def one_more(net):
    net.layers[0].append(nn.Hardtanh())


def own_forward(net):
    net.head.forward = lambda x: 3 * nn.Linear.forward(net.head, x)


CHANGES = {
    "hook": lambda net: net.layers[0].register_forward_hook(lambda *_: None),
    "hook before": lambda net: net.register_forward_pre_hook(lambda *_: None),
    "hook of a gradient": lambda net: net.head.weight.register_hook(lambda g: 2 * g),
    "frozen": freeze,
    "tied": tie,
    "no weights in the norm": without_affine,
    "an activation of another kind": another_activation,
    "one more module": one_more,
    "in place": lambda net: setattr(net.layers[0].activation, "inplace", True),
    "a forward of its own": own_forward,
    "bfloat16": lambda net: net.bfloat16(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_not_written_out_is_left_to_autograd(change, monkeypatch):
    nets = [changed(change) for _ in range(2)]
    assert not is_written_out(nets[0])
    assert is_written_out(changed(lambda _: None))
    fit(nets[0], X, Y, epochs=2, batch_size=32)
    monkeypatch.setattr(training, "is_written_out", lambda _: False)
    fit(nets[1], X, Y, epochs=2, batch_size=32)
    for a, b in zip(nets[0].state_dict().values(), nets[1].state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_class_of_ones_own_is_left_to_autograd():
    own, plain = (
        kind(3, 2, hidden=(6,), standardize=False).double() for kind in (Doubled, Doubled)
    )
    assert not is_known(own)
    fit(own, X, Y, epochs=1, batch_size=150, lr=1e-3, schedule="constant", optimizer="sgd")
    descent = Descent(plain.train(), "sgd", 1e-3, 0.01)
    passes = Autograd(plain, descent.gradient)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    passes.backward(LOSS(passes.forward(x), y)[1])
    descent.step()
    torch.testing.assert_close(own.head.weight, plain.head.weight)


def test_hooks_are_called_at_each_step():
    seen = []
    net = made(None, torch.float32, n_features=3, n_targets=2, hidden=(6,))
    net.layers[0].register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    fit(net, X, Y, epochs=2, batch_size=50)
    assert seen == [True] * 6


def test_hooks_of_all_modules_and_autocast_are_seen():
    net = made(None, torch.float32, n_features=3)
    with torch.autocast("cpu"):
        assert not is_written_out(net)
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not is_written_out(net)
    finally:
        handle.remove()
    assert is_written_out(net)
