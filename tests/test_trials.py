"""The protocol of comparison: fair by construction, and its intervals are those of the paper."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_moons
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

import regression_lib as rl
from regression_lib.course import trials
from regression_lib.course.trials import Steps, compare, paired_difference
from regression_lib.plots import alt_text

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.normal(size=(200, 3)), columns=list("abc"))
DATA = rl.Dataset(
    X,
    (X.a + 0.5 * X.b**2 + 0.1 * RNG.normal(size=200)).to_frame("y"),
    dict.fromkeys("abcy", ""),
    "t",
)


def line(rows, seed):
    return LinearRegression().fit(rows.train.X, rows.train.y)


class Mean:
    def predict(self, X):
        return np.full(len(X), self.mean)


def mean(rows, seed):
    model = Mean()
    model.mean = rows.train.y.to_numpy().mean() + 0.01 * (seed % 1000)
    return model


class TestInterval:
    def test_a_case_by_hand(self):
        """Differences 1, 2, 3, 4: mean 2.5, variance 5/3, t of 3 degrees of freedom 3.18245."""
        gap = paired_difference([2, 4, 6, 8], [1, 2, 3, 4], overlap=0.25)
        half = 3.18245 * np.sqrt((1 / 4 + 0.25) * 5 / 3)
        assert (gap.mean, gap.n) == (2.5, 4)
        assert gap.low == pytest.approx(2.5 - half, abs=1e-4)
        assert gap.high == pytest.approx(2.5 + half, abs=1e-4)
        assert not gap.clear
        alone = paired_difference([2, 4, 6, 8], [1, 2, 3, 4])
        assert alone.high - 2.5 == pytest.approx(3.18245 * np.sqrt(5 / 12), abs=1e-4)
        assert alone.clear
        assert alone.above
        assert not alone.below

    @pytest.mark.slow
    def test_published_numbers(self):
        """scikit-learn's "Statistical comparison of models using grid search": t 0.750, p 0.227."""
        X, y = make_moons(noise=0.352, random_state=1, n_samples=100)
        folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
        rbf, linear = (
            cross_val_score(SVC(kernel=kernel, random_state=0), X, y, scoring="roc_auc", cv=folds)
            for kernel in ("rbf", "linear")
        )
        gap = paired_difference(rbf, linear, overlap=10 / 90)
        from scipy import stats

        error = (gap.high - gap.mean) / stats.t.ppf(0.975, 99)
        assert gap.mean / error == pytest.approx(0.750, abs=5e-4)
        assert stats.t.sf(gap.mean / error, 99) == pytest.approx(0.227, abs=5e-4)

    def test_it_covers_what_it_promises_where_the_plain_one_does_not(self):
        """Two predictors are equally good; their errors on 60 rows are looked at 15 times."""
        found = {"corrected": 0, "plain": 0}
        for draw in range(300):
            rng = np.random.default_rng(draw)
            rows = rng.normal(size=60)  # the difference of their errors
            gaps = [rows[rng.permutation(60)[:20]].mean() for _ in range(15)]
            for name, overlap in [("corrected", 20 / 40), ("plain", 0)]:
                found[name] += paired_difference(gaps, np.zeros(15), overlap=overlap).clear
        assert found["corrected"] / 300 < 0.1 < 0.4 < found["plain"] / 300

    def test_it_is_printed_with_what_varies(self):
        gap = paired_difference([1.0, 1.2], [1.5, 1.4], varies="seeds", digits=2)
        assert str(gap) == "−0.35 (95 %: −2.26 to +1.56; 2 seeds)"

    @pytest.mark.parametrize(
        ("a", "b", "words"),
        [
            ([1], [2], "two pairs"),
            ([1, 2], [1, 2, 3], "two pairs"),
            ([1, np.nan], [1, 2], "finite"),
        ],
    )
    def test_what_has_no_interval(self, a, b, words):
        with pytest.raises(ValueError, match=words):
            paired_difference(a, b)


