"""EnsembleNet: K networks as one are K networks."""

import copy

import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split

from regression_lib import EnsembleNet, RegressionNet, fit, fold_batch_norm, layer_statistics

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 3)) * [1, 10, 100] + [0, 5, -300]
Y = np.stack([X @ [1, 0.2, 0.01], np.sin(X[:, 0])], axis=1) + 0.1 * RNG.normal(size=(150, 2))
HELD = X[:40] + 0.1, Y[:40]
TRAINING = {"validation": HELD, "epochs": 3, "batch_size": 32, "lr": 0.01}
KINDS = {
    "batch norm": {},
    "plain": {"batch_norm": False, "activation": "tanh"},
    "residual": {"residual": True, "bn_momentum": 0.3, "init": "kaiming"},
    "raw": {"input_norm": True, "batch_norm": False, "standardize": False},
    "bins": {"numeric_embedding": "piecewise_linear", "n_bins": 4},
    "linear": {"hidden": ()},
    "narrowing": {"hidden": (9, 4), "init": "xavier"},
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def options(request):
    return {"hidden": (8, 8)} | request.param


def alone(k, options):
    return RegressionNet(3, 2, seed=k, **options)


def ensemble(options, n_members=3):
    return EnsembleNet(n_members, 3, 2, **options)


def assert_same_weights(a, b, tolerance):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=tolerance, atol=tolerance)


class TestMembers:
    def test_a_member_starts_as_the_network_of_its_seed(self, options):
        net = ensemble(options)
        for k, member in enumerate(net):
            assert_same_weights(member, alone(k, options), 0)
            assert member.config == alone(k, options).config

    def test_predictions_agree(self, options):
        net = ensemble(options)
        fit(net, X, Y, **TRAINING)
        together = net.predict_members(X)
        assert together.shape == (3, 150, 2)
        for k, member in enumerate(net):
            assert member.predict(X) == pytest.approx(together[k], abs=1e-5, rel=1e-5)

    def test_mean_and_spread(self):
        net = ensemble({})
        members = net.predict_members(X)
        mean, std = net.predict(X, return_std=True)
        # Not to the bit: where in memory the rows stand may change how a product is rounded.
        assert mean == pytest.approx(members.mean(0), rel=1e-5)
        assert std == pytest.approx(members.std(0), rel=1e-5)
        assert net.predict(X) == pytest.approx(mean, rel=1e-5)
        assert net.predict(X, batch_size=7) == pytest.approx(mean, rel=1e-4, abs=1e-5)

    def test_a_member_is_a_copy(self):
        net = ensemble({"hidden": (4,)})
        before = copy.deepcopy(net.state_dict())
        fit(net[1], X, Y, epochs=1)
        assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())

    @pytest.mark.parametrize("training", [True, False])
    def test_a_member_is_in_the_ensembles_mode(self, training):
        member = ensemble({}).train(training)[1]
        assert {module.training for module in member.modules()} == {training}

    def test_indices(self):
        net = ensemble({})
        assert_same_weights(net[-1], net[2], 0)
        assert_same_weights(net[-3], net[np.int64(0)], 0)
        assert len(list(net)) == len(net) == 3
        for k in (3, -4):
            with pytest.raises(IndexError, match=f"no member {k}: the ensemble has 3"):
                net[k]
        for k in ("0", 1.0, True):
            with pytest.raises(TypeError, match=f"by a whole number, got {k!r}"):
                net[k]

    def test_seeds_may_be_named(self):
        net = EnsembleNet(2, 3, seed=[7, 7])
        assert_same_weights(net[0], net[1], 0)
        assert_same_weights(net[0], RegressionNet(3, seed=7), 0)
        with pytest.raises(ValueError, match="3 members need one seed or 3 seeds, got 2"):
            EnsembleNet(3, 3, seed=[1, 2])

    def test_a_seed_of_numpy_can_be_saved(self, tmp_path):
        EnsembleNet(2, 3, seed=np.int64(4)).save(tmp_path / "m")
        assert EnsembleNet.load(tmp_path / "m").config["seed"] == [4, 5]

    @pytest.mark.parametrize("n_members", [0, -1])
    def test_there_must_be_one(self, n_members):
        with pytest.raises(ValueError, match=f"n_members must be at least 1, got {n_members}"):
            EnsembleNet(n_members, 3)

    def test_the_global_generator_stays(self):
        before = torch.get_rng_state()
        EnsembleNet(2, 3)
        assert torch.equal(before, torch.get_rng_state())

    def test_the_post_in_many(self):
        net = EnsembleNet.from_post(3, 2, n_members=2, hidden=(6,) * 5)
        assert_same_weights(net[1], RegressionNet.from_post(3, 2, hidden=(6,) * 5, seed=1), 0)


