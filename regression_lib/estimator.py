"""DeepRegressor: the networks of this library as a scikit-learn estimator.

It asks for nothing but X and y: it scales both, sizes its batches, holds rows out to judge by,
trains one network or many at once, and keeps the best weights.
"""

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from numbers import Real
from pathlib import Path
from typing import Literal, Self, overload

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from regression_lib.card import Facts, ModelCard, card_of
from regression_lib.checks import (
    Column,
    Table,
    as_matrix,
    as_vector,
    check_names,
    column_names,
    is_column,
)
from regression_lib.embedding import useful_bins
from regression_lib.ensemble import EnsembleNet
from regression_lib.history import History
from regression_lib.intervals import Calibration, set_aside
from regression_lib.keeping import load_model, save_model
from regression_lib.losses import Loss, checked_quantiles
from regression_lib.network import Embedding, RegressionNet, count_of
from regression_lib.optimizers import Optimizer, Schedule
from regression_lib.progress import Progress
from regression_lib.ridge import is_small, mix_in
from regression_lib.rows import Pair, as_pair
from regression_lib.seen import Seen
from regression_lib.storage import PathLike
from regression_lib.training import fit

# What scikit-learn's check_estimator asks for and this estimator does not promise, with reasons.
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row of weight 2 is one row in one batch, a row given twice is two rows that are "
        "shuffled and held out apart; so the weights are equivalent on average only"
    ),
    "check_methods_subset_invariance": (
        "predictions are computed in float32, where matrix products of other shapes round "
        "differently: about 1e-7 of a prediction, the very tolerance of the check"
    ),
}


# Bins of all features together: each has a weight for each unit of the first layer.
MOST_BINS = 2**15
FEW_ROWS, FEW_COLUMNS = 2000, 200
NETWORK_OPTIONS = (
    "hidden",
    "activation",
    "batch_norm",
    "residual",
    "dropout",
    "numeric_embedding",
    "quantiles",
)


