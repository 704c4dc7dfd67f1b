"""Seeds are arguments: no network touches the caller's generator, or another network's."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.model_selection import cross_val_score

from regression_lib import DeepRegressor, EnsembleNet, RegressionNet, fit, lr_sweep
from regression_lib.network import INITS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
Y = (X @ [1.0, -2.0, 0.5])[:, None]


def same(a, b):
    return all(torch.equal(value, b[name]) for name, value in a.items())


def plain(init, seed):
    """A network as PyTorch makes it by itself, with the generator of the whole process."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        linears = [torch.nn.Linear(3, 7), torch.nn.Linear(7, 1)]
        torch.manual_seed(seed)
        for linear in linears:
            if init == "default":
                linear.reset_parameters()
            elif init == "xavier":
                torch.nn.init.xavier_uniform_(linear.weight)
            elif init == "kaiming":
                torch.nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            else:
                torch.nn.init.normal_(linear.weight, std=0.1)
    return linears


@pytest.mark.parametrize("init", INITS)
def test_a_seed_gives_the_weights_that_it_gives_in_pytorch(init):
    net = RegressionNet(3, hidden=(7,), init=init, batch_norm=False, seed=5)
    first, head = plain(init, 5)
    assert torch.equal(net.layers[0].linear.weight, first.weight)
    assert torch.equal(net.head.weight, head.weight)
    if init == "default":
        assert torch.equal(net.head.bias, head.bias)


@pytest.mark.parametrize(
    "action",
    [
        lambda: RegressionNet(3),
        lambda: EnsembleNet(3, 3),
        lambda: EnsembleNet(3, 3)[1],
        lambda: fit(RegressionNet(3, hidden=(4,)), X, Y, validation=0.2, epochs=1),
        lambda: DeepRegressor(hidden=(4,), epochs=1, random_state=0).fit(X, Y),
        lambda: lr_sweep(RegressionNet(3, hidden=(4,)), X, Y, lrs=[1e-3, 1e-2], epochs=1),
    ],
)
def test_the_callers_generators_stay_where_they_are(action):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - this very generator is what must not move
    before = torch.get_rng_state()
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
    action()
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_networks_made_in_threads_leave_each_other_and_the_caller_alone():
    expected = [RegressionNet(3, seed=seed).state_dict() for seed in range(8)]
    torch.manual_seed(11)
    before, go = torch.get_rng_state(), threading.Barrier(4)

    def make(seed):
        if seed < 4:
            go.wait()
        return [RegressionNet(3, seed=seed).state_dict() for _ in range(25)]

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(8)))
    assert all(same(expected[seed], state) for seed in range(8) for state in made[seed])
    assert torch.equal(torch.get_rng_state(), before)


def test_cross_validation_in_threads_scores_the_same_every_time():
    model = DeepRegressor(hidden=(8,), epochs=3, random_state=0)
    alone = cross_val_score(model, X, Y[:, 0], cv=4)
    for _ in range(4):
        with parallel_config("threading", n_jobs=4):
            assert np.array_equal(cross_val_score(model, X, Y[:, 0], cv=4), alone)
