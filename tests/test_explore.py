"""The explorers' arithmetic is PyTorch's: their JavaScript runs here, in a small engine."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from regression_lib import (
    ACTIVATIONS,
    KC4,
    RegressionNet,
    fit,
    load_king_county,
    responsive_range,
)
from regression_lib.activations import derivative
from regression_lib.course.explore import (
    FOLDER,
    LABELS,
    explore_activations,
    explore_batch_norm,
    explore_line,
    explore_sweep,
    network_shape,
    network_weights,
    playground,
)
from regression_lib.course.explorer import module

quickjs = pytest.importorskip("quickjs")


def engine(*files):
    """Evaluate an expression after the given files; what it gives, as Python's own."""
    context = quickjs.Context()

    def evaluate(expression, **values):
        for name, value in values.items():
            context.eval(f"globalThis.{name} = {json.dumps(value)}")
        return json.loads(context.eval(f"JSON.stringify({expression})"))

    context.eval(module(*files).replace("export default", "globalThis.explorer ="))
    return evaluate


@pytest.fixture(scope="module")
def script():
    return engine("kit", "curves", "net", "lessons", "playground")


@pytest.mark.parametrize("name", ACTIVATIONS)
class TestCurves:
    def test_value_and_slope_are_those_of_pytorch(self, script, name):
        x = torch.linspace(-30, 30, 2001, dtype=torch.float64)
        found = script(f"x.map(x => CURVES.{name}.map(f => f(x)))", x=x.tolist())
        value, slope = torch.tensor(found, dtype=torch.float64).T
        torch.testing.assert_close(value, ACTIVATIONS[name]()(x), rtol=0, atol=1e-6)
        torch.testing.assert_close(slope, derivative(name, x), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("threshold", [0.0707, 0.3])
    def test_the_band_is_the_responsive_range(self, script, name, threshold):
        found = script(f"band('{name}', {threshold}).map(String)")
        assert [float(end.replace("Infinity", "inf")) for end in found] == pytest.approx(
            responsive_range(name, threshold), abs=1e-6
        )


def parameters(net):
    """Weights or gradients of a network, in the order and layout of the JavaScript."""
    inner = [net.input_norm] if net.input_norm is not None else []
    for layer in net.layers:
        inner += [layer.linear] + ([] if layer.batch_norm() is None else [layer.norm])
    return [p for part in [*inner, net.head] for p in (part.weight, part.bias)]


def flat(tensors):
    return torch.cat([(t.T if t.ndim == 2 else t).flatten() for t in tensors])


@pytest.mark.parametrize("norm", [False, True], ids=["plain", "BN"])
@pytest.mark.parametrize("residual", [False, True], ids=["", "residual"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
class TestNet:
    @pytest.fixture
    def pair(self, script, norm, residual, activation):
        """The same network and batch in both languages."""
        shape = {"hidden": (6,) * 4, "activation": activation, "batch_norm": norm}
        options = {"input_norm": norm, "residual": residual, "linear_bias": True}
        net = RegressionNet(2, **shape, **options, bn_momentum=0.3).double()
        values = {"shape": network_shape(net), "weights": network_weights(net)}
        script("(globalThis.net = new Net(shape).fill(weights)) && 0", **values)
        rng = np.random.default_rng(0)
        x, y = rng.normal(2, 3, (16, 2)), rng.normal(size=(16, 1))
        batch = {"x": x.ravel().tolist(), "y": y.ravel().tolist()}
        script(
            "(batch = {x: Float64Array.from(x), y: Float64Array.from(y)}) && 0", batch={}, **batch
        )
        return net, torch.tensor(x), torch.tensor(y)

    def test_loss_and_gradients(self, script, pair):
        net, x, y = pair
        loss = torch.nn.functional.mse_loss(net(x), y)
        loss.backward()
        assert script("net.loss(batch.x, batch.y, 16)") == pytest.approx(loss.item(), rel=1e-6)
        found = torch.tensor(script("net.gradients.flatMap(g => [...g])"), dtype=torch.float64)
        torch.testing.assert_close(
            found, flat([p.grad for p in parameters(net)]), rtol=1e-5, atol=1e-8
        )

    def test_steps_of_adam_and_eval_mode(self, script, pair):
        net, x, y = pair
        adam = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(3):
            adam.zero_grad()
            torch.nn.functional.mse_loss(net(x), y).backward()
            adam.step()
            script("(net.loss(batch.x, batch.y, 16), net.step(0.01)) ?? 0")
        found = torch.tensor(script("[...net.forward(batch.x, 16)]"), dtype=torch.float64)
        torch.testing.assert_close(found, net.eval()(x).detach().ravel(), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def net():
    houses = load_king_county(400, features=KC4).log_target()
    net = RegressionNet(4, hidden=(6, 5), activation="gelu", input_norm=True)
    fit(net, houses, epochs=2)
    return net


@pytest.fixture(scope="module")
def rows():
    return load_king_county(50, features=KC4, seed=1).X


@pytest.fixture(scope="module")
def batches(net, rows):
    script = engine("kit", "curves", "net", "batchnorm")
    data = explore_batch_norm(net, rows).data
    script("(globalThis.batches = new Batches(data)) && 0", data=data)
    return script


class TestBatchNormExplorer:
    def test_prices_in_eval_mode_are_those_of_predict(self, net, rows, batches):
        found = batches("batches.predict([...Array(50).keys()], false, 0)")
        assert found == pytest.approx(np.exp(net.predict(rows))[:, 0] / 1000, rel=1e-5)

    def test_prices_in_train_mode_and_the_memory_that_they_move(self, net, rows, batches):
        x = torch.tensor(rows.to_numpy()[:7], dtype=torch.float32)
        twin = RegressionNet(**net.config)
        twin.load_state_dict(net.state_dict())
        for norm in twin.batch_norms():
            norm.momentum = 0.5
        with torch.no_grad():
            price = twin.train()(x).exp()[:, 0].numpy() / 1000
        found = batches("batches.predict([0, 1, 2, 3, 4, 5, 6], true, 0.5)")
        assert found == pytest.approx(price, rel=1e-4)
        after = batches("batches.predict([...Array(50).keys()], false, 0)")
        assert after == pytest.approx(np.exp(twin.predict(rows))[:, 0] / 1000, rel=1e-4)

    def test_scale_and_bias_of_the_first_layer_change_nothing_in_train_mode(self, batches):
        before = batches("batches.predict([0, 1, 2, 3], true, 0)")
        batches("batches.turn(10, 5) ?? 0")
        assert batches("batches.predict([0, 1, 2, 3], true, 0)") == pytest.approx(before, rel=1e-3)
        alone = batches("batches.predict([0, 1, 2, 3], false, 0)")
        assert alone != pytest.approx(before, rel=1e-2)  # the running statistics are out of date
        batches("batches.turn(1, 0) ?? 0")

    def test_a_batch_holds_the_row_in_question_and_nobody_twice(self, batches):
        chosen = batches("batches.company(3, 16)")
        assert chosen[0] == 3
        assert len(set(chosen)) == 16

    def test_logarithms_and_thousands_are_undone(self, net, rows):
        target = explore_batch_norm(net, rows).data["target"]
        assert target == {"name": "price", "unit": "thousand US$", "log": True, "factor": 1000}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"batch_norm": False}, "no batch normalisation"),
            ({"hidden": ()}, "no batch normalisation"),
            ({"n_targets": 2}, "one target"),
            ({"numeric_embedding": "piecewise_linear"}, "no embedding"),
            ({"quantiles": (0.1, 0.5, 0.9)}, "no quantiles"),
            ({"dropout": 0.1}, "no dropout"),
        ],
    )
    def test_networks_that_it_cannot_show_are_refused(self, rows, options, message):
        with pytest.raises(ValueError, match=message):
            explore_batch_norm(RegressionNet(4, **options), rows)


