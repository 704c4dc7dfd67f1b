"""Drawings of tensors: their words say what is drawn, and shapes are PyTorch's."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

import regression_lib as rl
from regression_lib.plots import alt_text

TABLE = torch.tensor([[2000, 3, 47.62], [1180, 2, 47.52]])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


class Scaled(nn.Module):
    """Arithmetic of its own, then a line: the doubled row's sum, plus 1."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout()
        self.line = nn.Linear(3, 1)
        nn.init.ones_(self.line.weight)
        nn.init.ones_(self.line.bias)

    def forward(self, x):
        return self.line(self.drop(2 * x)) * 10


def test_each_tensor_stands_with_its_shape():
    ax = rl.flows.plot_shapes(TABLE[0, 0], TABLE[0], TABLE)
    assert {"shape ()", "shape (3,)", "shape (2, 3)"} <= set(texts(ax))
    assert texts(ax).count("47.62") == 2
    assert "shape (2, 3), 2,000 3 47.62 / 1,180 2 47.52" in alt_text(ax)


def test_three_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 1, 1\)"):
        rl.flows.plot_shapes(torch.ones(1, 1, 1))
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        rl.flows.plot_slices(torch.ones(3), ["0"])


@pytest.mark.parametrize(
    ("text", "numbers", "shape"),
    [
        ("0, :", 3, "(3,)"),
        ("0:1, :", 3, "(1, 3)"),
        (":, -1", 2, "(2,)"),
        ("1", 3, "(3,)"),
        (":, 0:3:2", 4, "(2, 2)"),
        ("[1, 0], 0", 2, "(2,)"),
        ("1, 2", 1, "()"),
    ],
)
def test_a_slice_is_what_pytorch_makes_of_it(text, numbers, shape):
    ax = rl.flows.plot_slices(TABLE, [text])
    assert f"[{text}] takes {numbers} numbers, shape {shape}" in alt_text(ax)
    filled = [box for box in ax.patches if box.get_facecolor()[-1] > 0]
    assert len(filled) == numbers


def test_a_slice_is_read_and_not_run():
    with pytest.raises(ValueError, match="malformed"):
        rl.flows.plot_slices(TABLE, ["print(1)"])


def test_copies_have_another_edge():
    ax = rl.flows.plot_arithmetic(TABLE, "-", TABLE.mean(0))
    dotted = [box for box in ax.patches if box.get_linestyle() == ":"]
    assert len(dotted) == 3
    assert "(2, 3) − (3,) = (2, 3), (3,) stretched to (2, 3): 410 0.50 0.05" in alt_text(ax)


def test_elementwise_arithmetic_copies_nothing():
    ax = rl.flows.plot_arithmetic(TABLE, "*", TABLE)
    assert not [box for box in ax.patches if box.get_linestyle() == ":"]
    assert "element by element" in alt_text(ax)


def test_the_diagonal_can_be_what_was_meant():
    column = torch.tensor([[1.0], [2.0], [4.0]])
    ax = rl.flows.plot_arithmetic(column, "−", column[:, 0], meant="diagonal")
    assert len([box for box in ax.patches if box.get_facecolor()[-1] > 0]) == 3
    assert "only the diagonal was meant" in alt_text(ax)
    assert "(3, 1) stretched to (3, 3) and (3,) stretched to (3, 3)" in alt_text(ax)


def test_an_unknown_sign_is_refused():
    with pytest.raises(ValueError, match=r"sign must be one of \+, −, ×, ÷, got '%'"):
        rl.flows.plot_arithmetic(TABLE, "%", TABLE)


def test_a_closed_box_gives_a_question_mark():
    ax = rl.flows.plot_flow(TABLE[0], ["area (ft²)", "bedrooms", "latitude (°)"])
    assert {"a network", "?", "a price", "2,000"} <= set(texts(ax))
    assert "area (ft²) 2,000" in alt_text(ax)


def test_a_module_is_opened_with_the_numbers_between_its_parts():
    module = Scaled().train()
    ax = rl.flows.plot_flow([1, 2, 3], ["a", "b", "c"], module, "a sum")
    words = "arithmetic in forward(); 2, 4, 6; drop: Dropout; 2, 4, 6; line: Linear; 13; arithmetic"
    assert words in alt_text(ax)
    assert "130: a sum" in alt_text(ax)
    assert module.training, "looking changes nothing"
    assert not module.line._forward_hooks


def test_many_numbers_are_counted():
    module = nn.Sequential(nn.Linear(3, 32), nn.Linear(32, 1))
    ax = rl.flows.plot_flow([1, 2, 3], ["a", "b", "c"], module)
    assert "32 numbers" in texts(ax)


def test_each_number_needs_a_name():
    with pytest.raises(ValueError, match="3 numbers need as many names"):
        rl.flows.plot_flow([1, 2, 3], ["a"])


def test_a_given_axes_is_drawn_on():
    _, ax = plt.subplots()
    assert rl.flows.plot_shapes(TABLE, ax=ax) is ax
    assert rl.flows.plot_slices(TABLE, ["0"], ax=ax) is ax
    assert rl.flows.plot_arithmetic(TABLE, "+", TABLE, ax=ax) is ax
    assert rl.flows.plot_flow([1], ["a"], ax=ax) is ax
