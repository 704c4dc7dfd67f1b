"""The short way of a few rows: the same predictions and the same errors, whatever has changed."""

import copy
import gc
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from regression_lib import (
    ACTIVATIONS,
    DeepRegressor,
    EnsembleNet,
    RegressionNet,
    fit,
    fold_batch_norm,
    network,
    shortcut,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)) * [1, 10, 100] + [0, 5, -300]
Y = np.stack([X @ [1, 0.2, 0.01], np.sin(X[:, 0])], axis=1)
KINDS = {
    "batch norm": {},
    "residual": {"residual": True, "hidden": (6, 6)},
    "raw": {"input_norm": True, "standardize": False},
    "bins": {"numeric_embedding": "piecewise_linear", "n_bins": 4, "batch_norm": False},
    "linear": {"hidden": ()},
    **{name: {"activation": name, "batch_norm": False} for name in ACTIVATIONS},
}


def trained(members=None, dtype=torch.float32, **options):
    options = {"hidden": (7, 5)} | options
    net = EnsembleNet(members, 3, 2, **options) if members else RegressionNet(3, 2, **options)
    fit(net.to(dtype), X, Y, epochs=2, batch_size=32)
    return net


def long_way(net, rows, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(network, "FEW", 0)
        return net._predict(rows, 8192)


@pytest.fixture
def ways(monkeypatch):
    """How often the short way was taken, and how often in vain."""
    taken, original = [], shortcut.predicted

    def counted(net, rows):
        result = original(net, rows)
        taken.append(result is not None)
        return result

    monkeypatch.setattr(shortcut, "predicted", counted)
    return taken


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("members", [None, 3])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_both_ways_lead_to_the_same(options, members, dtype, monkeypatch, ways):
    net = trained(members, dtype, **options)
    for rows in (X[:1], X[:9], np.float32(X[5:6]), X[::-1][:2], np.asfortranarray(X[:4])):
        tolerance = 1e-5 if dtype == torch.float32 else 1e-12
        expected = long_way(net, rows, monkeypatch)
        found = net._predict(rows, 8192)
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance)
        assert found.shape == expected.shape
        assert found.dtype == np.float64
    assert ways == [True] * 5


def test_other_tables_and_read_only_memory_pass(monkeypatch, ways):
    net = trained()
    frozen = X[:2].copy()
    frozen.flags.writeable = False
    before = frozen.copy()
    expected = net.predict(frozen)
    frame = pd.DataFrame(frozen, columns=["a", "b", "c"])
    for table in (frame, torch.from_numpy(before), before.tolist(), before[:, None, :][:, 0]):
        assert np.array_equal(net.predict(table), expected)
    assert np.array_equal(frozen, before)
    assert all(ways)


def assign(net):
    net.load_state_dict({k: 2 * v for k, v in net.state_dict().items()}, assign=True)


def another_activation(net):
    net.layers[0].activation = nn.Tanh()


CHANGES = {
    "trained on": lambda net: fit(net, X, Y, epochs=1, lr=0.1),
    "in place": lambda net: net.head.weight.data.mul_(2),
    "another tensor": lambda net: setattr(net.head.weight, "data", 2 * net.head.weight.data),
    "another parameter": lambda net: setattr(net.head, "bias", nn.Parameter(torch.ones(2))),
    "assigned": assign,
    "a buffer": lambda net: net.layers[0].norm.running_mean.add_(1),
    "a scale": lambda net: net.x_scaler.set(np.zeros(3), np.full(3, 50.0)),
    "double": lambda net: net.double(),
    "no bias": lambda net: setattr(net.head, "bias", None),
    "another activation": another_activation,
    "another layer": lambda net: net.layers.__setitem__(0, copy.deepcopy(net.layers[1])),
    "train mode": lambda net: net.train(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_nothing_goes_stale(change, monkeypatch, ways):
    net = trained(hidden=(3, 3))
    net.predict(X[:1])
    change(net)
    expected = long_way(net, X[:1], monkeypatch)
    assert net.predict(X[:1]) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert ways == [True, True]


def test_copies_have_ways_of_their_own(monkeypatch):
    net = trained()
    net.predict(X[:1])
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), fold_batch_norm(net)):
        with torch.no_grad():
            other.head.bias.add_(1)
        expected = long_way(other, X[:1], monkeypatch)
        assert other.predict(X[:1]) == pytest.approx(expected, rel=1e-5)
        assert abs(other.predict(X[:1]) - net.predict(X[:1])).min() > 0.01