class TestTrainedAsOne:
    """Member by member what K separate trainings give, up to the rounding of float32."""

    def test_same_batches(self, options):
        net = ensemble(options)
        history = fit(net, X, Y, seed=4, **TRAINING)
        for k in range(3):
            single = alone(k, options)
            expected = fit(single, X, Y, seed=4, **TRAINING)
            self.assert_same(history[k], expected)
            assert_same_weights(net[k], single, 1e-4)

    def test_own_batches_and_own_rates(self, options):
        seeds, rates = [5, 6, 7], [1e-3, 1e-2, 3e-2]
        net = ensemble(options)
        history = fit(net, X, Y, **(TRAINING | {"seed": seeds, "lr": rates}))
        for k, (seed, lr) in enumerate(zip(seeds, rates, strict=True)):
            single = alone(k, options)
            expected = fit(single, X, Y, **(TRAINING | {"seed": seed, "lr": lr}))
            self.assert_same(history[k], expected)

    @pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple])
    def test_rates_may_be_any_sequence(self, kind):
        rates, seeds = [1e-3, 1e-2, 3e-2], [5, 6, 7]
        expected = fit(ensemble({}), X, Y, **(TRAINING | {"lr": rates, "seed": seeds}))
        own = {"lr": kind(rates), "seed": kind(seeds)}
        self.assert_same(fit(ensemble({}), X, Y, **(TRAINING | own)), expected)

    @pytest.mark.parametrize("optimizer", ["adam", "sgd"])
    @pytest.mark.parametrize("schedule", ["cosine", "constant"])
    def test_every_optimizer_and_schedule(self, optimizer, schedule):
        options = TRAINING | {"optimizer": optimizer, "schedule": schedule}
        rates = [1e-3, 1e-2, 3e-2]
        history = fit(ensemble({}).double(), X, Y, **(options | {"lr": rates}))
        for k, lr in enumerate(rates):
            expected = fit(alone(k, {}).double(), X, Y, **(options | {"lr": lr}))
            self.assert_same(history[k], expected, 1e-6)

    def test_in_double_precision_to_the_ninth_digit(self, options):
        # In float32 a bias before batch norm has a gradient of rounding errors alone, which Adam
        # blows up to full steps, different ones for each way to compute: so it is tested here.
        options |= {"linear_bias": True}
        net = ensemble(options).double()
        history = fit(net, X, Y, **TRAINING)
        for k in range(3):
            expected = fit(alone(k, options).double(), X, Y, **TRAINING)
            self.assert_same(history[k], expected, 1e-9)

    def test_sample_weights(self):
        weights = RNG.uniform(0, 3, 150)
        history = fit(ensemble({}).double(), X, Y, sample_weight=weights, **TRAINING)
        expected = fit(alone(1, {}).double(), X, Y, sample_weight=weights, **TRAINING)
        self.assert_same(history[1], expected, 1e-6)

    def test_patience_runs_out_for_each(self):
        """A member keeps what it would have kept, had it stopped by itself."""
        options = TRAINING | {"epochs": 60, "lr": 0.05, "patience": 3, "schedule": "constant"}
        net = ensemble({"hidden": (32, 32)})
        history = fit(net, X[:50], Y[:50], **options)
        assert history.stopped == "early"
        for k in range(3):
            single = alone(k, {"hidden": (32, 32)})
            expected = fit(single, X[:50], Y[:50], **options)
            assert expected.stopped == "early"
            assert len(history[k]) == len(expected)
            assert history[k].best_epoch == expected.best_epoch
            z = (HELD[1] - net[k].predict(HELD[0])) / net.y_scaler.scale.numpy()
            assert (z**2).mean() == pytest.approx(history.best.validation_loss[k], rel=1e-3)

    @staticmethod
    def assert_same(history, expected, rel=2e-4):
        columns = ["epoch", "train_loss", "validation_loss", "lr"]
        got, wanted = (h.frame[columns].to_numpy() for h in (history, expected))
        assert got == pytest.approx(wanted, rel=rel)


