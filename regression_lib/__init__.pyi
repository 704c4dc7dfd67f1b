# What people keep.
from . import plots as plots
from .activations import ACTIVATIONS as ACTIVATIONS
from .activations import get_activation as get_activation
from .activations import responsive_range as responsive_range

# What the pages of the course need.
from .course import bends as bends
from .course import flows as flows
from .course import pictures as pictures
from .course.claims import claim as claim
from .course.claims import spread as spread
from .course.explore import explore_activations as explore_activations
from .course.explore import explore_batch_norm as explore_batch_norm
from .course.explore import explore_line as explore_line
from .course.explore import explore_sweep as explore_sweep
from .course.explore import playground as playground
from .course.quiz import quiz as quiz
from .course.trials import Steps as Steps
from .course.trials import compare as compare
from .course.trials import paired_difference as paired_difference
from .course.verdicts import verdict as verdict
from .data import KC4 as KC4
from .data import KC17 as KC17
from .data import Dataset as Dataset
from .data import load_king_county as load_king_county
from .data import load_tecator as load_tecator
from .data import make_projectile as make_projectile
from .data import split as split
from .data import split_by_time as split_by_time
from .ensemble import EnsembleNet as EnsembleNet
from .estimator import DeepRegressor as DeepRegressor
from .export import export_onnx as export_onnx
from .history import History as History
from .network import RegressionNet as RegressionNet
from .normalization import BatchNorm as BatchNorm
from .normalization import fold_batch_norm as fold_batch_norm
from .normalization import layer_statistics as layer_statistics
from .progress import track as track
from .seen import ExtrapolationWarning as ExtrapolationWarning
from .training import fit as fit
from .tuning import lr_sweep as lr_sweep
from .tuning import search as search

__version__: str
