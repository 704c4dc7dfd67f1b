"""Losses: their values and slopes, what they answer with, and quantiles that never cross."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import regression_lib.training as training
from regression_lib import EnsembleNet, RegressionNet, fit, fold_batch_norm, losses, storage
from regression_lib.losses import loss_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = np.stack([X @ [1, -2, 0.5], np.sin(X[:, 0])], axis=1) + 0.1 * RNG.normal(size=(200, 2))
SHARES = (0.1, 0.5, 0.8)
TRAINING = {"validation": (X[:40] + 0.1, Y[:40]), "epochs": 3, "batch_size": 32, "lr": 0.01}
KINDS = ["squared", "absolute", "huber", ("huber", 0.3), "quantile"]


def net_for(loss, members=None, n_targets=2, **options):
    options = {"hidden": (8,), "quantiles": SHARES if loss == "quantile" else None} | options
    if members:
        return EnsembleNet(members, 3, n_targets, **options)
    return RegressionNet(3, n_targets, **options)


def by_torch(loss, predicted, y, weight):
    """The same by autograd, from PyTorch's own functions where it has them."""
    if loss == "quantile":
        error = predicted - y.repeat_interleave(3, -1)
        levels = torch.tensor(SHARES, dtype=y.dtype).repeat(y.shape[-1])
        each = torch.maximum((1 - levels) * error, -levels * error)
    else:
        y = y.expand_as(predicted)
        each = {
            "squared": lambda: F.mse_loss(predicted, y, reduction="none"),
            "absolute": lambda: F.l1_loss(predicted, y, reduction="none"),
            "huber": lambda: F.huber_loss(predicted, y, reduction="none"),
            ("huber", 0.3): lambda: F.huber_loss(predicted, y, reduction="none", delta=0.3),
        }[loss]()
    return (each if weight is None else each * weight).mean((-2, -1))


class TestSlopes:
    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_values_and_gradients_are_autograds(self, data):
        loss = data.draw(st.sampled_from(KINDS))
        members = data.draw(st.sampled_from([None, 2]))
        n_targets, n_rows = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
        own = data.draw(st.booleans()) and members
        g = torch.Generator().manual_seed(data.draw(st.integers(0, 999)))
        net = net_for(loss, members, n_targets).double()
        shape = (members, n_rows) if members else (n_rows,)
        predicted = torch.randn(*shape, net.n_outputs, generator=g, dtype=torch.float64)
        y_shape = (members, n_rows, n_targets) if own else (n_rows, n_targets)
        y = torch.randn(*y_shape, generator=g, dtype=torch.float64)
        weight = data.draw(st.booleans()) or None
        if weight:
            weight = torch.rand(*y_shape[:-1], 1, generator=g, dtype=torch.float64)
        before = predicted.clone(), y.clone()
        value, gradient = loss_of(loss, net)(predicted, y, weight)
        assert torch.equal(predicted, before[0])
        assert torch.equal(y, before[1])
        leaf = predicted.clone().requires_grad_()
        expected = by_torch(loss, leaf, y, weight)
        expected.sum().backward()
        torch.testing.assert_close(value, expected.detach())
        torch.testing.assert_close(gradient, leaf.grad)

    @pytest.mark.parametrize("members", [None, 2])
    @pytest.mark.parametrize("loss", KINDS, ids=str)
    def test_fit_is_the_same_by_hand_and_by_autograd(self, loss, members, monkeypatch):
        nets = [net_for(loss, members).double() for _ in range(2)]
        options = TRAINING | {"loss": loss, "sample_weight": RNG.uniform(0, 2, 200)}
        first = fit(nets[0], X, Y, **options)
        monkeypatch.setattr(training, "is_written_out", lambda _: False)
        second = fit(nets[1], X, Y, **options)
        columns = ["train_loss", "validation_loss"]
        assert first.frame[columns].to_numpy() == pytest.approx(second.frame[columns].to_numpy())
        assert nets[0].predict(X) == pytest.approx(nets[1].predict(X))

    @pytest.mark.parametrize("loss", KINDS, ids=str)
    def test_members_are_trained_as_alone(self, loss):
        together = net_for(loss, 3).double()
        history = fit(together, X, Y, loss=loss, **TRAINING)
        for k in range(3):
            alone = net_for(loss, seed=k).double()
            expected = fit(alone, X, Y, loss=loss, **TRAINING)
            assert history[k].frame.train_loss.tolist() == pytest.approx(
                expected.frame.train_loss.tolist()
            )
            assert history[k].loss == expected.loss