class TestHistory:
    def test_frame_members_and_words(self):
        history = fit(ensemble({}), X, Y, **TRAINING)
        assert list(history.frame.columns)[:2] == ["epoch", "member"]
        assert len(history.frame) == 9
        assert len(history) == 3
        assert history.best_epoch == [history[k].best_epoch for k in range(3)]
        assert "3 members, 3 epochs, finished" in repr(history)
        assert "±" in repr(history)
        with pytest.raises(IndexError):
            history[3]

    def test_each_member_keeps_its_best_epoch(self):
        net = ensemble({"hidden": (64, 64)})
        history = fit(net, X[:60], Y[:60], **(TRAINING | {"epochs": 40, "lr": 0.03}))
        z = (HELD[1] - net.predict_members(HELD[0])) / net.y_scaler.scale.numpy()
        best = history.best.validation_loss
        assert (z**2).mean((1, 2)) == pytest.approx(best, rel=1e-3)


class TestDivergence:
    def test_one_rate_for_all_stops_all(self):
        options = {"optimizer": "sgd", "lr": 1e10, "schedule": "constant"}
        with pytest.raises(FloatingPointError, match=r"in epoch \d at lr 1e"):
            fit(ensemble({"batch_norm": False}), X, Y, epochs=20, **options)

    def test_with_one_rate_for_all_a_single_loss_stops_all(self):
        net = ensemble({})
        net.head.weight.data[1] = torch.nan
        with pytest.raises(FloatingPointError, match="training loss became nan in epoch 1"):
            fit(net, X, Y, **TRAINING)
        with pytest.warns(RuntimeWarning, match=r"members \[1\]"):
            fit(net, X, Y, **(TRAINING | {"lr": [0.01] * 3}))

    def test_of_own_rates_the_others_go_on(self):
        net = ensemble({"batch_norm": False})
        rates = [1e-3, 1e10, 1e-2]
        options = TRAINING | {"optimizer": "sgd", "schedule": "constant", "epochs": 6}
        with pytest.warns(RuntimeWarning, match=r"members \[1\] became NaN or infinite"):
            history = fit(net, X, Y, **(options | {"lr": rates}))
        last = history.frame.groupby("member").train_loss.last()
        assert np.isfinite(last[[0, 2]]).all()
        assert not np.isfinite(last[1])
        expected = fit(alone(2, {"batch_norm": False}), X, Y, **(options | {"lr": 1e-2}))
        TestTrainedAsOne.assert_same(history[2], expected)
        assert np.isfinite(net.predict(X)).all()  # the lost member has its weights of before
        with pytest.raises(FloatingPointError, match=r"at lr 1e\+10"):
            fit(net, X, Y, **(options | {"lr": [1e10, 1e11, 1e12]}))

    def test_without_validation_rows_too(self):
        net = ensemble({"batch_norm": False})
        options = {"optimizer": "sgd", "schedule": "constant", "epochs": 4, "batch_size": 32}
        with pytest.warns(RuntimeWarning, match=r"members \[1\]"):
            fit(net, X, Y, lr=[1e-2, 1e12, 1e-2], **options)
        assert np.isfinite(net.predict(X)).all()


class TestRestOfTheLibrary:
    def test_it_is_saved_and_loaded(self, tmp_path, options):
        net, path = ensemble(options), tmp_path / "m"
        fit(net, X, Y, **TRAINING)
        net.save(path)
        again = EnsembleNet.load(path)
        assert np.array_equal(again.predict(X), net.predict(X))
        assert again.config == net.config
        with pytest.raises(ValueError, match=r"use EnsembleNet\.load"):
            RegressionNet.load(path)

    def test_it_is_folded(self):
        net = ensemble({"hidden": (8, 8)})
        fit(net, X, Y, **TRAINING)
        folded = fold_batch_norm(net)
        assert folded.predict(X) == pytest.approx(net.predict(X), abs=1e-4)
        assert folded[1].predict(X) == pytest.approx(net[1].predict(X), abs=1e-4)

    def test_it_is_resumed(self, tmp_path, monkeypatch):
        options = TRAINING | {"seed": [1, 2, 3], "lr": [1e-2, 1e-3, 1e-2], "epochs": 5}
        whole, resumed = ensemble({}), ensemble({})
        expected = fit(whole, X, Y, **options)
        import regression_lib.training as training

        original = training._Run.train_one

        def stop(self, epoch):
            if epoch > 2:
                raise KeyboardInterrupt
            original(self, epoch)

        with monkeypatch.context() as patch:
            patch.setattr(training._Run, "train_one", stop)
            fit(ensemble({}), X, Y, checkpoint=tmp_path / "run", **options)
        history = fit(resumed, X, Y, checkpoint=tmp_path / "run", resume=True, **options)
        assert_same_weights(whole, resumed, 0)
        assert len(history) == len(expected) == 5

    def test_looking_into_layers_takes_one_member(self):
        net = ensemble({})
        with pytest.raises(TypeError, match=r"look at one member, net\[k\]"):
            layer_statistics(net, torch.zeros(5, 3))
        assert len(layer_statistics(net[0], torch.randn(5, 3))) > 0

    def test_words(self):
        net = EnsembleNet(5, 4, hidden=(64, 64))
        text = "EnsembleNet(5 × (4 → 64 → 64 → 1), relu, batch_norm, 23,365 parameters)"
        assert repr(net) == text
        assert net.summary().parameters.iloc[-1] == 23365

    @pytest.mark.parametrize("shape", [(3,), (10, 4), (2, 10, 3), (3, 10, 2)])
    def test_wrong_shapes(self, shape):
        with pytest.raises(ValueError, match="expected"):
            ensemble({})(torch.zeros(shape))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"lr": [0.1, 0.1]}, "lr has 2 values for 3 members"),
            ({"seed": [1]}, "seed has 1 values for 3 members"),
            ({"lr": [0.1, -1, 0.1]}, r"lr must be positive and finite, got -1"),
        ],
    )
    def test_wrong_numbers_of_options(self, change, words):
        with pytest.raises(ValueError, match=words):
            fit(ensemble({}), X, Y, **(TRAINING | change))

    def test_a_single_network_takes_single_options(self):
        with pytest.raises(ValueError, match="lr has 2 values for one network"):
            fit(alone(0, {}), X, Y, lr=[0.1, 0.2])