class TestFairness:
    def test_nobody_sees_the_rows_that_judge(self):
        seen = []

        def watching(rows, seed):
            seen.append((set(rows.train.X.index), set(rows.validation.X.index)))
            assert rows._fields == ("train", "validation")
            return line(rows, seed)

        found = compare({"line": line, "watching": watching}, DATA, budget="one fit")
        for k, (train, validation) in enumerate(seen):
            test = set(rl.split(DATA, seed=k).test.X.index)
            assert not test & (train | validation)
            assert len(train | validation | test) == 200
        assert found.difference("watching", "line").mean == 0

    def test_a_budget_hands_everyone_the_same_steps(self):
        given = []

        def network(hidden):
            def make(rows, seed, epochs, batch_size):
                given.append((len(hidden), epochs, batch_size))
                net = rl.RegressionNet(3, hidden=hidden, seed=seed)
                rl.fit(net, rows.train, epochs=epochs, batch_size=batch_size, seed=seed)
                return net

            return make

        nets = {"one": network((4,)), "two": network((4, 4))}
        found = compare(nets, DATA, budget=Steps(30, 48), n_splits=2)
        assert {(epochs, size) for _, epochs, size in given} == {(10, 48)}  # of 3 steps each
        assert "30 steps of 48 rows each" in found.protocol

    def test_steps(self):
        assert Steps(1000, 64).options(640) == {"epochs": 100, "batch_size": 64}
        assert Steps(1, 64).options(640) == {"epochs": 1, "batch_size": 64}

    def test_each_is_tuned_by_as_many_trials_on_validation_rows(self):
        count = {"ridge": 0, "lasso-like": 0}

        def ridge(name):
            def make(rows, seed, alpha):
                count[name] += 1
                return Ridge(alpha).fit(rows.train.X, rows.train.y)

            return make

        spaces = {"ridge": {"alpha": (1e-3, 1e3, "log")}, "lasso-like": {"alpha": [0.1, 1.0, 10.0]}}
        found = compare({n: ridge(n) for n in count}, DATA, tune=spaces, n_trials=4, n_splits=3)
        assert count == {"ridge": 15, "lasso-like": 15}
        best = found.frame[found.frame.candidate == "lasso-like"].iloc[0]
        rows = rl.split(DATA, seed=0)
        errors = {
            alpha: trials.rmse(
                rows.validation.y,
                Ridge(alpha).fit(rows.train.X, rows.train.y).predict(rows.validation.X)[:, None],
            )
            for alpha in (0.1, 1.0, 10.0)
        }
        assert best.validation_error == pytest.approx(errors[best.options["alpha"]])
        assert "tuned in 4 trials each" in found.protocol

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "say what each candidate may spend"),
            ({"tune": {"line": {}}, "n_trials": 3}, "must name every candidate"),
            ({"tune": {"line": {}, "mean": None}}, "the one needs the other"),
            ({"budget": "one fit", "n_trials": 3}, "the one needs the other"),
            ({"budget": "one fit", "n_splits": 1}, "compares luck"),
        ],
    )
    def test_what_is_unfair_is_refused(self, options, words):
        with pytest.raises(ValueError, match=words):
            compare({"line": line, "mean": mean}, DATA, **options)

    def test_one_alone_is_no_comparison(self):
        with pytest.raises(ValueError, match="two candidates"):
            compare({"line": line}, DATA, budget="one fit")

    @pytest.mark.parametrize(
        ("range_", "value", "at_border"),
        [
            ((1e-4, 1.0, "log"), 1.2e-4, True),
            ((1e-4, 1.0, "log"), 0.01, False),
            ((1, 10), 10, True),
            ([16, 64, 256], 256, True),
            ([16, 64, 256], 64, False),
            ([16, 64], 64, False),
            (["relu", "tanh", "gelu"], "relu", False),
        ],
    )
    def test_a_choice_at_the_border_of_its_range_is_told(self, range_, value, at_border):
        assert trials._ends(range_, value) is at_border

    def test_trials_that_diverge_lose(self):
        def sometimes(rows, seed, rate):
            if rate > 1:
                raise FloatingPointError("the loss became NaN")
            return line(rows, seed)

        spaces = {"line": None, "sometimes": {"rate": [0.1, 10.0]}}

        def plain(rows, seed):
            return line(rows, seed)

        found = compare(
            {"line": plain, "sometimes": sometimes}, DATA, tune=spaces, n_trials=6, n_splits=2
        )
        assert all(o == {"rate": 0.1} for o in found.frame.options[found.frame.candidate != "line"])


class TestResult:
    @pytest.fixture(scope="class")
    def found(self):
        return compare({"line": line, "mean": mean}, DATA, budget="one fit", n_seeds=2)

    def test_training_errors_stand_beside_test_errors(self, found):
        rows = rl.split(DATA, seed=3)
        model = LinearRegression().fit(rows.train.X, rows.train.y)
        for name in ("train", "validation", "test"):
            part = getattr(rows, name)
            expected = trials.rmse(part.y, model.predict(part.X))
            assert found.errors("line", name)[3] == pytest.approx(expected)

    def test_pairs_are_taken_within_splits_over_the_mean_of_seeds(self, found):
        gap = found.difference("line", "mean")
        assert gap.n == 5
        rows = 200 * 0.8
        by_hand = paired_difference(
            found.errors("line"), found.errors("mean"), overlap=40 / rows, varies="splits"
        )
        assert gap == by_hand
        assert gap.below

    def test_a_relative_difference(self, found):
        gap = found.difference("line", "mean", relative=True)
        expected = found.difference("line", "mean").mean / found.errors("mean").mean()
        assert gap.mean == pytest.approx(expected)

    def test_one_split_compares_seeds(self):
        found = compare(
            {"line": line, "mean": mean}, [rl.split(DATA, seed=0)], budget="one fit", n_seeds=3
        )
        assert (found.varies, found.overlap) == ("seeds", 0)
        assert len(found.errors("mean")) == 3
        assert "3 seeds" in str(found.difference("line", "mean"))

    def test_the_same_seed_finds_the_same_in_two_processes(self, found):
        again = compare({"line": line, "mean": mean}, DATA, budget="one fit", n_seeds=2, n_jobs=2)
        columns = ["candidate", "split", "seed", "train_error", "test_error"]
        pd.testing.assert_frame_equal(again.frame[columns], found.frame[columns])

    def test_table_and_figure(self, found):
        table = found.table("mean")
        assert table.loc["line", "clear"] == "yes"
        assert "5 splits" in table.loc["line", "difference to mean"]
        assert "at the border of what was tried" not in table
        assert "5 splits (160 rows to learn from, 40 to judge by, drawn at random)" in repr(found)
        assert "<table" in found._repr_html_()
        ax = found.plot("mean")
        assert "line −" in alt_text(ax)
        assert ax.get_xlabel() == "test error minus that of mean"

    def test_nobody_by_that_name(self, found):
        with pytest.raises(ValueError, match="no candidate 'plane'"):
            found.errors("plane")
