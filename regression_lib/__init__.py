"""Deep regression with PyTorch: the small library that the course builds, one idea a module."""

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
from regression_lib.training import fit

__version__ = "0.1.0"
__all__ = [
    "ACTIVATIONS",
    "KC4",
    "KC17",
    "BatchNorm",
    "Dataset",
    "EnsembleNet",
    "History",
    "RegressionNet",
    "claim",
    "fit",
    "fold_batch_norm",
    "get_activation",
    "layer_statistics",
    "load_king_county",
    "load_tecator",
    "make_projectile",
    "responsive_range",
    "split",
    "split_by_time",
    "spread",
    "track",
]
