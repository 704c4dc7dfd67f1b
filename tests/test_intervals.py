"""Ranges hold as often as they say, whatever the model is and however few the rows are."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, betabinom
from sklearn.exceptions import NotFittedError

from regression_lib import DeepRegressor, make_projectile
from regression_lib.intervals import Calibration, root_mean_square, rows_needed, set_aside

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.1 * RNG.normal(size=300)
QUICK = {"hidden": (8,), "n_members": 1, "epochs": 2, "random_state": 0}


def quick(**options):
    return DeepRegressor(**(QUICK | options))


def wide_where_dear(rng, n_rows):
    """Predictions, and targets whose spread grows with them as that of prices does."""
    predicted = rng.uniform(1, 10, size=(n_rows, 1))
    return predicted, predicted + predicted * rng.standard_t(4, size=(n_rows, 1))


def covered(calibration, rng, n_rows, share, bands=1):
    """Predictions of new rows, and whether their targets lie in their ranges."""
    predicted, y = wide_where_dear(rng, n_rows)
    return predicted, np.abs(y - predicted) <= calibration.half_width(predicted, share, bands)


class TestCoverage:
    @pytest.mark.parametrize(
        ("n_rows", "share"), [(9, 0.9), (40, 0.9), (100, 0.95), (99, 0.99), (57, 0.55), (3, 0.5)]
    )
    def test_it_is_that_of_the_theory(self, n_rows, share):
        rng, trials, new = np.random.default_rng(1), 2000, 50
        hits = [
            covered(Calibration.of(*wide_where_dear(rng, n_rows)), rng, new, share)[1].sum()
            for _ in range(trials)
        ]
        rank = int(np.ceil(round((n_rows + 1) * share, 9)))
        # Over calibrations the share is Beta(rank, n + 1 − rank), so that hits are beta-binomial.
        theory = betabinom(new, rank, n_rows + 1 - rank)
        error = theory.std() / np.sqrt(trials)
        assert np.mean(hits) == pytest.approx(theory.mean(), abs=4 * error)
        assert np.mean(hits) / new >= share - 4 * error / new
        assert np.std(hits) == pytest.approx(theory.std(), rel=0.15)

    def test_it_is_exact_within_bands_too(self):
        rng, bands, share, n_rows, trials = np.random.default_rng(2), 3, 0.8, 62, 1500
        hits, asked = np.zeros((2, bands))
        for _ in range(trials):
            calibration = Calibration.of(*wide_where_dear(rng, n_rows))
            predicted, inside = covered(calibration, rng, 60, share, bands)
            borders = np.sort(calibration.predicted[:, 0])[[20, 41]]
            for band in range(bands):
                rows = np.searchsorted(borders, predicted[:, 0]) == band
                hits[band] += inside[rows].sum()
                asked[band] += rows.sum()
        # Two rows are the borders, so that each band has 20 of its own: ⌈21 × 0.8⌉ / 21.
        assert hits / asked == pytest.approx(np.full(bands, 17 / 21), abs=0.012)

    def test_bands_serve_the_cheap_and_the_dear_alike(self):
        rng = np.random.default_rng(3)
        calibration, n_rows = Calibration.of(*wide_where_dear(rng, 4000)), 20_000
        shares = {}
        for bands in (1, 8):
            predicted, inside = covered(calibration, rng, n_rows, 0.9, bands)
            cheap, dear = predicted < 3, predicted > 8
            shares[bands] = inside[cheap].mean(), inside[dear].mean()
        assert shares[1][0] > 0.97
        assert shares[1][1] < 0.85
        assert shares[8] == pytest.approx([0.9, 0.9], abs=0.03)
        widths = calibration.half_width(np.array([[1.5], [9.5]]), 0.9, 8)[:, 0]
        assert widths[1] > 3 * widths[0]

    def test_a_trained_network_keeps_its_promise(self):
        rng, share, found = np.random.default_rng(4), 0.8, []
        for seed in range(12):
            rows = rng.normal(size=(1100, 2))
            y = np.sin(2 * rows[:, 0]) + rng.normal(size=1100) * (0.2 + (rows[:, 1] > 0))
            model = quick(calibration_fraction=0.5, random_state=seed, numeric_embedding=None)
            model.fit(rows[:200], y[:200])
            low, high = model.predict_interval(rows[200:], share)
            found.append(((low <= y[200:]) & (y[200:] <= high)).mean())
        rank = int(np.ceil(101 * share))
        law = beta(rank, 101 - rank)
        assert np.mean(found) == pytest.approx(law.mean(), abs=4 * law.std() / np.sqrt(12))

    def test_rows_that_were_trained_on_would_flatter(self):
        noise = RNG.normal(size=300)  # nothing to learn, so that all that is learnt is by heart
        model = quick(epochs=200, validation_fraction=0, calibration_fraction=0.3, hidden=(256,))
        model.fit(X, noise)
        honest = np.mean(np.subtract(*model.predict_interval(X, 0.9)[::-1]))
        by_heart = np.mean(np.subtract(*model.calibrate(X, noise).predict_interval(X, 0.9)[::-1]))
        assert by_heart < 0.8 * honest


class TestCalibration:
    def test_the_width_is_an_error_of_that_rank(self):
        calibration = Calibration.of(np.zeros((9, 1)), np.arange(-9.0, 0)[:, None])
        nowhere = np.zeros((1, 1))
        for share, width in [(0.9, 9), (0.89, 9), (0.8, 8), (0.5, 5), (0.05, 1)]:
            assert calibration.half_width(nowhere, share) == width

    @pytest.mark.parametrize(("n_rows", "share"), [(100, 0.55), (99, 0.07), (999, 0.001)])
    def test_a_rank_is_no_larger_for_the_digits_of_a_product(self, n_rows, share):
        errors = np.arange(1.0, n_rows + 1)[:, None]
        width = Calibration.of(0 * errors, errors).half_width(np.zeros((1, 1)), share)
        assert width == np.ceil(round((n_rows + 1) * share, 6))

    def test_each_target_has_its_own(self):
        y = RNG.normal(size=(500, 2)) * [1, 1000]
        widths = Calibration.of(np.zeros_like(y), y).half_width(np.zeros((3, 2)), 0.9)
        assert widths.shape == (3, 2)
        assert widths[0] == pytest.approx([1.64, 1640], rel=0.15)

    def test_equal_predictions_are_one_band(self):
        calibration = Calibration.of(np.ones((60, 1)), RNG.normal(size=(60, 1)))
        widths = calibration.half_width(np.array([[0.0], [1.0]]), 0.5, bands=2)
        assert widths[0] == widths[1]
        assert np.isfinite(widths).all()

    @pytest.mark.parametrize(
        ("share", "n_rows"), [(0.5, 1), (0.9, 9), (0.95, 19), (0.99, 99), (0.999, 999), (1 / 3, 1)]
    )
    def test_how_many_rows_a_share_needs(self, share, n_rows):
        assert rows_needed(share) == n_rows
        one = np.zeros((1, 1))
        Calibration.of(np.zeros((n_rows, 1)), np.zeros((n_rows, 1))).half_width(one, share)
        if n_rows > 1:
            fewer = Calibration.of(np.zeros((n_rows - 1, 1)), np.zeros((n_rows - 1, 1)))
            with pytest.raises(ValueError, match=f"needs at least {n_rows} calibration rows"):
                fewer.half_width(one, share)

    def test_errors_of_any_size_have_a_mean(self):
        for size in (1e-300, 1.0, 1e300):
            assert root_mean_square(size * np.array([[3.0], [-4.0]])) == size * np.sqrt(12.5)
        assert root_mean_square(np.zeros((2, 1))) == 0
        assert root_mean_square(np.array([[3.0], [4.0]]), np.array([1.0, 0.0])) == 3


class TestTheEstimator:
    def test_rows_set_aside_neither_train_nor_judge(self):
        (left, _, _), (aside, _) = set_aside(X, Y[:, None], None, 0.25, 7)
        assert len(aside) == 75
        assert sorted(map(tuple, [*left, *aside])) == sorted(map(tuple, X))
        model = quick(calibration_fraction=0.25, validation_fraction=0).fit(X, Y)
        (left, y_left, _), (aside, y_aside) = set_aside(X, Y[:, None], None, 0.25, model._seeds[0])
        seed = model._seeds[0]
        assert np.allclose(model.net_.x_scaler.mean, left.mean(0))
        assert model.calibration_.errors == pytest.approx(
            np.abs(y_aside - model.net_.predict(aside))
        )
        assert model.card().facts["trained"].count("225 rows") == 1
        assert seed == model.net_.config["seed"]
        assert y_left.shape == (225, 1)

    def test_without_a_share_nothing_changes(self):
        alike = [quick(calibration_fraction=share).fit(X, Y).predict(X) for share in (0, None)]
        assert np.array_equal(*alike)
        assert quick().fit(X, Y).calibration_ is None

    def test_ranges_have_the_shape_of_y_and_the_prediction_in_their_middle(self):
        throws = make_projectile(200)
        for y, shape in [
            (throws.y, (200, 3)),
            (throws.y.apex, (200,)),
            (throws.y[["apex"]], (200, 1)),
        ]:
            model = quick(calibration_fraction=0.3).fit(throws.X, y)
            low, high = model.predict_interval(throws.X, 0.8)
            assert low.shape == high.shape == shape
            assert (low + high) / 2 == pytest.approx(model.predict(throws.X))
            widths = high - low
            assert np.ptp(widths, axis=0) == pytest.approx(0, abs=1e-9)
            wider = np.subtract(*model.predict_interval(throws.X, 0.95)[::-1])
            assert (wider > widths).all()

    def test_rows_of_ones_own(self):
        model = quick().fit(X[:100], Y[:100])
        with pytest.raises(ValueError, match=r"call calibrate\(X, y\) with rows that"):
            model.predict_interval(X)
        assert model.calibrate(X[100:], Y[100:]) is model
        errors = np.abs(model.predict(X[100:]) - Y[100:])
        low, high = model.predict_interval(X[:1], 0.9)
        assert (high - low) / 2 == pytest.approx(np.sort(errors)[int(np.ceil(201 * 0.9)) - 1])
        model.fit(X, Y)  # another model has other errors
        assert model.calibration_ is None

    def test_a_frame_is_held_to_its_names(self):
        frame, y = pd.DataFrame(X, columns=["a", "b", "c"]), pd.DataFrame({"price": Y})
        model = quick().fit(frame, y).calibrate(frame, y)
        with pytest.raises(ValueError, match="y: The feature names should match"):
            model.calibrate(frame, y.rename(columns={"price": "rent"}))
        with pytest.raises(ValueError, match="feature names"):
            model.calibrate(frame[["b", "a", "c"]], y)
        with pytest.raises(ValueError, match="20 rows of 1 targets, where 300 rows of 1"):
            model.calibrate(frame, y[:20])
        with pytest.raises(ValueError, match="300 rows of 2 targets"):
            model.calibrate(frame, np.stack([Y, Y], axis=1))

    def test_a_failed_fit_leaves_the_ranges_as_they_were(self):
        model = quick(calibration_fraction=0.2).fit(X, Y)
        before = model.predict_interval(X)
        for options in ({"lr": 0}, {"calibration_fraction": 2}):
            with pytest.raises(ValueError, match=r"lr|calibration_fraction"):
                model.set_params(**options).fit(X, Y)
            assert np.array_equal(model.predict_interval(X), before)

    def test_rows_without_weight_are_not_set_aside(self):
        weight = np.where(np.arange(300) < 150, 0.0, RNG.uniform(1, 2, 300))
        (_, _, left), (aside, _) = set_aside(X, Y[:, None], weight, 0.2, 0)
        assert len(aside) == 30
        assert set(map(tuple, aside)) <= set(map(tuple, X[150:]))
        assert np.count_nonzero(left) == 120
        model = quick(calibration_fraction=0.2).fit(X, Y, sample_weight=weight)
        assert repr(model.calibration_) == "Calibration(30 rows)"
        assert "120 rows" in model.card().facts["trained"]

    def test_a_warm_start_sets_the_same_rows_aside(self):
        model = quick(calibration_fraction=0.2, warm_start=True, validation_fraction=0).fit(X, Y)
        first = model._seeds[0]
        model.set_params(random_state=9).fit(X, Y)
        rows, y = set_aside(X, Y[:, None], None, 0.2, first)[1]
        assert model.calibration_.errors == pytest.approx(np.abs(y - model.net_.predict(rows)))

    @pytest.mark.parametrize("before", [0, 0.3])
    def test_other_rows_at_a_warm_start_are_warned_of(self, before):
        model = quick(calibration_fraction=before, warm_start=True).fit(X, Y)
        with pytest.warns(UserWarning, match="may be set aside now") as caught:
            model.set_params(calibration_fraction=0.2).fit(X, Y, validation=(X, Y))
        assert [warning.filename for warning in caught] == [__file__]

    @pytest.mark.parametrize(
        ("share", "error", "words"),
        [
            (0, ValueError, r"share must be in \(0, 1\), e.g. 0.9 for nine rows of ten, got 0"),
            (95, ValueError, "got 95"),
            (np.nan, ValueError, "got nan"),
            ("0.9", TypeError, "share must be a number, got '0.9'"),
            (True, TypeError, "got True"),
            (0.99, ValueError, "share=0.99 needs at least 99 calibration rows, there are 40: ask"),
        ],
    )
    def test_a_share_that_nobody_can_give(self, share, error, words):
        model = quick().fit(X, Y).calibrate(X[:40], Y[:40])
        with pytest.raises(error, match=words):
            model.predict_interval(X, share)

    @pytest.mark.parametrize(
        ("bands", "error", "words"),
        [
            (0, ValueError, r"bands must be in \[1, 40\], of 40 rows, got 0"),
            (41, ValueError, "got 41"),
            (2.0, TypeError, "bands must be a whole number, got 2.0"),
            (5, ValueError, "at least 9 calibration rows in each of 5 bands, there are 8: ask for"),
            (40, ValueError, "rows in each of 40 bands, there are"),
        ],
    )
    def test_bands_that_there_are_no_rows_for(self, bands, error, words):
        model = quick().fit(X, Y).calibrate(X[:40], Y[:40])
        with pytest.raises(error, match=words):
            model.predict_interval(X, 0.9, bands=bands)

    @pytest.mark.parametrize(
        ("fraction", "error", "words"),
        [
            (1, ValueError, r"calibration_fraction must be in \[0, 1\), got 1"),
            (-0.1, ValueError, "got -0.1"),
            ("half", TypeError, "calibration_fraction must be a number, got 'half'"),
            (True, TypeError, "got True"),
            (0.003, ValueError, "calibration_fraction=0.003 of 300 rows is none"),
        ],
    )
    def test_a_fraction_that_is_none(self, fraction, error, words):
        with pytest.raises(error, match=words):
            quick(calibration_fraction=fraction).fit(X, Y)

    def test_unequal_lengths_are_named(self):
        with pytest.raises(ValueError, match=r"\[300, 299\]"):
            quick(calibration_fraction=0.2).fit(X, Y[1:])

    def test_before_fit(self):
        for asked in (lambda: quick().predict_interval(X), lambda: quick().calibrate(X, Y)):
            with pytest.raises(NotFittedError):
                asked()
