"""The data of the course: two tables that travel with the package, one that physics makes.

A `Dataset` is a pair of frames, X for what we know and y for what we want to know, with the unit
of every column. Nothing is scaled or encoded here: scikit-learn does that well, and a network
that starts with batch normalisation may not need it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np

from regression_lib.projectile import fly
from regression_lib.words import printable, shorten, shorten_to_list

if TYPE_CHECKING:  # pandas takes longer to import than this whole library: only when used
    import pandas as pd
    from numpy.typing import ArrayLike

KC4 = ("sqft_living", "bedrooms", "lat", "long")  # the post's area, rooms and region
KC17 = (
    *KC4,
    "bathrooms",
    "floors",
    "sqft_lot",
    "sqft_basement",
    "waterfront",
    "view",
    "condition",
    "grade",
    "yr_built",
    "yr_renovated",
    "sqft_living15",
    "sqft_lot15",
    "months",
)

CHECKSUMS = {
    "king_county.csv.gz": "bd45b74a9a1cefbca68b0a66dbfb06c22ef579932831827756dfaa4135194dec",
    "tecator_meats.csv.gz": "a1746537bdbf5e1cf1dc221f3de1d2b2e872a9d53cf815f80795f37446b48044",
}
KING_COUNTY_UNITS = {
    **dict.fromkeys([*KC17, "zipcode"], ""),  # counts, grades and codes are pure numbers
    **dict.fromkeys(["sqft_living", "sqft_lot", "sqft_basement"], "ft²"),
    **dict.fromkeys(["sqft_living15", "sqft_lot15"], "ft²"),
    **dict.fromkeys(["lat", "long"], "°"),
    **dict.fromkeys(["yr_built", "yr_renovated"], "year"),
    "months": "months",
    "price": "US$",
}
PROJECTILE_UNITS = {
    **{"speed": "m/s", "angle": "°", "drag": "1/m", "height": "m"},
    **{"range": "m", "apex": "m", "flight_time": "s"},
}


# ------------------------------------------------------------------------------ the data set


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A table of inputs, a table of targets, and the unit of every column.

    Parameters
    ----------
    X : pandas.DataFrame, shape (n_rows, n_features)
        What we know, float64.
    y : pandas.DataFrame, shape (n_rows, n_targets)
        What we want to know, float64; always two-dimensional, also with one target.
    units : dict of str to str
        The unit of each column of X and y by its name, ``""`` for a pure number.
    name : str
        What the data are, in a few words.
    dates : pandas.Series, optional
        When each row was observed.

    Raises
    ------
    TypeError
        If X or y is no pandas DataFrame.
    ValueError
        If the tables differ in length, or a column has no unit.
    """

    X: pd.DataFrame
    y: pd.DataFrame
    units: dict[str, str]
    name: str
    dates: pd.Series | None = None

    def __post_init__(self) -> None:
        for part in ("X", "y"):
            table = getattr(self, part)
            if not (hasattr(table, "iloc") and hasattr(table, "columns")):
                raise TypeError(
                    f"{part} of a Dataset is a pandas DataFrame, not {type(table).__name__}: pass "
                    f"{part}.to_pandas(), or use fit(net, X, y), which takes tables of any library"
                )
        lengths = {len(part) for part in (self.X, self.y, self.dates) if part is not None}
        if len(lengths) > 1:
            raise ValueError(
                f"X, y and dates need one row each for every observation, "
                f"but they have {sorted(lengths)} rows. Cut them to the same rows first."
            )
        missing = [name for name in (*self.X, *self.y) if name not in self.units]
        if missing:
            raise ValueError(
                f"units lacks {missing}. Give every column a unit; a pure number has the unit ''."
            )

    def __len__(self) -> int:
        return len(self.X)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of X, a tuple."""
        return tuple(self.X.columns)

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of the columns of y, a tuple."""
        return tuple(self.y.columns)

    def select(self, *names: str) -> Dataset:
        """Keep these features, in this order.

        Parameters
        ----------
        *names : str
            Names of columns of X.

        Returns
        -------
        Dataset

        Raises
        ------
        ValueError
            If a name is unknown or comes twice, or if there is none.
        """
        for name in names:
            if name not in self.X:
                raise ValueError(
                    f"{self.name} has no feature {name!r}.{_nearest(name, self.feature_names)} "
                    f"Its features are: {shorten(self.feature_names, 20)}."
                )
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"select needs one or more names, each once, not {names}. "
                f"The features are: {shorten(self.feature_names, 20)}."
            )
        return replace(self, X=self.X[list(names)])

    def rows(self, index: slice | ArrayLike) -> Dataset:
        """Keep these rows.

        Parameters
        ----------
        index : array of int, slice, or array of bool
            Positions, from 0; not labels. Rows keep the labels that they had when they were
            loaded, so that a house can be followed through every split.

        Returns
        -------
        Dataset

        Raises
        ------
        IndexError
            If a position does not exist.
        """
        if not isinstance(index, slice):
            index = np.atleast_1d(np.asarray(index))
        dates = None if self.dates is None else self.dates.iloc[index]
        return replace(self, X=self.X.iloc[index], y=self.y.iloc[index], dates=dates)

    def log_target(self) -> Dataset:
        """Replace the target by its natural logarithm, which turns ratios into differences.

        Returns
        -------
        Dataset
            Its target is named ``log_price`` where it was ``price``, with the unit ``ln(US$)``.

        Raises
        ------
        ValueError
            If there is more than one target, or a value that is not above 0.
        """
        if self.y.shape[1] != 1:
            raise ValueError(
                f"log_target needs exactly one target, but {self.name} has {self.target_names}. "
                f"Use np.log on the columns you mean."
            )
        (target,) = self.target_names
        refused = np.flatnonzero(~(self.y[target].to_numpy() > 0))
        if refused.size:
            raise ValueError(
                f"{target} is {self.y[target].iloc[refused[0]]:g} in row {refused[0]}, and only a "
                f"number above 0 has a logarithm. Leave out such rows with rows(...)."
            )
        unit = self.units[target]
        units = {**self.units, f"log_{target}": f"ln({unit})" if unit else ""}
        return replace(self, y=np.log(self.y).add_prefix("log_"), units=units)

    def _with_unit(self, name):
        return f"{name} ({self.units[name]})" if self.units[name] else str(name)

    def __repr__(self) -> str:
        targets = ", ".join(map(self._with_unit, self.y))
        return printable(
            f"{self.name}: {len(self):,} rows × {self.X.shape[1]} features → {targets}\n"
            f"  features: {shorten(list(map(self._with_unit, self.X)), 8)}"
        )

    def _repr_html_(self):
        shown = shorten_to_list(list(self.X), 8)
        caption = (
            f"{self.name}: {len(self):,} rows × {self.X.shape[1]} features → "
            f"{', '.join(map(self._with_unit, self.y))}"
        )
        cells = [("feature", name) for name in shown] + [("target", name) for name in self.y]
        head = "".join(self._html_head(kind, name) for kind, name in cells)
        body = "\n".join(self._html_row(row, cells) for row in range(min(3, len(self))))
        return (
            '<table class="regression-dataset">\n'
            f"<caption>{escape(caption)}</caption>\n"
            f'<thead><tr><th scope="col">row</th>{head}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody>\n</table>"
        )

    def _html_head(self, kind, name):
        if name is None:
            return f'<th scope="col" class="skipped">… {self.X.shape[1] - 7} more</th>'
        unit = self.units[name]
        unit = f' <span class="unit">({escape(unit)})</span>' if unit else ""
        return f'<th scope="col" class="{kind}">{escape(str(name))}{unit}</th>'

    def _html_row(self, row, cells):
        values = []
        for kind, name in cells:
            table = self.X if kind == "feature" else self.y
            text = "…" if name is None else _number(table[name].iloc[row])
            values.append(f'<td class="{kind if name is not None else "skipped"}">{text}</td>')
        return f'<tr><th scope="row">{escape(str(self.X.index[row]))}</th>{"".join(values)}</tr>'


