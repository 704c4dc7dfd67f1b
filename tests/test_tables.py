"""Tables of every library, at every door: the same names, the same rules, the same words."""

import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from regression_lib import DeepRegressor, EnsembleNet, RegressionNet, fit, lr_sweep, search
from regression_lib.checks import as_matrix, as_vector, column_names

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
Y = (X @ [1.0, -2.0, 0.5])[:, None]
NAMES = ("a", "b", "c")
QUICK = {"epochs": 2, "batch_size": 16}
FRAMES = {
    "pandas": lambda columns: pd.DataFrame(columns),
    "polars": lambda columns: pl.DataFrame(columns),
    "pyarrow": lambda columns: pa.table(columns),
    "pandas on arrow": lambda columns: pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype),
    "record batch": lambda columns: pa.record_batch(columns),
}


def table(kind, values=X, names=NAMES):
    return FRAMES[kind](dict(zip(names, np.asarray(values).T, strict=True)))


def net(**options):
    return RegressionNet(3, hidden=(8,), **options)


def estimator(**options):
    return DeepRegressor(hidden=(8,), n_members=1, random_state=0, **QUICK, **options)


def space(_trial):
    return {"hidden": [4]}


def words_of(action):
    with pytest.raises((TypeError, ValueError)) as caught:
        action()
    return str(caught.value)


@pytest.fixture(params=FRAMES)
def kind(request):
    return request.param


