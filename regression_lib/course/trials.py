"""The one protocol of comparison: each result of the book that says "better" comes through here.

It makes the unfair hard. All candidates may spend the same, or are tuned by the same number of
trials; they see training and validation rows, never those that judge; their differences are taken
split by split, with an interval that knows that the splits share rows; and the training error
stands beside the test error.

Sources: Nadeau & Bengio (2003), "Inference for the Generalization Error", Machine Learning 52,
239–281, for the interval; Godbole et al. (2023), "Deep Learning Tuning Playbook", for what has to
be tuned before one thing is compared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from regression_lib.data import Dataset, Split, split
from regression_lib.plots import GREEN, GREY, ORANGE, _axes, describe
from regression_lib.words import printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

# What may be tried of an option: a list, or (lowest, highest), or (lowest, highest, "log").
Range: TypeAlias = Sequence[Any]
Space: TypeAlias = Mapping[str, Range]
TRIED_FIRST = 10**6  # seeds of the trials begin here, apart from those that are judged


class Predictor(Protocol):
    """Whatever predicts."""

    def predict(self, X: Any) -> np.ndarray: ...


class Rows(NamedTuple):
    """What a candidate may see of a split."""

    train: Dataset
    validation: Dataset | None


Candidate: TypeAlias = Callable[..., Predictor]


@dataclass(frozen=True)
class Steps:
    """A budget for networks: so many optimiser steps, each of so many rows.

    Parameters
    ----------
    steps, batch_size : int
    """

    steps: int
    batch_size: int

    def options(self, n_rows: int) -> dict[str, int]:
        """`epochs` and `batch_size` for `fit` and n_rows training rows; one epoch at least."""
        an_epoch = math.ceil(n_rows / self.batch_size)
        return {"epochs": max(1, round(self.steps / an_epoch)), "batch_size": self.batch_size}

    def __str__(self) -> str:
        return f"{self.steps:,} steps of {self.batch_size} rows each"


@dataclass(frozen=True)
class Difference:
    """A paired difference and its 95 % interval.

    Attributes
    ----------
    mean, low, high : float
    n : int
        How many pairs.
    varies : str
        What differs from pair to pair.
    digits : int
        Decimals that are printed.
    """

    mean: float
    low: float
    high: float
    n: int
    varies: str = "splits"
    digits: int = 4

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return not self.low <= 0 <= self.high

    @property
    def below(self) -> bool:
        """Whether the difference is clearly below 0."""
        return self.high < 0

    @property
    def above(self) -> bool:
        """Whether the difference is clearly above 0."""
        return self.low > 0

    def __str__(self) -> str:
        mean, low, high = (
            f"{value:+,.{self.digits}f}".replace("-", "−")
            for value in (self.mean, self.low, self.high)
        )
        return f"{mean} (95 %: {low} to {high}; {self.n} {self.varies})"


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    overlap: float = 0.0,
    varies: str = "splits",
    digits: int = 4,
) -> Difference:
    """How far a lies above b, pair by pair, with the corrected resampled t interval.

    Parameters
    ----------
    a, b : array, shape (n,)
        Measured on the same splits, or with the same seeds.
    overlap : float
        Test rows as a multiple of training rows where the pairs are splits of the same rows, whose
        training rows overlap: the variance of the mean is then (1/n + overlap) times that of the
        differences (Nadeau & Bengio 2003, section 3.3). 0 where pairs are independent.
    varies : str
    digits : int

    Returns
    -------
    Difference

    Raises
    ------
    ValueError
        If there are not two pairs at least, or one value is not finite.
    """
    a, b = (np.asarray(values, dtype=float) for values in (a, b))
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f"two pairs at least are needed, got values of {a.shape} and {b.shape}")
    gaps = a - b
    if not np.isfinite(gaps).all():
        raise ValueError(f"a difference is not finite: {gaps}. Say which runs diverged, and apart")
    from scipy import stats

    n, mean = len(gaps), float(gaps.mean())
    error = math.sqrt((1 / n + overlap) * gaps.var(ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return Difference(mean, mean - half, mean + half, n, varies, digits)


def rmse(y: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared error, over all rows and targets."""
    return float(np.sqrt(np.mean((np.asarray(y) - np.asarray(predicted)) ** 2)))


