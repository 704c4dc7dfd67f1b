"""Piecewise-linear features: by hand, at the borders, and where columns are odd."""

import numpy as np
import pytest
import torch

from regression_lib import RegressionNet, fit
from regression_lib.embedding import PiecewiseLinear, borders_of


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
    column = torch.cat([torch.zeros(950), torch.linspace(1, 2, 50)]).double()
    borders = borders_of(column, 10)
    assert borders[0] == 0
    assert borders[-1] == 2
    assert len(borders) < 11
    assert torch.isfinite(made(column[:, None], 10)(column[:, None].float())).all()


def test_columns_of_own_sizes_and_leading_dimensions():
    x = torch.randn(50, 3)
    embedding = made(x, 2, 5, 3)
    wide = embedding(x.expand(4, 50, 3))
    assert wide.shape == (4, 50, 13)
    assert torch.equal(wide[2], embedding(x))


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
