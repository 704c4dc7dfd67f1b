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


AREA = np.array([1000.0, 1500, 2000, 2500, 3000, 4000])
PRICE = np.array([300.0, 350, 420, 600, 650, 900])


class TestNeighbours:
    def test_the_guess_is_the_mean_of_the_nearest(self):
        ax = rl.pictures.plot_neighbours(AREA, PRICE, at=2400, k=3)
        assert texts(ax) == [f"the guess: {np.mean([420, 600, 650]):.0f}"]
        assert "The 3 nearest to 2,400 lie between 2,000 and 3,000" in alt_text(ax)
        assert "with values from 420 to 650; their mean, the guess, is 557" in alt_text(ax)

    def test_without_neighbours_only_the_place_is_marked(self):
        ax = rl.pictures.plot_neighbours(torch.tensor(AREA)[:, None], PRICE, at=2500, k=0)
        assert alt_text(ax).endswith("A dotted line marks 2,500.")

    def test_more_neighbours_than_rows_are_refused(self):
        with pytest.raises(ValueError, match="k=7 neighbours of 6 rows"):
            rl.pictures.plot_neighbours(AREA, PRICE, at=2500, k=7)


class TestLines:
    def test_each_line_is_drawn_where_it_is_and_named(self):
        ax = rl.pictures.plot_lines(AREA, PRICE, {"flat": (0, 500), "steep": (0.2, 0)})
        assert texts(ax) == ["flat", "steep"]
        np.testing.assert_allclose(ax.lines[2].get_ydata(), [200, 800])
        assert "steep, from 200 on the left to 800" in alt_text(ax)

    def test_on_given_axes(self):
        _, ax = plt.subplots()
        assert rl.pictures.plot_lines(AREA, PRICE, {"flat": (0, 500)}, ax=ax) is ax


class TestSquares:
    def test_squares_are_as_wide_on_paper_as_they_are_high(self):
        ax = rl.pictures.plot_squares(AREA, PRICE, weight=0.2, bias=50)
        ax.figure.draw_without_rendering()
        assert len(ax.patches) == 6
        for square, miss in zip(ax.patches, np.abs(0.2 * AREA + 50 - PRICE), strict=True):
            assert square.get_height() == pytest.approx(miss)
            box = square.get_window_extent()
            assert abs(box.width) == pytest.approx(abs(box.height), rel=0.02)

    def test_words_say_the_loss(self):
        misses = 0.2 * AREA + 50 - PRICE
        said = alt_text(rl.pictures.plot_squares(AREA, PRICE, weight=0.2, bias=50))
        assert f"the mean of the squares is {(misses**2).mean():,.0f}" in said


class TestValley:
    @pytest.fixture
    def z(self):
        return (AREA - AREA.mean()) / AREA.std()

    def test_the_lowest_point_is_that_of_least_squares(self, z):
        ax = rl.pictures.plot_valley(z, PRICE)
        weight, bias = np.polyfit(z, PRICE, 1)
        (star,) = (line for line in ax.lines if line.get_marker() == "*")
        np.testing.assert_allclose(star.get_xydata()[0], [weight, bias], rtol=1e-6)
        assert f"at ({weight:.3g}, {bias:.3g})" in alt_text(ax)

    def test_standardised_it_is_round_and_raw_it_is_long(self, z):
        assert "a valley, round" in alt_text(rl.pictures.plot_valley(z, PRICE))
        assert "times as long as wide" in alt_text(rl.pictures.plot_valley(AREA / 1000, PRICE))

    def test_paths_are_drawn_and_told(self, z):
        path = [(0.0, 0.0), (torch.tensor(50.0), 100.0), (90.0, 180.0)]
        ax = rl.pictures.plot_valley(z, PRICE, {"two steps": path})
        assert ax.lines[0].get_xydata().tolist() == [[0, 0], [50, 100], [90, 180]]
        assert "two steps goes from (0, 0) to (90, 180) in 2 steps." in alt_text(ax)

    def test_the_start_lies_on_a_contour(self, z):
        ax = rl.pictures.plot_valley(z, PRICE, {"a step": [(0.0, 0.0), (50.0, 100.0)]})
        left, right = ax.get_xlim()
        low, high = ax.get_ylim()
        assert left < 0 < right
        assert low < 0 < high


class TestMisses:
    def test_means_of_bands(self):
        x = np.arange(80.0)
        ax = rl.pictures.plot_misses(x, np.where(x < 40, 10.0, -5.0))
        (means,) = (line for line in ax.lines if line.get_marker() == "D")
        assert means.get_ydata().tolist() == [10] * 4 + [-5] * 4
        assert "for 80 rows; means in bands: 10 at 4.5" in alt_text(ax)
