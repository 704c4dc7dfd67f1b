"""fit: what it reaches, what it refuses, and what an interruption cannot take away."""

import copy
import inspect
import math
import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import mse_loss
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

import regression_lib.training as training
from regression_lib import (
    RegressionNet,
    fit,
    load_king_county,
    load_tecator,
    make_projectile,
    split,
)
from regression_lib.losses import MeanLoss
from regression_lib.optimizers import Descent

SMALL = {"epochs": 4, "batch_size": 32}
STANDSTILL = 1e-30  # a learning rate that leaves every weight as it is


def data(n_rows=200, n_targets=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 3))
    y = X @ rng.normal(size=(3, n_targets)) + 0.1 * rng.normal(size=(n_rows, n_targets))
    return X, y


def net(**options):
    return RegressionNet(3, **({"hidden": (8, 8)} | options))


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def squares(network, X, y):
    """The squared errors of the standardised target, row by row."""
    return ((y - network.predict(X)) / network.y_scaler.scale.numpy()) ** 2


class TestLearning:
    def test_real_houses(self):
        train, valid, test = split(load_king_county(6000, seed=1).log_target())
        network = RegressionNet(17)
        history = fit(network, train, validation=valid, epochs=10)
        error = test.y.to_numpy() - network.predict(test.X)
        # A ridge regression reaches about 0.25 here; 10 epochs of the network are below it.
        assert np.sqrt((error**2).mean()) < 0.24
        assert history.stopped == "finished"
        assert network.feature_names == train.feature_names
        assert network.units["log_price"] == "ln(US$)"

    def test_several_targets(self):
        train, valid, test = split(make_projectile(1500))
        network = RegressionNet(4, 3, activation="tanh", batch_norm=False)
        fit(network, train, validation=valid, epochs=40, batch_size=64, lr=1e-2)
        truth = test.y.to_numpy()
        residual = ((truth - network.predict(test.X)) ** 2).sum(0)
        assert (1 - residual / ((truth - truth.mean(0)) ** 2).sum(0) > 0.99).all()

    def test_tecator_trains(self):
        network = RegressionNet(100, 3, hidden=(16,))
        history = fit(network, load_tecator(), validation=0.2, epochs=30, batch_size=32)
        assert history.frame.train_loss.iloc[-1] < 0.5 * history.frame.train_loss.iloc[0]

    def test_the_mean_scores_one(self):
        """Losses are those of the standardised target, whatever its unit."""
        X, _ = data(2000)
        y = 1e6 * np.random.default_rng(1).normal(size=(2000, 1)) + 5e6  # nothing to learn
        history = fit(net(hidden=()), X, y, epochs=60, lr=0.03)
        assert history.frame.train_loss.iloc[-1] == pytest.approx(1, abs=0.02)

    @pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
    @pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
    def test_every_optimizer_and_schedule_learns(self, optimizer, schedule):
        history = fit(net(), *data(), epochs=30, lr=1e-2, optimizer=optimizer, schedule=schedule)
        assert history.frame.train_loss.iloc[-1] < 0.2

    def test_double_precision(self):
        network = net().double()
        fit(network, *data(), **SMALL)
        assert network.head.weight.dtype == torch.float64


