"""Learning rates in one go; a search that nothing can make lose a trial."""

import inspect
import os
import signal
import subprocess
import sys
import textwrap

import joblib
import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import regression_lib.training as training
import regression_lib.tuning as tuning
from regression_lib import (
    KC4,
    DeepRegressor,
    EnsembleNet,
    RegressionNet,
    fit,
    load_king_county,
    lr_sweep,
    plots,
    search,
    split,
)
from regression_lib.history import History, Row
from regression_lib.tuning import LRSweep, default_space

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = (X @ [1.0, -2.0, 0.5] + 0.1 * RNG.normal(size=200)).reshape(-1, 1)
HELD = X[:50] + 0.1, Y[:50]


def space(trial):
    return {
        "hidden": [trial.suggest_int("width", 2, 32)],
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
    }


OPTIONS = {"validation": HELD, "space": space, "epochs": 4, "batch_size": 32}


class TestSweep:
    RATES = (1e-3, 1e-2, 1e-1)

    def test_each_rate_is_what_a_training_of_its_own_gives(self):
        net = RegressionNet(3, hidden=(8,), seed=2)
        sweep = lr_sweep(net, X, Y, validation=HELD, lrs=self.RATES, epochs=4, batch_size=32)
        for k, lr in enumerate(self.RATES):
            options = {"validation": HELD, "epochs": 4, "batch_size": 32}
            expected = fit(RegressionNet(3, hidden=(8,), seed=2), X, Y, lr=lr, **options)
            best = expected.frame.validation_loss.min()
            assert sweep.frame.validation_loss[k] == pytest.approx(best, rel=1e-3)
        assert sweep.frame.lr.tolist() == pytest.approx(self.RATES)
        assert net.head.weight.equal(RegressionNet(3, hidden=(8,), seed=2).head.weight)

    def test_seeds_give_a_spread(self):
        net = RegressionNet(3, hidden=(8,))
        sweep = lr_sweep(net, X, Y, validation=HELD, lrs=self.RATES, n_seeds=3, epochs=2)
        assert (sweep.frame.validation_sd > 0).all()
        assert sweep.history.n_members == 9
        losses = sweep.history.best.validation_loss.to_numpy().reshape(3, 3)
        assert np.allclose(losses.mean(1), sweep.frame.validation_loss)

    def test_on_real_houses_there_is_a_valley(self):
        train, valid, _ = split(load_king_county(2000, features=KC4, seed=0).log_target())
        net = RegressionNet(4, hidden=(32, 32), batch_norm=False)
        sweep = lr_sweep(net, train, validation=valid, epochs=4, batch_size=64)
        assert 1e-3 < sweep.best_lr < 0.5
        loss = sweep.frame.set_index("lr").validation_loss
        assert loss[sweep.best_lr] == loss.min()
        low, high = sweep.valley
        assert (loss[low:high] <= 1.1 * loss.min()).all()
        assert loss.iloc[0] > 2 * loss.min()

    @pytest.mark.parametrize(
        ("losses", "valley"),
        [
            ([1.2, 1.1, 1.0, 1.05, 1.1001], (2, 4)),  # from exactly 10 % on either side
            ([1.0, 1.2, 1.05], (1, 1)),  # what lies beyond a ridge is another valley
            ([1.05, 1.2, 1.0], (3, 3)),
            ([1.05, 1.0, 1.05], (1, 3)),
            ([1.0, 1.0, 1.0], (1, 3)),
            ([np.nan, 1.3, 1.0, np.nan], (3, 3)),
        ],
    )
    def test_the_valley_is_what_stays_within_ten_per_cent_around_the_best(self, losses, valley):
        lrs = [1.0, 2.0, 3.0, 4.0, 5.0][: len(losses)]
        sweep = LRSweep(pd.DataFrame({"lr": lrs, "validation_loss": losses}), History())
        assert sweep.valley == valley
        assert sweep.best_lr == lrs[np.nanargmin(losses)]

    def test_by_default_sixteen_rates_up_to_one(self):
        sweep = lr_sweep(RegressionNet(3, hidden=(2,)), X, Y, epochs=1)
        assert sweep.frame.lr.tolist() == pytest.approx(np.geomspace(1e-5, 1, 16))
        assert sweep.history.n_members == 16
        assert np.isfinite(sweep.history.frame.validation_loss).all()

    def test_a_seed_that_is_lost_is_not_left_out_of_the_mean(self, monkeypatch):
        losses = [[0.5, 0.7], [0.1, np.nan]]  # by rate and seed
        rows = [Row(1, k, loss, loss, 0.1, 1.0) for k, loss in enumerate(np.ravel(losses))]
        monkeypatch.setattr(tuning, "fit", lambda *_, **__: History(rows, n_members=4))
        net = RegressionNet(3, hidden=(4,))
        sweep = lr_sweep(net, X, Y, validation=HELD, lrs=[1e-3, 1e-2], n_seeds=2)
        for column in ("train_loss", "validation_loss"):
            assert sweep.frame[column].tolist() == pytest.approx([0.6, np.nan], nan_ok=True)
        assert sweep.frame.validation_sd[0] == pytest.approx(0.1 * 2**0.5)
        assert sweep.frame.diverged.tolist() == [0, 0.5]
        assert sweep.best_lr == 1e-3

    def test_rates_that_diverge_are_reported_and_leave_the_others_alone(self):
        net = RegressionNet(3, hidden=(8,), batch_norm=False)
        options = {"optimizer": "sgd", "schedule": "constant", "epochs": 5, "batch_size": 16}
        sweep = lr_sweep(net, X, Y, validation=HELD, lrs=[1e-2, 1e12], **options)
        assert sweep.frame.diverged.tolist() == [0, 1]
        assert sweep.best_lr == pytest.approx(1e-2)
        assert "from 1e+12 on trainings diverge" in sweep.plot().alt_text

    def test_the_figure(self):
        net = RegressionNet(3, hidden=(8,))
        sweep = lr_sweep(net, X, Y, validation=0.2, lrs=self.RATES, n_seeds=2, epochs=2)
        ax = sweep.plot()
        assert ax.get_xlabel() == "learning rate"
        assert f"{sweep.best_lr:.2g}" in ax.alt_text
        shaded = [patch for patch in ax.patches if patch.get_label().startswith("within 10")]
        assert len(shaded) == 1

    def test_a_rate_that_loses_a_seed_from_the_start_is_not_the_best(self):
        net = RegressionNet(3, hidden=(8,), batch_norm=False)
        options = {"optimizer": "sgd", "schedule": "constant", "epochs": 2, "batch_size": 8}
        sweep = lr_sweep(net, X, Y, validation=HELD, lrs=[1e-2, 1e15], n_seeds=3, **options)
        assert not np.isfinite(sweep.frame.validation_loss[1])
        assert sweep.best_lr == pytest.approx(1e-2)

    def test_an_ensemble_is_refused(self):
        with pytest.raises(TypeError, match="from one RegressionNet"):
            lr_sweep(EnsembleNet(2, 3), X, Y)

    @pytest.mark.parametrize("lrs", [[], [0.1, 0.01], [[0.1]], [0.1, 0.1]])
    def test_rates_must_rise(self, lrs):
        with pytest.raises(ValueError, match="rising learning rates"):
            lr_sweep(RegressionNet(3), X, Y, lrs=lrs)