class DeepRegressor(RegressorMixin, BaseEstimator):
    """A deep regression network, or an ensemble of them, for tables of numbers.

    Parameters
    ----------
    hidden : sequence of int
        The width of each hidden layer.
    activation : str
        A name of `regression_lib.ACTIVATIONS`.
    batch_norm : bool
        BatchNorm between each hidden linear layer and its activation.
    residual : bool
        Add a layer's input to its output where both have the same width.
    dropout : float
        The share of each hidden layer's outputs that a training step leaves out, in [0, 1)
        (Srivastava et al. 2014).
    numeric_embedding : {"piecewise_linear", None}
        Cut each feature into `n_bins` pieces at its quantiles (Gorishniy et al. 2022,
        arXiv:2203.05556).
    n_bins : int or "auto"
        At most; a feature with few values has fewer, one with two values none, and all features
        together have 32,768. "auto": 512, shared by the features of more than two values, and a
        bin for each 64 rows at most; within 16 and 128 in either case.
    n_members : int or "auto"
        Networks that differ in their initial weights, their batches and the rows that they hold
        out, trained as one; the prediction is their mean (Lakshminarayanan et al. 2017,
        arXiv:1612.01474). "auto": 8 for up to 2,000 rows of up to 200 columns, where they take
        seconds and gain most, and else 1.
    ridge : bool
        Predict a · network + (1 − a) · ridge regression where there are at most 10,000 rows (and
        two million numbers), a squared loss and rows held out: these say, for each member and
        target, which a in [0, 1] is best. The mean of both is a network again, whose `direct`
        holds the line; `history_` tells of the network alone.
    epochs : int or "auto"
        Passes over the training rows. "auto": 16, or as many as make 1,000 steps.
    batch_size : int or "auto"
        Rows a step. "auto": a sixteenth of the training rows, within 16 and 128.
    loss : {"squared", "absolute", "huber", "quantile"} or ("huber", float)
        What is made small: see `regression_lib.fit`. With `quantiles`, "squared" means "quantile".
    quantiles : sequence of float, optional
        Predict these quantiles of each target, such as (0.05, 0.5, 0.95), 0.5 among them:
        `predict` then returns the median, `predict_quantiles` all of them.
    lr : float
        The learning rate; with "one_cycle" the highest that it reaches.
    schedule : {"one_cycle", "cosine", "constant"}
    optimizer : {"adamw", "adam", "sgd"}
    weight_decay : float
    validation_fraction : float or None
        The share of the rows that is held out to find the best epoch; 0, or a share of less
        than one row, for none: the last epoch's weights are then kept.
    calibration_fraction : float or None
        The share of the rows that is set aside before all else, for `predict_interval`: they
        neither train nor choose the epoch. What they weigh makes no difference, but rows of
        weight 0 are not among them.
    patience : int, optional
        Stop after so many epochs without a better validation loss.
    weight_average : float or None
        Judge, and keep, the mean of the weights over about so many epochs instead of those of the
        last step (Polyak & Juditsky 1992; Izmailov et al. 2018, arXiv:1803.05407).
    warm_start : bool
        Let `fit` go on from the weights and scales of the last `fit`, unless the number of
        targets or an option of the network has changed (the bins stay those of the first). The
        same rows are held out as before, whatever `random_state` is by then, provided that they
        are given again: no row that was trained on becomes one to judge by. Another number of
        rows, or another share, is worth a warning.
    checkpoint : path, optional
        A file that is written after each epoch. If the process ends within a `fit`, the next one
        on the same rows with the same options goes on from it, to the very weights; it needs a
        whole number as `random_state`. The file is removed when a `fit` has ended well. It is of
        one `fit` at a time: within a cross-validation leave it out.
    random_state : int, RandomState instance or None
        Of the initial weights, the batches and the held-out rows.
    progress : bool or {"auto", "rich", "tqdm", "plain", "none"}
    device : str, optional
        "cpu", "cuda", "mps"; by default the CPU.

    Attributes
    ----------
    net_ : RegressionNet or EnsembleNet
        The trained network: a RegressionNet if ``n_members=1``.
    history_ : History
        Losses by epoch.
    n_iter_ : int
        Epochs trained by the last `fit`.
    n_features_in_, n_outputs_ : int
    calibration_ : Calibration or None
        What `predict_interval` goes by.
    feature_names_in_ : ndarray of str
        Where X is a frame whose column names are all strings.

    Examples
    --------
    >>> from regression_lib import DeepRegressor, make_projectile
    >>> throws = make_projectile(300)
    >>> model = DeepRegressor(hidden=(32,), random_state=0).fit(throws.X, throws.y)
    >>> model.predict(throws.X[:2]).shape
    (2, 3)
    """

    net_: RegressionNet
    history_: History
    n_iter_: int
    n_features_in_: int
    n_outputs_: int
    calibration_: Calibration | None
    feature_names_in_: np.ndarray

    def __init__(
        self,
        hidden: Sequence[int] = (256, 128),
        *,
        activation: str = "relu",
        batch_norm: bool = False,
        residual: bool = False,
        dropout: float = 0.0,
        numeric_embedding: Embedding | None = "piecewise_linear",
        n_bins: int | Literal["auto"] = "auto",
        n_members: int | Literal["auto"] = "auto",
        ridge: bool = True,
        epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        loss: Loss = "squared",
        quantiles: Sequence[float] | None = None,
        lr: float = 3e-3,
        schedule: Schedule = "one_cycle",
        optimizer: Optimizer = "adamw",
        weight_decay: float = 0.1,
        validation_fraction: float | None = 0.1,
        calibration_fraction: float | None = 0,
        patience: int | None = None,
        weight_average: float | None = 1.0,
        warm_start: bool = False,
        checkpoint: PathLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        progress: Progress = False,
        device: str | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.batch_norm = batch_norm
        self.residual = residual
        self.dropout = dropout
        self.numeric_embedding = numeric_embedding
        self.n_bins = n_bins
        self.n_members = n_members
        self.ridge = ridge
        self.epochs = epochs
        self.batch_size = batch_size
        self.loss = loss
        self.quantiles = quantiles
        self.lr = lr
        self.schedule = schedule
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.calibration_fraction = calibration_fraction
        self.patience = patience
        self.weight_average = weight_average
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.progress = progress
        self.device = device

    def fit(
        self,
        X: Table,
        y: Table | Column,
        sample_weight: Column | None = None,
        *,
        validation: Pair | None = None,
        callback: Callable[[History], object] | None = None,
    ) -> Self:
        """Train on X and y.

        Parameters
        ----------
        X : frame (pandas, polars, pyarrow), array or tensor, shape (n_rows, n_features)
        y : array, series or frame, shape (n_rows,) or (n_rows, n_targets)
        sample_weight : array, shape (n_rows,), optional
            How much each row counts, at least 0.
        validation : Dataset or (X, y) pair, optional
            Rows to find the best epoch by, instead of a share held out at random: later sales,
            say, or other towns. Within a Pipeline these rows do not pass the steps before:
            transform them yourself, or use `validation_fraction`.
        callback : callable, optional
            Called with the `History` after each epoch.

        Returns
        -------
        DeepRegressor

        Raises
        ------
        TypeError, ValueError
            For input that cannot be trained on, or an option out of range, with its value.
        FloatingPointError
            When the loss becomes NaN or infinite.
        KeyboardInterrupt
            On Ctrl-C, when the best weights so far have been kept: `predict` works.

        Notes
        -----
        Whatever else is raised, the estimator is as it was before.
        """
        again = self.warm_start and hasattr(self, "net_")
        names = column_names(X)
        X = self._known(X) if again else as_matrix(X, "X", dtype=None, copy=False)
        if y is None:
            raise ValueError("DeepRegressor requires y to be passed, but the target y is None")
        target_names, one_target, y = column_names(y, "y"), is_column(y, "y"), _columns(y)
        random = check_random_state(self.random_state)
        n_members = self._members(_number_of_rows(X, sample_weight), X.shape[1])
        again = again and self._is_of(self.net_, y.shape[1])
        seeds = random.randint(np.iinfo(np.int32).max, size=n_members).tolist()
        seeds = self._seeds if again else seeds
        aside_of, rows = (len(X), self.calibration_fraction or 0), (X, y, sample_weight)
        (X, y, sample_weight), aside = set_aside(*rows, self.calibration_fraction, seeds[0])
        # What fails leaves the estimator as it was: so another network until all is well.
        net = copy.deepcopy(self.net_) if again else self._network(X, y.shape[1], seeds)
        net.feature_names = names or net.feature_names
        net.target_names = target_names or net.target_names
        held_of = (_number_of_rows(X, sample_weight), self.validation_fraction)
        if again:
            self._check_again(target_names, held_of, validation, aside_of)
        training = self._training(held_of[0], seeds, _held(validation, target_names))
        training |= self._kept_in()
        history = fit(net, X, y, sample_weight=sample_weight, callback=callback, **training)
        if len(history) > 0:
            share = self._mix_in(net, (X, y, sample_weight), training)
            about = self._about(net, (X, y, sample_weight), training | share, aside, again)
            self._keep(net, history, names, one_target, seeds, held_of)
            self.__dict__.update(about, _aside_of=aside_of)
        if self.checkpoint is not None and history.stopped != "interrupted":
            Path(self.checkpoint).unlink(missing_ok=True)
        if history.stopped == "interrupted":  # what has called us is to end as well
            raise KeyboardInterrupt
        return self

    def _kept_in(self):
        """Where `fit` writes a checkpoint, and takes it up again."""
        if self.checkpoint is None:
            return {}
        if not isinstance(self.random_state, (int, np.integer)):
            raise ValueError(
                f"checkpoint={self.checkpoint!r} needs random_state=0 or another whole number, got "
                f"{self.random_state!r}: else the next fit would be another training"
            )
        return {"checkpoint": self.checkpoint, "resume": True}

    def _check_again(self, target_names, held_of, validation, aside_of):
        """Whether a training goes on with the same targets, and judges by the same rows."""
        if target_names and self.net_.target_names:
            check_names(target_names, self.net_.target_names, "y")
        if validation is None and held_of != self._held_of:
            warnings.warn(
                f"{held_of[0]} rows and validation_fraction={held_of[1]}, where the last fit had "
                f"{self._held_of[0]} and {self._held_of[1]}: rows that were trained on may be held "
                f"out now, so that the validation loss flatters",
                stacklevel=3,
            )
        if aside_of[1] and aside_of != self._aside_of:
            warnings.warn(
                f"calibration_fraction={aside_of[1]} of {aside_of[0]} rows, where the last fit had "
                f"{self._aside_of[1]} of {self._aside_of[0]}: rows that were trained on may be set "
                f"aside now, so that the ranges are too narrow",
                stacklevel=3,
            )

    def _about(self, net, rows, training, aside, again):
        """What a card tells and `predict_interval` needs, of a training that has just ended."""
        X, y, weight = rows
        if weight is not None:
            X, y = X[weight > 0], y[weight > 0]
        return {
            "calibration_": aside and Calibration.of(net.predict(aside[0]), aside[1]),
            "_seen": Seen.of(X, self._seen if again else None),
            "_seen_y": Seen.of(y, self._seen_y if again else None),
            "_facts": Facts.of(self, net, rows, training),
        }

    def _keep(self, net, history, names, one_target, seeds, held_of):
        """All that `fit` learns, at once."""
        self.net_, self.history_, self.n_iter_ = net, history, len(history)
        self.n_features_in_, self.n_outputs_ = net.config["n_features"], net.config["n_targets"]
        self._one_target, self._seeds, self._held_of = one_target, seeds, held_of
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    @overload
    def predict(self, X: Table, return_std: Literal[False] = ...) -> np.ndarray: ...
    @overload
    def predict(self, X: Table, return_std: Literal[True]) -> tuple[np.ndarray, np.ndarray]: ...
    def predict(
        self, X: Table, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict the targets, in their own units.

        Parameters
        ----------
        X : frame (pandas, polars, pyarrow), array or tensor, shape (n_rows, n_features)
            If it has column names, and those trained on had some, they must agree.
        return_std : bool
            Return as well how far the members disagree: their standard deviation.

        Returns
        -------
        ndarray, shape (n_rows,) or (n_rows, n_targets) as y was; with `return_std` two of them

        Raises
        ------
        TypeError, ValueError
            If X cannot be predicted for (see `RegressionNet.predict`), or `return_std` is asked
            of a single network.
        """
        check_is_fitted(self)
        X = self._known(X)
        self._seen.warn_of(X, self.net_.feature_names)
        if not return_std:
            return self._as_y(self.net_.predict(X))
        if not isinstance(self.net_, EnsembleNet):
            raise ValueError("one network has no spread: return_std needs n_members=2 or more")
        return tuple(map(self._as_y, self.net_.predict(X, return_std=True)))

    def predict_quantiles(self, X: Table) -> np.ndarray:
        """The predicted `quantiles` of each target in its units, which never cross.

        Returns
        -------
        ndarray, shape (n_rows, n_quantiles), or (n_rows, n_targets, n_quantiles) as y was

        Raises
        ------
        TypeError, ValueError
            As in `predict`, or if the estimator was made without `quantiles`.
        """
        check_is_fitted(self)
        return self._as_y(self.net_.predict_quantiles(self._known(X)))

    def predict_interval(
        self, X: Table, share: float = 0.9, *, bands: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ranges that the targets of new rows lie in, for at least a given share of such rows.

        It holds for rows of the same kind as those of the calibration, whatever the model is, and
        on average over all of them: split conformal prediction (Lei et al. 2018,
        arXiv:1604.04173).

        Parameters
        ----------
        X : frame (pandas, polars, pyarrow), array or tensor, shape (n_rows, n_features)
        share : float
            In (0, 1). A share of 0.9 takes 9 calibration rows at least, 0.99 takes 99; with a
            few hundred the share of later rows comes close to what is asked for.
        bands : int
            Cut the predictions at their quantiles into so many bands, each with a width of its
            own. Then the share holds within each band: for the dear houses as for the cheap ones.

        Returns
        -------
        lower, upper : ndarray, shape (n_rows,) or (n_rows, n_targets) as y was
            Of several targets each has its own share; all of them together hold less often.

        Raises
        ------
        ValueError
            If the model is not calibrated, or by too few rows for this share.
        """
        check_is_fitted(self)
        if self.calibration_ is None:
            raise ValueError(
                "there are no ranges, for no rows were kept to measure errors by: call "
                "calibrate(X, y) with rows that fit has not seen, or fit again with "
                "calibration_fraction=0.2, say"
            )
        X = self._known(X)
        self._seen.warn_of(X, self.net_.feature_names)
        predicted = self.net_.predict(X)
        half = self.calibration_.half_width(predicted, share, bands)
        return self._as_y(predicted - half), self._as_y(predicted + half)

    def calibrate(self, X: Table, y: Table | Column) -> Self:
        """Measure the errors that `predict_interval` goes by on other rows: later sales, say.

        They replace those that `fit` may have set aside.

        Parameters
        ----------
        X, y
            As in `fit`, but rows that `fit` has not seen, neither to train on nor to judge by.

        Returns
        -------
        DeepRegressor
        """
        check_is_fitted(self)
        X, names, y = self._known(X), column_names(y, "y"), _columns(y)
        if names and self.net_.target_names:
            check_names(names, self.net_.target_names, "y")
        if y.shape != (len(X), self.n_outputs_):
            raise ValueError(
                f"y holds {y.shape[0]} rows of {y.shape[1]} targets, where {len(X)} rows of "
                f"{self.n_outputs_} are expected"
            )
        self.calibration_ = Calibration.of(self.net_.predict(X), y)
        return self

    def card(self) -> ModelCard:
        """What the model was trained on, how far off it was, its ranges, options and versions."""
        check_is_fitted(self)
        return card_of(self)

    def save(self, path: PathLike) -> None:
        """Write the fitted estimator to one safetensors file, or leave the old file as it was.

        The file holds the network, the parameters, what `predict_interval` goes by, and what
        `card` tells. A Pipeline around the estimator is no part of it.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If a parameter is no plain value, such as a RandomState.
        """
        check_is_fitted(self)
        save_model(self, path)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """The estimator that `save` wrote, on the CPU; nothing that the file holds is run.

        Raises
        ------
        FileNotFoundError
        ValueError
            If the file is cut short or damaged, no estimator, or of another version.
        """
        return load_model(cls, path)

    def _known(self, X):
        """X as a matrix of the columns that were trained on."""
        names, known = column_names(X), getattr(self, "feature_names_in_", None)
        me = type(self).__name__
        if names is None and known is not None:
            warnings.warn(
                f"X does not have valid feature names, but {me} was fitted with feature names",
                stacklevel=3,
            )
        elif names is not None and known is None:
            warnings.warn(
                f"X has feature names, but {me} was fitted without feature names", stacklevel=3
            )
        columns = None if known is None else tuple(known)
        X = as_matrix(X, "X", columns=columns, dtype=None, copy=False)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but {me} is expecting {self.n_features_in_} "
                f"features as input"
            )
        return X

    def _network(self, X, n_targets, seeds):
        options = {name: getattr(self, name) for name in NETWORK_OPTIONS}
        if self.numeric_embedding is not None:
            options["n_bins"] = self._bins(X)
        if len(seeds) == 1:
            return RegressionNet(X.shape[1], n_targets, seed=seeds[0], **options)
        return EnsembleNet(len(seeds), X.shape[1], n_targets, seed=seeds, **options)

    def _members(self, n_rows, n_columns):
        if isinstance(self.n_members, str) and self.n_members == "auto":
            return 8 if n_rows <= FEW_ROWS and n_columns <= FEW_COLUMNS else 1
        return count_of("n_members", self.n_members)

    def _bins(self, X):
        """The number of bins of each feature."""
        most = max(1, MOST_BINS // X.shape[1])
        if not isinstance(self.n_bins, str) or self.n_bins != "auto":
            return useful_bins(X, min(count_of("n_bins", self.n_bins), most))
        useful = useful_bins(X, min(128, most))
        shared = 512 // max(1, np.count_nonzero(useful))
        most = min(most, max(16, min(shared, len(X) // 64)))
        return [min(n, most) for n in useful]

    def _mix_in(self, net, rows, training):
        """A ridge regression, if one is asked for and can be judged: the network's share then."""
        squared = training["loss"] == "squared" and training["validation"] is not None
        if not (self.ridge and squared and is_small(*rows[0].shape)):
            return {}
        seeds = np.ravel(training["seed"]).tolist()
        return {"share": mix_in(net, *rows, training["validation"], seeds).tolist()}

    def _is_of(self, net, n_targets):
        """Whether a network is what the options describe, so that its training can go on."""
        options = {name: getattr(self, name) for name in NETWORK_OPTIONS}
        options |= {"n_targets": n_targets, "hidden": list(self.hidden)}
        options["quantiles"] = checked_quantiles(self.quantiles)
        members = len(net) if isinstance(net, EnsembleNet) else 1
        return self.n_members in ("auto", members) and options.items() <= net.config.items()

    def _training(self, n_rows, seeds, validation):
        """The options of `fit`; those that are "auto" by the number of training rows."""
        share, n_train = self.validation_fraction or 0, n_rows
        if isinstance(share, bool) or not isinstance(share, Real):
            raise TypeError(f"validation_fraction must be a number, got {share!r}")
        if not 0 <= share < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), got {share}")
        if validation is None and int(n_rows * share) > 0:
            validation, n_train = share, n_rows - int(n_rows * share)
        elif validation is None and self.patience is not None:
            raise ValueError(
                f"patience={self.patience} needs validation rows to judge by, and "
                f"validation_fraction={self.validation_fraction} of {n_rows} rows is none"
            )
        size, epochs = self.batch_size, self.epochs
        if isinstance(size, str) and size == "auto":
            size = min(128, max(16, n_train // 16))
        size = count_of("batch_size", size)
        if isinstance(epochs, str) and epochs == "auto":
            epochs = max(16, math.ceil(1000 / math.ceil(n_train / size)))
        names = ["lr", "schedule", "optimizer", "weight_decay", "weight_average", "progress"]
        return {name: getattr(self, name) for name in names} | {
            "epochs": epochs,
            "batch_size": size,
            "validation": validation,
            "patience": self.patience,
            "loss": "quantile" if self.quantiles and self.loss == "squared" else self.loss,
            "seed": seeds if len(seeds) > 1 else seeds[0],
            "device": self.device or "cpu",
        }

    def _as_y(self, predicted):
        return predicted[:, 0] if self._one_target else predicted

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _held(validation, target_names):
    """Validation rows whose y has two dimensions, as `fit` wants it."""
    if validation is None:
        return None
    X, y = as_pair(validation)
    if not is_column(y, "validation y"):
        return X, y
    names = column_names(y, "validation y")
    if names and target_names:
        check_names(names, target_names, "validation y")
    return X, _columns(y, "validation y")


def _columns(y, what="y"):
    """Targets as a matrix."""
    column = is_column(y, what)
    return as_vector(y, what)[:, None] if column else as_matrix(y, what, copy=False)


def _number_of_rows(X, sample_weight):
    """How many rows count."""
    if sample_weight is None:
        return len(X)
    return int(np.count_nonzero(as_vector(sample_weight, "sample_weight")))