class TestTheLoop:
    def test_it_takes_the_steps_of_torchs_own_optimizer_and_schedule(self):
        X, y = data(40)
        network = net(batch_norm=False).double()
        peer = copy.deepcopy(network)
        options = {"lr": 0.02, "weight_decay": 0.1, "epochs": 10, "batch_size": 40}
        fit(network, X, y, **options)
        x, z = (torch.as_tensor((v - v.mean(0)) / v.std(0)) for v in (X, y))
        optimizer = AdamW(peer.parameters(), lr=0.02, weight_decay=0.1)
        schedule = OneCycleLR(optimizer, 0.02, total_steps=10, cycle_momentum=False)
        for _ in range(10):
            optimizer.zero_grad()
            mse_loss(peer.standardized(x), z).backward()
            optimizer.step()
            schedule.step()
        torch.testing.assert_close(network.standardized(x), peer.standardized(x))

    @pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
    def test_the_rate_of_an_epoch_is_torchs_at_its_last_step(self, schedule):
        history = fit(net(), *data(100), epochs=10, batch_size=32, lr=0.02, schedule=schedule)
        optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.02)
        if schedule == "one_cycle":
            scheduler = OneCycleLR(optimizer, 0.02, total_steps=40)
        else:
            scheduler = CosineAnnealingLR(optimizer, T_max=40)
        expected = []
        for _ in range(40):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step() if len(expected) < 40 else None
        assert history.frame.lr.tolist() == pytest.approx(expected[3::4], rel=1e-9)
        if schedule == "one_cycle":
            assert history.frame.lr[2] == pytest.approx(0.02)  # the peak, after 30 %
            assert history.frame.lr[9] == pytest.approx(4e-6 * 0.02)

    @pytest.mark.parametrize("n_rows", [33, 40])  # a batch of 32, and one of 1 or 8
    def test_the_training_loss_is_the_mean_over_all_rows(self, n_rows):
        X, y = data(n_rows)
        network = net(batch_norm=False).double()
        history = fit(network, X, y, epochs=2, batch_size=32, lr=STANDSTILL)
        mean = squares(network, X, y).mean()
        assert history.frame.train_loss.tolist() == pytest.approx([mean, mean])

    def test_a_last_batch_of_one_row_is_left_out_for_batch_norm(self):
        network = net()
        history = fit(network, *data(33), epochs=2, batch_size=32)
        assert np.isfinite(history.frame.train_loss).all()
        assert network.layers[0].norm.num_batches_tracked == 2  # one an epoch

    def test_the_validation_loss_is_the_mean_over_more_rows_than_go_at_once(self):
        X, y = data(3 * net().rows_at_once // 2 + 7, seed=3)
        y[-100:] *= 10
        network = net()
        history = fit(network, *data(40), validation=(X, y), epochs=1, lr=STANDSTILL)
        mean = squares(network, X, y).mean()
        assert history.frame.validation_loss[0] == pytest.approx(mean, rel=1e-4)


class TestHistory:
    def test_the_frame(self):
        history = fit(net(), *data(), validation=0.25, **SMALL)
        frame = history.frame
        assert list(frame.columns) == ["epoch", "train_loss", "validation_loss", "lr", "seconds"]
        assert frame.epoch.tolist() == [1, 2, 3, 4]
        assert frame.lr.is_unique
        assert (frame.seconds > 0).all()
        assert history.best_epoch == frame.epoch[frame.validation_loss.idxmin()]
        assert "4 epochs, finished" in repr(history)
        assert "<table" in history._repr_html_()

    def test_it_plots_itself(self):
        ax = fit(net(), *data(), validation=0.25, **SMALL).plot()
        assert ax.get_xlabel() == "epoch"
        assert "validation reaches its best" in ax.alt_text

    def test_best_weights_at_the_end(self):
        X, y = data(60)
        held = data(60, seed=5)
        network = net(hidden=(64, 64))
        history = fit(network, X, y, validation=held, epochs=60, lr=0.03, batch_size=20)
        best = history.frame.validation_loss.min()
        assert squares(network, *held).mean() == pytest.approx(best, rel=1e-4)
        assert history.best_epoch < 60

    def test_patience(self):
        history = fit(net(), *data(40), validation=data(40, seed=9), patience=3, epochs=300)
        assert history.stopped == "early"
        assert len(history.rows) == history.best_epoch + 3

    def test_without_validation_the_last_weights_stay(self):
        history = fit(net(), *data(), **SMALL)
        assert history.frame.validation_loss.isna().all()
        assert history.best_epoch == 4


class TestAgain:
    def test_a_network_trained_again_keeps_its_scales(self):
        X, y = data()
        network = net()
        fit(network, X, y, epochs=30, lr=0.01)
        error = ((network.predict(X) - y) ** 2).mean()
        scale = network.x_scaler.scale.clone()
        fit(network, 2 * X, y, epochs=1, lr=1e-9)
        assert torch.equal(network.x_scaler.scale, scale)
        assert ((network.predict(X) - y) ** 2).mean() < 1.5 * error

    def test_a_callback_sees_each_epoch_and_may_end_it_all(self):
        seen = []

        def look(history):
            seen.append((len(history), history.frame.validation_loss.iloc[-1]))
            if len(history) == 3:
                raise StopIteration

        network = net()
        with pytest.raises(StopIteration):
            fit(network, *data(), validation=data(seed=3), callback=look, epochs=9)
        assert [number for number, _ in seen] == [1, 2, 3]
        best = min(loss for _, loss in seen)
        assert squares(network, *data(seed=3)).mean() == pytest.approx(best, rel=1e-4)


class TestSampleWeight:
    def test_weights_of_one_change_nothing(self):
        a, b = net(), net()
        fit(a, *data(), **SMALL)
        fit(b, *data(), sample_weight=np.full(200, 7.0), **SMALL)
        for name, value in weights(a).items():
            torch.testing.assert_close(weights(b)[name], value, rtol=1e-3, atol=1e-4)

    def test_a_weight_of_two_is_a_row_that_comes_twice(self):
        """Without batches and batch norm it is the same sum of squares, and so the same net."""
        X, y = data(40)
        counts = np.arange(40) % 3
        a, b = (net(batch_norm=False).double() for _ in "ab")
        options = {"epochs": 20, "batch_size": 1000}
        fit(a, X, y, sample_weight=counts, **options)
        fit(b, X.repeat(counts, 0), y.repeat(counts, 0), **options)
        assert a.predict(X) == pytest.approx(b.predict(X), rel=1e-9)

    def test_rows_of_weight_zero_are_as_good_as_left_out(self):
        X, y = data()
        counts = np.arange(200) % 2
        a, b = net(), net()
        fit(a, X, y, sample_weight=counts, validation=0.2, **SMALL)
        some = counts == 1
        fit(b, X[some], y[some], sample_weight=np.ones(100), validation=0.2, **SMALL)
        assert same(weights(a), weights(b))

    def test_a_validation_fraction_takes_its_weights_along(self):
        X, y = data()
        rare = np.where(np.arange(200) < 20, 1.0, 1e-9)
        history = fit(net(), X, y, sample_weight=rare, validation=0.5, **SMALL)
        assert np.isfinite(history.frame.validation_loss).all()

    @pytest.mark.parametrize(
        ("weight", "words"),
        [
            (np.ones(3), r"shape \(3,\), X has 200 rows"),
            (-np.ones(200), "at least 0; it goes from -1.0"),
            (np.zeros(200), "zero for every row"),
            (np.full(200, np.nan), "sample_weight contains NaN"),
        ],
    )
    def test_wrong_weights(self, weight, words):
        with pytest.raises(ValueError, match=words):
            fit(net(), *data(), sample_weight=weight, **SMALL)


class TestReproducible:
    def test_seeds_decide_and_the_global_generators_stay(self):
        torch_state = torch.get_rng_state()
        numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
        a, b, c = net(), net(), net()
        fit(a, *data(), validation=0.2, seed=1, **SMALL)
        fit(b, *data(), validation=0.2, seed=1, **SMALL)
        fit(c, *data(), validation=0.2, seed=2, **SMALL)
        assert same(weights(a), weights(b))
        assert not same(weights(a), weights(c))
        assert torch.equal(torch_state, torch.get_rng_state())
        assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002

    def test_the_seed_of_the_shuffling_alone_matters(self):
        a, b, c = net(), net(), net()
        for network, seed in [(a, 1), (b, 1), (c, 2)]:
            fit(network, *data(), validation=data(seed=3), seed=seed, **SMALL)
        assert same(weights(a), weights(b))
        assert not np.allclose(a.predict(data()[0]), c.predict(data()[0]), rtol=1e-3)

    def test_the_seed_of_the_held_out_rows_alone_matters(self):
        """The scales are those of the rows that are left to train on, in whatever order."""
        means = []
        for seed in (1, 1, 2):
            network = net()
            fit(network, *data(), validation=0.5, seed=seed, epochs=1, batch_size=200)
            means.append(network.x_scaler.mean)
        assert torch.equal(means[0], means[1])
        assert not torch.allclose(means[0], means[2], rtol=1e-2)

    def test_the_input_is_left_as_it_was(self):
        X, y = data()
        before = X.copy(), y.copy()
        fit(net(), X, y, **SMALL)
        assert np.array_equal(X, before[0])
        assert np.array_equal(y, before[1])


class Stop(KeyboardInterrupt):
    """Ctrl-C at a chosen moment."""


def interrupt_after(monkeypatch, epochs):
    original = training._Run.train_one

    def train_one(self, epoch):
        if epoch > epochs:
            raise Stop
        original(self, epoch)

    monkeypatch.setattr(training._Run, "train_one", train_one)


AVERAGED = {"epochs": 3, "batch_size": 25, "schedule": "constant", "lr": 0.01}


class TestWeightAverage:
    """The mean of the weights is judged and kept, and the training goes on without it."""

    def test_it_is_the_mean_over_the_last_epochs(self, monkeypatch):
        seen, step = [], Descent.step

        def and_look(descent, share):
            step(descent, share)
            seen.append(descent.weights.clone())

        monkeypatch.setattr(Descent, "step", and_look)
        network = net(batch_norm=False)
        fit(network, *data(100), weight_average=100, **AVERAGED)  # four steps an epoch
        every = 400 // 16
        kept = torch.cat([p.detach().flatten() for p in network.parameters()])
        torch.testing.assert_close(kept, torch.stack(seen[::every]).mean(0))

    def test_it_leaves_the_training_alone(self):
        losses = []
        for average in (None, 1):
            history = fit(net(), *data(), weight_average=average, **AVERAGED)
            losses.append(history.frame.train_loss.tolist())
        assert losses[0] == losses[1]

    def test_what_is_judged_is_what_is_kept_with_batch_norm_as_well(self):
        network, held = net(), data(60, seed=5)
        options = AVERAGED | {"epochs": 8, "lr": 0.03}
        history = fit(network, *data(), validation=held, weight_average=1, **options)
        best = history.frame.validation_loss.min()
        assert squares(network, *held).mean() == pytest.approx(best, rel=1e-4)

    def test_means_of_a_high_rate_are_better_than_the_last_step(self):
        better = 0
        for seed in range(5):
            errors = []
            for average in (None, 1):
                network = net(seed=seed, batch_norm=False)
                options = AVERAGED | {"epochs": 20, "lr": 0.1, "seed": seed}
                fit(network, *data(300), weight_average=average, **options)
                errors.append(squares(network, *data(300)).mean())
            better += errors[1] < errors[0]
        assert better >= 4


class TestInterruption:
    def test_ctrl_c_keeps_the_best_weights_and_the_history(self, monkeypatch):
        interrupt_after(monkeypatch, 40)
        network, held = net(hidden=(64, 64)), data(60, seed=5)
        options = {"epochs": 60, "lr": 0.03, "batch_size": 20}
        history = fit(network, *data(60), validation=held, **options)
        assert history.stopped == "interrupted"
        assert len(history.rows) == 40
        assert not network.training
        assert history.best_epoch < 40  # so the best weights are not simply the last
        best = history.frame.validation_loss.min()
        assert squares(network, *held).mean() == pytest.approx(best, rel=1e-4)

    def test_a_real_sigint(self, tmp_path):
        """The process gets SIGINT in the middle of a long training and ends with a model."""
        code = """
            import numpy as np, pathlib, signal, threading, time
            from regression_lib import RegressionNet, fit

            # A parent that ignores SIGINT (nohup, a shell's background job) hands that down.
            signal.signal(signal.SIGINT, signal.default_int_handler)

            def press_ctrl_c():
                while not pathlib.Path("run").exists():
                    time.sleep(0.05)
                signal.raise_signal(signal.SIGINT)

            threading.Thread(target=press_ctrl_c, daemon=True).start()
            X = np.random.default_rng(0).normal(size=(4000, 3)); y = X[:, :1] * 2
            net = RegressionNet(3, hidden=(8, 8))
            options = dict(epochs=10**6, schedule="constant", checkpoint="run")
            history = fit(net, X, y, validation=0.2, **options)
            net.save("m")
            print(history.stopped, len(history.rows) > 0)
        """
        command = [sys.executable, "-c", textwrap.dedent(code)]
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 60}
        done = subprocess.run(command, **options)
        assert done.stdout.split() == ["interrupted", "True"], done.stderr
        assert RegressionNet.load(tmp_path / "m").predict(np.zeros((1, 3))).shape == (1, 1)

    @pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
    @pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
    @pytest.mark.parametrize("average", [None, 2.5])
    def test_resuming_reaches_the_same_weights_to_the_bit(
        self, tmp_path, monkeypatch, optimizer, schedule, average
    ):
        options = {"validation": data(seed=3), "epochs": 7, "batch_size": 32}
        options["weight_average"] = average
        options |= {"optimizer": optimizer, "schedule": schedule, "lr": 0.02}
        whole = net()
        expected = fit(whole, *data(), **options)

        path = tmp_path / "run"
        with monkeypatch.context() as patch:
            interrupt_after(patch, 3)
            fit(net(), *data(), checkpoint=path, **options)
        resumed = net()
        history = fit(resumed, *data(), checkpoint=path, resume=True, **options)
        assert same(weights(whole), weights(resumed))
        columns = ["epoch", "train_loss", "validation_loss", "lr"]
        pd.testing.assert_frame_equal(history.frame[columns], expected.frame[columns])

    def test_killed_and_resumed(self, tmp_path):
        """SIGKILL at an unknown moment; a new process reaches what an undisturbed one does."""
        path, script = tmp_path / "run", tmp_path / "train.py"
        script.write_text(
            textwrap.dedent("""
            import sys, numpy as np
            from regression_lib import RegressionNet, fit
            X = np.random.default_rng(0).normal(size=(3000, 3)); y = X[:, :1] * 2
            checkpoint = sys.argv[2] if len(sys.argv) > 2 else None
            net = RegressionNet(3, hidden=(16, 16))
            fit(net, X, y, validation=0.2, epochs=40, batch_size=32,
                checkpoint=checkpoint, resume=checkpoint is not None)
            net.save(sys.argv[1])
            """)
        )
        first = subprocess.Popen([sys.executable, script, tmp_path / "a", path])
        while not path.exists():
            assert first.poll() is None
        os.kill(first.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        first.wait()
        assert not (tmp_path / "a").exists()
        for arguments in ([tmp_path / "a", path], [tmp_path / "b"]):
            subprocess.run([sys.executable, script, *arguments], check=True, timeout=120)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_resuming_a_finished_run_changes_nothing(self, tmp_path):
        a, b = net(), net()
        fit(a, *data(), checkpoint=tmp_path / "run", **SMALL)
        history = fit(b, *data(), checkpoint=tmp_path / "run", resume=True, **SMALL)
        assert same(weights(a), weights(b))
        assert len(history.rows) == 4

    def test_resuming_keeps_patience(self, tmp_path):
        options = {"validation": data(40, seed=9), "patience": 3, "epochs": 300}
        options["checkpoint"] = tmp_path / "run"
        a, b = net(), net()
        first = fit(a, *data(40), **options)
        again = fit(b, *data(40), resume=True, **options)
        assert len(first.rows) == len(again.rows)
        assert first.stopped == again.stopped == "early"
        assert same(weights(a), weights(b))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"lr": 0.5}, r"lr=0\.003 \(now 0\.5\)"),
            ({"epochs": 9}, r"epochs=4 \(now 9\)"),
            ({"X": data(seed=8)[0]}, "rows="),
            ({"y": data(seed=8)[1]}, "rows="),
            ({"validation": data(40, seed=8)}, "rows="),
            ({"validation": None}, "rows="),
            ({"net": net(activation="tanh")}, "network="),
        ],
    )
    def test_resuming_another_task_is_refused(self, tmp_path, change, words):
        arguments = {"net": net(), "X": data()[0], "y": data()[1], **SMALL}
        arguments |= {"validation": data(40, seed=3), "checkpoint": tmp_path / "run"}
        fit(**arguments)
        with pytest.raises(ValueError, match=f"another training: .*{words}"):
            fit(**(arguments | {"net": net(), "resume": True} | change))

    def test_the_checkpoint_is_written_before_the_callback_is_called(self, tmp_path):
        options, seen = {"checkpoint": tmp_path / "run", **SMALL}, []

        def look(history):
            seen.append(len(history))
            if seen == [1, 2]:
                raise StopIteration

        with pytest.raises(StopIteration):
            fit(net(), *data(), callback=look, **options)
        fit(net(), *data(), callback=look, resume=True, **options)
        assert seen == [1, 2, 3, 4]  # the second epoch was not lost

    def test_why_a_checkpoint_cannot_be_written_is_said_at_once(self, tmp_path, monkeypatch):
        def refuse(*_, **__):
            raise PermissionError("no rights here")

        monkeypatch.setattr(pathlib.Path, "touch", refuse)
        with pytest.raises(PermissionError, match="no rights here"):
            fit(net(), *data(), checkpoint=tmp_path / "run", **SMALL)

    def test_a_foreign_checkpoint_is_refused_and_runs_nothing(self, tmp_path):
        class Bomb:
            def __reduce__(self):
                return (os.mkdir, (str(tmp_path / "trace"),))

        torch.save(Bomb(), tmp_path / "run")
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            fit(net(), *data(), checkpoint=tmp_path / "run", resume=True, **SMALL)
        assert not (tmp_path / "trace").exists()

    def test_without_a_file_resume_starts_from_the_beginning(self, tmp_path):
        history = fit(net(), *data(), checkpoint=tmp_path / "run", resume=True, **SMALL)
        assert len(history.rows) == 4


