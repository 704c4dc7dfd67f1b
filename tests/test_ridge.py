"""The ridge regression beside the network, and how much of each."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV

from regression_lib import DeepRegressor, EnsembleNet, RegressionNet, export_onnx, fit
from regression_lib import estimator as estimators
from regression_lib import ridge as module
from regression_lib.ridge import PENALTIES, network_share, ridge
from regression_lib.rows import hold_out

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 9))
Y = X @ RNG.normal(size=(9, 2)) + 3 * np.abs(X[:, :2]) + RNG.normal(size=(60, 2)) * [1, 6]
WEIGHT = RNG.integers(1, 4, size=60)
QUICK = {"hidden": (8,), "n_members": 1, "epochs": 30, "random_state": 0}
HALF = {"validation_fraction": 0.5}  # enough rows to find a share between 0 and 1


def quick(**options):
    return DeepRegressor(**(QUICK | options))


class TestLine:
    def test_it_is_scikit_learns(self):
        line, known = ridge(X, Y, np.ones((60, 1))), RidgeCV(PENALTIES, alpha_per_target=True)
        known.fit(X, Y)
        assert known.alpha_[0] != known.alpha_[1]
        np.testing.assert_allclose(line.weights, known.coef_.T, atol=1e-12)
        np.testing.assert_allclose(line.bias, known.intercept_, atol=1e-12)

    def test_a_row_of_weight_2_is_a_row_given_twice(self, monkeypatch):
        rows = np.repeat(np.arange(60), WEIGHT)
        monkeypatch.setattr(module, "PENALTIES", [3.0])
        once = ridge(X, Y, WEIGHT[:, None])
        monkeypatch.setattr(module, "PENALTIES", [3.0 * WEIGHT.mean()])  # of as many more rows
        often = ridge(X[rows], Y[rows], np.ones((len(rows), 1)))
        np.testing.assert_allclose(once.weights, often.weights, atol=1e-12)
        np.testing.assert_allclose(once.bias, often.bias, atol=1e-12)

    @pytest.mark.parametrize("weight", [np.ones(60), WEIGHT / WEIGHT.mean()], ids=["1", "weights"])
    @pytest.mark.parametrize("n_columns", [3, 9])
    def test_a_row_left_out_is_predicted_by_the_line_of_the_others(
        self, weight, n_columns, monkeypatch
    ):
        monkeypatch.setattr(module, "PENALTIES", [3.0])
        x = X[:, :n_columns]
        line = ridge(x, Y, weight[:, None])
        for row in (0, 17, 59):
            others = np.arange(60) != row
            alone = Ridge(3.0).fit(x[others], Y[others], sample_weight=weight[others])
            np.testing.assert_allclose(line.left_out[row], alone.predict(x[[row]])[0], atol=1e-10)

    def test_more_columns_than_rows(self):
        wide = RNG.normal(size=(20, 50))
        line, known = ridge(wide, Y[:20], np.ones((20, 1))), RidgeCV(PENALTIES)
        known.set_params(alpha_per_target=True).fit(wide, Y[:20])
        np.testing.assert_allclose(line.weights, known.coef_.T, atol=1e-10)

    def test_a_column_that_one_row_alone_has_is_harmless(self):
        x = np.column_stack([X, np.eye(60)[0] * 1e6])
        assert np.isfinite(ridge(x, Y, np.ones((60, 1))).left_out).all()


def test_the_limits_are_those_of_the_pages():
    assert (PENALTIES[0], PENALTIES[-1], len(PENALTIES)) == (pytest.approx(0.1), 1e5, 13)
    assert (module.MOST_ROWS, module.MOST_NUMBERS) == (10_000, 2**21)
    assert (estimators.FEW_ROWS, estimators.FEW_COLUMNS) == (2_000, 200)


class TestShare:
    Y = RNG.normal(size=(2, 30, 1))
    ERROR = RNG.normal(size=(2, 30, 1))
    ONES = np.ones((2, 30, 1))

    @pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
    def test_it_is_found_where_there_is_an_answer(self, share):
        truth = share * (self.Y + self.ERROR) + (1 - share) * self.Y
        found = network_share(self.Y + self.ERROR, self.Y, truth, self.ONES)
        np.testing.assert_allclose(found, [share], atol=1e-12)

    def test_it_stays_between_line_and_network(self):
        for error, share in [(1, 0), (-2, 1)]:
            truth = self.Y - error * self.ERROR
            assert network_share(self.Y + self.ERROR, self.Y, truth, self.ONES) == [share]

    def test_rows_of_no_weight_say_nothing(self):
        spoilt = np.where(np.arange(30) < 15, 1e3, 0.3)[None, :, None] * np.ones((2, 1, 1))
        weight = (spoilt < 1).astype(float)
        truth = self.Y + spoilt * self.ERROR
        found = network_share(self.Y + self.ERROR, self.Y, truth, weight)
        np.testing.assert_allclose(found, [0.3], atol=1e-12)

    def test_where_both_agree_the_network_stays(self):
        assert network_share(self.Y, self.Y, self.ERROR, self.ONES) == [1]


class TestMean:
    @pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weights"])
    @pytest.mark.parametrize("n_members", [1, 3])
    def test_it_is_that_of_network_and_line(self, n_members, weight):
        """Put together here from an estimator without a line, and from scikit-learn's line."""
        mixed = quick(n_members=n_members, **HALF).fit(X, Y, sample_weight=weight)
        alone = quick(n_members=n_members, ridge=False, **HALF).fit(X, Y, sample_weight=weight)
        scale = alone.net_.x_scaler
        z = (X - scale.mean.numpy()) / scale.scale.numpy()
        weights = np.ones(60) if weight is None else weight / weight.mean()
        line = np.column_stack([_scikit_learns(z, y, weights) for y in Y.T])
        share = mixed._facts.share
        assert any(0.1 < a < 0.9 for a in share)
        expected = share * alone.predict(X) + (1 - np.array(share)) * line
        np.testing.assert_allclose(mixed.predict(X), expected, atol=2e-5 * np.abs(Y).max())

    def test_the_share_is_that_of_the_rows_held_out(self):
        mixed, alone = (quick(ridge=r, **HALF).fit(X, Y[:, 1]) for r in (True, False))
        held = hold_out(np.arange(60), 0.5, mixed._seeds[0])[1]
        z = alone.net_.inputs(X).double().numpy()
        left = ridge(z, Y[:, 1:], np.ones((60, 1))).left_out[held, 0]
        gap = alone.predict(X[held]) - left
        expected = (gap @ (Y[held, 1] - left)) / (gap @ gap)
        assert 0 < expected < 1
        np.testing.assert_allclose(mixed._facts.share, [expected], rtol=1e-4)

    def test_rows_of_the_users_choice_judge(self):
        names, held = list("abcdefghi"), RNG.normal(size=(40, 9))
        plane, frame = X[:, 0] - X[:, 1], pd.DataFrame(X, columns=names)
        truth = held[:, 0] - held[:, 1]
        other = pd.DataFrame(held, columns=names)
        for n_members in (1, 2):
            arrays = quick(n_members=n_members).fit(X, plane, validation=(held, truth))
            frames = quick(n_members=n_members).fit(frame, plane, validation=(other, truth))
            assert arrays._facts.share == frames._facts.share
            assert arrays._facts.share[0] < 0.05
            assert arrays.score(held, truth) > 0.99

    def test_few_rows_of_a_plane_are_predicted_like_one(self):
        new = RNG.normal(size=(500, 9))
        truth = new @ np.arange(9)
        y = X @ np.arange(9) + 3 * RNG.normal(size=60)
        scores = [quick(ridge=r, epochs="auto").fit(X, y).score(new, truth) for r in (False, True)]
        assert scores[0] < 0.9 < 0.96 < scores[1]

    @pytest.mark.parametrize(
        "options",
        [
            {"ridge": False},
            {"loss": "absolute"},
            {"quantiles": (0.1, 0.5, 0.9)},
            {"validation_fraction": 0},
        ],
        ids=str,
    )
    def test_where_there_is_none(self, options):
        model = quick(**options).fit(X, Y)
        assert model.net_.direct is None
        assert not model.net_.config["direct"]
        assert "mean" not in model.card().facts

    @pytest.mark.parametrize("limit", ["MOST_ROWS", "MOST_NUMBERS"])
    def test_there_is_none_for_large_tables(self, limit, monkeypatch):
        size = 60 if limit == "MOST_ROWS" else 60 * 9
        monkeypatch.setattr(module, limit, size)
        assert quick().fit(X, Y).net_.direct is not None
        monkeypatch.setattr(module, limit, size - 1)
        assert quick().fit(X, Y).net_.direct is None

    def test_the_card_tells(self):
        card = quick().fit(X, Y).card()
        assert "the rest a ridge regression" in card.facts["mean"]
        assert "direct" in card.facts["network"]