OWN = {"epochs": 3, "batch_size": 32, "validation": 0.2, "seed": [5, 6, 7]}


class TestOwnRows:
    """With a seed for each, members hold out rows of their own."""

    def held_out(self, seed):
        return train_test_split(np.arange(len(X)), test_size=0.2, random_state=seed)[1]

    def test_each_is_judged_by_its_own(self):
        net = ensemble({"hidden": (16,)})
        history = fit(net, X, Y, **OWN)
        members = net.predict_members(X)
        for k, seed in enumerate(OWN["seed"]):
            rows = self.held_out(seed)
            z = (Y[rows] - members[k][rows]) / net.y_scaler.scale.numpy()
            assert (z**2).mean() == pytest.approx(history[k].best.validation_loss[0], rel=1e-4)

    def test_rows_held_out_are_not_trained_on(self):
        spoilt = Y.copy()
        rows = self.held_out(6)
        spoilt[rows] += 100 * np.random.default_rng(0).normal(size=(len(rows), 2))
        nets = [ensemble({"hidden": (16,)}) for _ in range(2)]
        for net, y in zip(nets, (Y, spoilt), strict=True):
            net.x_scaler.set(X.mean(0), X.std(0))
            net.y_scaler.set(Y.mean(0), Y.std(0))
            # One epoch: whichever is the best one depends on the rows held out.
            fit(net, X, y, **(OWN | {"epochs": 1}))
        assert_same_weights(nets[0][1], nets[1][1], 0)
        assert not np.allclose(nets[0][0].head.weight.detach(), nets[1][0].head.weight.detach())

    def test_with_one_seed_all_share_theirs(self):
        net = ensemble({"hidden": (16,)})
        history = fit(net, X, Y, **(OWN | {"seed": 6}))
        rows = self.held_out(6)
        z = (Y[rows] - net.predict_members(X)[:, rows]) / net.y_scaler.scale.numpy()
        assert (z**2).mean((1, 2)) == pytest.approx(history.best.validation_loss, rel=1e-4)

    def test_rows_that_do_not_count_are_nobodys(self):
        counts = np.r_[np.zeros(50), np.ones(100)]
        nets = [ensemble({"hidden": (16,)}) for _ in range(2)]
        fit(nets[0], X, Y, sample_weight=counts, **OWN)
        fit(nets[1], X[50:], Y[50:], sample_weight=counts[50:], **OWN)
        for one, other in zip(*nets, strict=True):
            assert_same_weights(one, other, 1e-6)

    def test_interrupted_and_resumed(self, tmp_path):
        whole, resumed = (ensemble({"hidden": (16,)}) for _ in range(2))
        options = OWN | {"weight_average": 1.5}
        fit(whole, X, Y, **options)

        def stop(history):
            if len(history) == 2:
                raise RuntimeError("the power fails")

        options["checkpoint"] = tmp_path / "run"
        with pytest.raises(RuntimeError, match="the power fails"):
            fit(ensemble({"hidden": (16,)}), X, Y, callback=stop, **options)
        fit(resumed, X, Y, resume=True, **options)
        assert_same_weights(whole, resumed, 0)