class TestAnswers:
    def test_far_off_rows_pull_the_square_alone(self):
        y = np.where(np.arange(300) % 10 == 0, 50.0, 0.0)[:, None] + 0.01 * RNG.normal(
            size=(300, 1)
        )
        x, answers = np.zeros((300, 1)), {}
        for loss in ("squared", "absolute", ("huber", 0.1)):
            net = RegressionNet(1, hidden=(), standardize=True)
            fit(net, x, y, loss=loss, epochs=300, lr=0.03, batch_size=300)
            answers[loss] = net.predict(x[:1]).item()
        assert answers["squared"] == pytest.approx(5, abs=0.3)
        assert answers["absolute"] == pytest.approx(0, abs=0.3)
        assert 0 < answers[("huber", 0.1)] < 0.5

    def test_shares_of_rows_lie_below_the_quantiles(self):
        x = RNG.uniform(-1, 1, size=(6000, 1))
        y = x + (0.1 + 0.4 * np.abs(x)) * RNG.normal(size=(6000, 1))  # wider on the sides
        net = RegressionNet(1, hidden=(32, 32), quantiles=(0.05, 0.5, 0.95))
        fit(net, x[:4000], y[:4000], loss="quantile", epochs=20, batch_size=64)
        found = net.predict_quantiles(x[4000:])
        below = (y[4000:, :, None] < found).mean((0, 1))
        assert below == pytest.approx([0.05, 0.5, 0.95], abs=0.03)
        width, at = found[:, 0, 2] - found[:, 0, 0], x[4000:, 0]
        assert width[at.argmax()] > 2 * width[np.abs(at).argmin()]

    @pytest.mark.parametrize("members", [None, 3])
    def test_quantiles_never_cross(self, members, monkeypatch):
        net = net_for("quantile", members, quantiles=(0.1, 0.3, 0.5, 0.6, 0.9))
        fit(net, X, Y, loss="quantile", epochs=1)
        with torch.no_grad():
            raw = net.standardized(net.inputs(X)).reshape(members or 1, 200, 2, 5)
        assert (raw.diff(dim=-1) < 0).any()  # without a hand they would
        for rows in (X, X[:3]):
            found = net.predict_quantiles(rows)
            assert found.shape == (len(rows), 2, 5)
            assert (np.diff(found, axis=-1) >= 0).all()
            assert net.predict(rows) == pytest.approx(found[:, :, 2], rel=1e-5)
            assert net.predict(rows).shape == (len(rows), 2)
        assert net.predict_quantiles(X[:3]) == pytest.approx(net.predict_quantiles(X)[:3], rel=1e-5)
        shown = net(torch.from_numpy(X).float()).detach().numpy()
        if members:
            assert net.predict_members(X).shape == (3, 200, 2)
            assert net.predict_members(X) == pytest.approx(shown, rel=1e-4, abs=1e-5)
            assert net.predict(X, return_std=True)[1] == pytest.approx(
                net.predict_members(X).std(0), abs=1e-5
            )
        else:
            assert net.predict(X) == pytest.approx(shown, rel=1e-4, abs=1e-5)

    def test_each_target_has_its_own(self):
        net = net_for("quantile", hidden=(32,))
        shifted = Y * [1, 100] + [0, 1000]
        fit(net, X, shifted, loss="quantile", epochs=100, lr=0.01)
        found = net.predict_quantiles(X)
        assert (shifted[:, :, None] < found).mean(0) == pytest.approx(
            np.tile(SHARES, (2, 1)), abs=0.1
        )
        assert found[:, 0].max() < 50 < 500 < found[:, 1].min()  # in their own units