def compare(
    candidates: Mapping[str, Candidate],
    data: Dataset | Iterable[Split],
    *,
    budget: Steps | str | None = None,
    tune: Mapping[str, Space | None] | None = None,
    n_trials: int = 0,
    n_splits: int = 5,
    n_seeds: int = 1,
    error: Callable[[Any, Any], float] = rmse,
    seed: int = 0,
    n_jobs: int = 1,
) -> Comparison:
    """Train and judge candidates on the same splits, with the same means.

    Parameters
    ----------
    candidates : dict of str to callable
        By name, what makes a trained model: ``candidate(rows, seed, **options)`` with rows.train
        and rows.validation. It never sees the rows that judge.
    data : Dataset, or splits
        A Dataset is split at random, ``split(data, seed + k)``; or splits of your own, by time,
        say.
    budget : Steps or str
        `Steps`: each candidate is handed `epochs` and `batch_size` that make these steps. Or words
        for what all of them may spend where they take no steps; the words are printed.
    tune : dict of str to space, optional
        For each candidate what is tried of its options on the validation rows of each split, in
        `n_trials` trials: {"lr": (1e-4, 1e-1, "log"), "depth": [2, 4, 8]}. None for a candidate
        that has nothing to tune.
    n_trials : int
        The same for all.
    n_splits, n_seeds : int
        A candidate's error on a split is the mean over its seeds.
    error : callable
        From true and predicted targets, each (n_rows, n_targets), to a number.
    seed : int
        Of the first split, of the trials and of the trainings.
    n_jobs : int
        Splits and candidates at a time, through joblib.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If nothing says what the candidates may spend, or not all of them are tuned.
    """
    if len(candidates) < 2:
        raise ValueError(f"a comparison needs two candidates at least, got {list(candidates)}")
    _check_means(candidates, budget, tune, n_trials)
    splits = list(_splits(data, n_splits, seed))
    if len(splits) * n_seeds < 2:
        raise ValueError("one training of each compares luck: raise n_splits or n_seeds")
    from joblib import Parallel, delayed

    tasks = [(k, name) for k in range(len(splits)) for name in candidates]
    measured = Parallel(n_jobs=n_jobs)(
        delayed(_measure)(
            candidates[name],
            splits[k],
            budget,
            (tune or {}).get(name),
            n_trials,
            n_seeds,
            error,
            seed + 1000 * k,
        )
        for k, name in tasks
    )
    rows = [
        {"candidate": name, "split": k} | row
        for (k, name), found in zip(tasks, measured, strict=True)
        for row in found
    ]
    return Comparison._of(rows, splits, budget, tune, n_trials, n_seeds, isinstance(data, Dataset))


def _check_means(candidates, budget, tune, n_trials):
    """Refuse what is not known to be fair."""
    if budget is None and not tune:
        raise ValueError(
            "say what each candidate may spend: budget=Steps(…), words for it, or tune= with the "
            "same n_trials for all"
        )
    if tune is not None and tune.keys() != candidates.keys():
        odd = sorted(tune.keys() ^ candidates.keys())
        raise ValueError(f"tune={{…}} must name every candidate, and no other: {odd}")
    if bool(tune) != (n_trials > 0):
        raise ValueError(f"tune={tune!r} and n_trials={n_trials}: the one needs the other")


def _splits(data, n_splits, seed):
    return (split(data, seed + k) for k in range(n_splits)) if isinstance(data, Dataset) else data


