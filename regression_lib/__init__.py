"""Deep regression with PyTorch: the small library that the course builds, one idea a module."""

from importlib import import_module

from regression_lib.activations import ACTIVATIONS, get_activation, responsive_range
from regression_lib.claims import claim, spread
from regression_lib.data import (
    KC4,
    KC17,
    Dataset,
    load_king_county,
    load_tecator,
    make_projectile,
    split,
    split_by_time,
)
from regression_lib.ensemble import EnsembleNet
from regression_lib.history import History
from regression_lib.network import RegressionNet
from regression_lib.normalization import BatchNorm, fold_batch_norm, layer_statistics
from regression_lib.progress import track
from regression_lib.quiz import quiz
from regression_lib.training import fit

__version__ = "0.1.0"

# These stand on scikit-learn, Optuna or anywidget: they load when first named.
_LATER = {"DeepRegressor": "estimator", "lr_sweep": "tuning", "search": "tuning"}
_LATER |= dict.fromkeys(
    ("explore_activations", "explore_batch_norm", "explore_sweep", "playground"), "explore"
)


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})


__all__ = [
    "ACTIVATIONS",
    "KC4",
    "KC17",
    "BatchNorm",
    "Dataset",
    "DeepRegressor",
    "EnsembleNet",
    "History",
    "RegressionNet",
    "claim",
    "explore_activations",
    "explore_batch_norm",
    "explore_sweep",
    "fit",
    "fold_batch_norm",
    "get_activation",
    "layer_statistics",
    "load_king_county",
    "load_tecator",
    "lr_sweep",
    "make_projectile",
    "playground",
    "quiz",
    "responsive_range",
    "search",
    "split",
    "split_by_time",
    "spread",
    "track",
]