def test_a_network_that_is_gone_leaves_nothing():
    gc.collect()
    before = len(shortcut._SHORTCUTS)
    net = trained()
    net.predict(X[:1])
    assert len(shortcut._SHORTCUTS) == before + 1
    del net
    gc.collect()
    assert len(shortcut._SHORTCUTS) == before


class Doubled(RegressionNet):
    def standardized(self, x):
        return 2 * super().standardized(x)


def listen(net, seen):
    net.layers[0].register_forward_hook(lambda *_: seen.append(1))


def own_forward(net, seen):
    forward = net.head.forward
    net.head.forward = lambda x: seen.append(1) or forward(x)


@pytest.mark.parametrize("change", [listen, own_forward])
def test_who_listens_is_heard(change, ways):
    net, seen = trained(), []
    net.predict(X[:1])
    change(net, seen)
    net.predict(X[:1])
    assert seen == [1]
    assert ways == [True, False]


def test_a_class_of_ones_own_and_other_types_take_the_long_way(ways):
    plain, own = (kind(3, 2, hidden=(4,)).eval() for kind in (RegressionNet, Doubled))
    assert own.predict(X[:1]) == pytest.approx(2 * plain.predict(X[:1]))
    plain.bfloat16().predict(X[:1])
    assert ways == [False, True, False]


def words(action):
    with pytest.raises((TypeError, ValueError)) as caught:
        action()
    return str(caught.value)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, np.nan, 2.0]],
        [[1.0, np.inf, 2.0]],
        [[1.0, 1e300, 2.0]],
        [[1.0, 2.0]],
        [[1.0, 2.0, 3.0]] * 0,
        [1.0, 2.0, 3.0],
        [["a", 1.0, 2.0]],
    ],
)
@pytest.mark.parametrize("options", [{}, {"standardize": False, "batch_norm": False}])
def test_errors_are_those_of_the_long_way(rows, options, monkeypatch):
    net = trained(**options)
    short = words(lambda: net.predict(rows))
    assert short == words(lambda: long_way(net, rows, monkeypatch))
    assert short == words(lambda: net.predict(np.array(rows, dtype=object)))


@pytest.mark.filterwarnings("error")
def test_weights_that_are_none_are_named_in_both_ways():
    net = trained()
    net.predict(X[:1])
    with torch.no_grad():
        net.head.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        net.predict(X[:1])


def test_targets_of_any_size(monkeypatch):
    net = RegressionNet(3, 2, hidden=(4,))
    fit(net, X, 1e300 * Y / np.abs(Y).max(), epochs=1)
    assert net.predict(X[:1]) == pytest.approx(long_way(net, X[:1], monkeypatch), rel=1e-5)


def test_many_threads_at_once():
    net = trained()
    expected = [net.predict(X[i : i + 1]) for i in range(100)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: net.predict(X[i % 100 :][:1]), range(2000)))
    assert all(np.array_equal(a, expected[i % 100]) for i, a in enumerate(found))


def test_it_is_the_estimators_way_too(ways):
    model = DeepRegressor(hidden=(8,), epochs=1, n_members=2, random_state=0).fit(X, Y)
    ways.clear()
    few, many = model.predict(X[:3]), model.predict(X)
    assert few == pytest.approx(many[:3], rel=1e-5)
    assert ways == [True]


def test_much_work_is_left_to_pytorch(ways):
    net = trained(hidden=(300, 300))
    net.predict(X[:20])
    net.predict(X[:1])
    assert ways == [False, True]