def _measure(candidate, parts, budget, space, n_trials, n_seeds, error, seed):
    """One candidate on one split: a row for each seed."""
    rows = Rows(parts.train, parts.validation)
    fixed = budget.options(len(rows.train)) if isinstance(budget, Steps) else {}
    chosen, borders = _tuned(candidate, rows, fixed, space, n_trials, error, seed)
    found, said = [], {"options": chosen, "at_border": borders}
    for k in range(n_seeds):
        start = time.process_time()
        model = candidate(rows, seed + k, **fixed, **chosen)
        seconds = time.process_time() - start
        errors = {
            f"{name}_error": error(part.y.to_numpy(), _predicted(model, part))
            for name, part in [*rows._asdict().items(), ("test", parts.test)]
            if part is not None
        }
        found.append({"seed": seed + k, **errors, "seconds": seconds, **said})
    return found


def _predicted(model, part):
    return np.asarray(model.predict(part.X)).reshape(part.y.shape)


def _tuned(candidate, rows, fixed, space, n_trials, error, seed):
    """The options of the lowest validation error, and which of them lie at their range's end."""
    if not space:
        return {}, []
    if rows.validation is None:
        raise ValueError("trials are judged by validation rows, and this split has none")
    import optuna

    def judged(trial):
        options = {name: _suggested(trial, name, range_) for name, range_ in space.items()}
        trial.set_user_attr("options", options)
        model = candidate(rows, TRIED_FIRST + seed, **fixed, **options)
        return error(rows.validation.y.to_numpy(), _predicted(model, rows.validation))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(judged, n_trials=n_trials, catch=(FloatingPointError,))
    chosen = study.best_trial.user_attrs["options"]
    return chosen, [name for name, range_ in space.items() if _ends(range_, chosen[name])]


def _suggested(trial, name, range_):
    if isinstance(range_, list):
        return trial.suggest_categorical(name, range_)
    low, high, *log = range_
    whole = isinstance(low, int) and isinstance(high, int)
    suggest = trial.suggest_int if whole else trial.suggest_float
    return suggest(name, low, high, log=bool(log))


