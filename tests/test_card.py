"""A card says what was measured, and nothing else; far outside of it there is a warning."""

import io
import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
import torch
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

import regression_lib
from regression_lib import (
    DeepRegressor,
    ExtrapolationWarning,
    load_king_county,
    make_projectile,
    split,
)
from regression_lib.card import MOST_LINES
from regression_lib.seen import Seen

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.1 * RNG.normal(size=300)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(c=np.arange(300) % 7)
QUICK = {"hidden": (8,), "n_members": 1, "ridge": False, "epochs": 3, "random_state": 0}


def quick(**options):
    return DeepRegressor(**(QUICK | options))


class TestCard:
    def test_columns_and_targets_are_described_by_what_they_hold(self):
        card = quick().fit(FRAME, pd.Series(Y, name="price")).card()
        assert card.title == "Model card: price from a, b, c"
        assert card.columns.name.tolist() == ["a", "b", "c"]
        assert card.columns["different values"].tolist() == [300, 300, 7]
        described = card.columns.set_index("name")
        assert described.smallest.tolist() == FRAME.min().tolist()
        assert described.largest.tolist() == FRAME.max().tolist()
        assert described["median"].to_numpy() == pytest.approx(FRAME.median().to_numpy(), abs=0.02)
        assert described.loc["c", "first quarter"] == FRAME.c.quantile(0.25)
        assert card.targets.loc[0, "largest"] == Y.max()

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("n_members", [1, 3])
    def test_the_error_is_that_of_the_rows_which_chose_the_epoch(self, n_members, weighted):
        # The history knows the same error, of standardised targets and member by member.
        weight = RNG.integers(0, 3, 300).astype(float) if weighted else None
        model = quick(n_members=n_members, patience=50).fit(X, Y, sample_weight=weight)
        told = model.card().targets.loc[0, "RMSE (validation)"]
        scale = model.net_.y_scaler.scale.item()
        known = model.history_.best.validation_loss
        if not weighted:  # each member on the rows that it alone has not been trained on
            assert told == pytest.approx(scale * np.sqrt(known.mean()), rel=1e-4)
        elif n_members == 1:
            assert told == pytest.approx(scale * np.sqrt(known[0]), rel=1e-4)
        else:  # weights count over all their rows together
            assert told == pytest.approx(scale * np.sqrt(known.mean()), rel=0.1)
        counted = 300 if weight is None else np.count_nonzero(weight)
        assert f"on {counted} rows" in model.card().facts["trained"]
        judged = model.card().facts["validation rows"]
        assert f"({n_members * -(-counted // 10)})" in judged
        assert ("for each member others" in judged) == (n_members > 1)

    def test_validation_rows_of_ones_own(self):
        model = quick().fit(FRAME[:200], Y[:200], validation=(FRAME[200:], Y[200:]))
        rmse = np.sqrt(((model.predict(FRAME[200:]) - Y[200:]) ** 2).mean())
        assert model.card().targets.loc[0, "RMSE (validation)"] == pytest.approx(rmse)
        assert "rows of the user's choice (100)" in model.card().facts["validation rows"]

    def test_validation_rows_of_any_library(self):
        frame = FRAME.assign(price=Y)
        tables = {"pandas": frame, "polars": pl.from_pandas(frame), "pyarrow": pa.table(frame)}
        told = {}
        for name, table in tables.items():
            choose = table.__getitem__ if name == "pandas" else table.select
            X, y = choose(["a", "b", "c"]), choose(["price"])
            told[name] = quick().fit(FRAME, frame[["price"]], validation=(X, y)).card()
        errors = [card.targets.loc[0, "RMSE (validation)"] for card in told.values()]
        assert errors == pytest.approx(errors[:1] * 3)

    def test_without_validation_rows_it_claims_no_error(self):
        card = quick(validation_fraction=0).fit(X, Y).card()
        assert not [name for name in card.targets.columns if "RMSE" in name]
        assert card.facts["validation rows"].startswith("none: the weights are those of the last")

    def test_ranges_are_those_that_are_predicted(self):
        throws = make_projectile(300)
        model = quick(calibration_fraction=0.2).fit(throws.X, throws.y)
        card = model.card()
        assert card.ranges.share.tolist() == [0.5, 0.8, 0.9, 0.95]  # 60 rows know of no 0.99
        for share, *widths in card.ranges.itertuples(index=False):
            low, high = model.predict_interval(throws.X[:1], share)
            assert (high - low)[0] / 2 == pytest.approx(widths)
        rmse = np.sqrt((model.calibration_.errors**2).mean(0))
        assert card.targets["RMSE (calibration)"].to_numpy() == pytest.approx(rmse)
        assert card.facts["calibration rows"].startswith("60.")
        assert len(quick().fit(X, Y).card().ranges) == 0
        assert len(quick().fit(X, Y).calibrate(X[:1], Y[:1]).card().ranges) == 1

    def test_options_and_versions(self):
        model = quick(lr=1e-2, n_members=2).fit(X, Y)
        told = "epochs=3, hidden=(8,), lr=0.01, n_members=2, random_state=0, ridge=False"
        model.set_params(lr=1)  # of the next fit
        assert model.card().facts["options"] == told
        versions = model.card().facts["versions"]
        for module in (regression_lib, torch, np, sklearn):
            assert f"{module.__name__} {module.__version__}" in versions
        assert DeepRegressor(epochs=1).fit(X, Y).card().facts["options"] == "epochs=1"

    def test_without_names_and_without_options(self):
        model = quick().fit(X, np.stack([Y, Y], axis=1))
        model._facts.options.clear()
        card = model.card()
        assert card.title == "Model card: y 0, y 1 from column 0, column 1, column 2"
        assert card.facts["options"] == "all defaults"

    def test_units_where_the_network_knows_them(self):
        model = quick().fit(FRAME, pd.Series(Y, name="price"))
        model.net_.units = {"a": "ft²", "price": "US$"}
        card = model.card()
        assert card.columns.unit.tolist() == ["ft²", "", ""]
        assert card.targets.unit.tolist() == ["US$"]

    def test_markdown_and_html_hold_every_number_and_no_markup_of_a_name(self):
        frame = FRAME.rename(columns={"a": "a|<b>", "b": "a\nb"})
        model = quick(calibration_fraction=0.2).fit(frame, pd.Series(Y, name="<i>"))
        text = str(model.card())
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len(rows) == (2 + 1) + (2 + 3) + (2 + 4)
        assert rows[5].startswith("| a\\|<b> |")
        assert rows[6].startswith("| a b |")
        html = model.card()._repr_html_()
        assert "&lt;i&gt;" in html
        assert "<i>" not in html
        assert f"{frame.max().iloc[0]:.6g}" in html
        assert f"{frame.max().iloc[0]:.6g}" in text
        open_tags = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, _: open_tags.append(tag)
        parser.handle_endtag = lambda tag: open_tags.remove(tag)
        parser.feed(html)
        assert open_tags == []

    def test_a_wide_table_is_shown_in_part_and_kept_whole(self):
        wide = RNG.normal(size=(50, MOST_LINES + 3))
        card = quick(hidden=(1,), n_bins=1).fit(wide, Y[:50]).card()
        assert len(card.columns) == MOST_LINES + 3
        assert "… and 3 more" in str(card)
        assert "… and 3 more" in card._repr_html_()
        assert card.title == "Model card: y from 103 columns"

    def test_numbers_of_any_size(self):
        for size in (1e-300, 1e300):
            card = quick().fit(size * X, size * Y).card()
            assert card.targets.loc[0, "RMSE (validation)"] == pytest.approx(size, rel=2)

    def test_a_terminal_without_signs(self, monkeypatch):
        card = quick(calibration_fraction=0.2).fit(X, Y).card()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
        assert "±" in card.markdown
        str(card).encode("ascii")
        repr(card).encode("ascii")

    def test_before_fit(self):
        with pytest.raises(NotFittedError):
            quick().card()

    def test_a_warm_start_has_seen_both(self):
        model = quick(warm_start=True).fit(X, Y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.fit(X / 2, Y)
            model.predict(X)
        for rows in (X, 2 * X, X / 3):
            card = model.fit(rows, Y).card()
        assert card.columns.smallest.tolist() == (2 * X).min(0).tolist()
        assert card.columns.largest.tolist() == (2 * X).max(0).tolist()
        with pytest.warns(ExtrapolationWarning):
            quick().fit(X / 4, Y).predict(X)


class TestExtrapolation:
    def test_it_names_rows_columns_and_how_far(self):
        model = quick().fit(FRAME, Y)
        frame = FRAME[:4].assign(a=[0.0, 100.0, -3000.0, 0.0], c=[0.0, 50.0, 0.0, 0.0])
        with pytest.warns(ExtrapolationWarning) as caught:
            model.predict(frame)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        said = str(caught[0].message)
        assert said.startswith("2 rows of X lie far outside")
        least, most = FRAME.a.min(), FRAME.a.max()
        assert f"column 'a' holds -3000, where it went from {least:g} to {most:g}; " in said
        assert "column 'c' holds 50, where it went from 0 to 6. To hear" in said
        assert "'b'" not in said

    def test_five_columns_at_most(self):
        seen = Seen.of(np.array([[0.0] * 8, [1.0] * 8]))
        with pytest.warns(ExtrapolationWarning, match=r"^1 row of X lies .*; and 3 columns more"):
            seen.warn_of(np.full((1, 8), 2.0))

    @pytest.mark.parametrize(
        ("value", "warned"), [(-0.51, True), (-0.49, False), (1.49, False), (1.51, True)]
    )
    def test_half_a_range_more_on_either_side(self, value, warned):
        seen = Seen.of(np.array([[0.0], [0.3], [1.0]]))
        assert caught(seen, value) == warned

    @pytest.mark.parametrize("value", [0.1, -3e7, 0.0])
    def test_a_column_of_one_value_knows_that_value(self, value):
        seen = Seen.of(np.full((5, 1), value))
        assert not caught(seen, value)
        assert not caught(seen, float(np.float32(value)))
        assert caught(seen, value + 0.01 * abs(value) + 0.001)
        with pytest.warns(
            ExtrapolationWarning, match=f"'k' holds 1e.09, .* {re.escape(f'{value:g}')}"
        ):
            seen.warn_of(np.array([[1e9]]), ["k"])

    def test_the_largest_numbers_have_a_range(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            seen = Seen.of(np.array([[-1.5e308], [1.5e308]]))
            seen.warn_of(np.array([[1.7e308]]))

    def test_ranges_and_calibration_warn_too_and_a_filter_silences(self):
        model = quick(calibration_fraction=0.2).fit(X, Y)
        with pytest.warns(ExtrapolationWarning) as found:
            model.predict_interval(20 * X)
        assert [warning.filename for warning in found] == [__file__]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", ExtrapolationWarning)
            model.predict(20 * X)

    @pytest.mark.parametrize("seed", range(5))
    def test_no_row_of_king_county_that_was_left_out_is_outside(self, seed):
        train, valid, test = split(load_king_county().log_target(), seed=seed)
        seen = Seen.of(pd.concat([train.X, valid.X]).to_numpy())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            seen.warn_of(test.X.to_numpy())

    def test_cross_validation_is_quiet(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error", ExtrapolationWarning)
            assert cross_val_score(quick(), X, Y, cv=5).shape == (5,)


def caught(seen, value):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        seen.warn_of(np.array([[value]]))
    return len(found) > 0
