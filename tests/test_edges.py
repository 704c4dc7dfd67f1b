"""Where the road ends: odd numbers, odd modes and odd terminals each have a clear behaviour."""

import io
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from regression_lib import (
    DeepRegressor,
    EnsembleNet,
    RegressionNet,
    claim,
    fit,
    fold_batch_norm,
    layer_statistics,
    load_tecator,
    lr_sweep,
    make_projectile,
    quiz,
    track,
)
from regression_lib.rows import mean_and_scale

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = (X @ [1.0, -2.0, 0.5])[:, None]
QUICK = {"epochs": 30, "batch_size": 16, "lr": 1e-2}


def net(**options):
    return RegressionNet(3, **({"hidden": (16,), "batch_norm": False} | options))


def estimator(**options):
    few = {"hidden": (16,), "n_members": 1, "random_state": 0}
    return DeepRegressor(**(few | QUICK | options))


def r2(truth, predicted):
    truth, predicted = np.ravel(truth), np.ravel(predicted)
    scale = np.abs(truth).max()  # squares of 1e300 are no numbers
    truth, predicted = truth / scale, predicted / scale
    return 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


class TestSizes:
    @pytest.mark.parametrize("size", [1e-300, 1e-6, 1.0, 1e30, 1e300])
    def test_inputs_and_targets_of_any_size_are_learnt(self, size):
        network = net()
        fit(network, size * X, Y, **QUICK)
        assert r2(Y, network.predict(size * X)) > 0.95
        network = net()
        fit(network, X, size * Y, **QUICK)
        assert r2(size * Y, network.predict(X)) > 0.95
        assert network.predict(X).dtype == np.float64
        model = estimator().fit(size * X, size * Y[:, 0])
        assert r2(size * Y, model.predict(size * X)) > 0.9

    @pytest.mark.parametrize("centre", [1e6, 1e9, 1e12])
    def test_a_column_that_varies_a_little_around_much_is_like_any_other(self, centre):
        shifted = X + np.array([0, centre, 0])
        network = net()
        fit(network, shifted, Y + centre, **QUICK)
        assert r2(Y, network.predict(shifted) - centre) > 0.95
        assert network.x_scaler.scale[1] == pytest.approx(X[:, 1].std(), rel=1e-3)
        again = estimator().fit(shifted, Y[:, 0] + centre)
        assert r2(Y, again.predict(shifted) - centre) > 0.9

    def test_the_scales_have_all_digits(self):
        values = np.stack([1e9 + 1e-3 * X[:, 0], 1e-300 * X[:, 1], np.full(120, 7.0)], axis=1)
        mean, scale = mean_and_scale(values, np.arange(120))
        assert scale[0] == pytest.approx((values[:, 0] - 1e9).std(), rel=1e-12)
        assert scale[1] == pytest.approx(1e-300 * X[:, 1].std(), rel=1e-12)
        assert (mean[2], scale[2]) == (7, 1)
        counts = np.arange(120) % 3
        some, many = np.flatnonzero(counts), np.repeat(np.arange(120), counts)
        weighted = mean_and_scale(X, some, counts[some])
        assert np.allclose(weighted, mean_and_scale(X, many), rtol=1e-12)

    def test_scales_stay_double_whatever_the_network_becomes(self, tmp_path):
        network = net().half()
        fit(network, X + np.array([0, 1e6, 0]), Y, epochs=1)
        network.save(tmp_path / "m")
        for kept in (network, network.float(), RegressionNet.load(tmp_path / "m")):
            assert kept.x_scaler.mean.dtype == torch.float64
            assert kept.x_scaler.mean[1] == pytest.approx(1e6 + X[:, 1].mean(), rel=1e-12)

    @pytest.mark.parametrize("spoilt", ["X", "y"])
    def test_without_scaling_a_narrow_column_is_refused_by_its_name(self, spoilt):
        tables = {"X": pd.DataFrame(X, columns=list("abc")), "y": pd.DataFrame(Y, columns=["p"])}
        for change in (lambda t: t + 1e9, lambda t: t * 1e-300):
            changed = tables | {spoilt: change(tables[spoilt])}
            with pytest.raises(ValueError, match=rf"column '[ap]' of {spoilt} varies by .* scale"):
                fit(net(standardize=False), changed["X"], changed["y"], epochs=1)

    @pytest.mark.parametrize("door", ["fit", "validation", "predict"])
    def test_too_large_for_the_network_is_refused_by_row_and_column(self, door):
        spoilt = pd.DataFrame(X.copy(), columns=list("abc"))
        spoilt.loc[7, "b"] = 1e300
        network = net(standardize=False)
        doors = {
            "fit": lambda: fit(network, spoilt, Y, epochs=1),
            "validation": lambda: fit(network, X, Y, validation=(spoilt, Y), epochs=1),
            "predict": lambda: network.predict(spoilt, batch_size=5),
        }
        if door == "validation":
            doors[door] = lambda: fit(
                network, spoilt * [1, 0, 1] + 0.1 * X, Y, validation=(spoilt, Y), epochs=1
            )
        with pytest.raises(ValueError, match=r"X holds 1e\+300 in row 7, column '?[b1]'?, which"):
            doors[door]()
        trained = net()
        fit(trained, X, Y, epochs=1)
        with pytest.raises(ValueError, match=r"X holds 1e\+300 in row 7"):
            trained.predict(spoilt)
        with pytest.raises(ValueError, match=r"X holds 1e\+300 in row 7"):
            estimator(epochs=1).fit(X, Y).predict(spoilt.to_numpy())

    def test_members_spread_has_the_size_of_the_targets(self):
        model = estimator(n_members=3, ridge=False, epochs=2).fit(X, Y[:, 0])
        large = estimator(n_members=3, ridge=False, epochs=2).fit(X, 1e250 * Y[:, 0])
        spread, larger = (m.predict(X, return_std=True)[1] for m in (model, large))
        assert np.allclose(1e250 * spread, larger, rtol=1e-3)

    def test_the_mean_of_large_members_is_a_number(self):
        model = estimator(n_members=5, epochs=2).fit(X, 1e308 * (1 + 0.02 * X[:, 0]))
        assert np.isfinite(model.predict(X)).all()

    @pytest.mark.parametrize("size", [1e-300, 1e14, 1e16, 1e200, 1e308])
    def test_only_the_ratios_of_weights_matter(self, size):
        even, sized = net(), net()
        fit(even, X, Y, sample_weight=np.ones(120), epochs=2)
        fit(sized, X, Y, sample_weight=np.full(120, size), epochs=2)
        assert np.array_equal(even.predict(X), sized.predict(X))

    def test_one_row_is_read_whatever_its_strides(self):
        network = net()
        fit(network, X, Y, epochs=1)
        packed = np.zeros(3, [("flag", "i1"), ("x", "f8", (3,))])["x"]
        for row in (X[:1][::-1], packed[:1], X[::-1][:1]):
            assert np.array_equal(network.predict(row), network.predict(row.copy()))

    def test_a_whole_number_too_large_for_any_float_is_refused(self):
        with pytest.raises(ValueError, match=r"X contains infinity.* in row 0, column 1"):
            net().predict([[1, 10**400, 2]])

    def test_a_row_of_which_no_number_comes_is_named(self):
        network = net(hidden=(64, 64))
        fit(network, X, Y, **QUICK)
        network.layers[0].linear.weight.data *= 100
        far = X.copy()
        far[5, 2] = 3e38
        with pytest.raises(ValueError, match=r"row 5 of X gives no finite .*column 2 holds 3e\+38"):
            network.predict(far)
        network.head.weight.data[0, 0] = torch.nan
        with pytest.raises(ValueError, match=r"weights of .* hold NaN or infinity"):
            network.predict(X)


