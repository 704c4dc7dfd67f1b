"""Tables as they are, with text, gaps and dates: through skrub or scikit-learn into the network."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from skrub import TableVectorizer, tabular_pipeline

from regression_lib import DeepRegressor, ExtrapolationWarning

RNG = np.random.default_rng(0)
ROWS = 400
TOWNS = {"Ulm": 50.0, "Bonn": 0.0, "Kiel": -30.0}
STREETS = [f"{name} street {k}" for name in ("oak", "elm", "ash") for k in range(20)]


def sales():
    """What an office keeps: text, dates, numbers that are text, a column that nobody filled in."""
    day = pd.to_timedelta(RNG.integers(0, 700, ROWS), "D")
    table = pd.DataFrame(
        {
            "town": RNG.choice(list(TOWNS), ROWS),
            "area": RNG.normal(100, 20, ROWS),
            "rooms": RNG.integers(1, 6, ROWS).astype(str),
            "sold": pd.Timestamp("2024-01-01") + day,
            "note": RNG.choice(STREETS, ROWS),
            "remarks": np.full(ROWS, np.nan),
        }
    )
    years = (table.sold - table.sold.min()).dt.days / 365
    price = 2 * table.area + table.town.map(TOWNS) + 10 * table.rooms.astype(int) + 20 * years
    table.loc[::7, "area"] = np.nan
    table.loc[::9, "town"] = None
    table.loc[::11, "sold"] = pd.NaT
    return table, (price + RNG.normal(size=ROWS)).rename("price")


TABLE, PRICE = sales()
TRAIN, TEST = slice(0, 300), slice(300, ROWS)


def network(**options):
    return DeepRegressor(**{"hidden": (64,), "n_members": 1, "random_state": 0} | options)


def of_skrub(**options):
    steps = TableVectorizer(), SimpleImputer(add_indicator=True), network(**options)
    return make_pipeline(*steps).set_output(transform="pandas")


def of_scikit_learn():
    """The same by hand: each kind of column its own way."""
    days = FunctionTransformer(lambda dates: dates.apply(lambda day: day.astype("int64") / 8.64e13))
    numbers = FunctionTransformer(lambda texts: texts.apply(pd.to_numeric))
    gaps = SimpleImputer(add_indicator=True, keep_empty_features=True)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["town"]),
        (days, ["sold"]),
        (numbers, ["rooms"]),
        (gaps, make_column_selector(dtype_include="number")),
    )
    return make_pipeline(columns, network())


@pytest.fixture(scope="module")
def model():
    return of_skrub(calibration_fraction=0.2).fit(TABLE[TRAIN], PRICE[TRAIN])


class TestThroughSkrub:
    def test_it_learns_from_every_kind_of_column(self, model):
        assert model.score(TABLE[TEST], PRICE[TEST]) > 0.6
        rooms = TABLE[TEST].assign(rooms="1"), TABLE[TEST].assign(rooms="5")
        assert np.subtract(*map(model.predict, rooms[::-1])).mean() > 20
        towns = TABLE[TEST].assign(town="Kiel"), TABLE[TEST].assign(town="Ulm")
        assert np.subtract(*map(model.predict, towns[::-1])).mean() > 40
        late, early = (
            TABLE[TEST].assign(sold=pd.Timestamp(day)) for day in ("2025-10-01", "2024-02-01")
        )
        assert (model.predict(late) - model.predict(early)).mean() > 10

    def test_a_column_of_gaps_alone_is_left_out(self, model):
        names = model[-1].net_.feature_names
        assert not [name for name in names if "remarks" in name]
        assert "town_Ulm" in names
        filled = TABLE[TEST].assign(remarks="garden")
        assert np.array_equal(model.predict(filled), model.predict(TABLE[TEST]))

    def test_a_column_that_has_gaps_alone_when_it_is_asked(self, model):
        asked = TABLE[TEST].assign(area=np.nan, sold=pd.NaT, town=None)
        predicted = model.predict(asked)
        assert np.isfinite(predicted).all()
        assert predicted.std() < model.predict(TABLE[TEST]).std()

    def test_a_town_that_nobody_has_seen(self, model):
        with pytest.warns(UserWarning, match="unknown categories") as caught:
            predicted = model.predict(TABLE[TEST].assign(town="Rome"))
        assert np.isfinite(predicted).all()
        assert not [found for found in caught if found.category is ExtrapolationWarning]

    def test_a_street_that_nobody_has_seen(self, model):
        with pytest.warns(ExtrapolationWarning, match="column 'note_00' holds 0, where it went"):
            assert np.isfinite(model.predict(TABLE[TEST].assign(note="Via Appia"))).all()

    def test_a_day_far_away_is_warned_of_by_name(self, model):
        with pytest.warns(ExtrapolationWarning, match="100 rows .*'sold_year' holds 2040, where"):
            model.predict(TABLE[TEST].assign(sold=pd.Timestamp("2040-01-01")))

    def test_ranges_and_the_card_know_the_columns_that_came_of_it(self, model):
        rows = model[:-1].transform(TABLE[TEST])
        low, high = model[-1].predict_interval(rows, 0.8)
        inside = (low <= PRICE[TEST]) & (PRICE[TEST] <= high)
        assert 0.6 < inside.mean() < 0.95
        card = model[-1].card()
        assert {"town_Bonn", "rooms", "missingindicator_area"} <= set(card.columns.name)
        assert card.title.startswith("Model card: price from")

    def test_cross_validation(self):
        scores = cross_val_score(of_skrub(epochs=30), TABLE, PRICE, cv=2)
        assert scores.min() > 0.3

    def test_its_own_pipeline_does_the_same(self):
        model = tabular_pipeline(network()).fit(TABLE[TRAIN], PRICE[TRAIN])
        assert model.score(TABLE[TEST], PRICE[TEST]) > 0.6
        assert np.isfinite(model.predict(TABLE[TEST].assign(area=np.nan))).all()

    def test_a_frame_of_polars(self):
        table = pl.from_pandas(TABLE.drop(columns="remarks"))
        steps = TableVectorizer(), SimpleImputer(add_indicator=True), network()
        model = make_pipeline(*steps).set_output(transform="polars")
        model.fit(table[TRAIN], PRICE[TRAIN].to_numpy())
        assert model.score(table[TEST], PRICE[TEST].to_numpy()) > 0.6
        assert "town_Ulm" in model[-1].net_.feature_names


def test_through_scikit_learn_alone():
    table = TABLE.assign(sold=TABLE.sold.fillna(TABLE.sold.median()))
    model = of_scikit_learn().fit(table[TRAIN], PRICE[TRAIN])
    assert model.score(table[TEST], PRICE[TEST]) > 0.8
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExtrapolationWarning)
        asked = table[TEST].assign(town="Rome", area=np.nan)
        assert np.isfinite(model.predict(asked)).all()
    assert np.array_equal(
        clone(model).fit(table[TRAIN], PRICE[TRAIN]).predict(asked), model.predict(asked)
    )


class TestARawTable:
    @pytest.mark.parametrize(
        ("columns", "error", "words"),
        [
            (["area", "town"], TypeError, r"column 'town' holds '\w+' \(str\) in row 1"),
            (["rooms"], TypeError, r"column 'rooms' holds '\d' .* a number written as text"),
            (["sold"], TypeError, r"column 'sold' holds NaT .*Turn dates into a number"),
            (["area"], ValueError, r"58 values are missing .*column 'area': nan.*SimpleImputer"),
            (["remarks"], ValueError, r"400 values are missing .*column 'remarks': nan"),
        ],
    )
    @pytest.mark.parametrize("kind", ["pandas", "polars"])
    def test_it_is_refused_with_the_place_and_the_cure(self, columns, error, words, kind):
        table = TABLE[columns] if kind == "pandas" else pl.from_pandas(TABLE[columns])
        words = words if kind == "pandas" else words.replace("NaT ", "datetime")
        with pytest.raises(error, match=words):
            network().fit(table, PRICE)

    def test_also_when_it_is_asked_for_a_prediction(self):
        model = network(epochs=1).fit(TABLE[["area"]].fillna(100), PRICE)
        with pytest.raises(ValueError, match="58 values are missing"):
            model.predict(TABLE[["area"]])
        with pytest.raises(TypeError, match="column 'area' holds 'large'"):
            model.predict(TABLE[["area"]].assign(area="large"))