@pytest.fixture(scope="module")
def houses():
    return load_king_county(100, features="sqft_living", seed=2)


@pytest.fixture(scope="module", params=[True, False], ids=["standardised", "in thousands"])
def line(request, houses):
    """The explorer's valley and descent, and the same columns for NumPy."""
    script = engine("kit", "line")
    data = explore_line(houses, scaled=request.param).data
    script("(globalThis.valley = new Valley(data, data.scaled)) && 0", data=data)
    x = houses.X.to_numpy()[:, 0]
    feature = (x - x.mean()) / x.std(ddof=1) if request.param else x / 1000
    return script, np.column_stack([feature, np.ones(100)]), houses.y.to_numpy()[:, 0] / 1000


class TestLine:
    def test_the_lowest_point_is_that_of_least_squares(self, line):
        script, columns, y = line
        weights, *_ = np.linalg.lstsq(columns, y, rcond=None)
        assert script("[valley.weight, valley.bias]") == pytest.approx(weights, rel=1e-9)
        lowest = ((columns @ weights - y) ** 2).mean()
        assert script("valley.lowest") == pytest.approx(lowest, rel=1e-9)

    def test_steps_are_those_of_pytorch(self, line):
        script, columns, y = line
        weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        descent = torch.optim.SGD([weights], lr=0.1)
        for _ in range(7):
            descent.zero_grad()
            ((torch.tensor(columns) @ weights - torch.tensor(y)) ** 2).mean().backward()
            descent.step()
        found = script(
            """(() => { const descent = new Descent(valley);
            for (let k = 0; k < 7; k++) descent.step(0.1);
            return [descent.weight, descent.bias, descent.steps, descent.losses.length]; })()"""
        )
        assert found == pytest.approx([*weights.tolist(), 7, 8], rel=1e-9)

    def test_the_border_is_two_over_the_largest_curvature(self, line):
        script, columns, _ = line
        largest = np.linalg.eigvalsh(2 * columns.T @ columns / len(columns))[-1]
        assert script("valley.border") == pytest.approx(2 / largest, rel=1e-9)

    def test_below_the_border_it_arrives_and_above_it_ends(self, line):
        script, *_ = line
        run = """(() => { const descent = new Descent(valley); let goes = true;
            for (let k = 0; k < 20000 && goes; k++) goes = descent.step(rate * valley.border);
            return [goes, descent.loss / valley.lowest]; })()"""
        goes, loss = script(run, rate=0.9)
        assert not goes
        assert loss == pytest.approx(1, abs=1e-5)
        goes, loss = script(run, rate=1.1)
        assert not goes
        assert loss > 1e6

    def test_contours_join_equal_losses(self, line):
        script, *_ = line
        losses = script("valley.contour(500).map(p => valley.loss(...p) - valley.lowest)")
        assert losses == pytest.approx([500] * len(losses), rel=1e-6)
        reach = script(
            "valley.reach(500).map((r, k) => r / (valley.contour(500, 7200)"
            ".reduce((m, p) => Math.max(m, p[k]), -1e9) - [valley.weight, valley.bias][k]))"
        )
        assert reach == pytest.approx([1, 1], rel=1e-4)

    def test_two_heights_make_a_line(self, line):
        script, *_ = line
        found = script(
            "[1000, 4000].map(x => valley.at(x, ...valley.through([1000, 250], [4000, 900])))"
        )
        assert found == pytest.approx([250, 900])

    def test_prices_are_in_thousands_and_some_rows_have_squares(self, houses):
        data = explore_line(houses).data
        assert data["units"] == {"x": "ft²", "y": "thousand US$"}
        assert data["names"] == {"x": "sqft_living", "y": "price"}
        assert len(set(data["shown"])) == 9
        assert data["handles"] == [round(v, -2) for v in data["handles"]]

    @pytest.mark.parametrize(
        ("features", "rows", "options", "message"),
        [
            (KC4, 100, {}, "one feature and one target"),
            ("lat", 100, {"rate": 0}, "must be above 0"),
            ("lat", 3, {}, "9 rows that differ"),
        ],
    )
    def test_what_makes_no_line_is_refused(self, features, rows, options, message):
        with pytest.raises(ValueError, match=message):
            explore_line(load_king_county(rows, features=features), **options)