class TestModes:
    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_fit_works_where_gradients_are_off(self, mode):
        expected, network = net(), net()
        fit(expected, X, Y, validation=0.2, **QUICK)
        with mode():
            fit(network, X, Y, validation=0.2, **QUICK)
            assert not torch.is_grad_enabled()
        assert np.array_equal(network.predict(X), expected.predict(X))

    def test_what_is_made_under_inference_mode_can_be_trained(self):
        with torch.inference_mode():
            network = net()
            fit(network, X, Y, epochs=1)
            estimator(epochs=1, n_members=2).fit(X, Y)
        fit(network, X, Y, epochs=1)
        with torch.inference_mode():
            network.head.weight = torch.nn.Parameter(torch.zeros(1, 16))
            with pytest.raises(ValueError, match=r"made under torch\.inference_mode\(\)"):
                fit(network, X, Y, epochs=1)

    @pytest.mark.parametrize("kind", ["bfloat16", "half", "double"])
    def test_a_network_of_another_type_predicts(self, kind):
        network = net(batch_norm=True)
        fit(network, X, Y, **QUICK)
        expected = network.predict(X)
        assert np.abs(getattr(network, kind)().predict(X) - expected).max() < 0.1

    @pytest.mark.parametrize(
        ("size", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError)]
    )
    def test_batches_of_no_rows_are_refused(self, size, error):
        for network in (net(), EnsembleNet(2, 3)):
            with pytest.raises(error, match=f"batch_size must be .*, got {size}"):
                network.predict(X, batch_size=size)

    def test_members_by_number_or_slice(self):
        members = EnsembleNet(5, 3, hidden=(4,))
        fit(members, X, Y, epochs=2)
        some = members[1:4]
        assert isinstance(some, EnsembleNet)
        assert len(some) == 3
        assert np.allclose(some.predict_members(X), members.predict_members(X)[1:4])
        assert some.config["seed"] == members.config["seed"][1:4]
        assert np.allclose(members[::-2][0].predict(X), members[4].predict(X), atol=1e-6)
        fit(some, X, -Y, epochs=2)
        assert not np.allclose(some.predict_members(X), members.predict_members(X)[1:4])
        with pytest.raises(IndexError, match="no member is left"):
            members[5:]
        history = fit(EnsembleNet(5, 3), X, Y, epochs=1)
        for wrong in ("0", 1.0, None, True, [0]):
            for holder in (members, history):
                with pytest.raises(TypeError, match="asked for by a whole number, got"):
                    holder[wrong]

    def test_a_sweep_of_one_rate_by_the_wrong_name(self):
        with pytest.raises(TypeError, match=r"lrs=0\.1 instead of lr"):
            lr_sweep(net(), X, Y, lr=0.1)
        with pytest.raises(ValueError, match="n_seeds must be at least 1, got 0"):
            lr_sweep(net(), X, Y, n_seeds=0)

    def test_what_may_not_be_written_to_is_only_read(self):
        network, still = net(), X.copy()
        still.setflags(write=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fit(network, still, Y, epochs=1, validation=(still, Y))
            network.predict(still)
            estimator(epochs=1).fit(still, Y).predict(pd.DataFrame(still))
        assert np.array_equal(still, X)

    def test_the_warning_of_lost_members_points_to_who_called(self):
        options = {"lr": [1e-3, 1e10], "optimizer": "sgd", "epochs": 3}
        with pytest.warns(RuntimeWarning, match=r"the loss of members \[1\]") as caught:
            fit(EnsembleNet(2, 3, hidden=(8,), batch_norm=False), X, Y, **options)
        assert caught[0].filename == __file__

    def test_a_callback_that_is_none_is_noticed_before_the_first_epoch(self):
        with pytest.raises(TypeError, match="callback must be a function of the History, got 3"):
            fit(net(), X, Y, callback=3)

    @pytest.mark.parametrize(
        ("options", "error", "words"),
        [
            ({"bn_momentum": "a"}, ValueError, r"bn_momentum must be in \(0, 1\], got 'a'"),
            ({"init": ["a"]}, ValueError, r"unknown init \['a'\]"),
            ({"numeric_embedding": {}}, ValueError, r"unknown numeric_embedding \{\}"),
            ({"seed": True}, TypeError, "seed must be a whole number, got True"),
            ({"seed": "ab"}, TypeError, "seed must be a whole number, got 'ab'|'a'"),
        ],
    )
    def test_options_of_another_type_are_named(self, options, error, words):
        for make in (net, lambda **o: EnsembleNet(2, 3, **o)):
            with pytest.raises(error, match=words):
                make(**options)

    @pytest.mark.parametrize("name", ["schedule", "optimizer"])
    def test_names_that_are_lists_are_named(self, name):
        with pytest.raises(ValueError, match=rf"unknown {name} \['a'\]"):
            fit(net(), X, Y, **{name: ["a"]})

    def test_threads_may_look_at_a_network_in_train_mode(self):
        rows = RNG.normal(size=(4000, 3))
        network = net(batch_norm=True)
        fit(network, X, Y, epochs=2)
        expected, memory = network.predict(rows), network.layers[0].norm.running_mean.clone()
        network.train()
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: network.predict(rows), range(60)))
        assert all(np.allclose(one, expected, atol=1e-5) for one in found)
        assert torch.equal(network.layers[0].norm.running_mean, memory)
        assert all(module.training for module in network.modules() if module is not network.head)

    @pytest.mark.parametrize("name", ["batch_norm", "residual", "standardize"])
    def test_a_flag_is_true_or_false(self, name):
        for odd in ("False", None, 2, [True]):
            with pytest.raises(TypeError, match=f"{name} must be True or False, got"):
                net(**{name: odd})
        for yes in (np.True_, True, 1):
            assert net(**{name: yes}).config[name] is True

    @pytest.mark.parametrize("door", [fit, fold_batch_norm, layer_statistics])
    def test_what_is_no_network_is_named(self, door):
        with pytest.raises(TypeError, match=r"must be a .*, got 5"):
            door(5, torch.ones(4, 3)) if door is not fold_batch_norm else door(5)

    def test_counts_beyond_all_reason_are_refused_before_memory_is_taken(self):
        for make in (lambda: EnsembleNet(10**30, 3), lambda: net(hidden=(10**30,))):
            with pytest.raises(ValueError, match="must be below 2,147,483,648"):
                make()
        with pytest.raises(ValueError, match="epochs must be below"):
            fit(net(), X, Y, epochs=10**30)

    def test_odd_fractions(self):
        assert len(estimator(epochs=1, validation_fraction=np.float32(0.1)).fit(X, Y).history_) == 1
        with pytest.raises(TypeError, match="validation_fraction must be a number, got 'x'"):
            estimator(validation_fraction="x").fit(X, Y)
        with pytest.raises(TypeError, match="lr_sweep needs validation rows"):
            lr_sweep(net(), X, Y, validation=None)

    def test_a_sweep_counts_every_loss_that_was_lost(self):
        options = {"optimizer": "sgd", "batch_size": 16, "epochs": 60, "n_seeds": 2}
        sweep = lr_sweep(net(), X, Y, lrs=[1e-3, 5], **options)
        ends = [np.isfinite(member.rows[-1].train_loss) for member in sweep.history]
        assert sweep.frame.diverged.tolist() == [1 - np.mean(ends[:2]), 1 - np.mean(ends[2:])]

    def test_a_last_step_that_ruins_the_weights_is_noticed(self):
        ruin = {"epochs": 1, "schedule": "constant", "optimizer": "sgd", "weight_decay": 0}
        network = net(hidden=())
        before = network.predict(X)
        with pytest.raises(FloatingPointError, match=r"in epoch 1 at lr 1e\+39"):
            fit(network, X, Y, lr=1e39, batch_size=120, **ruin)
        assert np.isfinite(network.predict(X)).all()
        assert before.shape == network.predict(X).shape
        members = EnsembleNet(2, 3, hidden=())
        with pytest.warns(RuntimeWarning, match=r"members \[1\]"):
            fit(members, X, Y, lr=[1e-3, 1e39], batch_size=120, **ruin)
        assert np.isfinite(members.predict_members(X)).all()


