"""What an ONNX file predicts is what the model predicts, whatever the model is made of."""

import json
import sys

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from regression_lib import (
    ACTIVATIONS,
    KC4,
    DeepRegressor,
    EnsembleNet,
    RegressionNet,
    export_onnx,
    fit,
    fold_batch_norm,
    load_king_county,
    make_projectile,
)

THROWS = make_projectile(1000)
QUICK = {"epochs": 2, "batch_size": 100}


def session(model, path):
    export_onnx(model, path / "model.onnx")
    return onnxruntime.InferenceSession(path / "model.onnx")


def predicted(model, X, path):
    return session(model, path).run(["y"], {"X": np.asarray(X, np.float64)})[0]


def trained(net, X=THROWS.X, y=THROWS.y):
    fit(net, X, y, **QUICK)
    return net


def assert_alike(net, X, path):
    """Within what single precision rounds, of the spread that the predictions have."""
    expected = net.predict(X)
    assert len(expected) == 1000
    found = predicted(net, X, path)
    assert found.dtype == np.float64
    assert found.shape == expected.shape
    assert np.ptp(expected, axis=0).min() > 0
    assert (np.abs(found - expected).max(0) < 1e-5 * np.ptp(expected, axis=0)).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("members", [None, 3])
def test_every_activation(activation, members, tmp_path):
    options = {"hidden": (16, 16), "activation": activation}
    net = RegressionNet if members is None else EnsembleNet
    sizes = (4, 3) if members is None else (members, 4, 3)
    assert_alike(trained(net(*sizes, **options)), THROWS.X, tmp_path)


@pytest.mark.parametrize("members", [None, 2])
@pytest.mark.parametrize(
    "options",
    [
        {"batch_norm": False},
        {"batch_norm": False, "residual": True},
        {"residual": True, "hidden": (4, 4, 8, 8)},  # the first adds the inputs themselves
        {"hidden": ()},
        {"hidden": (1,)},
        {"input_norm": True},
        {"input_norm": True, "standardize": False, "batch_norm": False},
        {"input_norm": True, "residual": True, "hidden": (4, 4), "linear_bias": True},
        {"numeric_embedding": "piecewise_linear", "n_bins": 12},
        {"numeric_embedding": "piecewise_linear", "n_bins": [1, 30, 2, 7], "batch_norm": False},
        {"dropout": 0.3},
        {"activation": "tanh", "init": "post", "hidden": (20,) * 8, "bn_momentum": 0.5},
    ],
    ids=str,
)
def test_every_part(options, members, tmp_path):
    options = {"hidden": (16, 8)} | options
    net = (
        RegressionNet(4, 3, **options) if members is None else EnsembleNet(members, 4, 3, **options)
    )
    assert_alike(trained(net), THROWS.X, tmp_path)


@pytest.mark.parametrize("members", [None, 3])
def test_quantiles(members, tmp_path):
    options = {"hidden": (16,), "quantiles": (0.05, 0.25, 0.5, 0.95)}
    net = (
        RegressionNet(4, 3, **options) if members is None else EnsembleNet(members, 4, 3, **options)
    )
    fit(net, THROWS.X, THROWS.y, loss="quantile", **QUICK)
    assert_alike(net, THROWS.X, tmp_path)
    X = THROWS.X.to_numpy()
    found, y = session(net, tmp_path).run(["quantiles", "y"], {"X": X})
    expected = net.predict_quantiles(X)
    assert found.shape == expected.shape == (1000, 3, 4)
    assert (np.abs(found - expected).max((0, 2)) < 1e-5 * np.ptp(expected, axis=(0, 2))).all()
    assert np.array_equal(found[..., 2], y)


def test_a_net_in_train_mode_a_folded_one_and_one_that_has_learnt_nothing(tmp_path):
    net = trained(RegressionNet(4, 3, hidden=(16,)))
    assert_alike(net.train(), THROWS.X, tmp_path)
    assert net.training
    assert_alike(fold_batch_norm(net), THROWS.X, tmp_path)
    assert_alike(RegressionNet(4, 3, hidden=(16,), batch_norm=False), THROWS.X, tmp_path)


def test_one_of_double_precision_becomes_single(tmp_path):
    assert_alike(trained(RegressionNet(4, 3, hidden=(16,)).double()), THROWS.X, tmp_path)