class TestNames:
    def test_a_frame_of_any_library_is_the_same_table(self, kind):
        frame = table(kind)
        assert column_names(frame) == NAMES
        assert np.array_equal(as_matrix(frame, "X", columns=NAMES), X)
        first, second = net(), net()
        fit(first, frame, Y, **QUICK)
        fit(second, table("pandas"), Y, **QUICK)
        assert first.feature_names == NAMES
        assert np.array_equal(first.predict(frame), second.predict(X))
        assert np.array_equal(
            estimator().fit(frame, Y).predict(frame), estimator().fit(X, Y).predict(X)
        )

    def test_every_door_holds_to_the_names_that_fit_took(self, kind):
        swapped = table(kind, X[:, ::-1], NAMES[::-1])
        trained, members = net(), EnsembleNet(2, 3, hidden=(8,))
        for network in (trained, members):
            fit(network, table(kind), Y, **QUICK)
        model = estimator(warm_start=True).fit(table(kind), Y)
        held = {"validation": (swapped, Y)}
        doors = {
            "predict": lambda: trained.predict(swapped),
            "predict_members": lambda: members.predict_members(swapped),
            "one member": lambda: members[1].predict(swapped),
            "a second fit": lambda: fit(trained, swapped, Y, **QUICK),
            "validation": lambda: fit(net(), table(kind), Y, **held, **QUICK),
            "estimator": lambda: model.predict(swapped),
            "warm start": lambda: model.fit(swapped, Y),
            "estimator's validation": lambda: estimator().fit(table(kind), Y, **held),
            "sweep": lambda: lr_sweep(net(), table(kind), Y, lrs=[1e-3], **held, **QUICK),
            "search": lambda: search(table(kind), Y, n_trials=1, space=space, epochs=1, **held),
        }
        said = {door: words_of(action) for door, action in doors.items()}
        for door, words in said.items():
            assert "has its columns in another order: c, b, a" in words, door
        assert said["predict"] == said["estimator"]

    def test_other_columns_are_named_as_scikit_learn_names_them(self, kind):
        trained = net()
        fit(trained, table(kind), Y, **QUICK)
        words = words_of(lambda: trained.predict(table(kind, names=("a", "b", "d"))))
        assert "The feature names should match those that were passed during fit.\n" in words
        assert "unseen at fit time:\n- d\n" in words
        assert "now missing:\n- c\n" in words

    def test_targets_hold_to_their_names_too(self, kind):
        y = np.hstack([Y, -Y])
        swapped = table(kind, y, ("north", "south")), table(kind, y, ("south", "north"))
        network = RegressionNet(3, 2, hidden=(8,))
        for door in (
            lambda: fit(network, X, swapped[0], validation=(X, swapped[1]), **QUICK),
            lambda: estimator().fit(X, swapped[0], validation=(X, swapped[1])),
        ):
            assert "validation y has its columns in another order" in words_of(door)
        fit(network, X, swapped[0], **QUICK)
        assert network.target_names == ("north", "south")

    def test_numbered_columns_are_no_names_and_mixed_ones_are_refused(self):
        trained = net()
        fit(trained, table("pandas"), Y, **QUICK)
        assert trained.predict(pd.DataFrame(X)).shape == (80, 1)
        mixed = pd.DataFrame(X, columns=["a", 1, "c"])
        for door in (trained.predict, lambda X: estimator().fit(X, Y)):
            assert "no text: 1" in words_of(lambda door=door: door(mixed))

    def test_names_on_one_side_only_are_worth_a_warning_of_the_estimator(self):
        named, unnamed = estimator().fit(table("polars"), Y), estimator().fit(X, Y)
        with pytest.warns(UserWarning, match="X does not have valid feature names, but Deep"):
            named.predict(X)
        with pytest.warns(UserWarning, match="X has feature names, but DeepRegressor was fitted"):
            unnamed.predict(table("polars"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            named.predict(table("polars"))
            unnamed.predict(X)

    def test_validation_beside_a_pipeline_is_refused_before_it_misleads(self):
        frame = table("pandas")
        model = make_pipeline(StandardScaler(), estimator())
        words = words_of(
            lambda: model.fit(frame, Y[:, 0], deepregressor__validation=(frame, Y[:, 0]))
        )
        assert "validation X has column names, X has none" in words
        assert "Within a Pipeline" in words
        assert "Within a Pipeline" in DeepRegressor.fit.__doc__

    def test_columns_that_come_twice_and_lazy_frames_are_refused(self):
        assert "twice: ['a']" in words_of(lambda: as_matrix(pd.DataFrame(X, columns=[*"aab"]), "X"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert ".collect()" in words_of(lambda: as_matrix(table("polars").lazy(), "X"))


MISSING = {
    "pandas Int64": pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
    "pandas boolean": pd.DataFrame({"a": pd.array([True, None], dtype="boolean")}),
    "pandas arrow": pd.DataFrame({"a": pd.array([1, None], dtype="int64[pyarrow]")}),
    "pandas object": pd.DataFrame({"a": pd.Series([1, None], dtype=object)}),
    "pandas NA": pd.DataFrame({"a": pd.Series([1, pd.NA], dtype=object)}),
    "pandas sparse": pd.DataFrame({"a": pd.arrays.SparseArray([1.0, np.nan])}),
    "polars int": pl.DataFrame({"a": [1, None]}),
    "polars bool": pl.DataFrame({"a": [True, None]}),
    "polars decimal": pl.DataFrame({"a": pl.Series([1, None], dtype=pl.Decimal(9, 2))}),
    "polars null": pl.DataFrame({"a": [None, None]}),
    "pyarrow int": pa.table({"a": [1, None]}),
    "pyarrow bool": pa.table({"a": [True, None]}),
    "masked": np.ma.array([[1.0], [2.0]], mask=[[False], [True]]),
    "masked whole numbers": np.ma.array([[1], [2]], mask=[[False], [True]]),
    "list of masked rows": [np.ma.array([1.0]), np.ma.array([2.0], mask=[True])],
    "masked objects": np.ma.array(np.array([[1.0], [2.0]], dtype=object), mask=[[0], [1]]),
    "list of masked objects": list(
        np.ma.array(np.array([[1], [2]], dtype=object), mask=[[0], [1]])
    ),
    "list": [[1.0], [None]],
    "tensor": torch.tensor([[1.0], [torch.nan]]),
}


@pytest.mark.parametrize("values", MISSING.values(), ids=MISSING)
def test_nothing_that_is_missing_becomes_a_number(values):
    row = 0 if isinstance(values, pl.DataFrame) and values["a"].null_count() == 2 else 1
    with pytest.raises(ValueError, match=rf"Input X contains NaN\..* in row {row}, column"):
        as_matrix(values, "X")


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, None], dtype="Int64"),
        pl.Series([1, None]),
        pa.chunked_array([[1, None]]),
        np.ma.array([1.0, 2.0], mask=[False, True]),
        [1.0, None],
    ],
    ids=["pandas", "polars", "pyarrow", "masked", "list"],
)
def test_nothing_missing_in_a_column_or_in_weights_becomes_a_number(values):
    with pytest.raises(ValueError, match="Input y contains NaN"):
        as_vector(values, "y")
    with pytest.raises(ValueError, match="Input y contains NaN"):
        estimator().fit(X[:2], values)
    weighted = [
        lambda: fit(net(), X[:2], Y[:2], sample_weight=values),
        lambda: estimator().fit(X[:2], Y[:2], sample_weight=values),
    ]
    for door in weighted:
        assert "Input sample_weight contains NaN" in words_of(door)