class TestPlayground:
    def test_a_setting_survives_the_address(self, script):
        text = "lesson=houses&scaled=false&pair=true&a.depth=20&a.lr=0.0003&b.norm=true&b.bias=-0.2"
        assert script("encode(decode(text))", text=text) == text

    @pytest.mark.parametrize(
        "text", ["", "summary", "a.depth=21", "c.depth=2", "a.toString=1", "lr=0.1"]
    )
    def test_another_anchor_is_no_setting(self, script, text):
        assert script("decode(text)", text=text) is None

    def test_what_is_out_of_range_is_left_out(self, script):
        state = script("decode('a.depth=5&a.lr=7&lesson=<b>')")
        assert (state["a"]["depth"], state["a"]["lr"], state["lesson"]) == (5, 0.01, "wave")

    def test_every_experiment_can_be_linked_to(self, script):
        found = script(
            "Object.values(EXPERIMENTS).map(e => [setting(e), decode(encode(setting(e)))])"
        )
        assert len(found) == 5
        for meant, read in found:
            assert read == meant

    @pytest.mark.parametrize("lesson", ["wave", "parabola", "step", "teeth", "houses"])
    @pytest.mark.parametrize("norm", [False, True], ids=["plain", "BN"])
    def test_each_lesson_can_be_learnt(self, script, lesson, norm):
        data = playground().data
        options = {"norm": norm, "depth": 2, "width": 16, "lr": 0.03, "batch": 32}
        losses = script(
            """(() => { const rows = lessonOf(lesson, houses, true);
            const trainee = new Trainee({...NETWORK, ...options}, rows);
            for (let k = 0; k < 300; k++) trainee.step();
            return trainee.losses.map(x => x.fresh); })()""",
            houses=data["houses"],
            lesson=lesson,
            options=options,
        )
        assert losses[-1] < min(0.7, losses[0])  # a straight line leaves 0.9 of the wave

    @pytest.fixture
    def losses(self, script):
        """What both networks of an experiment have noted after so many steps."""

        def train(experiment, steps, change=None):
            return script(
                """["a", "b"].map(net => { const state = setting(EXPERIMENTS[experiment]);
                const rows = lessonOf(state.lesson, houses, state.scaled);
                const trainee = new Trainee({...state[net], ...change}, rows);
                for (let k = 0; k < steps; k++) trainee.step();
                return trainee.losses; })""",
                **{"houses": playground().data["houses"], "experiment": experiment},
                **{"steps": steps, "change": change or {}},
            )

        return train

    def test_a_bad_bias_stops_only_the_network_without_normalisation(self, losses):
        plain, normalised = losses("bias", 100)
        assert plain[-1]["fresh"] > 0.8
        assert normalised[-1]["fresh"] < 0.3
        assert losses("bias", 100, {"bias": "0"})[0][-1]["fresh"] < 0.3

    def test_raw_inputs_are_nothing_without_normalisation(self, losses):
        plain, normalised = losses("raw", 150)
        assert plain[-1]["fresh"] > 0.9 > 0.6 > normalised[-1]["fresh"]

    def test_a_short_memory_makes_new_rows_jump_and_moves_no_weight(self, losses):
        short, long = (pd.DataFrame(notes) for notes in losses("company", 500))
        assert short.seen.tolist() == pytest.approx(long.seen.tolist())
        assert short.fresh[10:].diff().std() > 2 * long.fresh[10:].diff().std()

    def test_houses_are_judged_by_others_than_those_learnt_from(self, script):
        data = playground().data
        sizes = script(
            """(({train, valid}) => [train.rows, valid.rows, train.x.length])(
            lessonOf('houses', houses, true))""",
            houses=data["houses"],
        )
        assert sizes[0] + sizes[1] == len(data["houses"]["y"]) > 700
        assert sizes[2] == 2 * sizes[0]

    def test_a_batch_takes_each_row_once_in_a_pass(self, script):
        rows = script(
            """(() => { const lesson = lessonOf("wave", null, true);
            const trainee = new Trainee({...NETWORK, batch: 32}, lesson);
            return Array.from({length: 8}, () => [...trainee.batch().x]).flat(); })()"""
        )
        assert len(set(rows)) == 256

    def test_a_training_that_breaks_down_says_so(self, script):
        lost = script(
            """(() => { const lesson = lessonOf("parabola", null, false);
            const trainee = new Trainee({...NETWORK, activation: "relu", lr: 1e300}, lesson);
            for (let k = 0; k < 5; k++) trainee.step();
            return trainee.lost; })()"""
        )
        assert lost is True