class TestFewRows:
    def test_one_row_that_counts_is_refused_at_both_doors(self):
        alone = (np.arange(120) == 3).astype(float)
        for door in (
            lambda w: fit(net(), X, Y, sample_weight=w),
            lambda w: estimator().fit(X, Y, w),
        ):
            with pytest.raises(ValueError, match=r"one row to train on .*sample_weight is zero"):
                door(alone)
        with pytest.raises(ValueError, match="one row to train on"):
            fit(net(), X[:1], Y[:1])

    def test_rows_that_a_warm_start_judges_by_were_never_trained_on(self, monkeypatch):
        import regression_lib.rows as rows

        held, original = [], rows.hold_out

        def look(numbers, fraction, seed):
            train, valid = original(numbers, fraction, seed)
            held.append(set(valid.tolist()))
            return train, valid

        monkeypatch.setattr(rows, "hold_out", look)
        model = estimator(warm_start=True, epochs=1, random_state=np.random.RandomState(0))
        for random_state in (1, None, 2):
            model.fit(X, Y)
            model.set_params(random_state=random_state)
        assert held[0] == held[1] == held[2]
        model.set_params(warm_start=False).fit(X, Y)
        assert held[3] != held[0]

    def test_a_warm_start_warns_where_other_rows_may_be_held_out(self):
        model = estimator(warm_start=True, epochs=1).fit(X, Y)
        for change in (
            lambda: model.set_params(validation_fraction=0.3).fit(X, Y),
            lambda: model.fit(X[:90], Y[:90]),
        ):
            with pytest.warns(UserWarning, match="may be held out now"):
                change()

    def test_a_warm_start_goes_on_with_the_same_targets(self):
        both = pd.DataFrame(np.hstack([Y, -Y]), columns=["u", "v"])
        model = estimator(warm_start=True, epochs=1).fit(X, both)
        with pytest.raises(ValueError, match="y has its columns in another order: v, u"):
            model.fit(X, both[["v", "u"]])

    def test_whatever_fails_the_old_model_predicts_and_knows_its_columns(self):
        frame = pd.DataFrame(X, columns=list("abc"))
        model = estimator().fit(frame, Y)
        before = model.predict(frame)
        other = pd.DataFrame(np.hstack([X, X]), columns=list("uvwxyz"))

        def stop(_history):
            raise StopIteration

        failures = [
            ({"y": Y[:9]}, {}),
            ({"callback": stop}, {}),
            ({"y": np.full_like(Y, np.nan)}, {}),
            ({}, {"lr": 0}),
            ({}, {"hidden": (0,)}),
            ({}, {"lr": 1e30, "optimizer": "sgd"}),
            ({"validation": (other[:9], Y[:9, 0])}, {"patience": -1}),
        ]
        for arguments, options in failures:
            changed = {name: model.get_params()[name] for name in options}
            model.set_params(**options)
            with pytest.raises((ValueError, StopIteration, FloatingPointError)):
                model.fit(**({"X": other, "y": Y} | arguments))
            model.set_params(**changed)
            assert np.array_equal(model.predict(frame), before)
            assert model.n_features_in_ == 3
            assert model.feature_names_in_.tolist() == list("abc")

    def test_rows_that_are_refused_leave_no_scales_and_no_names(self):
        options = {"numeric_embedding": "piecewise_linear", "n_bins": 4}
        spoilt = pd.DataFrame(X.copy(), columns=list("abc"))
        spoilt.loc[3] = 1e300
        network, fresh = net(**options), net(**options)
        with pytest.raises(ValueError, match="too large"):
            fit(network, pd.DataFrame(X, columns=list("abc")), Y, validation=(spoilt, Y), epochs=1)
        assert network.feature_names is None
        for name, value in fresh.state_dict().items():
            assert torch.equal(value, network.state_dict()[name]), name
        for trained in (network, fresh):
            fit(trained, 5 * X + 1, Y, epochs=2)
        assert np.array_equal(network.predict(X), fresh.predict(X))


