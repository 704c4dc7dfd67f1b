"""Pictures of the lessons: what is drawn is what was given, and their words say it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

import regression_lib as rl
from regression_lib.plots import alt_text


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


class TestNetwork:
    @pytest.fixture
    def net(self):
        net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
        with torch.no_grad():
            net[0].weight.copy_(torch.tensor([[1.0, -2.0], [0.5, 0.0], [4.0, 1.0]]))
        return net

    def test_a_line_for_each_weight_as_wide_as_it_is_large(self, net):
        ax = rl.pictures.plot_network(net)
        wires = [line for line in ax.lines if line.get_marker() == "None"]
        assert len(wires) == 2 * 3 + 3
        first = sorted(line.get_linewidth() for line in wires[:6])
        assert first[-1] / first[-2] == pytest.approx(2)
        assert {line.get_linestyle() for line in wires[:6]} == {"-", "--"}

    def test_a_circle_for_each_unit(self, net):
        ax = rl.pictures.plot_network(net)
        circles = [len(line.get_xdata()) for line in ax.lines if line.get_marker() == "o"]
        assert circles == [2, 3, 1]

    def test_words_say_layers_names_and_largest_weights(self, net):
        ax = rl.pictures.plot_network(net, names=["area", "rooms", "price"])
        assert {"area", "rooms", "price", "2 inputs", "3 units\nTanh", "1 output"} == set(texts(ax))
        said = alt_text(ax)
        assert "2 inputs; 3 units, then Tanh; 1 output" in said
        assert "Largest weight of layer 1: 4, from area to unit 3." in said

    def test_widths_alone_do(self):
        ax = rl.pictures.plot_network((4, 130, 1))
        circles = [len(line.get_xdata()) for line in ax.lines if line.get_marker() == "o"]
        assert circles == [4, 8, 1]
        assert {"130 units", "⋮"} <= set(texts(ax))
        assert alt_text(ax) == "Drawing of a network: 4 inputs; 130 units; 1 output."

    def test_the_librarys_networks_can_be_drawn(self):
        net = rl.RegressionNet(4, hidden=(5, 3), batch_norm=False)
        assert "4 inputs; 5 units" in alt_text(rl.pictures.plot_network(net))

    def test_all_weights_nought_are_thin_lines(self):
        net = nn.Linear(2, 1)
        nn.init.zeros_(net.weight)
        ax = rl.pictures.plot_network(net)
        assert np.isfinite([line.get_linewidth() for line in ax.lines]).all()

    @pytest.mark.parametrize(
        ("net", "names", "message"),
        [
            ((3,), None, "an input and an output"),
            (nn.Tanh(), None, "no nn.Linear layer"),
            (nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 1)), None, "follow one another"),
            ((2, 1), ["area"], "2 inputs need as many names"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, net, names, message):
        with pytest.raises(ValueError, match=message):
            rl.pictures.plot_network(net, names=names)
