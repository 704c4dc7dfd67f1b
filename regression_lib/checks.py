"""The gate that every number passes on its way into a network.

Most accidents with networks are accidents with their input, and PyTorch reports them late or not
at all: one NaN spoils the running statistics of batch normalisation for ever.
"""

import sys
from decimal import Decimal
from numbers import Real

import numpy as np
import torch


def as_matrix(values, what, columns=None, dtype=np.float64):
    """Turn a table of any kind into a matrix of finite numbers, or say why it is none.

    Parameters
    ----------
    values : DataFrame, array, tensor or nested list, shape (n_rows, n_columns)
        Numbers; booleans count as 0 and 1.
    what : str
        What the table is called in an error, e.g. ``"X"``.
    columns : int or tuple of str, optional
        How many columns it must have, or their names in order. Names are compared where the
        table has some (a DataFrame); otherwise only their number.
    dtype : numpy dtype
        Of the result.

    Returns
    -------
    numpy.ndarray, shape (n_rows, n_columns)
        A fresh copy that may be written to.

    Raises
    ------
    TypeError
        If a value is no real number: text, a date, a category, a complex number.
    ValueError
        If the shape is wrong, the table is empty, a column is missing or stands elsewhere, or a
        value is NaN, infinite, or too large for `dtype`.
    """
    table = _as_array(values, what)
    names = list(values.columns) if _is_frame(values) else None
    _check_shape(table.shape, what)
    if columns is not None:
        _check_columns(table.shape, names, columns, what)
    if names is None:
        named = isinstance(columns, (tuple, list))
        names = list(columns) if named else list(range(table.shape[1]))
    numbers = _only_numbers(table, names, what)
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused below
        matrix = np.array(numbers, dtype=dtype, order="C")
    _check_finite(matrix, numbers, names, what)
    return matrix


def _is_frame(values):
    pandas = sys.modules.get("pandas")  # who holds a frame has loaded pandas, which takes long
    return pandas is not None and isinstance(values, pandas.DataFrame)


def _as_array(values, what):
    """Unwrap frames, tensors and lists into one NumPy array of any type."""
    if _is_frame(values):
        for position, kind in enumerate(values.dtypes):
            if kind == "category" and len(values):
                _refuse(what, values.columns[position], 0, values.iloc[0, position])
        return values.to_numpy()
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.to_dense() if values.layout != torch.strided else values
        return values.double().numpy() if values.dtype == torch.bfloat16 else values.numpy()
    if hasattr(values, "toarray"):  # SciPy's sparse matrices
        raise TypeError(f"{what} is sparse ({type(values).__name__}). Pass {what}.toarray().")
    no_table = values is None or isinstance(values, (str, bytes, dict, set))
    if no_table or hasattr(values, "target_names"):
        raise TypeError(
            f"{what} must be a table of numbers (DataFrame, array, tensor or list of rows), "
            f"not {type(values).__name__}. Of a Dataset, pass its X or its y."
        )
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{what} has rows of different lengths. Give every row the same number of columns."
        ) from None
    # NumPy turns [1, "a"] into two strings; keep the 1 a number, so that the error names the "a".
    return np.asarray(values, dtype=object) if array.dtype.kind in "US" else array


def _check_shape(shape, what):
    if len(shape) < 2:
        raise ValueError(
            f"{what} must have two dimensions, rows and columns, but its shape is {shape}. "
            f"Reshape your data: .reshape(-1, 1) if it is one column of many rows, "
            f".reshape(1, -1) if it is one row of many columns (of a pandas Series, take "
            f".to_numpy() first)."
        )
    if len(shape) > 2:
        raise ValueError(
            f"{what} must have two dimensions, rows and columns, but its shape is {shape}. "
            f"Flatten each row first: .reshape(len({what}), -1)."
        )
    if 0 in shape:
        raise ValueError(
            f"{what} is empty: its shape is {shape}. At least one row and one column are needed."
        )


def _check_columns(shape, names, columns, what):
    expected = columns if isinstance(columns, int) else len(columns)
    if names is not None and not isinstance(columns, int):
        _check_names(names, list(columns), what)
    if shape[1] != expected:
        listed = "" if isinstance(columns, int) else f": {shorten(map(str, columns), 20)}"
        raise ValueError(
            f"{what} has {shape[1]} columns, but {expected} are expected{listed}. "
            f"Pass the columns that the network was made for."
        )


def _check_names(names, expected, what):
    """Refuse other names, and the right names in another order: swapping them is no small thing."""
    if names == expected:
        return
    missing = [name for name in expected if name not in names]
    extra = [name for name in names if name not in expected]
    if missing or extra:
        problem = f"lacks the columns {missing}" if missing else f"has unknown columns {extra}"
        problem += f" and has unknown columns {extra}" if missing and extra else ""
    elif len(names) != len(expected):
        problem = f"has columns twice: {sorted({n for n in names if names.count(n) > 1}, key=str)}"
    else:
        problem = f"has its columns in another order: {shorten(map(str, names), 20)}"
    raise ValueError(
        f"{what} {problem}. Expected are: {shorten(map(str, expected), 20)}. "
        f"Select them by name, {what}[[...]], in that order."
    )


def _only_numbers(table, names, what):
    """Let real numbers through; name the first value that is none."""
    if table.dtype.kind in "biuf":
        return table
    if table.dtype.kind != "O":  # dates, complex numbers, records
        _refuse(what, names[0], 0, table[0, 0])
    from pandas import NA

    numbers = np.empty(table.shape)
    for (row, column), value in np.ndenumerate(table):
        if isinstance(value, (Real, Decimal, np.bool_)):
            numbers[row, column] = value
        elif value is None or value is NA:
            numbers[row, column] = np.nan
        else:
            _refuse(what, names[column], row, value)
    return numbers


def _refuse(what, name, row, value):
    if isinstance(value, (complex, np.complexfloating)):
        advice = "Complex data not supported: pass .real and .imag as two columns."
    elif hasattr(value, "isoformat") or isinstance(value, (np.datetime64, np.timedelta64)):
        advice = "Turn dates into a number first, e.g. the months since a fixed day."
    else:
        advice = (
            "Encode it as numbers first, e.g. with sklearn's OneHotEncoder "
            "(or pd.to_numeric, if it is a number written as text)."
        )
    raise TypeError(
        f"{what} must hold real numbers, but column {name!r} holds {value!r} "
        f"({type(value).__name__}) in row {row}. {advice}"
    )


def _check_finite(matrix, numbers, names, what):
    bad = ~np.isfinite(matrix)
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    value = numbers[row, column]
    if np.isfinite(value):
        raise ValueError(
            f"{what} holds {value!r} in row {row}, column {names[column]!r}, which is too large "
            f"for {matrix.dtype}. Scale the column, e.g. to thousands."
        )
    raise ValueError(
        f"{what} holds {bad.sum()} values that are NaN or infinity, the first in row {row}, "
        f"column {names[column]!r}: {value}. Leave out such rows, or fill them in, e.g. with "
        f"sklearn's SimpleImputer."
    )


def shorten_to_list(names, most):
    """Keep at most so many names: the first ones, None for what is left out, and the last."""
    return names if len(names) <= most else [*names[: most - 2], None, names[-1]]


def shorten(names, most):
    return ", ".join("…" if name is None else name for name in shorten_to_list(list(names), most))