def _nearest(name, known):
    """Guess what a misspelt name meant: a sentence, or nothing."""
    close = get_close_matches(str(name).lower(), list(map(str, known)), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _number(value):
    """Print a number as a table shows it: years without a comma, longitudes with all digits."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}"


# ------------------------------------------------------------------------------ loading


def load_king_county(
    n: SupportsIndex | None = None, features: Sequence[str] = KC17, seed: int = 0
) -> Dataset:
    """Load the prices of houses sold in King County (Washington State, USA) in 2014 and 2015.

    Parameters
    ----------
    n : int, optional
        Draw so many rows at random, without replacement; they stay in the order of the file.
        By default all 21,419.
    features : sequence of str
        Any of `KC17` and ``"zipcode"``. `KC4` holds the four inputs of the post.
    seed : int
        Decides which n rows are drawn.

    Returns
    -------
    Dataset
        Its target is ``price`` in US dollars; `dates` holds the days of sale.

    Raises
    ------
    ValueError
        If n is out of range, a feature is unknown, or the file is damaged.

    Notes
    -----
    Source, terms, and what the data must not be used for: the data card of the book.
    """
    import pandas as pd

    table = _read("king_county.csv.gz")
    dates = pd.to_datetime(table["date"]).rename("date")
    table["months"] = 12 * (dates.dt.year - 2014) + dates.dt.month - 5  # whole, since May 2014
    dataset = Dataset(
        X=table[[*KC17, "zipcode"]].astype(np.float64),
        y=table[["price"]].astype(np.float64),
        units=KING_COUNTY_UNITS,
        name="King County house sales",
        dates=dates,
    ).select(*([features] if isinstance(features, str) else features))
    if n is None:
        return dataset
    n = _whole_number(n, "n")
    if not 1 <= n <= len(dataset):
        raise ValueError(
            f"n={n} rows were asked for, but {dataset.name} has {len(dataset)}. "
            f"Choose n from 1 to {len(dataset)}, or None for all."
        )
    return dataset.rows(np.sort(np.random.default_rng(seed).permutation(len(dataset))[:n]))


def load_tecator() -> Dataset:
    """Load near-infrared spectra of 215 samples of meat, and what the meat consists of.

    Returns
    -------
    Dataset
        100 absorbances (pure numbers: −log₁₀ of the transmitted share of the light, at 850 to
        1050 nm) → ``water``, ``fat``, ``protein``, each in per cent.

    Raises
    ------
    ValueError
        If the file is damaged.

    Notes
    -----
    Recorded on a Tecator Infratec Food and Feed Analyzer; name Tecator when you publish results.
    The permission note lies beside the file. 22 rows repeat an earlier row exactly; for a strict
    test keep ``data.rows(~data.X.duplicated())``.
    """
    table = _read("tecator_meats.csv.gz").astype(np.float64)
    targets = ["water", "fat", "protein"]
    X = table.drop(columns=targets)
    units = {**dict.fromkeys(X, ""), **dict.fromkeys(targets, "%")}
    return Dataset(X=X, y=table[targets], units=units, name="Tecator meat spectra")


def checksums() -> dict[str, tuple[str, str]]:
    """Compare the shipped files with what they should be.

    Returns
    -------
    dict of str to (str, str)
        For each file the SHA-256 that it should have, and the one found (or ``"missing"``).
    """
    found = {}
    for file, expected in CHECKSUMS.items():
        path = files("regression_lib.datasets") / file
        content = path.read_bytes() if path.is_file() else None
        digest = "missing" if content is None else hashlib.sha256(content).hexdigest()
        found[file] = (expected, digest)
    return found


def _read(file):
    """Read a shipped table, after a look at its checksum: damaged data must not teach anyone."""
    import pandas as pd

    path = files("regression_lib.datasets") / file
    content = path.read_bytes() if path.is_file() else None
    found = "no such file" if content is None else hashlib.sha256(content).hexdigest()
    if found != CHECKSUMS[file]:
        raise ValueError(
            f"{file} is damaged: its SHA-256 should be {CHECKSUMS[file]}, found: {found}. "
            f"Please reinstall the package regression_lib."
        )
    return pd.read_csv(io.BytesIO(gzip.decompress(content)))


def _whole_number(value: SupportsIndex, what: str) -> int:
    """Accept what Python itself accepts as an index, and nothing that would have to be rounded."""
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{what} must be a whole number, not {value!r}.") from None


# ------------------------------------------------------------------------------ physics


def make_projectile(n: SupportsIndex = 2000, seed: int = 0) -> Dataset:
    """Throw n balls through the air: data without noise, and as many as you like.

    The air brakes with the square of the speed: a = −g e_y − k |v| v.

    Parameters
    ----------
    n : int
        How many throws.
    seed : int
        Decides which throws; each feature is drawn evenly from its range.

    Returns
    -------
    Dataset
        ``speed`` (5–40 m/s), ``angle`` (10–80° above the horizon), ``drag`` k (0–0.05 1/m) and
        ``height`` of the throw (0–20 m) → ``range`` (m), ``apex`` (m above the ground) and
        ``flight_time`` (s).

    Raises
    ------
    ValueError
        If n is not a whole number above 0.
    """
    import pandas as pd

    n = _whole_number(n, "n")
    if n < 1:
        raise ValueError(f"n={n} throws make no data. Choose n from 1 up.")
    low, high = (5.0, 10.0, 0.0, 0.0), (40.0, 80.0, 0.05, 20.0)
    throws = np.random.default_rng(seed).uniform(low, high, size=(n, 4))
    names = list(PROJECTILE_UNITS)
    return Dataset(
        X=pd.DataFrame(throws, columns=names[:4]),
        y=pd.DataFrame(fly(*throws.T), columns=names[4:]),
        units=PROJECTILE_UNITS,
        name="Projectile with air drag",
    )


class Split(NamedTuple):
    """Three parts of a data set: to learn from, to choose by, and to report on, once."""

    train: Dataset
    validation: Dataset
    test: Dataset


def split(
    dataset: Dataset, seed: int = 0, test_size: float = 0.2, validation_size: float = 0.1
) -> Split:
    """Split at random: fair where the rows are exchangeable, flattering where time passes.

    Parameters
    ----------
    dataset : Dataset
    seed : int
        Decides the order, ``default_rng(seed).permutation(n)``: first the test rows, then the
        validation rows, then those to train on.
    test_size : float
        Share of all rows.
    validation_size : float
        Share of the rows that are left; 0 for none.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If a share is out of range, or a part would be empty.
    """
    order = np.random.default_rng(seed).permutation(len(dataset))
    return _cut(dataset, order[::-1], test_size, validation_size)


def split_by_time(dataset: Dataset, test_size: float = 0.2, validation_size: float = 0.1) -> Split:
    """Split by time, as a forecast is used: learn from the oldest rows, test on the newest.

    Parameters
    ----------
    dataset : Dataset
        With `dates`.
    test_size, validation_size : float
        As for `split`. The validation rows are the newest that are not test rows.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If the rows have no dates, a share is out of range, or a part would be empty.
    """
    if dataset.dates is None:
        raise ValueError(
            f"{dataset.name} does not know when its rows were observed, so it cannot be split by "
            f"time. Use split(dataset, seed=...), or give the Dataset its dates."
        )
    order = np.argsort(dataset.dates.to_numpy(), kind="stable")
    return _cut(dataset, order, test_size, validation_size)


def _cut(dataset, order, test_size, validation_size):
    if not (0 < test_size < 1 and 0 <= validation_size < 1):
        raise ValueError(
            f"test_size={test_size} must lie between 0 and 1, and validation_size="
            f"{validation_size} from 0 to below 1: they are shares of the rows, e.g. 0.2."
        )
    first_test = int((1 - test_size) * len(order))
    first_validation = int((1 - validation_size) * first_test)
    parts = order[:first_validation], order[first_validation:first_test], order[first_test:]
    sizes = tuple(map(len, parts))
    if 0 in (sizes[0], sizes[2]) or (validation_size > 0 and sizes[1] == 0):
        raise ValueError(
            f"{len(order)} rows would split into {sizes} rows for train, validation and test; "
            f"none may be empty. Take more rows or other shares (validation_size=0 for none)."
        )
    return Split(*map(dataset.rows, parts))