class TestDivergence:
    def test_a_loss_that_explodes_stops_and_says_where(self):
        network = net(batch_norm=False)
        options = {"optimizer": "sgd", "lr": 1e10, "schedule": "constant"}
        with pytest.raises(FloatingPointError) as caught:
            fit(network, *data(), validation=0.2, epochs=50, batch_size=16, **options)
        assert "in epoch 1 at lr 1e+10: try a smaller lr (a tenth is 1e+09)" in str(caught.value)
        assert np.isfinite(network.predict(data()[0])).all()  # the best weights so far

    def test_it_stops_at_the_very_step(self, monkeypatch):
        steps = []
        original = MeanLoss.__call__

        def poisoned(*args):
            steps.append(1)
            loss, gradient = original(*args)
            return loss * (math.nan if len(steps) == 3 else 1), gradient

        monkeypatch.setattr(MeanLoss, "__call__", poisoned)
        with pytest.raises(FloatingPointError, match="training loss became nan in epoch 1"):
            fit(net(), *data(), **SMALL)
        assert len(steps) == 3


X, Y = data(20)


def spoiled(value):
    bad = X.copy().astype(object) if isinstance(value, str) else X.copy()
    bad[7, 2] = value
    return bad


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"X": spoiled(np.nan)}, ValueError, r"X .*NaN.*row 7.*2"),
        ({"X": spoiled(np.inf)}, ValueError, r"X .*row 7.*2.*inf"),
        ({"X": spoiled("Seattle")}, TypeError, r"Seattle.*row 7.*OneHotEncoder"),
        ({"X": X[:, :2]}, ValueError, r"2 columns, but 3"),
        ({"X": X[:0], "y": Y[:0]}, ValueError, "empty"),
        ({"X": X[:1], "y": Y[:1]}, ValueError, "one row to train on"),
        ({"validation": (X, Y, Y)}, TypeError, r"Dataset or a pair \(X, y\)"),
        ({"seed": 2**70}, ValueError, r"seed must be in \[0, 2\*\*32\)"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number, got 1.5"),
        ({"batch_size": 1}, ValueError, "batch_size=1"),
        ({"y": Y[:, 0]}, ValueError, r"y has shape \(20,\).*output \(20, 1\).*reshape\(-1, 1\)"),
        ({"y": pd.Series(Y[:, 0])}, ValueError, r"to_frame\(\)"),
        ({"y": Y[:, 0].tolist()}, ValueError, r"y has shape \(20,\)"),
        ({"y": np.hstack([Y, Y])}, ValueError, r"2 columns, but 1"),
        ({"y": Y[:9]}, ValueError, r"X has 20 rows, y has 9"),
        ({"y": np.where(np.arange(20)[:, None] == 4, np.nan, Y)}, ValueError, "y .*row 4"),
        ({"y": None}, TypeError, "y is missing"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"epochs": -3}, ValueError, "epochs must be at least 1, got -3"),
        ({"epochs": 2.5}, TypeError, "epochs must be a whole number, got 2.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"lr": 0}, ValueError, "lr must be positive and finite, got 0"),
        ({"lr": -1e-3}, ValueError, r"lr must be positive and finite, got -0\.001"),
        ({"lr": math.nan}, ValueError, "lr must be positive"),
        ({"lr": "fast"}, TypeError, "lr must be a number, got 'fast'"),
        ({"weight_decay": -1}, ValueError, "weight_decay must be zero or more, got -1"),
        ({"schedule": "onecycle"}, ValueError, "unknown schedule 'onecycle'.*one_cycle"),
        ({"optimizer": "lion"}, ValueError, "unknown optimizer 'lion'.*adamw"),
        ({"patience": 3}, ValueError, "needs validation rows"),
        ({"resume": True}, ValueError, "needs checkpoint=path"),
        ({"weight_average": 0}, ValueError, "weight_average must be a number of epochs or None"),
        ({"weight_average": "1"}, TypeError, "weight_average must be a number, got '1'"),
        ({"device": "cuda:77"}, ValueError, "device 'cuda:77' is not on this machine; here: cpu"),
        ({"device": "abacus"}, ValueError, "unknown device 'abacus'"),
        ({"validation": 1.5}, ValueError, r"fraction must be in \(0, 1\), got 1.5"),
        ({"validation": (X[:, :2], Y)}, ValueError, "validation X has 2 columns"),
        ({"validation": (X, Y[:, 0])}, ValueError, r"validation y has shape \(20,\)"),
        ({"progress": "bar"}, ValueError, "bar"),
    ],
)
def test_bad_input_never_trains(arguments, error, words):
    network = net()
    before = weights(network)
    with pytest.raises(error, match=words):
        fit(**({"net": network, "X": X, "y": Y, "epochs": 2} | arguments))
    assert same(before, weights(network))