def _scikit_learns(z, y, weights):
    return RidgeCV(PENALTIES).fit(z, y, sample_weight=weights).predict(z)


class TestDirect:
    """A line past all layers is part of the network, whatever is done with it."""

    @pytest.fixture(params=[1, 3], ids=["one", "three"])
    def model(self, request):
        return quick(n_members=request.param, batch_norm=True).fit(X, Y)

    def test_the_short_way_is_the_long_one(self, model):
        each = np.concatenate([model.predict(X[[row]]) for row in range(60)])
        np.testing.assert_allclose(each, model.predict(np.tile(X, (40, 1)))[:60], atol=1e-4)

    def test_files(self, model, tmp_path):
        model.save(tmp_path / "m.safetensors")
        model.net_.save(tmp_path / "n.safetensors")
        again = DeepRegressor.load(tmp_path / "m.safetensors")
        assert np.array_equal(again.predict(X), model.predict(X))
        assert again._facts == model._facts
        net = type(model.net_).load(tmp_path / "n.safetensors")
        assert np.array_equal(net.predict(X), model.net_.predict(X))

    def test_onnx(self, model, tmp_path):
        export_onnx(model, tmp_path / "m.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
        np.testing.assert_allclose(session.run(["y"], {"X": X})[0], model.predict(X), atol=1e-4)

    def test_the_summary_counts_it(self, model):
        table = model.net_.summary().set_index("layer").parameters
        assert table["Linear (direct)"] == model.net_.direct.weight.numel()
        assert table["total"] == table.drop("total").sum()

    def test_members_are_networks_alone(self):
        net = quick(n_members=3).fit(X, Y).net_
        mean = np.mean([member.predict(X) for member in net], axis=0)
        np.testing.assert_allclose(net.predict(X), mean, atol=1e-5)
        assert net[:2].direct.weight.shape == (2, 2, 9)

    def test_it_starts_at_0_and_learns(self):
        net, plain = (RegressionNet(9, 2, hidden=(4,), direct=d, seed=1) for d in (True, False))
        assert np.array_equal(net.predict(X), plain.predict(X))
        fit(net, X, Y, epochs=20, seed=0)
        z = net.inputs(X)
        assert net.direct.weight.abs().min() > 0
        with torch.no_grad():
            expected = net.head(net.eval().layers[0](z)) + z @ net.direct.weight.T
        torch.testing.assert_close(net.standardized(z), expected)

    def test_members_learn_it_as_they_would_alone(self):
        options = {"hidden": (4,), "direct": True, "numeric_embedding": "piecewise_linear"}
        both = EnsembleNet(2, 9, 2, seed=[3, 4], n_bins=4, **options)
        alone = RegressionNet(9, 2, seed=4, n_bins=4, **options)
        fit(both, X, Y, epochs=5, seed=[3, 4])
        fit(alone, X, Y, epochs=5, seed=4)
        np.testing.assert_allclose(both[1].predict(X), alone.predict(X), atol=1e-4)

    def test_a_training_goes_on_from_the_mean(self):
        model = quick(warm_start=True).fit(X, Y)
        before = model.predict(X)
        model.set_params(lr=1e-9, epochs=1, ridge=False).fit(X, Y)
        np.testing.assert_allclose(model.predict(X), before, atol=1e-4)
        model.set_params(ridge=True).fit(X, Y)
        assert np.abs(model.predict(X) - before).mean() < np.abs(before - before.mean(0)).mean()


class TestMembers:
    @pytest.mark.parametrize(("n_rows", "n_members"), [(60, 8), (61, 1)])
    def test_few_rows_have_eight(self, n_rows, n_members, monkeypatch):
        monkeypatch.setattr(estimators, "FEW_ROWS", 60)
        model = quick(n_members="auto").fit(
            np.tile(X, (2, 1))[:n_rows], np.tile(Y, (2, 1))[:n_rows]
        )
        assert model.net_.config.get("n_members", 1) == n_members == len(model._seeds)
        if n_members == 8:
            assert model.predict(X, return_std=True)[1].min() > 0

    def test_wide_tables_have_one(self, monkeypatch):
        monkeypatch.setattr(estimators, "FEW_COLUMNS", 8)
        assert isinstance(quick(n_members="auto").fit(X[:, :8], Y).net_, EnsembleNet)
        assert not isinstance(quick(n_members="auto").fit(X, Y).net_, EnsembleNet)

    def test_rows_of_weight_0_do_not_count(self, monkeypatch):
        monkeypatch.setattr(estimators, "FEW_ROWS", 59)
        weight = np.arange(60) > 0
        assert len(quick(n_members="auto").fit(X, Y, sample_weight=weight).net_) == 8

    def test_another_number_of_rows_starts_no_other_training(self, monkeypatch):
        model = quick(n_members="auto", warm_start=True).fit(X, Y)
        monkeypatch.setattr(estimators, "FEW_ROWS", 50)
        first = model.net_[0].layers[0].linear.weight.detach().clone()
        model.set_params(lr=1e-9, epochs=1, ridge=False).fit(X, Y)
        torch.testing.assert_close(model.net_[0].layers[0].linear.weight, first, rtol=0, atol=1e-6)

    def test_other_words_are_refused(self):
        with pytest.raises(TypeError, match="n_members must be a whole number, got 'many'"):
            quick(n_members="many").fit(X, Y)
