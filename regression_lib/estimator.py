"""DeepRegressor: the networks of this library as a scikit-learn estimator.

It asks for nothing but X and y: it scales both, sizes its batches, holds rows out to judge by,
trains one network or many at once, and keeps the best weights.
"""

import copy
import math
import warnings

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from regression_lib.ensemble import EnsembleNet
from regression_lib.network import RegressionNet, count_of
from regression_lib.rows import as_pair
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


NETWORK_OPTIONS = ("hidden", "activation", "batch_norm", "residual", "numeric_embedding")


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
    numeric_embedding : {"piecewise_linear", None}
        Cut each feature into `n_bins` pieces at its quantiles (Gorishniy et al. 2022,
        arXiv:2203.05556).
    n_bins : int
        At most; a feature with few values has fewer.
    n_members : int
        Networks that differ in their initial weights and their batches, trained as one; the
        prediction is their mean (Lakshminarayanan et al. 2017, arXiv:1612.01474).
    epochs : int or "auto"
        Passes over the training rows. "auto": 16, or as many as make 2,000 steps.
    batch_size : int or "auto"
        Rows a step. "auto": a sixteenth of the training rows, within 16 and 128.
    lr : float
        The learning rate; with "one_cycle" the highest that it reaches.
    schedule : {"one_cycle", "cosine", "constant"}
    optimizer : {"adamw", "adam", "sgd"}
    weight_decay : float
    validation_fraction : float or None
        The share of the rows that is held out to find the best epoch; 0, or a share of less
        than one row, for none: the last epoch's weights are then kept.
    patience : int, optional
        Stop after so many epochs without a better validation loss.
    warm_start : bool
        Let `fit` go on from the weights and scales of the last `fit`, unless the number of
        targets or an option of the network has changed (the bins stay those of the first).
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

    def __init__(
        self,
        hidden=(256, 128),
        *,
        activation="relu",
        batch_norm=False,
        residual=False,
        numeric_embedding="piecewise_linear",
        n_bins=64,
        n_members=1,
        epochs="auto",
        batch_size="auto",
        lr=3e-3,
        schedule="one_cycle",
        optimizer="adamw",
        weight_decay=0.1,
        validation_fraction=0.1,
        patience=None,
        warm_start=False,
        random_state=None,
        progress=False,
        device=None,
    ):
        self.hidden = hidden
        self.activation = activation
        self.batch_norm = batch_norm
        self.residual = residual
        self.numeric_embedding = numeric_embedding
        self.n_bins = n_bins
        self.n_members = n_members
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.schedule = schedule
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.random_state = random_state
        self.progress = progress
        self.device = device

    def fit(self, X, y, sample_weight=None, *, validation=None, callback=None):
        """Train on X and y.

        Parameters
        ----------
        X : array or frame, shape (n_rows, n_features)
        y : array, series or frame, shape (n_rows,) or (n_rows, n_targets)
        sample_weight : array, shape (n_rows,), optional
            How much each row counts, at least 0.
        validation : (X, y), optional
            Rows to find the best epoch by, instead of a share held out at random: later sales,
            say, or other towns.
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
        """
        again = self.warm_start and hasattr(self, "net_")
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, ensure_min_samples=2, reset=not again
        )
        y = np.asarray(y, dtype=float)
        one_target, y = y.ndim == 1, _columns(y)
        random = check_random_state(self.random_state)
        n_members = count_of("n_members", self.n_members)
        seeds = random.randint(np.iinfo(np.int32).max, size=n_members).tolist()
        again = again and self._is_of(self.net_, y.shape[1])
        # What fails leaves the estimator as it was: so another network until all is well.
        net = copy.deepcopy(self.net_) if again else self._network(X, y.shape[1], seeds)
        training = self._training(len(X), seeds, validation)
        history = fit(net, X, y, sample_weight=sample_weight, callback=callback, **training)
        if history.stopped == "interrupted":
            if len(history) == 0:
                raise KeyboardInterrupt
            warnings.warn(f"interrupted after {len(history)} epochs", stacklevel=2)
        if hasattr(self, "feature_names_in_"):  # so that a saved `net_` asks for them by name
            net.feature_names = tuple(self.feature_names_in_)
        self.net_, self.history_, self.n_iter_ = net, history, len(history)
        self.n_outputs_, self._one_target = y.shape[1], one_target
        return self

    def predict(self, X, return_std=False):
        """Predict the targets, in their own units.

        Parameters
        ----------
        X : array or frame, shape (n_rows, n_features)
        return_std : bool
            Return as well how far the members disagree: their standard deviation.

        Returns
        -------
        ndarray, shape (n_rows,) or (n_rows, n_targets) as y was; with `return_std` two of them

        Raises
        ------
        ValueError
            If `return_std` is asked of a single network.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        if not return_std:
            return self._as_y(self.net_.predict(X))
        if not isinstance(self.net_, EnsembleNet):
            raise ValueError("one network has no spread: return_std needs n_members=2 or more")
        return tuple(map(self._as_y, self.net_.predict(X, return_std=True)))

    def _network(self, X, n_targets, seeds):
        options = {name: getattr(self, name) for name in NETWORK_OPTIONS}
        if self.numeric_embedding is not None:
            gaps = [len(np.unique(column)) - 1 for column in X.T]
            options["n_bins"] = [min(max(gap, 1), count_of("n_bins", self.n_bins)) for gap in gaps]
        if self.n_members == 1:
            return RegressionNet(X.shape[1], n_targets, seed=seeds[0], **options)
        return EnsembleNet(self.n_members, X.shape[1], n_targets, seed=seeds, **options)

    def _is_of(self, net, n_targets):
        """Whether a network is what the options describe, so that its training can go on."""
        options = {name: getattr(self, name) for name in NETWORK_OPTIONS}
        options |= {"n_targets": n_targets, "hidden": list(self.hidden)}
        members = len(net) if isinstance(net, EnsembleNet) else 1
        return members == self.n_members and options.items() <= net.config.items()

    def _training(self, n_rows, seeds, validation):
        """The options of `fit`; those that are "auto" by the number of training rows."""
        share, n_train = self.validation_fraction or 0, n_rows
        if not 0 <= share < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), got {share}")
        if validation is not None:
            X_held, y_held = as_pair(validation)
            validation = validate_data(self, X_held, reset=False), _columns(y_held)
        elif int(n_rows * share) > 0:
            validation, n_train = share, n_rows - int(n_rows * share)
        size, epochs = self.batch_size, self.epochs
        if isinstance(size, str) and size == "auto":
            size = min(128, max(16, n_train // 16))
        size = count_of("batch_size", size)
        if isinstance(epochs, str) and epochs == "auto":
            epochs = max(16, math.ceil(2000 / math.ceil(n_train / size)))
        names = ["lr", "schedule", "optimizer", "weight_decay", "progress"]
        return {name: getattr(self, name) for name in names} | {
            "epochs": epochs,
            "batch_size": size,
            "validation": validation,
            "patience": None if validation is None else self.patience,
            "seed": seeds if self.n_members > 1 else seeds[0],
            "device": self.device or "cpu",
        }

    def _as_y(self, predicted):
        predicted = predicted.astype(np.float64)
        return predicted[:, 0] if self._one_target else predicted

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _columns(y):
    y = np.asarray(y, dtype=float)
    return y[:, None] if y.ndim == 1 else y
