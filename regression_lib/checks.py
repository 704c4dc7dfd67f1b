"""The gate that every number passes on its way into a network.

Most accidents with networks are accidents with their input, and PyTorch reports them late or not
at all: one NaN spoils the running statistics of batch normalisation for ever. So whatever holds
the numbers (a frame of pandas, polars or pyarrow, an array, a tensor, a list), nothing passes
here that is missing, infinite, no number, or under another column's name.

Where scikit-learn has words for what is wrong, they are used.
"""

from __future__ import annotations

import datetime
import operator
import sys
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
import torch

from regression_lib.words import shorten

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

# Tables and columns come from libraries that need not be installed here, so that no annotation
# can list them all: `as_matrix` and `as_vector` say what they take, and look at what comes.
Table: TypeAlias = Any
Column: TypeAlias = Any

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
NUMBERS = "biuf"  # NumPy's kinds of real numbers, booleans included


def as_matrix(
    values: Table,
    what: str,
    columns: int | Sequence[str] | None = None,
    dtype: DTypeLike | None = np.float64,
    *,
    copy: bool = True,
) -> np.ndarray:
    """Turn a table of any kind into a matrix of finite numbers, or say why it is none.

    Parameters
    ----------
    values : DataFrame, array, tensor or nested list, shape (n_rows, n_columns)
        Numbers; booleans count as 0 and 1. A frame may be one of pandas, polars, pyarrow, or
        whatever else narwhals knows.
    what : str
        What the table is called in an error, e.g. ``"X"``.
    columns : int or tuple of str, optional
        How many columns it must have, or their names in order. Names are compared where the
        table has some; otherwise only their number.
    dtype : numpy dtype or None
        Of the result. None: float32 where the numbers are held so, else float64.
    copy : bool
        Whether the result must be free to be written to; else it may be `values` itself.

    Returns
    -------
    numpy.ndarray, shape (n_rows, n_columns)

    Raises
    ------
    TypeError
        If a value is no number: text, a date, a category.
    ValueError
        If the shape is wrong, the table is empty, a column is missing or stands elsewhere, or a
        value is missing, NaN, infinite, complex, or too large for `dtype`.
    """
    if dtype is None and not copy and _is_ready(values, columns):
        return values
    names = column_names(values, what)
    frame = _as_frame(values, what)
    table = _as_array(values, what) if frame is None else frame
    _check_shape(table.shape, what)
    if columns is not None:
        _check_columns(table.shape, names, columns, what)
    labels = _labels(values, names, columns, table.shape[1])
    numbers = _only_numbers(table, labels, what) if frame is None else _columns(frame, labels, what)
    dtype = dtype or (np.float32 if numbers.dtype == np.float32 else np.float64)
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused below
        matrix = np.array(numbers, dtype, order="C", copy=copy or None)
    if any(step < 0 or step % matrix.itemsize for step in matrix.strides):
        matrix = matrix.copy()  # one row counts as contiguous for NumPy however it is stored
    check_finite(matrix, numbers, labels, what)
    return matrix


def _is_ready(values, columns):
    """Whether an array is all that is asked for: the most frequent table takes the quick way."""
    if type(values) is not np.ndarray or values.ndim != 2 or values.dtype not in FLOATS:
        return False
    n_rows, n_columns = values.shape
    wanted = len(columns) if isinstance(columns, (tuple, list)) else columns or n_columns
    return (
        n_rows > 0
        and n_columns == wanted > 0
        and values.strides == (values.itemsize * n_columns, values.itemsize)
        and bool(np.isfinite(values).all())
    )


def as_vector(values: Column, what: str) -> np.ndarray:
    """Turn a column of any kind (series, array, tensor or list) into finite numbers.

    Returns
    -------
    numpy.ndarray, shape (n_rows,)

    Raises
    ------
    TypeError, ValueError
        Those of `as_matrix`; or if there is more than one dimension.
    """
    series = _as_series(values)
    if series is not None:
        return as_matrix(series.to_frame().to_native(), what)[:, 0]
    column = _as_array(values, what)
    if column.ndim != 1:
        raise ValueError(f"{what} must have one dimension, but its shape is {column.shape}")
    return as_matrix(column[:, None], what)[:, 0]