class TestMemory:
    def test_many_columns_share_the_bins(self):
        wide = RNG.normal(size=(70, 2000))
        model = estimator(epochs=1).fit(wide, Y[:70])
        assert sum(model.net_.config["n_bins"]) <= 2**15
        assert estimator(epochs=1, n_bins=64).fit(X, Y).net_.config["n_bins"] == [64, 64, 64]

    @pytest.mark.slow
    @pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="measured on Linux")
    @pytest.mark.parametrize(
        ("n_rows", "n_columns", "mebibytes"), [(1_000_000, 20, 512), (2_000, 5_000, 600)]
    )
    def test_what_the_default_estimator_takes_above_the_data(self, n_rows, n_columns, mebibytes):
        code = f"""
import threading, time
import numpy as np
from regression_lib import DeepRegressor

def memory():  # without the libraries' own files, of which each machine holds other parts
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024

def watch():
    while True:
        seen.append(memory())
        time.sleep(0.002)

X = np.random.default_rng(0).random(({n_rows}, {n_columns}), dtype=np.float32)
y = X[:, 0].copy()
model = DeepRegressor(random_state=0, epochs=1, batch_size=max(128, {n_rows} // 100))
DeepRegressor(epochs=1).fit(X[:100, :3], y[:100])  # all that loads when first used
seen = [memory()]
threading.Thread(target=watch, daemon=True).start()
model.fit(X, y).predict(X)
print(max(seen) - seen[0])
"""
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert float(done.stdout) < mebibytes, done.stderr


