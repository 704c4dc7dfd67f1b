"""How far off a prediction may be: ranges from rows that chose nothing.

A model that has met n further rows has made n errors. A new row of the same kind may fall into any
of the n + 1 places between them in order of size, each as likely as the next. So of the errors to
come, the share that is no larger than the ⌈(n + 1) · share⌉-th smallest of the n is at least the
share that was asked for, whatever the model is and whatever the data are: split conformal
prediction. The rows must not have trained the model, nor chosen its best epoch.

Sources: Papadopoulos et al. (2002), "Inductive Confidence Machines for Regression"; Lei et al.
(2018), arXiv:1604.04173; the small-sample correction as in Angelopoulos & Bates (2021),
arXiv:2107.07511, section 1; a quantile for each band after Vovk et al. (2003), "Mondrian
Confidence Machine".
"""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Self

import numpy as np

from regression_lib.checks import Column, as_vector

DIGITS = 9  # to which (n + 1) · share is rounded: 100 × 0.55 is 55.00000000000001


@dataclass(eq=False, repr=False)
class Calibration:
    """What a model predicted for rows that chose nothing, and how far off it was.

    Attributes
    ----------
    predicted, errors : ndarray, shape (n_rows, n_targets)
        The predictions, and the sizes of their errors, in the targets' units.
    """

    predicted: np.ndarray
    errors: np.ndarray

    @classmethod
    def of(cls, predicted: np.ndarray, y: np.ndarray) -> Self:
        """Of predictions and what they should have been, both of shape (n_rows, n_targets)."""
        return cls(predicted, np.abs(y - predicted))

    def __repr__(self) -> str:
        return f"Calibration({len(self):,} rows)"

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.errors)

    @property
    def rmse(self) -> np.ndarray:
        """The root of the mean squared error of each target."""
        return root_mean_square(self.errors)

    def half_width(self, predicted: np.ndarray, share: float, bands: int = 1) -> np.ndarray:
        """How far to either side of these predictions the range of a share reaches.

        Parameters
        ----------
        predicted : ndarray, shape (n_rows, n_targets)
        share : float
            Of the rows whose targets are to lie within, in (0, 1).
        bands : int
            Cut the predictions of each target at their quantiles into so many bands, and let
            each have a width of its own.

        Returns
        -------
        ndarray, shape (n_rows, n_targets)

        Raises
        ------
        TypeError, ValueError
            If share or bands are out of range, or there are too few rows for them.
        """
        rows_needed(share)
        _check_bands(bands, len(self))
        widths = np.empty(predicted.shape)
        for k, column in enumerate(predicted.T):
            known, errors = self.predicted[:, k], self.errors[:, k]
            order = np.argsort(known, kind="stable")
            # The rows at the borders belong to no band: given them, those in between are as any
            # others of their band, so that the promise holds within each band as it does for all.
            ends = np.linspace(0, len(self) - 1, bands + 1).round().astype(int)[1:-1]
            inside = np.split(np.delete(order, ends), ends - np.arange(len(ends)))
            found = [_quantile(errors[rows], share, bands) for rows in inside]
            widths[:, k] = np.take(found, np.searchsorted(known[order[ends]], column))
        return widths


def root_mean_square(errors: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Of each column of errors, with the weights of the rows if there are some."""
    largest = np.maximum(np.abs(errors).max(0), np.finfo(float).tiny)  # whose square may be none
    return largest * np.sqrt(np.average((errors / largest) ** 2, axis=0, weights=weight))


def rows_needed(share: float) -> int:
    """The smallest number of rows that has a range for this share.

    Raises
    ------
    TypeError, ValueError
        If share is no number in (0, 1).
    """
    if isinstance(share, bool) or not isinstance(share, Real):
        raise TypeError(f"share must be a number, got {share!r}")
    if not 0 < share < 1:
        raise ValueError(f"share must be in (0, 1), e.g. 0.9 for nine rows of ten, got {share}")
    return math.ceil(round(float(share) / (1 - float(share)), DIGITS))


def _check_bands(bands, n_rows):
    if isinstance(bands, bool) or not isinstance(bands, (int, np.integer)):
        raise TypeError(f"bands must be a whole number, got {bands!r}")
    if not 1 <= bands <= n_rows:
        raise ValueError(f"bands must be in [1, {n_rows}], of {n_rows} rows, got {bands}")


def _quantile(errors, share, bands):
    """The ⌈(n + 1) · share⌉-th smallest error."""
    rank = math.ceil(round((len(errors) + 1) * float(share), DIGITS))
    if rank > len(errors):
        where = "" if bands == 1 else f" in each of {bands} bands"
        raise ValueError(
            f"share={share} needs at least {rows_needed(share)} calibration rows{where}, there "
            f"are {len(errors)}: ask for a smaller share{' or fewer bands' if where else ''}, or "
            f"calibrate with more rows"
        )
    return np.partition(errors, rank - 1)[rank - 1]


def set_aside(
    X: np.ndarray, y: np.ndarray, sample_weight: Column | None, fraction: float | None, seed: int
) -> tuple[tuple, tuple | None]:
    """Rows to train on, (X, y, weight), and rows to calibrate with, (X, y) or None.

    Raises
    ------
    TypeError, ValueError
        If fraction is no number in [0, 1), or a share of less than one row.
    """
    from sklearn.utils import check_consistent_length  # loaded when used: it takes long

    fraction = 0 if fraction is None else fraction
    if isinstance(fraction, bool) or not isinstance(fraction, Real):
        raise TypeError(f"calibration_fraction must be a number, got {fraction!r}")
    if not 0 <= fraction < 1:
        raise ValueError(f"calibration_fraction must be in [0, 1), got {fraction}")
    weight = None if sample_weight is None else as_vector(sample_weight, "sample_weight")
    if fraction == 0:
        return (X, y, weight), None
    check_consistent_length(X, y, weight)
    counted = np.arange(len(X)) if weight is None else np.flatnonzero(weight)
    n_aside = int(len(counted) * fraction)
    if n_aside == 0:
        raise ValueError(f"calibration_fraction={fraction} of {len(counted)} rows is none")
    aside = np.random.RandomState(seed).permutation(counted)[:n_aside]
    left = np.delete(np.arange(len(X)), aside)
    weight = None if weight is None else weight[left]
    return (X[left], y[left], weight), (X[aside], y[aside])