class TestSearch:
    def test_it_finds_what_chance_finds_later(self):
        found = search(X, Y, n_trials=15, **OPTIONS)
        always = {"n_members", "random_state"}
        assert set(found.best_params) == {"hidden", "lr", "epochs", "batch_size"} | always
        model = DeepRegressor(**found.best_params).fit(X, Y, validation=HELD)
        # The rows were a column there as here, so the very same training is repeated.
        assert model.history_.frame.validation_loss.min() == pytest.approx(found.best_loss)
        frame = found.frame
        assert frame.groupby("sampler").size().tolist() == [15, 15]
        assert frame.state.isin(["complete", "pruned"]).all()
        assert frame.query("sampler == 'tpe'").loss.min() == found.best_loss
        assert "lowest validation loss" in repr(found)

    def test_the_same_seed_searches_the_same_way(self):
        same = [search(X, Y, n_trials=6, baseline=False, **OPTIONS).frame for _ in range(2)]
        assert same[0].equals(same[1])
        assert found_lrs(search(X, Y, n_trials=6, seed=1, baseline=False, **OPTIONS)) != (
            same[0].lr.tolist()
        )

    def test_trials_worse_than_the_median_are_pruned(self):
        def bad_after_eight(trial):
            lr = trial.suggest_float("lr", 1e-7, 1e-2, log=True)
            return {"hidden": [8], "lr": 1e-2 if trial.number < 8 else lr * 1e-4}

        found = search(X, Y, n_trials=10, baseline=False, **(OPTIONS | {"space": bad_after_eight}))
        states = found.frame.state.tolist()
        assert states[8:] == ["pruned", "pruned"]
        assert found.frame.epochs[8:].tolist() == [3, 3]  # not in the first epochs
        assert found.frame.loss[8:].isna().all()

    def test_trials_are_pruned_by_their_validation_loss(self):
        """On rows that contradict the training rows, whoever learns is worse."""

        def learns_after_eight(trial):
            return {"hidden": [8], "lr": 1e-2 if trial.number >= 8 else 1e-9}

        options = OPTIONS | {"space": learns_after_eight, "validation": (X[:50], -Y[:50])}
        options["weight_average"] = None  # which remembers the start for a while
        found = search(X, Y, n_trials=9, baseline=False, **options)
        assert found.frame.state.tolist() == ["complete"] * 8 + ["pruned"]
        assert min(found.study.trials[8].intermediate_values.values()) > 1

    def test_a_trial_is_judged_by_its_best_epoch(self):
        contrary = OPTIONS | {"validation": (X[:50], -Y[:50]), "space": lambda _: {"hidden": [8]}}
        (trial,) = search(X, Y, n_trials=1, baseline=False, **contrary).study.trials
        losses = list(trial.intermediate_values.values())
        assert len(losses) == 4
        assert trial.value == min(losses) == losses[0] < losses[-1]

    def test_its_seed_is_that_of_every_training(self):
        fixed = OPTIONS | {"space": lambda _: {"hidden": [8]}}
        found = [search(X, Y, n_trials=2, seed=seed, **fixed) for seed in (5, 6)]
        assert [one.best_params["random_state"] for one in found] == [5, 6]
        losses = [set(one.frame.loss) for one in found]
        assert [len(values) for values in losses] == [1, 1]  # each trial is the same training
        assert losses[0] != losses[1]

    def test_threads_are_given_back(self):
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            search(X, Y, n_trials=1, baseline=False, **OPTIONS)
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(before)

    def test_a_trial_that_diverges_is_no_end(self):
        def wild(trial):
            return {"hidden": [8], "lr": 1e18 if trial.number == 1 else 1e-2, "optimizer": "sgd"}

        found = search(X, Y, n_trials=3, baseline=False, **(OPTIONS | {"space": wild}))
        assert found.frame.state.tolist() == ["complete", "pruned", "complete"]

    def test_the_default_space_is_that_of_the_pages(self):
        trial = optuna.create_study().ask()
        default_space(trial)
        choices = {
            "width": (32, 64, 128, 256),
            "activation": ("relu", "silu", "tanh"),
            "batch_norm": (False, True),
            "numeric_embedding": (None, "piecewise_linear"),
            "batch_size": (64, 128, 256),
        }
        Choice, Float = CategoricalDistribution, FloatDistribution
        assert trial.distributions == {name: Choice(c) for name, c in choices.items()} | {
            "layers": IntDistribution(1, 4),
            "lr": Float(3e-4, 3e-2, log=True),
            "weight_decay": Float(1e-3, 0.3, log=True),
        }

    def test_the_defaults_are_those_of_the_pages(self):
        numbers, nothing = {"n_trials": 50, "seed": 0}, ("y", "storage", "n_jobs")
        flags = {"baseline": True, "progress": False, "space": default_space}
        expected = numbers | flags | dict.fromkeys(nothing)
        parameters = inspect.signature(search).parameters
        assert {name: parameters[name].default for name in expected} == expected

    def test_the_default_space_is_of_real_options(self):
        options = {"validation": HELD, "epochs": 1}
        found = search(X, Y, n_trials=4, baseline=False, **options)
        assert DeepRegressor(**found.best_params).get_params()["lr"] == found.best_params["lr"]
        trial = optuna.trial.FixedTrial(found.study.best_trial.params)
        assert found.best_params == default_space(trial) | {
            "epochs": 1,
            "n_members": 1,
            "random_state": 0,
        }

    def test_the_figure(self):
        ax = search(X, Y, n_trials=5, **OPTIONS).plot()
        assert ax.get_xlabel() == "trials"
        assert "random search reaches" in ax.alt_text
        assert "TPE reaches" in ax.alt_text
        alone = search(X, Y, n_trials=3, baseline=False, **OPTIONS)
        assert "random" not in plots.plot_search(alone).alt_text

    def test_optunas_voice_is_given_back(self):
        before = optuna.logging.get_verbosity()
        search(X, Y, n_trials=1, baseline=False, **OPTIONS)
        assert optuna.logging.get_verbosity() == before

    def test_ctrl_c_ends_the_search_and_counts_no_half_trial(self, tmp_path, monkeypatch):
        original = training._Run.train_one

        def stop(self, epoch):
            if epoch == 3 and len(done) == 2:
                raise KeyboardInterrupt
            original(self, epoch)
            if epoch == 4:
                done.append(epoch)

        done, options = [], OPTIONS | {"storage": tmp_path / "s.db", "baseline": False}
        with monkeypatch.context() as patch:
            patch.setattr(training._Run, "train_one", stop)
            found = search(X, Y, n_trials=5, **options)
        assert found.frame.state.tolist() == ["complete", "complete", "running"]
        cut_off = found.frame.lr[2]
        again = search(X, Y, n_trials=5, **options).frame
        assert again.state.tolist() == ["complete"] * 2 + ["fail"] + ["complete"] * 3
        assert again.lr[3] == cut_off

    def test_when_nothing_has_ended(self):
        def lost(trial):
            return {"hidden": [8], "lr": 1e18, "optimizer": "sgd"}

        found = search(X, Y, n_trials=1, baseline=False, **(OPTIONS | {"space": lost}))
        assert repr(found) == "Search(1 pruned; lowest validation loss none yet)"

    def test_validation_must_be_a_pair(self):
        with pytest.raises(TypeError, match=r"Dataset or a pair \(X, y\), got float"):
            search(X, Y, validation=0.2)

    def test_a_dataset_brings_its_targets(self):
        train, valid, _ = split(load_king_county(300, features=KC4, seed=0).log_target())
        found = search(train, validation=valid, n_trials=2, space=space, epochs=2)
        assert np.isfinite(found.best_loss)
        with pytest.raises(TypeError, match="y is missing"):
            search(X, validation=HELD)