NO_NUMBERS = {
    "dates": ({"day": np.array(["2014-05-02"] * 2, dtype="datetime64[us]")}, "months since"),
    "durations": ({"day": np.array([1, 2], dtype="timedelta64[us]")}, "months since"),
    "text": ({"day": ["Monday", "Sunday"]}, "OneHotEncoder"),
    "numbers as text": ({"day": ["1", "2"]}, "to_numeric"),
    "lists": ({"day": [[1.0], [2.0]]}, "argument must be a string or a real number"),
}


@pytest.mark.parametrize("what", NO_NUMBERS)
def test_both_doors_say_the_same_of_what_is_no_number(kind, what):
    columns, words = NO_NUMBERS[what]
    frame = FRAMES[kind](columns)
    network = RegressionNet(1, hidden=(4,))
    said = [
        words_of(lambda: fit(network, frame, Y[:2], **QUICK)),
        words_of(lambda: estimator().fit(frame, Y[:2])),
        words_of(lambda: network.predict(frame)),
    ]
    assert len(set(said)) == 1
    assert re.search(f"X must hold real numbers, but column 'day' .* in row 0.*{words}", said[0])


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"zip": pd.Categorical([98001, 98002])}),
        pl.DataFrame({"zip": pl.Series(["98001", "98002"], dtype=pl.Categorical)}),
        pl.DataFrame({"zip": pl.Series(["98001", "98002"], dtype=pl.Enum(["98001", "98002"]))}),
        pa.table({"zip": pa.array(["98001", "98002"]).dictionary_encode()}),
    ],
    ids=["pandas", "polars", "polars enum", "pyarrow"],
)
def test_a_category_is_no_number_even_if_it_looks_like_one(frame):
    network = RegressionNet(1, hidden=(4,))
    said = {
        words_of(lambda: fit(network, frame, Y[:2], **QUICK)),
        words_of(lambda: estimator().fit(frame, Y[:2])),
    }
    assert len(said) == 1
    assert "column 'zip' holds" in said.pop()


@pytest.mark.parametrize(
    "values",
    [
        torch.tensor(X, requires_grad=True),
        torch.tensor(X).bfloat16(),
        [torch.tensor(row, requires_grad=True) for row in X],
        torch.tensor(X).to_sparse(),
    ],
    ids=["with gradients", "bfloat16", "list of tensors", "sparse"],
)
def test_tensors_of_every_kind_pass_both_doors(values):
    fit(net(), values, Y, **QUICK)
    assert estimator().fit(values, Y).predict(values).shape == (80, 1)


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ([[torch.tensor(1.0, requires_grad=True)]], TypeError, "X cannot be made an array"),
        (torch.tensor([[1.0 + 2j]]).conj(), ValueError, "Complex data not supported"),
        (torch.ones(2, 2, device="meta"), TypeError, "X cannot be made an array"),
        ([torch.ones(3), torch.ones(2)], ValueError, "X has rows of different lengths"),
        (pa.RecordBatch.from_arrays([pa.array([1.0])] * 2, names=["a", "a"]), ValueError, "twice"),
    ],
)
def test_tensors_and_batches_that_are_no_table_are_said_to_be_none(values, error, words):
    with pytest.raises(error, match=words):
        as_matrix(values, "X")
    assert as_matrix(torch.complex(torch.ones(2, 2), torch.ones(2, 2)).conj().imag, "X").sum() == -4


def test_validation_targets_are_those_that_were_trained_on():
    both = pd.DataFrame(np.hstack([Y, -Y]), columns=["u", "v"])
    with pytest.raises(ValueError, match="validation y has column names, y has none"):
        fit(RegressionNet(3, 2), X, both.to_numpy(), validation=(X, both), **QUICK)
    with pytest.raises(ValueError, match=r"validation y: The feature names should match"):
        estimator().fit(X, both["u"], validation=(X, both["v"]))
    estimator().fit(X, both["u"].to_numpy(), validation=(X, both["u"]))  # one: nothing to mix up


def test_targets_of_every_kind_pass_the_estimator():
    y = Y[:, 0]
    forms = [y, pd.Series(y), pl.Series(y), pa.chunked_array([y]), torch.tensor(y), y.tolist()]
    predicted = [estimator().fit(X, form).predict(X) for form in forms]
    assert all(np.array_equal(predicted[0], other) for other in predicted)
    assert predicted[0].shape == (80,)
    assert estimator().fit(X, pd.Series(y, name="price")).net_.target_names == ("price",)