def test_columns_that_vary_a_little_around_much_keep_their_digits(tmp_path):
    X = 1e6 + 0.01 * THROWS.X.to_numpy() / THROWS.X.to_numpy().std(0)
    y = 1e9 + THROWS.y.to_numpy()
    assert_alike(trained(RegressionNet(4, 3, hidden=(16,)), X, y), X, tmp_path)


@pytest.mark.parametrize("n_members", [1, 3])
def test_the_estimator_on_real_houses(n_members, tmp_path):
    sales = load_king_county(1000, features=KC4).log_target()
    model = DeepRegressor(hidden=(32,), epochs=4, n_members=n_members, random_state=0)
    model.fit(sales.X, sales.y.log_price)
    found = predicted(model, sales.X, tmp_path)
    assert found.shape == (1000, 1)
    expected = model.predict(sales.X)
    assert np.abs(found[:, 0] - expected).max() < 1e-5 * np.ptp(expected)
    one = session(model, tmp_path).run(None, {"X": sales.X[:1].to_numpy(np.float64)})[0]
    assert one == pytest.approx(found[:1], rel=1e-6)


def test_the_file_knows_the_columns_and_says_who_wrote_it(tmp_path):
    net = trained(EnsembleNet(2, 4, 3, hidden=(8,)), THROWS, None)
    meta = session(net, tmp_path).get_modelmeta()
    about = {name: json.loads(text) for name, text in meta.custom_metadata_map.items()}
    assert tuple(about["feature_names"]) == THROWS.feature_names
    assert tuple(about["target_names"]) == THROWS.target_names
    assert about["units"] == net.units
    assert meta.producer_name == "regression_lib"
    assert meta.description == repr(net)
    nameless = trained(RegressionNet(4, 3, hidden=()), THROWS.X.to_numpy(), THROWS.y.to_numpy())
    meta = session(nameless, tmp_path).get_modelmeta()
    assert meta.custom_metadata_map["feature_names"] == "null"


def test_the_file_is_no_larger_than_the_weights(tmp_path):
    net = RegressionNet(4, hidden=(100, 100))
    export_onnx(net, tmp_path / "model.onnx")
    weights = sum(p.numel() for p in net.parameters()) * 4
    assert (tmp_path / "model.onnx").stat().st_size < weights + 4000


class TestRefusals:
    def test_what_is_no_network(self, tmp_path):
        pipeline = make_pipeline(StandardScaler(), DeepRegressor(epochs=1, hidden=(2,)))
        pipeline.fit(THROWS.X, THROWS.y)
        for model in (Ridge(), pipeline, nn.Linear(4, 1), None):
            with pytest.raises(TypeError, match="must be a DeepRegressor, a RegressionNet"):
                export_onnx(model, tmp_path / "model.onnx")
        assert list(tmp_path.iterdir()) == []
        assert_alike(pipeline[-1].net_, StandardScaler().fit_transform(THROWS.X), tmp_path)

    def test_an_estimator_that_is_not_fitted(self, tmp_path):
        with pytest.raises(NotFittedError):
            export_onnx(DeepRegressor(), tmp_path / "model.onnx")

    def test_parts_of_ones_own(self, tmp_path):
        net = RegressionNet(4, hidden=(8,))
        net.layers[0].activation = nn.Softplus(beta=2)
        with pytest.raises(ValueError, match=r"Softplus.beta=2.* are not those of the library"):
            export_onnx(net, tmp_path / "model.onnx")
        net.layers[0].activation = nn.Hardtanh()
        with pytest.raises(ValueError, match="has other parts than those that the library made"):
            export_onnx(net, tmp_path / "model.onnx")
        net = RegressionNet(4, hidden=(8,))
        net.head = nn.Linear(8, 5)
        with pytest.raises(ValueError, match="has other parts"):
            export_onnx(net, tmp_path / "model.onnx")

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            export_onnx(RegressionNet(4), tmp_path / "no" / "model.onnx")

    def test_without_the_extra(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnx", None)
        with pytest.raises(ImportError, match=r'pip install "regression-lib\[onnx\]"'):
            export_onnx(RegressionNet(4), tmp_path / "model.onnx")


def test_nothing_of_the_network_changes(tmp_path):
    net = trained(RegressionNet(4, 3, hidden=(8,)).train())
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    export_onnx(net, tmp_path / "model.onnx")
    assert modes == [module.training for module in net.modules()]
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items())
    assert pd.Series(before.keys()).equals(pd.Series(net.state_dict().keys()))
