"""Piecewise-linear features: by hand, at the borders, and where columns are odd."""

import numpy as np
import pytest
import torch

from regression_lib import RegressionNet, fit
from regression_lib.embedding import ROWS, PiecewiseLinear, borders_of, useful_bins


def made(x, *n_bins):
    embedding = PiecewiseLinear(n_bins)
    embedding.set(torch.as_tensor(x))
    return embedding


def test_by_hand():
    embedding = made(torch.tensor([[0.0], [1.0], [2.0], [4.0]]), 3)
    x = torch.tensor([[-1.0], [0.0], [0.5], [2.0], [3.0], [9.0]])
    shares = [[0, 0, 0], [0, 0, 0], [0.5, 0, 0], [1, 1, 0], [1, 1, 0.5], [1, 1, 1]]
    means = [0.75, 0.5, 0.25]  # of the shares of 0, 1, 2 and 4, which are taken off
    assert torch.equal(embedding(x), torch.cat([x, torch.tensor(shares) - torch.tensor(means)], 1))


def test_borders_are_the_quantiles():
    x = np.random.default_rng(0).lognormal(size=(1000, 1))
    embedding = made(x, 8)
    edges = np.quantile(x, np.linspace(0, 1, 9))
    assert embedding.left.numpy() == pytest.approx(edges[:-1], rel=1e-5)
    assert (embedding.left + embedding.width).numpy() == pytest.approx(edges[1:], rel=1e-5)
    shares = embedding(torch.as_tensor(x, dtype=torch.float32))[:, 1:]
    assert shares.mean(0).abs().max() < 1e-5
    assert (shares + embedding.mean).min() == 0


def test_few_values_take_few_bins():
    x = torch.tensor([[0.0, 5.0, 7.0], [1.0, 5.0, 7.0], [1.0, 6.0, 7.0], [1.0, 9.0, 7.0]])
    embedding = made(x, 4, 4, 2)
    assert embedding(x).shape == (4, 3 + 10)
    shares = embedding(x)[:, 3:] + embedding.mean
    yes_no, steps, constant = shares.split([4, 4, 2], dim=1)
    assert yes_no.tolist() == [[0, 0, 0, 0]] + [[1, 0, 0, 0]] * 3
    assert steps[3].tolist() == [1, 1, 0, 0]
    assert constant.abs().sum() == 0


def test_many_equal_values():
    column = np.concatenate([np.zeros(950), np.linspace(1, 2, 50)])
    borders = borders_of(column, 10)
    assert borders[0] == 0
    assert borders[-1] == 2
    assert len(borders) < 11
    rows = torch.from_numpy(column[:, None])
    assert torch.isfinite(made(rows, 10)(rows.float())).all()


@pytest.mark.parametrize(
    "column",
    [
        np.random.default_rng(0).normal(size=997),
        1e6 + np.random.default_rng(1).exponential(size=997),
        np.random.default_rng(2).integers(0, 40, 997),
        np.repeat([0.0, 1.0, 1e-3, 7.0], [900, 50, 40, 7]),
        np.random.default_rng(3).normal(size=9),  # borders side by side, with no row between
        np.full(5, 3.0),
    ],
)
def test_the_mean_is_that_of_the_shares(column):
    x = torch.as_tensor(column, dtype=torch.float64)[:, None]
    embedding = PiecewiseLinear([16]).double()
    embedding.set(x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))])
    shares = ((x - embedding.left) / embedding.width).clamp(0, 1)
    torch.testing.assert_close(embedding.mean, shares.mean(0), rtol=1e-9, atol=1e-12)


def test_bins_that_can_be_filled():
    late = np.zeros((ROWS + 500, 4))
    late[:, 0] = np.arange(len(late))
    late[ROWS:, 1] = 1 + np.arange(500)  # all its values come after the first rows
    late[ROWS:, 2] = 1
    assert useful_bins(late, 64) == [64, 64, 0, 0]
    assert useful_bins(late, 1) == [1, 1, 0, 0]
    assert useful_bins(np.array([[0.0], [1.0], [3.0]]), 64) == [2]


def test_columns_of_own_sizes_and_leading_dimensions():
    x = torch.randn(50, 3)
    embedding = made(x, 2, 5, 3)
    wide = embedding(x.expand(4, 50, 3))
    assert wide.shape == (4, 50, 13)
    assert torch.equal(wide[2], embedding(x))


def test_columns_without_bins():
    x = torch.randn(50, 3)
    assert torch.equal(made(x, 0, 0, 0)(x), x)
    some = made(x, 0, 4, 0)
    assert torch.equal(some(x)[:, 3:], made(x[:, 1:2], 4)(x[:, 1:2])[:, 1:])
    net = RegressionNet(3, numeric_embedding="piecewise_linear", n_bins=[0, 4, 0])
    assert net.config["n_bins"] == [0, 4, 0]


def test_a_network_learns_steps_that_a_plain_one_does_not():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(1500, 1))
    y = np.sign(np.sin(20 * x))  # twelve jumps
    errors = []
    for numeric_embedding in (None, "piecewise_linear"):
        net = RegressionNet(1, hidden=(32,), numeric_embedding=numeric_embedding)
        fit(net, x[:1000], y[:1000], epochs=40, batch_size=50)
        errors.append(((net.predict(x[1000:]) - y[1000:]) ** 2).mean())
    assert errors[1] < 0.4 * errors[0]


def test_a_network_keeps_its_borders(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 2))
    y = x[:, :1] ** 2
    net = RegressionNet(2, hidden=(8,), numeric_embedding="piecewise_linear", n_bins=[4, 7])
    fit(net, x, y, epochs=1)
    net.save(tmp_path / "m")
    again = RegressionNet.load(tmp_path / "m")
    assert np.array_equal(again.predict(x), net.predict(x))
    left = net.embedding.left.clone()
    fit(net, 5 * x, y, epochs=1)
    assert torch.equal(net.embedding.left, left)
    assert "piecewise_linear" in repr(net)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_bins": [4]}, "n_bins has 1 numbers for 2 features"),
        ({"n_bins": 0}, "n_bins must be at least 1, got 0"),
        ({"input_norm": True}, "choose one of the two"),
        ({"numeric_embedding": "sine"}, "unknown numeric_embedding 'sine'"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(ValueError, match=words):
        RegressionNet(2, **({"numeric_embedding": "piecewise_linear"} | options))
