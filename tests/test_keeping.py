"""A file of an estimator holds all of it, and nothing that runs."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from regression_lib import DeepRegressor, EnsembleNet, RegressionNet, make_projectile
from regression_lib.storage import read_tensors, write_tensors

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.1 * RNG.normal(size=200)
THROWS = make_projectile(200)
QUICK = {"hidden": (8,), "n_members": 1, "epochs": 3, "random_state": 0}


def quick(**options):
    return DeepRegressor(**(QUICK | options))


def kept(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    return DeepRegressor.load(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, (X, Y)),
        ({"n_members": 3, "calibration_fraction": 0.2}, (THROWS.X, THROWS.y)),
        ({"calibration_fraction": 0.3, "batch_norm": True}, (THROWS.X, THROWS.y.apex)),
        ({"numeric_embedding": None, "residual": True, "hidden": [3, 3]}, (X, Y[:, None])),
        ({"validation_fraction": None, "patience": None, "device": "cpu"}, (X, Y)),
    ],
    ids=["plain", "ensemble", "batch_norm", "residual", "no validation"],
)
def test_all_that_it_says_is_said_again(options, rows, tmp_path):
    model = quick(**options).fit(*rows)
    again = kept(model, tmp_path)
    assert np.array_equal(again.predict(rows[0]), model.predict(rows[0]))
    assert again.score(*rows) == model.score(*rows)
    if model.calibration_ is not None:
        for bands in (1, 2):
            found = again.predict_interval(rows[0], 0.8, bands=bands)
            assert np.array_equal(found, model.predict_interval(rows[0], 0.8, bands=bands))
    if options.get("n_members"):
        found = again.predict(rows[0], return_std=True)
        assert np.array_equal(found, model.predict(rows[0], return_std=True))
    assert str(again.card()) == str(model.card())
    pd.testing.assert_frame_equal(again.card().columns, model.card().columns)
    pd.testing.assert_frame_equal(again.history_.frame, model.history_.frame)
    assert repr(again.history_) == repr(model.history_)
    assert again.get_params() == model.get_params() | {"hidden": tuple(model.hidden)}


def test_nothing_that_fit_has_learnt_is_forgotten(tmp_path):
    model = quick(calibration_fraction=0.2).fit(THROWS.X, THROWS.y)
    again = kept(model, tmp_path)
    assert vars(again).keys() == vars(model).keys()
    assert again.feature_names_in_.tolist() == model.feature_names_in_.tolist()
    assert again.feature_names_in_.dtype == model.feature_names_in_.dtype
    assert again.net_.target_names == THROWS.target_names
    nameless = kept(quick().fit(X, Y), tmp_path)
    assert not hasattr(nameless, "feature_names_in_")
    with pytest.raises(ValueError, match="feature names"):
        again.predict(THROWS.X[THROWS.X.columns[::-1]])


def test_a_warm_start_goes_on_where_it_stopped(tmp_path):
    model = quick(warm_start=True, calibration_fraction=0.2, n_members=2).fit(X, Y)
    again = kept(model, tmp_path)
    assert np.array_equal(again.fit(X, Y).predict(X), model.fit(X, Y).predict(X))
    assert np.array_equal(again.calibration_.errors, model.calibration_.errors)


def test_the_file_is_the_same_for_the_same_model_and_small(tmp_path):
    model = quick(calibration_fraction=0.2).fit(X, Y)
    model.save(tmp_path / "a")
    DeepRegressor.load(tmp_path / "a").save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    weights = sum(p.numel() for p in model.net_.parameters()) * 4
    assert (tmp_path / "a").stat().st_size < 3 * weights + 10_000
    with safe_open(tmp_path / "a", "pt") as file:  # nothing but numbers and JSON
        assert list(file.metadata()) == ["regression_lib"]
        json.loads(file.metadata()["regression_lib"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"random_state": np.random.RandomState(0)}, "a RandomState, which a file cannot keep"),
        ({"progress": object()}, "progress=<object .*give progress plain values, by set_params"),
    ],
)
def test_what_no_file_can_hold(options, words, tmp_path):
    model = quick().fit(X, Y).set_params(**options)
    with pytest.raises(ValueError, match=words):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    again = kept(model.set_params(random_state=3, progress=False), tmp_path)
    assert np.array_equal(again.predict(X), model.predict(X))


def test_numbers_of_numpy_are_kept_as_numbers(tmp_path):
    grid = {"lr": np.float32(0.5), "epochs": np.int64(2), "hidden": np.array([4, 4])}
    model = quick(validation_fraction=np.float32(0.25)).fit(X, Y).set_params(**grid)
    again = kept(model, tmp_path)
    assert again.get_params() == model.get_params() | {"hidden": (4, 4)}
    assert clone(again).fit(X, Y).n_iter_ == 2


def test_before_fit(tmp_path):
    with pytest.raises(NotFittedError):
        quick().save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


class TestRefusals:
    def test_files_of_another_kind(self, tmp_path):
        path = tmp_path / "model"
        model = quick().fit(X, Y)
        model.net_.save(path)
        with pytest.raises(ValueError, match=r"as a DeepRegressor: use RegressionNet\.load"):
            DeepRegressor.load(path)
        model.save(path)
        for net in (RegressionNet, EnsembleNet):
            with pytest.raises(ValueError, match=r"use DeepRegressor\.load"):
                net.load(path)
        path.write_bytes(pickle.dumps(model))
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            DeepRegressor.load(path)
        with pytest.raises(FileNotFoundError):
            DeepRegressor.load(tmp_path / "nothing")

    def test_a_file_that_is_cut_short_or_has_a_flipped_bit(self, tmp_path):
        path = tmp_path / "model"
        quick(calibration_fraction=0.2).fit(X, Y).save(path)
        content = path.read_bytes()
        for _ in range(50):
            damaged = bytearray(content)
            damaged[RNG.integers(len(damaged))] ^= 1 << RNG.integers(8)
            for bad in (damaged, content[: RNG.integers(len(content))]):
                path.write_bytes(bad)
                with pytest.raises(ValueError, match="model"):
                    DeepRegressor.load(path)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda tensors, about: about.pop("facts"), "facts"),
            (lambda tensors, about: about["parameters"].update(colour="red"), "colour"),
            (lambda tensors, about: about.update(kind="Module"), "Module"),
            (lambda tensors, about: about["history"].update(rows=[[1]]), "arguments"),
            (lambda tensors, about: tensors.pop("net.head.bias"), "head.bias"),
            (lambda tensors, about: tensors.pop("_seen.quartiles"), "quartiles"),
            (
                lambda tensors, about: tensors.update(
                    {"calibration.errors": tensors["_seen.quartiles"].clone()}
                ),
                r"calibration.errors has the shape \(5, 3\), where 1 columns are expected",
            ),
        ],
    )
    def test_a_file_that_somebody_has_written_otherwise(self, change, words, tmp_path):
        path = tmp_path / "model"
        quick(calibration_fraction=0.2).fit(X, Y).save(path)
        kind, tensors, about = read_tensors(path)
        change(tensors, about)
        write_tensors(path, kind, tensors, about)
        with pytest.raises(ValueError, match=f"cannot be read as a DeepRegressor: .*{words}"):
            DeepRegressor.load(path)