def is_column(values: Table | Column, what: str) -> bool:
    """Whether values of any kind have one dimension only, as a series has."""
    if hasattr(values, "shape"):
        return len(values.shape) == 1
    return _as_series(values) is not None or (
        _as_frame(values, what) is None and _as_array(values, what).ndim == 1
    )


def column_names(values: Table | Column, what: str = "X") -> tuple[str, ...] | None:
    """The names of a table's columns, or of a series as the only one; None where it has none.

    Names are texts. A frame whose columns are merely numbered has none, as in scikit-learn.

    Raises
    ------
    TypeError
        If some names are texts and others are not.
    """
    series = _as_series(values)
    if series is not None:
        return (series.name,) if isinstance(series.name, str) and series.name else None
    names = _raw_names(values)
    texts = [isinstance(name, str) for name in names]
    if any(texts) and not all(texts):
        raise TypeError(
            f"{what} has column names that are no text: {names[texts.index(False)]!r}. "
            f"Feature names are only supported if all of them are strings, e.g. "
            f"{what}.columns = {what}.columns.astype(str)."
        )
    return tuple(names) if any(texts) else None


def _raw_names(values):
    if isinstance(values, np.ndarray) or hasattr(values, "collect"):
        return []  # the quick way for the most frequent table; and a lazy one is refused anyway
    if hasattr(values, "schema") and hasattr(values.schema, "names") and hasattr(values, "column"):
        return list(values.schema.names)  # pyarrow, whose Table.columns holds the columns
    names = getattr(values, "columns", None)
    return [] if names is None or callable(names) else list(names)


def _as_series(values):
    if isinstance(values, (np.ndarray, torch.Tensor, list, tuple)):
        return None
    import narwhals as nw

    if nw.dependencies.is_into_series(values):
        return nw.from_native(values, series_only=True)
    return None


def _as_frame(values, what):
    """A frame of any library as one of narwhals, or None if it is no frame."""
    if isinstance(values, (np.ndarray, torch.Tensor, list, tuple)):
        return None
    # Loaded when used: who holds a frame has loaded what is slow to load already.
    import narwhals as nw

    batch = hasattr(values, "__arrow_c_array__") and hasattr(values, "num_columns")
    if not batch and not nw.dependencies.is_into_dataframe(values):
        if isinstance(nw.from_native(values, pass_through=True), nw.LazyFrame):
            raise TypeError(f"{what} is lazy ({type(values).__name__}). Pass {what}.collect().")
        return None
    names = _raw_names(values)
    twice = sorted({name for name in names if names.count(name) > 1}, key=str)
    if twice:
        raise ValueError(f"{what} has columns twice: {twice}. Give each column its own name.")
    if batch:
        return nw.from_arrow(values, backend="pyarrow")
    return nw.from_native(values, eager_only=True)


def _columns(frame, labels, what):
    """A frame as float64, missing values as NaN; or an error that names what is no number."""
    native = frame.to_native()
    kinds = [kind.kind if isinstance(kind, np.dtype) else "" for kind in _dtypes(native)]
    if kinds and set(kinds) <= set(NUMBERS):  # of pandas, held as NumPy holds it: just as it is
        return native.to_numpy()
    import narwhals as nw

    numbers = np.empty(frame.shape)
    for position, (column, name) in enumerate(zip(frame.iter_columns(), labels, strict=True)):
        if column.dtype.is_numeric() or column.dtype == nw.Boolean:
            numbers[:, position] = column.cast(nw.Float64).to_numpy()
        elif isinstance(column.dtype, (nw.Categorical, nw.Enum)):
            refuse(what, name, 0, column.to_list()[0])
        else:
            values = np.array([*column.to_list(), None], dtype=object)[:-1, None]
            numbers[:, [position]] = _only_numbers(values, [name], what)
    return numbers


def _dtypes(native):
    dtypes = getattr(native, "dtypes", None)
    return [] if dtypes is None else list(dtypes)