def found_lrs(found):
    return found.frame.lr.tolist()


@pytest.mark.parametrize("file", ["s.db", "s.journal"])
class TestStorage:
    def test_it_goes_on(self, tmp_path, file):
        options = OPTIONS | {"storage": tmp_path / file, "baseline": False}
        first = found_lrs(search(X, Y, n_trials=3, **options))
        more = search(X, Y, n_trials=7, **options)
        assert found_lrs(more)[:3] == first
        assert len(set(found_lrs(more))) == 7
        assert found_lrs(search(X, Y, n_trials=7, **options)) == found_lrs(more)

    def test_another_search_is_refused(self, tmp_path, file):
        options = OPTIONS | {"storage": tmp_path / file, "baseline": False}
        search(X, Y, n_trials=1, **options)
        for change in ({"epochs": 5}, {"seed": 9}, {"validation": (X[:20], Y[:20])}):
            with pytest.raises(ValueError, match="holds another search"):
                search(X, Y, n_trials=1, **(options | change))

    def test_killed_in_a_trial_and_started_again(self, tmp_path, file):
        """SIGKILL while trials run: those that had ended stay, the one under way is repeated."""
        script = tmp_path / "run.py"
        script.write_text(
            textwrap.dedent("""
            import os, signal, sys
            import numpy as np
            from regression_lib import search

            X = np.random.default_rng(0).normal(size=(60, 3)); y = X[:, :1]
            def space(trial):
                lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
                if trial.number == 3 and sys.argv[2] == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                return {"hidden": [4], "lr": lr}
            found = search(X, y, validation=(X[:20], y[:20]), space=space, n_trials=6,
                           epochs=2, storage=sys.argv[1], baseline=False)
            rows = found.frame
            print(*rows.state, *(f"{lr:.12g}" for lr in rows.lr))
            """)
        )

        def run(mode):
            command = [sys.executable, script, tmp_path / file, mode]
            return subprocess.run(command, capture_output=True, text=True, timeout=120)

        assert run("die").returncode == -signal.SIGKILL
        done = run("go on")
        states, lrs = np.array(done.stdout.split()).reshape(2, -1)
        assert states.tolist() == ["complete"] * 3 + ["fail"] + ["complete"] * 3, done.stderr
        assert lrs[3] in lrs[4:]  # the trial under way was done again, with the same options


