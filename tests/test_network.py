"""RegressionNet: the post's network, options, predictions, and files that can be trusted."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from regression_lib import RegressionNet
from regression_lib.network import evaluating


class PostNet(torch.nn.Module):
    """The network as the post describes it, written apart from the library."""

    def __init__(self, n_input=4, n_output=3, depth=20, width=130):
        super().__init__()
        sizes = [n_input] + [width] * depth
        self.bn_input = torch.nn.BatchNorm1d(n_input, momentum=0.5)
        self.fcs = torch.nn.ModuleList(map(torch.nn.Linear, sizes, sizes[1:]))
        self.bns = torch.nn.ModuleList(torch.nn.BatchNorm1d(width, momentum=0.5) for _ in self.fcs)
        self.out = torch.nn.Linear(width, n_output)

    def forward(self, x):
        x = self.bn_input(x)
        for fc, bn in zip(self.fcs, self.bns, strict=True):
            x = torch.tanh(bn(fc(x)))
        return self.out(x)


def copied(net):
    """The post's network with the weights of the library's."""
    post = PostNet(net.config["n_features"], net.config["n_targets"])
    post.bn_input.load_state_dict(net.input_norm.state_dict())
    for fc, bn, layer in zip(post.fcs, post.bns, net.layers, strict=True):
        fc.load_state_dict(layer.linear.state_dict())
        bn.load_state_dict(layer.norm.state_dict())
    post.out.load_state_dict(net.head.state_dict())
    return post


def test_from_post_is_the_posts_network():
    net = RegressionNet.from_post()
    assert sum(p.numel() for p in net.parameters()) == 329_821
    post = copied(net)
    assert sum(p.numel() for p in post.parameters()) == 329_821
    torch.manual_seed(0)
    for _ in range(3):  # train mode, with the running statistics moving
        x = torch.randn(32, 4) * torch.tensor([1e3, 1, 0.1, 10]) + 50
        assert torch.equal(net(x), post(x))
    assert torch.equal(net.eval()(x), post.eval()(x))


def test_from_post_starts_as_the_post_does():
    net = RegressionNet.from_post(seed=3)
    weights = torch.cat([layer.linear.weight.flatten() for layer in net.layers])
    assert weights.mean().abs() < 1e-3
    assert weights.std().item() == pytest.approx(0.1, rel=0.01)
    biases = torch.cat([layer.linear.bias for layer in net.layers] + [net.head.bias])
    assert (biases == -0.2).all()
    assert {m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm1d)} == {0.5}


def test_from_post_takes_changes():
    net = RegressionNet.from_post(2, 1, bn_momentum=0.1, hidden=(5, 5))
    assert net.config["bn_momentum"] == 0.1
    assert net.config["activation"] == "tanh"


def test_the_defaults_are_those_of_the_pages():
    sizes = {"n_features": 2, "n_targets": 1, "hidden": [128] * 3, "n_bins": None, "seed": 0}
    words = {"activation": "relu", "init": "default", "numeric_embedding": None}
    flags = dict.fromkeys(("input_norm", "residual", "direct", "linear_bias"), False)
    flags |= {
        "batch_norm": True,
        "standardize": True,
        "bn_momentum": 0.1,
        "dropout": 0.0,
        "quantiles": None,
    }
    assert RegressionNet(2).config == sizes | words | flags
    assert RegressionNet(2, numeric_embedding="piecewise_linear").config["n_bins"] == [64, 64]


def test_repr_and_summary_can_be_read():
    net = RegressionNet.from_post()
    text = "RegressionNet(4 → 130 × 20 → 3, tanh, batch_norm, input_norm, 329,821 parameters)"
    assert repr(net) == text
    table = net.summary()
    assert list(table.columns) == ["layer", "shape", "parameters"]
    assert table.parameters.iloc[:-1].sum() == table.parameters.iloc[-1] == 329_821
    assert table.iloc[2].tolist() == [
        "1: Linear → BatchNorm → Tanh",
        "(n, 130)",
        4 * 130 + 130 + 2 * 130,
    ]
    assert repr(RegressionNet(2, hidden=())).startswith("RegressionNet(2 → 1, ")
    three, four = (repr(RegressionNet(2, hidden=[8] * n)) for n in (3, 4))
    assert "(2 → 8 → 8 → 8 → 1, " in three
    assert "(2 → 8 × 4 → 1, " in four
    layers = RegressionNet(2, hidden=(5, 5), batch_norm=False, residual=True).summary().layer
    assert layers[1:3].tolist() == ["1: Linear → ReLU", "2: Linear → ReLU + skip"]


def test_a_linear_model_has_no_hidden_layer():
    net = RegressionNet(3, hidden=())
    assert sum(p.numel() for p in net.parameters()) == 4
    assert net(torch.zeros(1, 3)).shape == (1, 1)  # no BatchNorm, so one row is fine


def test_no_bias_before_batch_norm_by_default():
    assert RegressionNet(3).layers[0].linear.bias is None
    assert RegressionNet(3, batch_norm=False).layers[0].linear.bias is not None


def test_residual_adds_the_input_where_widths_agree():
    net = RegressionNet(3, hidden=(6, 6, 4), residual=True)
    assert [layer.skip for layer in net.layers] == [False, True, False]
    h = torch.randn(10, 6)
    layer = net.layers[1]
    torch.testing.assert_close(layer(h), h + torch.relu(layer.norm(layer.linear(h))))


def test_xavier_draws_evenly_within_its_bound():
    net = RegressionNet(60, hidden=(90,), init="xavier", batch_norm=False)
    weights, bound = net.layers[0].linear.weight.detach(), (6 / (60 + 90)) ** 0.5
    assert 0.99 * bound < weights.abs().max() <= bound
    assert weights.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not net.layers[0].linear.bias.any()
    assert not net.head.bias.any()


def test_kaiming_draws_normally_for_relu():
    net = RegressionNet(60, hidden=(90,), init="kaiming", batch_norm=False)
    weights = net.layers[0].linear.weight.detach()
    assert weights.std().item() == pytest.approx((2 / 60) ** 0.5, rel=0.02)
    assert weights.abs().max() > 3 * weights.std()
    assert not net.layers[0].linear.bias.any()


@pytest.mark.parametrize("init", ["default", "xavier", "kaiming", "post"])
def test_seeds_decide_the_weights_and_nothing_else(init):
    torch.manual_seed(11)
    state = torch.get_rng_state()
    a, b, c = (RegressionNet(3, init=init, seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["head.weight"], c["head.weight"])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"activation": "rleu"}, ValueError, "relu"),
        ({"hidden": (8, 0)}, ValueError, "hidden.*at least 1, got 0"),
        ({"hidden": (8.5,)}, TypeError, "whole number, got 8.5"),
        ({"bn_momentum": 0}, ValueError, r"bn_momentum must be in \(0, 1\], got 0"),
        ({"init": "zeros"}, ValueError, "unknown init 'zeros'"),
        ({"n_targets": 0}, ValueError, "n_targets must be at least 1"),
    ],
)
def test_options_out_of_range_are_named(options, error, words):
    with pytest.raises(error, match=words):
        RegressionNet(**({"n_features": 3} | options))


def test_wrong_shapes_are_named():
    net = RegressionNet(4)
    with pytest.raises(ValueError, match=r"\(n_rows, 4\), got \(4,\)"):
        net.standardized(torch.zeros(4))
    with pytest.raises(ValueError, match="one row in train mode"):
        net(torch.zeros(1, 4))
    assert net.eval()(torch.zeros(1, 4)).shape == (1, 1)


class TestPredict:
    X = np.random.default_rng(0).normal(size=(30, 4))

    def test_in_eval_mode_and_back(self):
        net = RegressionNet(4)
        net.layers[1].eval()  # somebody froze one layer
        modes = [m.training for m in net.modules()]
        before = {k: v.clone() for k, v in net.state_dict().items()}
        first, alone = net.predict(self.X), net.predict(self.X[:1])
        assert [m.training for m in net.modules()] == modes
        assert first[:1] == pytest.approx(alone, abs=1e-6)  # no row depends on its neighbours
        assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())

    def test_mode_is_given_back_after_an_error(self):
        net = RegressionNet(4)
        with pytest.raises(RuntimeError), evaluating(net):
            raise RuntimeError
        assert net.training

    def test_batches_do_not_change_the_result(self):
        net = RegressionNet(4)
        assert net.predict(self.X, batch_size=7) == pytest.approx(net.predict(self.X), abs=1e-6)

    def test_shape_and_kinds_of_input(self):
        net = RegressionNet(4, 2)
        expected = net.predict(self.X)
        assert expected.shape == (30, 2)
        for X in (pd.DataFrame(self.X), torch.tensor(self.X), self.X.tolist()):
            assert np.array_equal(net.predict(X), expected)

    @pytest.mark.parametrize(
        ("X", "error", "words"),
        [
            (np.zeros(4), ValueError, "reshape"),
            (np.zeros((2, 3)), ValueError, "3 columns.*4"),
            (np.array([[0, 0, np.nan, 0]]), ValueError, "row 0.*2"),
            (np.array([[0, 0, np.inf, 0]]), ValueError, "row 0.*2"),
            ([[1, 2, "east", 4]], TypeError, "east"),
            (np.zeros((0, 4)), ValueError, "empty"),
        ],
    )
    def test_bad_input_is_named(self, X, error, words):
        with pytest.raises(error, match=words):
            RegressionNet(4).predict(X)

    def test_columns_in_another_order_are_refused(self):
        net = RegressionNet(2)
        net.feature_names = ("area", "rooms")
        frame = pd.DataFrame({"rooms": [3.0], "area": [120.0]})
        with pytest.raises(ValueError, match="another order"):
            net.predict(frame)
        assert net.predict(frame[["area", "rooms"]]).shape == (1, 1)


class TestFiles:
    def trained(self):
        net = RegressionNet.from_post(2, 1, hidden=(6, 6), bn_momentum=0.1)
        net(torch.randn(40, 2) * 5)
        net.x_scaler.set([1.0, 2.0], [3.0, 4.0])
        net.y_scaler.set([5.0], [6.0])
        net.feature_names, net.target_names = ("area", "rooms"), ("price",)
        net.units = {"area": "m²", "price": "€"}
        return net

    def test_everything_comes_back(self, tmp_path):
        net, path, x = self.trained(), tmp_path / "house.safetensors", torch.randn(9, 2)
        net.save(path)
        again = RegressionNet.load(path)
        assert not again.training
        assert torch.equal(again(x), net.eval()(x))
        for name in ("config", "feature_names", "target_names", "units"):
            assert getattr(again, name) == getattr(net, name)
        assert all(p.requires_grad for p in again.parameters())

    def test_equal_models_are_equal_files(self, tmp_path):
        for name in "ab":
            RegressionNet(3, seed=5).save(tmp_path / name)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_double_precision_stays(self, tmp_path):
        RegressionNet(2).double().save(tmp_path / "m")
        assert RegressionNet.load(tmp_path / "m").head.weight.dtype == torch.float64

    @pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
    def test_a_file_cut_short_is_refused(self, tmp_path, share):
        path = tmp_path / "m"
        self.trained().save(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            RegressionNet.load(path)

    def test_a_flipped_bit_is_noticed(self, tmp_path):
        path = tmp_path / "m"
        self.trained().save(path)
        content = bytearray(path.read_bytes())
        content[-3] ^= 1  # in the last of the numbers
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is damaged: its content does not agree"):
            RegressionNet.load(path)

    def test_foreign_files_are_refused(self, tmp_path):
        path = tmp_path / "m"
        save_file({"w": torch.zeros(2)}, path)
        with pytest.raises(ValueError, match="not a model of regression_lib"):
            RegressionNet.load(path)
        torch.save({"w": torch.zeros(2)}, path)
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            RegressionNet.load(path)
        with pytest.raises(FileNotFoundError):
            RegressionNet.load(tmp_path / "nothing")

    def test_an_older_format_is_refused(self, tmp_path):
        metadata = {"regression_lib": json.dumps({"version": 1})}
        save_file({"w": torch.zeros(2)}, tmp_path / "m", metadata)
        with pytest.raises(ValueError, match="has format 1, not 3: train the model again"):
            RegressionNet.load(tmp_path / "m")

    def test_numbers_of_numpy_are_saved_as_plain_ones(self, tmp_path):
        net = RegressionNet(np.int64(2), seed=np.int64(3), batch_norm=np.bool_(True))
        net.save(tmp_path / "m")
        assert RegressionNet.load(tmp_path / "m").config == net.config

    def test_a_later_format_is_refused(self, tmp_path):
        metadata = {"regression_lib": json.dumps({"version": 4})}
        save_file({"w": torch.zeros(2)}, tmp_path / "m", metadata)
        with pytest.raises(ValueError, match=r"has format 4.*newer regression_lib"):
            RegressionNet.load(tmp_path / "m")

    @pytest.mark.parametrize(
        "model",
        [
            "no json",
            "{}",
            "[1]",
        ],
    )
    def test_a_wrong_description_is_refused(self, tmp_path, model):
        metadata = {"regression_lib": model}
        save_file({"w": torch.zeros(2)}, tmp_path / "m", metadata)
        with pytest.raises(ValueError, match="cannot be read"):
            RegressionNet.load(tmp_path / "m")

    def test_a_pickle_runs_nothing(self, tmp_path):
        path, trace = tmp_path / "m", tmp_path / "trace"

        class Bomb:
            def __reduce__(self):
                return (os.mkdir, (str(trace),))

        torch.save(Bomb(), path)
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            RegressionNet.load(path)
        assert not trace.exists()

    def test_all_bytes_are_on_the_disk_before_the_file_has_its_name(self, tmp_path, monkeypatch):
        path, synced = tmp_path / "m", []

        def note(descriptor):
            synced.append(os.fstat(descriptor).st_size)
            assert not path.exists()

        monkeypatch.setattr(os, "fsync", note)
        self.trained().save(path)
        assert synced == [path.stat().st_size]

    @pytest.mark.skipif(os.name != "posix", reason="elsewhere nobody can ask for a process")
    def test_a_failed_save_leaves_the_old_file(self, tmp_path, monkeypatch):
        path = tmp_path / "m"
        self.trained().save(path)
        before = path.read_bytes()

        def full_disk(_descriptor):
            raise OSError("No space left on device")

        monkeypatch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            RegressionNet(3).save(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]  # no draft is left behind