def _as_array(values, what):
    """Unwrap tensors, lists and masked arrays into one NumPy array of any type."""
    if isinstance(values, (list, tuple)) and len(values):
        if all(isinstance(row, torch.Tensor) for row in values):
            values = _stacked(values, what)
        elif any(isinstance(row, np.ma.MaskedArray) for row in values):
            values = np.ma.array(values)  # np.asarray would uncover what is masked
    if isinstance(values, torch.Tensor):
        return _of_tensor(values, what)
    if isinstance(values, np.ma.MaskedArray):
        array = values.data.astype(float if values.dtype.kind in NUMBERS else object)
        array[np.ma.getmaskarray(values)] = np.nan
        return array
    _check_kind(values, what)
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{what} has rows of different lengths. Give every row the same number of columns."
        ) from None
    except (TypeError, RuntimeError) as error:  # of single numbers that are tensors, for example
        raise TypeError(f"{what} cannot be made an array: {error}") from error
    # NumPy turns [1, "a"] into two strings; keep the 1 a number, so that the error names the "a".
    return np.asarray(values, dtype=object) if array.dtype.kind in "US" else array


def _stacked(rows, what):
    if len({row.shape for row in rows}) > 1:
        raise ValueError(
            f"{what} has rows of different lengths. Give every row the same number of columns."
        )
    return torch.stack([row.detach() for row in rows])


def _of_tensor(values, what):
    try:
        values = values.detach().cpu().resolve_conj().resolve_neg()
        values = values.to_dense() if values.layout != torch.strided else values
        return values.double().numpy() if values.dtype == torch.bfloat16 else values.numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise TypeError(f"{what} cannot be made an array: {error}") from error


def _check_kind(values, what):
    """Refuse what NumPy would turn into something that is no table."""
    if hasattr(values, "toarray"):  # SciPy's sparse matrices
        raise TypeError(f"{what} is sparse ({type(values).__name__}). Pass {what}.toarray().")
    no_table = values is None or isinstance(values, (str, bytes, dict, set))
    if no_table or hasattr(values, "target_names") or hasattr(values, "__dataframe__"):
        raise TypeError(
            f"{what} must be a table of numbers (DataFrame, array, tensor or list of rows), "
            f"not {type(values).__name__}. Of a Dataset, pass its X or its y."
        )


def _check_shape(shape, what):
    if len(shape) < 2:
        raise ValueError(
            f"{what} must have two dimensions, rows and columns, but its shape is {shape}. "
            f"Reshape your data: .reshape(-1, 1) if it is one column of many rows, "
            f".reshape(1, -1) if it is one row of many columns (of a Series, take "
            f".to_numpy() first)."
        )
    if len(shape) > 2:
        raise ValueError(
            f"{what} must have two dimensions, rows and columns, but its shape is {shape}. "
            f"Flatten each row first: .reshape(len({what}), -1)."
        )
    if 0 in shape:
        lacking = "row(s) (n_samples=0)" if shape[0] == 0 else "feature(s)"
        raise ValueError(
            f"{what} is empty: it has 0 {lacking} (shape={shape}) while a minimum of 1 is required."
        )


def _check_columns(shape, names, columns, what):
    expected = columns if isinstance(columns, int) else len(columns)
    if names is not None and not isinstance(columns, int):
        check_names(names, columns, what)
    if shape[1] != expected:
        listed = "" if isinstance(columns, int) else f": {shorten(map(str, columns), 20)}"
        raise ValueError(
            f"{what} has {shape[1]} columns, but {expected} are expected{listed}. "
            f"Pass the columns that the network was made for."
        )


def check_names(names: Sequence[str], expected: Sequence[str], what: str) -> None:
    """Refuse other names, and the right names in another order: swapping them is no small thing."""
    if list(names) == list(expected):
        return
    unseen = [name for name in names if name not in expected]
    missing = [name for name in expected if name not in names]
    problems = [
        f"Feature names unseen at fit time:{_listed(unseen)}" if unseen else "",
        f"Feature names seen at fit time, yet now missing:{_listed(missing)}" if missing else "",
    ]
    if not unseen and not missing:
        problems = [
            "Feature names must be in the same order as they were in fit.\n"
            f"{what} has its columns in another order: {shorten(names, 20)}\n"
        ]
    raise ValueError(
        f"{what}: The feature names should match those that were passed during fit.\n"
        f"{''.join(problems)}Expected are: {shorten(expected, 20)}. "
        f"Select them by name, e.g. {what}[[...]] in pandas, in that order."
    )