def test_other_storages_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.db \(SQLite\) or \.journal"):
        search(X, Y, storage=tmp_path / "s.txt", **OPTIONS)


def test_two_processes_find_what_one_finds():
    """Random trials do not depend on each other: where they run changes nothing."""
    options = OPTIONS | {"n_trials": 6}
    alone, two = (search(X, Y, n_jobs=n, **options).frame for n in (1, 2))
    alone, two = (
        frame.query("sampler == 'random' and state == 'complete'") for frame in (alone, two)
    )
    both = alone.merge(two, on="lr")
    assert len(both) >= 4
    assert np.allclose(both.loss_x, both.loss_y, rtol=1e-3)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_so_many_trials_at_a_time_as_are_asked_for(monkeypatch, n_jobs):
    asked = []

    class Parallel(joblib.Parallel):
        def __init__(self, n_jobs=None, **options):
            asked.append(n_jobs)
            super().__init__(n_jobs=1, **options)

    monkeypatch.setattr(joblib, "Parallel", Parallel)
    search(X, Y, n_trials=1, n_jobs=n_jobs, baseline=False, **OPTIONS)
    assert asked == [n_jobs]


def test_a_cluster_loses_a_worker_and_no_trial(tmp_path):
    """A Dask cluster of two worker processes, one of them killed while both are training."""
    distributed = pytest.importorskip("distributed")

    def murderous(trial):
        if trial.number == 4:
            os.kill(victim, getattr(signal, "SIGKILL", signal.SIGTERM))
        return space(trial)

    options = OPTIONS | {"space": murderous, "epochs": 40, "storage": tmp_path / "s.db"}
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    )
    with cluster, distributed.Client(cluster) as client, joblib.parallel_config("dask"):
        victim = min(client.run(os.getpid).values())
        found = search(X, Y, n_trials=10, baseline=False, **options)
        assert victim not in client.run(os.getpid).values()
    assert found.frame.number.tolist() == list(range(10))
    assert found.frame.state.isin(["complete", "pruned"]).all()
    assert (found.frame.epochs > 0).all()