SHOWN = """
import sys
from regression_lib import *

net = RegressionNet(3, hidden=(4,))
throws = make_projectile(60)
model = DeepRegressor(hidden=(4,), epochs=1, n_members=2).fit(throws.X, throws.y)
for thing in (net, EnsembleNet(2, 3), throws, model.history_, model, quiz("01_tensors"),
              claim("It holds → 1 ± 1", True, {"1 × 1 = 1": True})):
    print(thing)
for kind in ("plain", "tqdm", "rich", "auto"):
    for _ in track(range(3), "Größe → 3", kind=kind, status=lambda: "± 1"):
        pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "gbk"])
def test_everything_prints_on_every_terminal(encoding):
    options = {"env": os.environ | {"PYTHONIOENCODING": encoding}, "capture_output": True}
    done = subprocess.run([sys.executable, "-c", SHOWN], **options)
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode(encoding)
    arrow = "→" if encoding in ("utf-8", "gbk") else "->"
    assert f"RegressionNet(3 {arrow} 4 {arrow} 1, relu" in text
    assert f"It holds {arrow} 1" in text


def test_a_stdout_that_can_only_be_written_to(monkeypatch):
    lines = []
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=lines.append, flush=lambda: None))
    assert list(track(range(3), "Count")) == [0, 1, 2]
    assert "3/3" in "".join(lines)


def test_a_program_without_stdout_goes_on_in_silence(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    for kind in ("auto", "rich", "tqdm", "plain", "none"):
        assert list(track(range(3), kind=kind)) == [0, 1, 2]
    fit(net(), X, Y, epochs=1, progress=True)
    assert "→" in repr(net())
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    assert list(track(range(3), kind="auto")) == [0, 1, 2]


def test_texts_for_people_are_the_same_objects_as_before():
    assert "→" in repr(load_tecator())
    assert "✓" in repr(claim("Two is even", True, {"2 % 2 = 0": True}))
    assert repr(quiz("01_tensors")).startswith("1. ")
    assert "4 features" in repr(make_projectile(5))