def test_the_defaults_are_those_of_the_pages():
    numbers = {"epochs": 30, "batch_size": 256, "lr": 3e-3, "weight_decay": 0.01, "seed": 0}
    words = {
        "schedule": "one_cycle",
        "optimizer": "adamw",
        "loss": "squared",
        "progress": False,
        "resume": False,
    }
    none = "y validation sample_weight patience weight_average callback checkpoint device"
    expected = numbers | words | dict.fromkeys(none.split())
    parameters = inspect.signature(fit).parameters
    assert {name: parameters[name].default for name in expected} == expected
    assert parameters.keys() - expected.keys() == {"net", "X"}


def test_a_dataset_brings_its_own_targets():
    with pytest.raises(TypeError, match="leave y out"):
        fit(RegressionNet(100, 3), load_tecator(), Y)


def test_validation_columns_in_another_order_are_refused():
    X, y = data()
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    with pytest.raises(ValueError, match="validation X has its columns in another order"):
        fit(net(), frame, y, validation=(frame[["c", "a", "b"]], y), **SMALL)


def test_names_come_from_a_frame():
    X, y = data()
    network = net()
    fit(network, pd.DataFrame(X, columns=["a", "b", "c"]), y, **SMALL)
    assert network.feature_names == ("a", "b", "c")
    fit(network, X, y, **SMALL)
    assert network.feature_names == ("a", "b", "c")  # its weights were made for these columns


def test_progress_is_off_unless_asked_for(capsys):
    fit(net(), *data(), **SMALL)
    assert capsys.readouterr().out == ""
    fit(net(), *data(), progress="plain", **SMALL)
    assert "4/4" in capsys.readouterr().out


def test_columns_of_two_values_are_scaled_by_half_their_distance():
    """By its standard deviation a rare category would be an outlier."""
    X, y = data(4000)
    X[:, 1] = np.arange(4000) == 7
    X[:, 2] = np.where(np.arange(4000) % 2, -1e300, 1e300)
    network = net()
    fit(network, X, y, epochs=1)
    assert network.x_scaler.scale.tolist() == [pytest.approx(X[:, 0].std()), 0.5, 1e300]
    assert network.x_scaler.mean[1] == pytest.approx(1 / 4000)
    late = np.zeros((4000, 3))
    late[2000:, 1], late[2000:, 2] = 1, np.arange(2000)  # what the first rows do not tell
    network = net()
    fit(network, late, y, epochs=1)
    assert network.x_scaler.scale.tolist() == [1, 0.5, pytest.approx(late[:, 2].std())]
