"""The hand-written BatchNorm is torch's; the looking and the folding change nothing."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regression_lib import BatchNorm, RegressionNet, fold_batch_norm, layer_statistics
from regression_lib.normalization import fold_pair

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
shapes = {
    "n_rows": st.integers(2, 40),
    "n_columns": st.integers(1, 12),
    "momentum": st.floats(0.01, 1.0),
    "seed": st.integers(0, 2**32 - 1),
}


def pair(n_columns, momentum):
    """Ours and torch's, in double precision, with the same γ and β that are not 1 and 0."""
    ours = BatchNorm(n_columns, momentum=momentum).double()
    theirs = torch.nn.BatchNorm1d(n_columns, momentum=momentum).double()
    with torch.no_grad():
        theirs.weight.uniform_(0.5, 2)
        theirs.bias.normal_()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@settings(max_examples=60, deadline=None)
@given(**shapes)
def test_batch_norm_is_torchs(n_rows, n_columns, momentum, seed):
    torch.manual_seed(seed)
    ours, theirs = pair(n_columns, momentum)
    for _ in range(3):
        x = torch.randn(n_rows, n_columns, dtype=torch.float64) * 3 + 5
        torch.testing.assert_close(ours(x), theirs(x), **CLOSE)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, **CLOSE)
    x = torch.randn(n_rows, n_columns, dtype=torch.float64)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), **CLOSE)


@settings(max_examples=40, deadline=None)
@given(training=st.booleans(), **shapes)
def test_gradients_are_torchs(training, n_rows, n_columns, momentum, seed):
    torch.manual_seed(seed)
    ours, theirs = (bn.train(training) for bn in pair(n_columns, momentum))
    x = torch.randn(n_rows, n_columns, dtype=torch.float64)
    towards = torch.randn_like(x)
    gradients = []
    for bn in (ours, theirs):
        leaf = x.clone().requires_grad_()
        (bn(leaf) * towards).sum().backward()
        gradients.append([leaf.grad, bn.weight.grad, bn.bias.grad])
    for mine, torchs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, torchs, rtol=1e-6, atol=1e-6)


def test_it_starts_as_torchs():
    ours, theirs = BatchNorm(3), torch.nn.BatchNorm1d(3)
    assert (ours.momentum, ours.eps) == (theirs.momentum, theirs.eps)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


def test_running_variance_is_the_unbiased_one():
    bn, x = BatchNorm(1, momentum=1.0).double(), torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    bn(x)
    assert bn.running_var.item() == pytest.approx(2.0)  # not 1.0, the biased variance


def test_eval_mode_does_not_move_the_statistics():
    bn = BatchNorm(2).eval()
    before = {k: v.clone() for k, v in bn.state_dict().items()}
    bn(torch.randn(8, 2) + 9)
    assert all(torch.equal(before[k], v) for k, v in bn.state_dict().items())


def test_one_row_in_train_mode_is_refused():
    with pytest.raises(ValueError, match=r"one row in train mode.*eval\(\)"):
        BatchNorm(2)(torch.zeros(1, 2))


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected shape \(n_rows, 2\), got \(4, 3\)"):
        BatchNorm(2)(torch.zeros(4, 3))


def test_layer_statistics_in_the_order_of_the_pass_and_without_a_trace():
    net = RegressionNet(3, hidden=(8, 8), activation="tanh", standardize=False)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    x = torch.randn(200, 3) * 10
    frame = layer_statistics(net, x)
    hidden = ["Linear", "BatchNorm1d", "Tanh"]
    assert frame.kind.tolist() == ["Scaler", *hidden, *hidden, "Linear"]
    assert frame.layer.iloc[[1, 2, 3, 7]].tolist() == [
        *("layers.0.linear", "layers.0.norm", "layers.0.activation", "head")
    ]
    assert frame.units.tolist() == [3, 8, 8, 8, 8, 8, 8, 1]
    assert set(frame.dtypes[["mean", "sd", "large"]]) == {np.dtype(float)}
    norms = frame[frame.kind == "BatchNorm1d"]
    assert (norms["mean"] < 1e-5).all()
    assert norms["sd"].to_numpy() == pytest.approx(1, abs=0.01)
    assert frame["large"].iloc[0] > 0.3  # the linear layer's outputs of inputs of size 10
    assert (frame["large"][frame.kind == "Tanh"] == 0).all()
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_layer_statistics_by_hand():
    x = torch.tensor([[1.0, -3.0], [3.0, -7.0]])
    row = layer_statistics(torch.nn.Sequential(torch.nn.Identity()), x).iloc[0]
    assert row[["layer", "kind", "units"]].tolist() == ["0", "Identity", 2]
    assert row["mean"] == 5  # the units' means are 2 and −5
    assert row.sd == pytest.approx(1.5)  # their standard deviations, of just these rows, 1 and 2
    assert row.large == 0.75  # 3, −3 and −7


@pytest.mark.parametrize(("bound", "share"), [(0.5, 1), (2.9, 0.75), (3, 0.25), (7, 0)])
def test_large_is_what_lies_beyond_the_bound_on_either_side(bound, share):
    x = torch.tensor([[1.0, -3.0], [3.0, -7.0]])
    frame = layer_statistics(torch.nn.Sequential(torch.nn.Identity()), x, bound)
    assert frame.large.tolist() == [share]


@pytest.mark.parametrize("options", [{}, {"residual": True}, {"linear_bias": True}])
def test_folding_keeps_the_predictions(options, tmp_path):
    torch.manual_seed(1)
    net = RegressionNet(3, 2, hidden=(16, 16), input_norm=True, **options)
    net(torch.randn(64, 3) * 2 + 1)  # running statistics that are not 0 and 1
    folded, x = fold_batch_norm(net), torch.randn(50, 3)
    torch.testing.assert_close(folded(x), net.eval()(x), rtol=1e-4, atol=1e-5)
    assert not any("norm" in name for name, _ in folded.layers.named_modules())
    assert folded.input_norm is not None
    folded.save(tmp_path / "folded.safetensors")
    again = RegressionNet.load(tmp_path / "folded.safetensors")
    assert torch.equal(again(x), folded(x))


def test_fold_pair_in_double_precision():
    torch.manual_seed(0)
    linear = torch.nn.Linear(5, 4, bias=False).double()
    norm = torch.nn.BatchNorm1d(4).double()
    norm(linear(torch.randn(30, 5, dtype=torch.float64)))
    x = torch.randn(7, 5, dtype=torch.float64)
    torch.testing.assert_close(fold_pair(linear, norm)(x), norm.eval()(linear(x)))


def test_folding_leaves_the_network_as_it_was():
    torch.manual_seed(0)
    net, x = RegressionNet(3, hidden=(8, 8)), torch.randn(50, 3)
    net(x * 2 + 1)
    before = copy.deepcopy(net)
    fold_batch_norm(net)
    assert net.training
    assert repr(net) == repr(before)
    assert net.config == before.config
    assert net.state_dict().keys() == before.state_dict().keys()
    assert torch.equal(net.eval()(x), before.eval()(x))


def test_nothing_to_fold_is_said():
    with pytest.raises(ValueError, match="no hidden BatchNorm to fold"):
        fold_batch_norm(RegressionNet(2, batch_norm=False))