class TestSweep:
    @pytest.fixture
    def table(self):
        keys = [(lr, step, seed) for lr in (0.1, 0.01) for step in (1, 2, 3) for seed in range(4)]
        frame = pd.DataFrame(keys, columns=["lr", "step", "seed"])
        return frame.assign(loss=frame.lr * frame.step + frame.seed, other=1.0, kind="plain")

    def test_shows_means_and_spreads_in_order(self, table):
        data = explore_sweep(table, x="lr", over="step", values={"seen": "loss"}).data
        assert data["x"]["names"] == ["0.01", "0.1"]
        assert data["frames"] == [1, 2, 3]
        line = data["pictures"][0]["lines"][0]
        assert line["mean"][2] == pytest.approx([1.53, 1.8])
        assert line["sd"][2] == pytest.approx([np.std(range(4), ddof=1)] * 2, rel=1e-3)

    def test_what_diverged_leaves_a_gap(self, table):
        table.loc[table.lr == 0.1, "loss"] = np.inf
        data = explore_sweep(table, x="lr", over="step", values={"seen": "loss"}).data
        assert data["pictures"][0]["lines"][0]["mean"][0][1] is None
        json.dumps(data, allow_nan=False)

    def test_kinds_have_lines_and_values_have_pictures(self, table):
        values = {"seen": "loss", "new": "other"}
        data = explore_sweep(table, x="lr", over="step", values=values, by="kind").data
        assert [picture["label"] for picture in data["pictures"]] == ["seen", "new"]
        assert [line["name"] for line in data["pictures"][0]["lines"]] == ["plain"]

    def test_a_missing_column_is_named(self, table):
        with pytest.raises(ValueError, match="no column \\['rate'\\]"):
            explore_sweep(table, x="rate", over="step", values={"seen": "loss"})


