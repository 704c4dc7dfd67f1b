"""Choosing hyperparameters: all learning rates in one go, everything else with Optuna.

Whatever is chosen here is chosen on validation rows. No function of this module takes test rows:
they are looked at once, when all is decided.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import optuna
import pandas as pd
import torch
from optuna.trial import TrialState

from regression_lib.checks import Column, Table, as_matrix, as_vector, column_names, is_column
from regression_lib.data import Dataset
from regression_lib.ensemble import EnsembleNet
from regression_lib.estimator import DeepRegressor
from regression_lib.history import History
from regression_lib.network import RegressionNet, count_of, seed_of
from regression_lib.progress import Progress, track
from regression_lib.rows import Pair, Validation, as_pair, unpacked
from regression_lib.storage import PathLike
from regression_lib.studies import opened
from regression_lib.training import fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# --------------------------------------------------------------------------- the learning rate


@dataclass
class LRSweep:
    """What each learning rate came to.

    Attributes
    ----------
    frame : pandas.DataFrame
        A row for each rate: `lr`; `train_loss` and `validation_loss` of the best epoch, means
        over the seeds (NaN where the loss of one was so from the start); `validation_sd` over
        the seeds; `diverged`, the share of the seeds whose loss became NaN or infinite.
    history : History
        Of all members, rate by rate, and seed by seed within a rate.
    """

    frame: pd.DataFrame
    history: History

    @property
    def best_lr(self) -> float:
        """The rate with the lowest validation loss."""
        return float(self.frame.lr[self.frame.validation_loss.fillna(np.inf).idxmin()])

    @property
    def valley(self) -> tuple[float, float]:
        """The lowest and the highest rate around `best_lr` that stay within 10 % of its loss."""
        loss = self.frame.validation_loss.fillna(np.inf).to_numpy()
        first = last = int(loss.argmin())
        good = loss <= 1.1 * loss.min()
        while first > 0 and good[first - 1]:
            first -= 1
        while last < len(good) - 1 and good[last + 1]:
            last += 1
        return float(self.frame.lr[first]), float(self.frame.lr[last])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Both losses against the learning rate, the valley shaded."""
        from regression_lib.plots import plot_lr_sweep

        return plot_lr_sweep(self, ax=ax)


def lr_sweep(
    net: RegressionNet,
    X: Dataset | Table,
    y: Table | None = None,
    *,
    validation: Validation = 0.2,
    lrs: Sequence[float] | np.ndarray | None = None,
    n_seeds: int = 1,
    **options: Any,
) -> LRSweep:
    """Train the same network with many learning rates, all at the same time.

    Parameters
    ----------
    net : RegressionNet
        Its configuration is what is trained; the network itself stays as it is.
    X : Dataset, frame, array or tensor, shape (n_rows, n_features)
    y : frame, array or tensor, shape (n_rows, n_targets), optional
        Left out with a Dataset.
    validation : Dataset, (X, y) pair or fraction of the rows
        Rows to judge by.
    lrs : sequence of float, optional
        The rates in rising order; by default 16 from 1e-5 to 1.
    n_seeds : int
        Networks a rate, with initial weights of their own; all see the same batches.
    **options
        Of `fit`: epochs, batch_size, schedule, … (but not lr, which `lrs` replaces). With
        "one_cycle" the rate is the peak.

    Returns
    -------
    LRSweep

    Raises
    ------
    TypeError, ValueError
        Those of `fit`; or if the rates do not rise.
    FloatingPointError
        If the loss of every network became NaN or infinite.
    """
    if "lr" in options:
        raise TypeError(f"lr_sweep takes several rates: lrs={options['lr']!r} instead of lr")
    lrs = np.geomspace(1e-5, 1, 16) if lrs is None else np.asarray(lrs, dtype=float)
    n_seeds = count_of("n_seeds", n_seeds)
    if lrs.ndim != 1 or len(lrs) == 0 or (np.diff(lrs) <= 0).any():
        raise ValueError(f"lrs must be a list of rising learning rates, got {lrs}")
    if validation is None:
        raise TypeError(
            "lr_sweep needs validation rows to judge by: a pair, or a share such as 0.2"
        )
    if not isinstance(net, RegressionNet) or isinstance(net, EnsembleNet):
        raise TypeError(f"lr_sweep makes its ensemble from one RegressionNet, got {net!r}")
    config = {name: v for name, v in net.config.items() if name != "seed"}
    seeds = [net.config["seed"] + i for i in range(n_seeds)] * len(lrs)
    many = EnsembleNet(len(seeds), seed=seeds, **config)
    rates = np.repeat(lrs, n_seeds)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # the frame tells
        history = fit(many, X, y, validation=validation, lr=rates.tolist(), **options)
    if len(history) == 0:
        raise KeyboardInterrupt

    best = history.best.assign(lr=rates)
    last = [member.rows[-1].train_loss for member in history]
    by_rate = best.assign(diverged=~np.isfinite(last)).groupby("lr")
    frame = by_rate[["train_loss", "validation_loss"]].agg(lambda losses: losses.mean(skipna=False))
    frame["validation_sd"] = by_rate.validation_loss.std(ddof=1)
    frame["diverged"] = by_rate.diverged.mean()
    return LRSweep(frame.reset_index(), history)