def _listed(names):
    """The first few names as scikit-learn lists them, a line each."""
    more = "- ...\n" if len(names) > 5 else ""
    return "\n" + "".join(f"- {name}\n" for name in sorted(names)[:5]) + more


def _labels(values, names, columns, n_columns):
    """What the columns are called in an error."""
    if names is None and isinstance(columns, (tuple, list)):
        names = columns
    own = _raw_names(values)
    return list(names or (own if len(own) == n_columns else range(n_columns)))


def _only_numbers(table, labels, what):
    """Let real numbers through; name the first value that is none."""
    if table.dtype.kind in NUMBERS:
        return table
    if table.dtype.kind != "O":  # dates, complex numbers, records
        refuse(what, labels[0], 0, table[0, 0])
    pandas = sys.modules.get("pandas")  # who holds its NA has loaded it
    missing = (None, getattr(pandas, "NA", None), np.ma.masked)
    numbers = np.empty(table.shape)
    for (row, column), value in np.ndenumerate(table):
        if isinstance(value, (Real, Decimal, np.bool_)):
            numbers[row, column] = _as_float(value)
        elif any(value is mark for mark in missing):
            numbers[row, column] = np.nan
        else:
            refuse(what, labels[column], row, value)
    return numbers


def _as_float(value):
    try:
        return float(value)
    except OverflowError:  # a whole number, of which Python has larger ones
        return np.inf


def index_of(k: int, n_members: int) -> int:
    """The number of a member, counted from the first one, or an error that says what is wrong."""
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise TypeError(f"a member is asked for by a whole number, got {k!r}")
    if not -n_members <= k < n_members:
        raise IndexError(f"there is no member {k}: the ensemble has {n_members}")
    return operator.index(k) % n_members


def refuse(what: str, name: object, row: int, value: object) -> NoReturn:
    """Raise the error that says why a value is no real number, and what to do."""
    if isinstance(value, (complex, np.complexfloating)):
        raise ValueError(
            f"Complex data not supported: column {name!r} of {what} holds {value!r} in row {row}. "
            f"Pass .real and .imag as two columns."
        )
    dates = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
    if isinstance(value, dates) or hasattr(value, "isoformat"):
        advice = (
            "Turn dates into a number first, e.g. the months since a fixed day, or with skrub's "
            "TableVectorizer in a Pipeline."
        )
    elif isinstance(value, torch.Tensor):
        advice = "Stack tensors into one, e.g. torch.stack(rows)."
    else:
        advice = (
            "Encode it as numbers first, e.g. with sklearn's OneHotEncoder, or the whole table "
            "with skrub's TableVectorizer in a Pipeline (or with to_numeric, if it is a number "
            "written as text)."
        )
        if not isinstance(value, str):
            advice += " In Python's words, an argument must be a string or a real number."
    raise TypeError(
        f"{what} must hold real numbers, but column {name!r} holds {value!r} "
        f"({type(value).__name__}) in row {row}. {advice}"
    )


def check_finite(
    matrix: np.ndarray,
    numbers: np.ndarray,
    labels: Sequence[object],
    what: str,
    rows: Sequence[int] | None = None,
) -> None:
    """Refuse what is missing, infinite, or has become infinite on its way from `numbers`.

    `rows` are the numbers of the rows, where these are not all or not in order.
    """
    finite = np.isfinite(matrix)
    if finite.all():
        return
    bad = ~finite
    row, column = np.argwhere(bad)[0]
    value = float(numbers[row, column])
    place = f"row {row if rows is None else rows[row]}, column {labels[column]!r}"
    if np.isfinite(value):
        raise ValueError(
            f"{what} holds {value!r} in {place}, which is too large for {matrix.dtype}. "
            f"Scale the column, e.g. to thousands."
        )
    kind = "NaN" if np.isnan(value) else f"infinity or a value too large for {matrix.dtype!r}"
    count = "1 value is" if bad.sum() == 1 else f"{bad.sum()} values are"
    raise ValueError(
        f"Input {what} contains {kind}. {count} missing or not finite, the first "
        f"in {place}: {value}. Leave out such rows, or fill them in, e.g. with sklearn's "
        f"SimpleImputer."
    )
