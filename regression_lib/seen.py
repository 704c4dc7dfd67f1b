"""What a model has seen of each column, and a warning where a row lies far outside.

A network answers whatever it is asked. Far from the rows that it was trained on, its answer is a
straight line drawn on from their edge (or a constant), and nothing in the number says so.
"""

import warnings
from collections.abc import Sequence
from typing import Self

import numpy as np

# A column's range is given half its own width more on either side. A tenth would warn at one row of
# a thousand in tables of a thousand rows, whose outermost values are chance; half does so at none.
MARGIN = 0.5
# A column of one value has no width; as much more than the digits of float32 are kept is another.
SAME = 1e-6
QUARTILES = (0, 0.25, 0.5, 0.75, 1)


class ExtrapolationWarning(UserWarning):
    """Rows lie far outside the ranges that the model was trained on."""


class Seen:
    """Five numbers of each column, and how many different values it has.

    Attributes
    ----------
    quartiles : ndarray of float64, shape (5, n_columns)
        Smallest value, quartiles, largest value.
    n_distinct : ndarray of int, shape (n_columns,)
    """

    def __init__(self, quartiles: np.ndarray, n_distinct: np.ndarray) -> None:
        self.quartiles, self.n_distinct = quartiles, n_distinct
        lowest, highest = quartiles[0], quartiles[-1]
        same = np.maximum(np.abs(lowest), np.abs(highest)) * SAME
        with np.errstate(over="ignore"):  # of columns up to 1e308 a border may be infinite
            width = highest - lowest
            margin = np.where(width > 0, MARGIN * width, same)
            self._least, self._most = lowest - margin, highest + margin

    @classmethod
    def of(cls, X: np.ndarray, before: Self | None = None) -> Self:
        """What there is to see in X, shape (n_rows, n_columns), and what was seen before it."""
        quartiles, n_distinct = np.empty((5, X.shape[1])), np.empty(X.shape[1], dtype=np.int64)
        places = np.round(np.multiply(QUARTILES, len(X) - 1)).astype(int)
        for k, column in enumerate(X.T):  # one at a time, so that no table is copied whole
            column = np.sort(column)
            quartiles[:, k] = column[places]
            n_distinct[k] = 1 + np.count_nonzero(column[1:] != column[:-1])
        if before is not None:
            quartiles[0] = np.minimum(quartiles[0], before.quartiles[0])
            quartiles[-1] = np.maximum(quartiles[-1], before.quartiles[-1])
        return cls(quartiles, n_distinct)

    def warn_of(
        self, X: np.ndarray, names: Sequence[object] | None = None, stacklevel: int = 2
    ) -> None:
        """One ExtrapolationWarning for all rows of X that lie far outside; else nothing.

        Parameters
        ----------
        X : ndarray, shape (n_rows, n_columns)
        names : sequence, optional
            Of the columns.
        stacklevel : int
            As that of `warnings.warn`.
        """
        outside = np.count_nonzero(self._least > X) or np.count_nonzero(self._most < X)
        if outside:
            warnings.warn(self._told(X, names), ExtrapolationWarning, stacklevel + 1)

    def _told(self, X, names):
        outside = (self._least > X) | (self._most < X)
        rows, columns = outside.any(1).sum(), np.flatnonzero(outside.any(0))
        names = range(X.shape[1]) if names is None else names
        told = [self._column(X[:, k], k, names[k]) for k in columns[:5]]
        more = f"; and {len(columns) - 5} columns more" if len(columns) > 5 else ""
        are = "row of X lies" if rows == 1 else "rows of X lie"
        return (
            f"{rows:,} {are} far outside what the model was trained on, where its predictions are "
            f"guesses: {'; '.join(told)}{more}. To hear no more of it: "
            f"warnings.simplefilter('ignore', regression_lib.ExtrapolationWarning)."
        )

    def _column(self, values, k, name):
        """The farthest value of a column, and the range that it leaves."""
        low, high = self.quartiles[0, k], self.quartiles[-1, k]
        lowest, highest = values.min(), values.max()
        farthest = lowest if low - lowest > highest - high else highest
        trained = f"was always {low:g}" if low == high else f"went from {low:g} to {high:g}"
        return f"column {name!r} holds {farthest:g}, where it {trained}"