# --------------------------------------------------------------------------- everything else


def default_space(trial: optuna.Trial) -> dict[str, Any]:
    """What `search` tries unless it is told otherwise: options of `DeepRegressor` for a trial."""
    width = trial.suggest_categorical("width", [32, 64, 128, 256])
    return {
        "hidden": [width] * trial.suggest_int("layers", 1, 4),
        "activation": trial.suggest_categorical("activation", ["relu", "silu", "tanh"]),
        "batch_norm": trial.suggest_categorical("batch_norm", [False, True]),
        "numeric_embedding": trial.suggest_categorical(
            "numeric_embedding", [None, "piecewise_linear"]
        ),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "lr": trial.suggest_float("lr", 3e-4, 3e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.3, log=True),
    }


@dataclass
class Search:
    """What a search has found.

    Attributes
    ----------
    study : optuna.Study
        All trials of the sampler, for Optuna's own tools.
    baseline : optuna.Study or None
        As many trials at random.
    """

    study: optuna.Study
    baseline: optuna.Study | None

    @property
    def best_params(self) -> dict[str, Any]:
        """Options for a `DeepRegressor`."""
        return dict(self.study.best_trial.user_attrs["options"])

    @property
    def best_loss(self) -> float:
        """The lowest validation loss; of ``loss="squared"``, in squares of the scaled target."""
        return self.study.best_value

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each trial: `number`, `sampler`, `state`, `loss`, `epochs`, what was suggested.

        The loss is NaN where a trial was pruned or failed.
        """
        studies = [("tpe", self.study), ("random", self.baseline)]
        rows = [
            {
                "number": trial.number,
                "sampler": name,
                "state": trial.state.name.lower(),
                "loss": trial.value if trial.state == TrialState.COMPLETE else np.nan,
                "epochs": len(trial.intermediate_values),
                **trial.params,
            }
            for name, study in studies
            if study is not None
            for trial in study.trials
        ]
        return pd.DataFrame(rows)

    def plot(self, ax: Axes | None = None) -> Axes:
        """The lowest loss so far against the number of trials, beside random search."""
        from regression_lib.plots import plot_search

        return plot_search(self, ax=ax)

    def __repr__(self) -> str:
        states = [trial.state.name.lower() for trial in self.study.trials]
        counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        lowest = f"{self.best_loss:.4f}" if "complete" in states else "none yet"
        return f"Search({', '.join(counts)}; lowest validation loss {lowest})"


def search(
    X: Dataset | Table,
    y: Table | Column | None = None,
    *,
    validation: Pair,
    space: Callable[[optuna.Trial], dict[str, Any]] = default_space,
    n_trials: int = 50,
    baseline: bool = True,
    storage: PathLike | None = None,
    n_jobs: int | None = None,
    seed: int = 0,
    progress: Progress = False,
    **options: Any,
) -> Search:
    """Search for good options of `DeepRegressor` with Optuna's tree-structured Parzen estimator.

    A trial trains on X and y and is judged by its lowest validation loss; one that is worse than
    the median of the others at the same epoch is stopped there (`optuna.pruners.MedianPruner`).
    Source: Bergstra et al. (2011), "Algorithms for Hyper-Parameter Optimization", NeurIPS 24;
    Akiba et al. (2019), "Optuna", arXiv:1907.10902.

    Parameters
    ----------
    X : Dataset, frame or array, shape (n_rows, n_features)
        Training rows. Test rows have no place here.
    y : array, series or frame, shape (n_rows,) or (n_rows, n_targets), optional
        Left out with a Dataset.
    validation : Dataset or (X, y) pair
        Rows to judge by.
    space : callable
        From an `optuna.Trial` to options of `DeepRegressor`, as plain values that a file can
        hold: lists, not tuples.
    n_trials : int
        How many in all, those of an earlier session included.
    baseline : bool
        Try as many at random, to see what the search is worth.
    storage : path, optional
        A file that keeps every trial: ``*.db`` for SQLite, ``*.journal`` for a journal. Started
        again with the same file, the search goes on, and trials that were under way from their
        last epoch.
        One search at a time may use it; a second one is refused. A search that has ended can be
        read where nothing may be written.
    n_jobs : int, optional
        Trials at a time, through joblib: processes on this machine, or the workers of a cluster
        within ``with joblib.parallel_config("dask"):``. By default 1, or all of the cluster.
    seed : int
        Of the sampler and of every training.
    progress : bool or {"auto", "rich", "tqdm", "plain", "none"}
    **options
        Of `DeepRegressor`, the same for all trials, e.g. ``epochs=20``. A trial trains one
        network, unless these options or `space` say another ``n_members``.

    Returns
    -------
    Search

    Raises
    ------
    TypeError, ValueError
        For an option out of range; or if the storage has another suffix, cannot be read, or holds
        a search on other rows or options.
    RuntimeError
        If another search is at work on the storage.
    OSError
        If the storage cannot be written to.

    Notes
    -----
    Ctrl-C ends the search with the trials so far.

    With one job the same seed gives the same trials. With several, which trial ends first
    decides what the next one knows.
    """
    n_trials, seed = count_of("n_trials", n_trials), seed_of(seed)
    if "checkpoint" in options:
        raise ValueError(
            "checkpoint is one file, for one training: with storage=path each trial of a search "
            "has its own beside it"
        )
    if not callable(space):
        raise TypeError(f"space must be a function from a trial to options, got {space!r}")
    rows = (*unpacked(X, y)[:2], *as_pair(validation))
    task = {"rows": _digest(rows), "seed": seed, "options": repr(sorted(options.items()))}
    samplers: dict[str, Callable[[int], optuna.samplers.BaseSampler]]
    samplers = {"tpe": lambda n: optuna.samplers.TPESampler(seed=seed + n)}
    if baseline:
        samplers["random"] = lambda n: optuna.samplers.RandomSampler(seed=2**20 + seed + n)
    trained = {"n_members": 1, "random_state": seed, **options}
    with _quiet, opened(storage) as (store, may_write):
        studies = {name: _study(store, name, make, task) for name, make in samplers.items()}
        try:
            for name, study in studies.items():
                if may_write:
                    _repeat_what_was_cut_off(study)
                elif (left := n_trials - len(_ended(study))) > 0:
                    raise PermissionError(f"{left} trials are left, but {storage} is read-only")
                beside = None if storage is None else Path(storage).resolve()
                _run(study, name, n_trials, rows, space, trained, n_jobs, progress, beside)
        except KeyboardInterrupt:
            pass  # what has ended is there; a search with a storage can go on later
        return Search(studies["tpe"], studies.get("random"))


def _digest(tables):
    """What tells these rows from others: their numbers, and the names of the columns."""
    digest = hashlib.sha256()
    for what, table in zip(["X", "y", "validation X", "validation y"], tables, strict=True):
        if table is None:
            raise TypeError(f"{what} is missing: pass the targets, or a Dataset as X")
        numbers = as_vector if is_column(table, what) else as_matrix
        digest.update(repr(column_names(table, what)).encode())
        digest.update(np.ascontiguousarray(numbers(table, what)))
    return digest.hexdigest()[:16]


class _Meanwhile:
    """A setting of the whole process that is changed while anybody needs it, then given back."""

    def __init__(self, look, put, value):
        self.look, self.put, self.value = look, put, value
        self.users, self.lock = 0, threading.Lock()

    def __enter__(self):
        with self.lock:
            if self.users == 0:
                self.before = self.look()
                self.put(self.value)
            self.users += 1

    def __exit__(self, *_error):
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self.put(self.before)


# Optuna writes a line for each trial; and as many processes as cores are at work already.
_quiet = _Meanwhile(
    optuna.logging.get_verbosity, optuna.logging.set_verbosity, optuna.logging.WARNING
)
_one_thread = _Meanwhile(torch.get_num_threads, torch.set_num_threads, 1)


def _study(storage, name, make_sampler, task):
    """The study by that name, with the trials that it has."""
    if name in [study.study_name for study in storage.get_all_studies()]:
        study = optuna.load_study(study_name=name, storage=storage)
    else:
        study = optuna.create_study(study_name=name, storage=storage)
    was = study.user_attrs.get("task")
    if was is not None and was != task:
        raise ValueError(f"the storage holds another search: {was}, this one is {task}")
    if was is None and (study.trials or study.direction != optuna.study.StudyDirection.MINIMIZE):
        raise ValueError(f"the storage holds a study {name!r} that no search has made")
    if was is None:
        study.set_user_attr("task", task)
    # A generator that starts afresh would draw again what it drew before the interruption.
    study.sampler = make_sampler(len(_ended(study)))
    return study


def _repeat_what_was_cut_off(study):
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _ended(study):
    return study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])


def _run(study, name, n_trials, rows, space, options, n_jobs, progress, beside):
    """Ask for trials as workers become free, and tell the study what they came to."""
    trials = {}

    def jobs():
        for _ in range(n_trials - len(_ended(study))):
            trial = study.ask()
            tried = {**options, **_options_of(space(trial))}
            trial.set_user_attr("options", tried)
            trials[trial.number] = trial
            kept = _kept_in(beside, tried)
            yield joblib.delayed(_evaluate)(trial.number, tried, rows, _ended(study), kept)

    parallel = joblib.Parallel(
        n_jobs=n_jobs, return_as="generator_unordered", pre_dispatch="n_jobs"
    )
    left = n_trials - len(_ended(study))
    outcomes = parallel(jobs()) if left > 0 else ()
    for number, losses, loss in track(outcomes, f"Search ({name})", total=left, kind=progress):
        trial = trials.pop(number)
        for epoch, value in enumerate(losses, 1):
            trial.report(value, epoch)
        if loss is None:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, loss)


def _options_of(tried):
    """What a space has returned, as plain values, or an error that says what it must be."""
    if not isinstance(tried, dict):
        raise TypeError(f"space must return a dict of options, got {tried!r}")
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in tried.items()}


def _kept_in(beside, options):
    """The checkpoint of a trial, beside the storage: found again by what is tried."""
    if beside is None or not isinstance(options["random_state"], int):
        return None
    digest = hashlib.sha256(repr(sorted(options.items())).encode()).hexdigest()[:16]
    return beside.with_name(f".{beside.name}.{digest}.trial")


def _evaluate(number, options, rows, ended, kept=None):
    """Train one trial in whatever process this is; its losses by epoch, and the lowest or None."""
    X, y, *validation = rows
    with _quiet:
        study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_warmup_steps=3))
    study.add_trials(ended)
    copy, losses = study.ask(), []

    def look(history):
        for epoch in range(len(losses) + 1, len(history) + 1):  # one, or those of before a stop
            seen = [row.validation_loss for row in history.rows if row.epoch == epoch]
            losses.append(float(np.mean(seen)))
            copy.report(losses[-1], epoch)
        if copy.should_prune():
            raise optuna.TrialPruned

    if kept is not None and kept.parent.is_dir():  # a worker on another machine may not have it
        options = {"checkpoint": kept, **options}
    try:
        with _one_thread:
            model = DeepRegressor(**options).fit(X, y, validation=validation, callback=look)
    except (optuna.TrialPruned, FloatingPointError):
        if kept is not None:
            kept.unlink(missing_ok=True)
        return number, losses, None
    return number, losses, float(model.history_.best.validation_loss.mean())