class TestTheRest:
    @pytest.mark.parametrize("members", [None, 2])
    def test_a_file_keeps_them_and_an_older_one_has_none(self, members, tmp_path):
        net = net_for("quantile", members)
        fit(net, X, Y, loss="quantile", epochs=1)
        net.save(tmp_path / "m")
        again = type(net).load(tmp_path / "m")
        assert again.quantiles == list(SHARES)
        assert np.array_equal(again.predict_quantiles(X), net.predict_quantiles(X))
        assert fold_batch_norm(net).predict_quantiles(X) == pytest.approx(
            net.predict_quantiles(X), rel=1e-4, abs=1e-4
        )
        net_for("squared", members).save(tmp_path / "m")
        kind, tensors, about = storage.read_tensors(tmp_path / "m")
        del about["config"]["quantiles"]
        storage.write_tensors(tmp_path / "old", kind, tensors, about)
        assert type(net).load(tmp_path / "old").quantiles is None

    def test_words(self):
        assert "3 quantiles" in repr(net_for("quantile"))
        assert net_for("quantile").summary()["shape"].iloc[-2] == "(n, 6)"
        with pytest.raises(ValueError, match="predicts no quantiles: make it with quantiles="):
            net_for("squared").predict_quantiles(X)

    @pytest.mark.parametrize(
        ("loss", "name"),
        [
            *((name, name) for name in ("squared", "absolute", "huber", "quantile")),
            (("huber", 1), "huber"),
            (("huber", 0.25), "huber(0.25)"),
        ],
    )
    def test_the_history_carries_the_name(self, loss, name):
        assert fit(net_for(loss), X, Y, loss=loss, epochs=1).loss == name

    @pytest.mark.parametrize("loss", ["squared", "huber", ("huber", 0.5)])
    def test_resuming_with_another_loss_is_refused(self, loss, tmp_path):
        options = {"checkpoint": tmp_path / "run", "epochs": 2}
        fit(net_for("squared"), X, Y, loss="absolute", **options)
        with pytest.raises(ValueError, match=r"another training: loss='absolute' \(now '"):
            fit(net_for("squared"), X, Y, loss=loss, resume=True, **options)
        again = fit(net_for("squared"), X, Y, loss="absolute", resume=True, **options)
        assert len(again) == 2

    @pytest.mark.parametrize(
        ("loss", "words"),
        [
            ("mse", "unknown loss 'mse'; choose one of squared, absolute, huber, quantile"),
            (3, r"loss must be one of .*, or \('huber', δ\), got 3"),
            (("squared", 2), r"loss must be one of"),
            (("huber", 0), "must be positive and finite, got 0"),
            (("huber", "a"), "must be positive and finite, got 'a'"),
            (("huber", np.inf), "must be positive and finite, got inf"),
            ("quantile", r"loss='quantile', but the network has none: make it with quantiles="),
        ],
    )
    def test_other_losses_are_refused(self, loss, words):
        with pytest.raises(ValueError, match=words):
            fit(net_for("squared"), X, Y, loss=loss)
        with pytest.raises(ValueError, match=r"predicts the quantiles 0.1, 0.5, 0.8: pass loss="):
            fit(net_for("quantile"), X, Y)

    @pytest.mark.parametrize(
        ("quantiles", "words"),
        [
            ((0.1, 0.9), "must hold 0.5"),
            ((0.5, 0.1), "must rise"),
            ((0.5, 0.5), "must rise"),
            ((0, 0.5), "between 0 and 1"),
            ((0.5, np.nan), "between 0 and 1"),
            ((), "between 0 and 1"),
            (0.5, "between 0 and 1"),
            ("median", "between 0 and 1"),
        ],
    )
    def test_other_quantiles_are_refused(self, quantiles, words):
        with pytest.raises(ValueError, match=f"quantiles .*{words}"):
            RegressionNet(3, quantiles=quantiles)

    def test_numpys_numbers_are_as_good(self, tmp_path):
        RegressionNet(3, quantiles=np.array([0.25, 0.5])).save(tmp_path / "m")
        assert RegressionNet.load(tmp_path / "m").quantiles == [0.25, 0.5]
        assert losses.checked_quantiles(None) is None