class TestExplorers:
    def test_says_what_it_is_where_it_cannot_run(self):
        assert repr(explore_activations()).startswith("Activation explorer")

    def test_another_name_is_refused(self):
        with pytest.raises(ValueError, match="Did you mean 'relu'"):
            explore_activations("rellu")

    @pytest.mark.parametrize("threshold", [0, 1, -0.1])
    def test_a_threshold_that_is_no_share_is_refused(self, threshold):
        with pytest.raises(ValueError, match="between 0 and 1"):
            explore_activations(threshold=threshold)

    @pytest.mark.parametrize(
        ("kind", "own"),
        [
            ("activations", ["activations"]),
            ("line", ["line"]),
            ("batch_norm", ["batchnorm"]),
            ("playground", ["playground"]),
            ("replay", ["replay"]),
        ],
    )
    def test_every_word_stands_in_the_table_and_is_used(self, kind, own):
        source = re.sub(r"^\s*/?\*.*$", "", module("kit", *own), flags=re.M)
        asked = set(re.findall(r"\bt\(\s*\"(\w+)\"(?=[,)])", source))
        known = set(LABELS["common"] | LABELS[kind])
        assert asked <= known, "a word that no table has"
        # Others are put together ("lesson_" + its name), handed on, or used in Python.
        loose = {word for word in known - asked if not re.search(rf"\"{word}\"|\b{word}\b", source)}
        families = {"lesson", "experiment", "weights", "bias", "fresh", "seen"}
        in_python = {"title", "at_rest", "thousand"}
        assert {w for w in loose if w.partition("_")[0] not in families} <= in_python

    def test_no_word_is_baked_into_a_script(self):
        """Text between quotes with a space and a capital or several words is for a reader."""
        for path in FOLDER.glob("*.js"):
            code = re.sub(
                r"^\s*(//|/?\*).*$|//.*$", "", path.read_text(encoding="utf-8"), flags=re.M
            )
            texts = re.findall(r"\"([A-Z][a-z]+ [a-z ]+)\"", code)
            assert not texts, f"{path.name}: {texts}"