class TestResumedTrials:
    def test_a_trial_goes_on_from_its_last_epoch(self, tmp_path, monkeypatch):
        kept, epochs = tmp_path / "run", []
        save, train_one = training._Run.save, training._Run.train_one

        def save_and_fail(run, path):
            save(run, path)
            if len(run.history) == 3:
                raise RuntimeError("the power fails")

        def train_and_tell(run, epoch):
            epochs.append(epoch)
            train_one(run, epoch)

        rows = (X, Y, *HELD)
        options = {"random_state": 0, "hidden": [8], "epochs": 5, "batch_size": 32}
        monkeypatch.setattr(training._Run, "train_one", train_and_tell)
        with monkeypatch.context() as patch:
            patch.setattr(training._Run, "save", save_and_fail)
            with pytest.raises(RuntimeError, match="the power fails"):
                tuning._evaluate(0, options, rows, [], kept)
        found = tuning._evaluate(0, options, rows, [], kept)
        assert epochs == [1, 2, 3, 4, 5]
        assert found == tuning._evaluate(0, options, rows, [])
        assert not kept.exists()

    def test_nothing_is_left_beside_the_storage(self, tmp_path):
        search(X, Y, n_trials=6, storage=tmp_path / "found.journal", baseline=False, **OPTIONS)
        assert not list(tmp_path.glob("*.trial"))

    def test_what_is_tried_names_the_file(self, tmp_path):
        storage, options = tmp_path / "found.db", {"random_state": 0, "lr": 0.1}
        path = tuning._kept_in(storage, options)
        assert path.parent == tmp_path
        assert path == tuning._kept_in(storage, dict(reversed(options.items())))
        assert path != tuning._kept_in(storage, options | {"lr": 0.2})
        assert tuning._kept_in(None, options) is None
        assert tuning._kept_in(storage, options | {"random_state": None}) is None

    def test_one_file_for_all_trials_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="with storage=path each trial"):
            search(X, Y, checkpoint=tmp_path / "run", **OPTIONS)
