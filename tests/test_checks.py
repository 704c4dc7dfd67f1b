"""The gate lets tables of finite numbers through, and says of others what is wrong with them."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from regression_lib.checks import as_matrix
from regression_lib.data import load_tecator

TABLE = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    "values",
    [
        TABLE,
        np.array(TABLE),
        np.array(TABLE, dtype=np.float16),
        np.array(TABLE, dtype=int),
        np.array(TABLE, dtype=object),
        np.asfortranarray(TABLE),
        torch.tensor(TABLE, requires_grad=True),
        torch.tensor(TABLE, dtype=torch.bfloat16),
        torch.tensor(TABLE).to_sparse(),
        pd.DataFrame(TABLE, columns=["a", "b"]),
        pd.DataFrame(TABLE, columns=["a", "b"]).astype("Int64"),
        pd.DataFrame(TABLE, columns=["a", "b"]).astype({"a": int}),
    ],
)
def test_every_kind_of_table_passes(values):
    matrix = as_matrix(values, "X", columns=("a", "b"))
    assert matrix.dtype == np.float64
    assert matrix.flags.c_contiguous
    assert matrix.flags.writeable
    assert matrix.tolist() == TABLE


def test_booleans_pass_and_the_result_is_a_copy():
    assert as_matrix([[True, False]], "X").tolist() == [[1.0, 0.0]]
    mixed = pd.DataFrame({"a": [True, False], "b": [1.5, 2.5]})
    assert as_matrix(mixed, "X").tolist() == [[1.0, 1.5], [0.0, 2.5]]
    original = np.array(TABLE)
    as_matrix(original, "X")[0, 0] = 99
    assert original[0, 0] == 1.0
    assert as_matrix(original, "X", dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, 2.0, 3.0], [r"\(3,\)", r"\.reshape\(-1, 1\)", r"\.reshape\(1, -1\)"]),
        (pd.Series([1.0, 2.0]), [r"\(2,\)", "to_numpy"]),
        (5.0, [r"\(\)"]),
        (np.zeros((2, 3, 4)), [r"\(2, 3, 4\)", "Flatten"]),
        (np.zeros((0, 3)), ["empty", r"\(0, 3\)"]),
        (np.zeros((3, 0)), ["empty", r"\(3, 0\)"]),
        (pd.DataFrame({"a": []}), ["empty"]),
        (pd.DataFrame({"a": pd.Categorical([])}), ["empty"]),
        ([[1, 2], [3]], ["different lengths"]),
        ([[1, 2], [np.nan, np.inf]], ["2 values", "row 1", "column 0", "nan", "SimpleImputer"]),
        (pd.DataFrame({"a": [1, 2], "lat": [3, -np.inf]}), ["row 1", "'lat'", "-inf"]),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), ["row 1", "'a'", "nan"]),
        ([[1, None]], ["row 0", "column 1"]),
        (np.array([[1 + 2j]]), ["Complex data not supported", r"\.real"]),
        ([[1.0, 2j]], ["Complex data not supported", "row 0"]),
    ],
)
def test_a_wrong_shape_or_value_is_named(values, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the words are compared below
        as_matrix(values, "X")
    for word in ["X", *words]:
        assert re.search(word, str(error.value)), (word, str(error.value))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[1, "Seattle"]], ["column 1", "'Seattle'", "OneHotEncoder"]),
        (pd.DataFrame({"area": [1], "region": ["Bellevue"]}), ["'region'", "'Bellevue'"]),
        (pd.DataFrame({"area": ["1"]}), ["'area'", "to_numeric"]),
        (pd.DataFrame({"zip": pd.Categorical([98001])}), ["'zip'", "98001", "OneHotEncoder"]),
        (pd.DataFrame({"day": pd.to_datetime(["2014-05-02"])}), ["'day'", "months"]),
        (pd.DataFrame({"a": [1.0], "day": pd.to_datetime(["2014-05-02"])}), ["'day'", "months"]),
        (np.array([["2014-05-02"]], dtype="datetime64[D]"), ["column 0", "months"]),
        ([[1.0, {}]], ["column 1"]),
        (sparse.eye(2).tocsr(), [r"toarray\(\)"]),
        (None, ["NoneType"]),
        ("table.csv", ["str"]),
        ({"a": [1]}, ["dict"]),
    ],
)
def test_what_is_no_number_is_named(values, words):
    with pytest.raises(TypeError) as error:
        as_matrix(values, "X")
    for word in ["X", *words]:
        assert re.search(word, str(error.value)), (word, str(error.value))


def test_a_dataset_is_not_a_matrix():
    with pytest.raises(TypeError, match=r"pass its X"):
        as_matrix(load_tecator(), "X")


def test_columns_are_counted_and_compared_by_name():
    frame = pd.DataFrame(TABLE, columns=["a", "b"])
    with pytest.raises(ValueError, match="has 2 columns, but 3 are expected"):
        as_matrix(TABLE, "X", columns=3)
    with pytest.raises(ValueError, match="has 2 columns, but 3 are expected: a, b, c"):
        as_matrix(TABLE, "X", columns=("a", "b", "c"))
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- b\n.*now missing:\n- c\n"):
        as_matrix(frame, "X", columns=("a", "c"))
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- b\n"):
        as_matrix(frame, "X", columns=("a",))
    with pytest.raises(ValueError, match=r"(?s)another order: b, a.*X\[\["):
        as_matrix(frame[["b", "a"]], "X", columns=("a", "b"))
    with pytest.raises(ValueError, match=r"twice: \['a'\]"):
        as_matrix(frame[["a", "a", "b"]], "X", columns=("a", "b"))
    with pytest.raises(ValueError, match="row 0, column 'b'"):
        as_matrix([[1.0, np.nan]], "X", columns=("a", "b"))


def test_what_does_not_fit_the_type_is_refused():
    with pytest.raises(ValueError, match=r"row 1, column 0, which is too large for float32"):
        as_matrix([[1.0], [1e300]], "y", dtype=np.float32)


QUICK = {"dtype": None, "copy": False}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [None, 2, ("a", "b")])
def test_an_array_that_is_ready_is_passed_on_as_it_is(dtype, columns):
    ready = np.array(TABLE, dtype=dtype)
    assert as_matrix(ready, "X", columns, **QUICK) is ready
    assert as_matrix(ready, "X", columns, dtype=None) is not ready
    for other in (ready[:, ::-1], ready[::-1], ready[:1, ::-1], np.asfortranarray(ready)):
        matrix = as_matrix(other, "X", columns, **QUICK)
        assert matrix.tolist() == other.tolist()
        assert matrix.dtype == dtype
        assert torch.from_numpy(matrix).is_contiguous()
    for spoilt in (np.nan, np.inf):
        bad = ready.copy()
        bad[1, 1] = spoilt
        with pytest.raises(ValueError, match=r"row 1, column"):
            as_matrix(bad, "X", columns, **QUICK)
    for shape in (ready[:0], ready[:, :0], ready[:, :1] if columns else ready[0]):
        with pytest.raises(ValueError, match="X "):
            as_matrix(shape, "X", columns, **QUICK)


def test_what_is_kept_narrow_is_float32_alone():
    for dtype, kept in [("f2", "f8"), ("i8", "f8"), (">f4", "f8"), ("f4", "f4"), (">f8", "f8")]:
        matrix = as_matrix(np.array(TABLE, dtype=dtype), "X", **QUICK)
        assert matrix.dtype == np.dtype(kept)
        assert matrix.tolist() == TABLE
    assert as_matrix(torch.tensor(TABLE), "X", **QUICK).dtype == np.float32
    assert as_matrix(pd.DataFrame(TABLE, dtype="float32"), "X", **QUICK).dtype == np.float32