def _ends(range_, value):
    """Whether a value lies at an end of its range: of numbers, within a tenth of it."""
    if isinstance(range_, list):
        numbers = all(isinstance(one, (int, float)) for one in range_)
        return numbers and len(range_) > 2 and value in (min(range_), max(range_))
    low, high, *log = range_
    scale = math.log if log else float
    place = (scale(value) - scale(low)) / (scale(high) - scale(low))
    return not 0.1 < place < 0.9


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured: a table in a notebook.

    Attributes
    ----------
    frame : pandas.DataFrame
        A row for each candidate, split and seed: errors on training, validation and test rows,
        CPU seconds of the training, the tuned options, and which of them lie at the border of
        what was tried.
    protocol : str
        How it was measured, in a sentence.
    overlap : float
        Test rows as a multiple of those to learn from; 0 for a single split. Splits of your own
        are taken to share rows, which widens the interval where they do not.
    varies : str
        What differs from pair to pair: "splits", or "seeds" of a single split.
    """

    frame: pd.DataFrame
    protocol: str
    overlap: float
    varies: str

    @classmethod
    def _of(cls, rows, splits, budget, tune, n_trials, n_seeds, at_random):
        import pandas as pd

        first, several = splits[0], len(splits) > 1
        seen = len(first.train) + (len(first.validation) if first.validation is not None else 0)
        words = [
            f"{len(splits)} split{'s' * several} ({seen:,} rows to learn from, "
            f"{len(first.test):,} to judge by{', drawn at random' if at_random else ''})"
        ]
        words += [f"{n_seeds} seeds each"] if n_seeds > 1 else []
        words += [f"{budget}"] if budget is not None else []
        words += [f"tuned in {n_trials} trials each, on validation rows"] if tune else []
        overlap = len(first.test) / seen if several else 0.0
        return cls(pd.DataFrame(rows), "; ".join(words), overlap, "splits" if several else "seeds")

    def errors(self, candidate: str, rows: str = "test") -> np.ndarray:
        """Errors of a candidate, one a split (the mean of its seeds), or of one split one a seed.

        Parameters
        ----------
        candidate : str
        rows : {"test", "train", "validation"}
        """
        known = list(dict.fromkeys(self.frame.candidate))
        if candidate not in known:
            raise ValueError(f"there is no candidate {candidate!r}; there are {known}")
        mine = self.frame[self.frame.candidate == candidate]
        return mine.groupby(self.varies[:-1])[f"{rows}_error"].mean().to_numpy()

    def difference(
        self, a: str, b: str, rows: str = "test", *, relative: bool = False, digits: int = 4
    ) -> Difference:
        """How far the error of a lies above that of b; `relative`, as a share of b's mean error."""
        first, second = self.errors(a, rows), self.errors(b, rows)
        size = second.mean() if relative else 1.0
        how: dict[str, Any] = {"overlap": self.overlap, "varies": self.varies, "digits": digits}
        return paired_difference(first / size, second / size, **how)

    def table(self, reference: str | None = None) -> pd.DataFrame:
        """A row for each candidate: errors, what it is from the reference, CPU seconds.

        Parameters
        ----------
        reference : str, optional
            The candidate that the others are compared with; by default the first.
        """
        import pandas as pd

        names = list(dict.fromkeys(self.frame.candidate))
        reference = reference or names[0]
        rows = []
        for name in names:
            test, train = self.errors(name), self.errors(name, "train")
            gap = None if name == reference else self.difference(name, reference)
            mine = self.frame[self.frame.candidate == name]
            borders = sorted({option for options in mine.at_border for option in options})
            rows.append(
                {
                    "candidate": name,
                    "test error": f"{test.mean():.4f} ± {test.std(ddof=1):.4f}",
                    "training error": f"{train.mean():.4f}",
                    f"difference to {reference}": "" if gap is None else str(gap),
                    "clear": "" if gap is None else ("yes" if gap.clear else "no"),
                    "CPU s": f"{mine.seconds.mean():.1f}",
                    "at the border of what was tried": ", ".join(borders),
                }
            )
        table = pd.DataFrame(rows).set_index("candidate")
        return table.loc[:, (table != "").any()]

    def plot(self, reference: str | None = None, ax: Axes | None = None) -> Axes:
        """Differences to the reference: a dot a split, and the interval of their mean."""
        names = list(dict.fromkeys(self.frame.candidate))
        reference = reference or names[0]
        base = self.errors(reference)
        pairs = {
            name: (self.errors(name) - base, self.difference(name, reference))
            for name in names
            if name != reference
        }
        return _plot_differences(pairs, reference, ax)

    def __repr__(self) -> str:
        return printable(f"{self.table().to_string()}\n{self.protocol}")

    def _repr_html_(self):
        return f"{self.table().to_html()}<p>{self.protocol}</p>"


def _plot_differences(pairs, reference, ax):
    """A dot a pair, and the interval of the mean difference, line by line."""
    ax = _axes(ax, (5.4, 1.0 + 0.5 * len(pairs)))
    words = []
    for line, (name, (gaps, gap)) in enumerate(pairs.items()):
        color = GREEN if gap.below else ORANGE if gap.above else GREY
        ax.plot(gaps, np.full(len(gaps), line), "o", color=color, alpha=0.4, ms=5, mew=0)
        ax.errorbar(
            gap.mean, line, xerr=[[gap.mean - gap.low], [gap.high - gap.mean]],
            fmt="|", color=color, lw=2, capsize=4, ms=12,
        )  # fmt: skip
        words.append(f"{name} {gap}")
    ax.axvline(0, color=GREY, lw=1)
    ax.set_yticks(range(len(pairs)), list(pairs))
    ax.set_ylim(len(pairs) - 0.5, -0.5)
    ax.set_xlabel(f"test error minus that of {reference}")
    return describe(ax, f"Differences of the test error to {reference}: {'; '.join(words)}.")
