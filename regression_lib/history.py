"""What happened in a training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Literal, NamedTuple

from regression_lib.checks import index_of
from regression_lib.words import printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class Row(NamedTuple):
    """One epoch of one network; of an ensemble, of one member."""

    epoch: int
    member: int
    train_loss: float
    validation_loss: float
    lr: float
    seconds: float


@dataclass
class History:
    """One row an epoch, and how the training ended; of an ensemble, one row for each member.

    ``history[k]`` is the history of member k alone, as ``net[k]`` is its network. It ends where
    the member's patience ran out, though others may have gone on.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns `epoch`, `train_loss`, `validation_loss` (NaN without validation rows), `lr` (of
        the epoch's last step) and `seconds` (of the epoch, all members together); of an ensemble
        also `member`. Losses are those of the standardised targets: predicting the mean scores 1
        where `loss` is "squared".
    stopped : {"finished", "early", "interrupted"}
        All epochs; no better validation loss for `patience` epochs; Ctrl-C.
    n_members : int or None
    loss : str
        What was made small: "squared", "absolute", "huber", "huber(δ)" or "quantile".
    """

    rows: list[Row] = field(default_factory=list, repr=False)
    stopped: Literal["finished", "early", "interrupted"] = "finished"
    n_members: int | None = None
    loss: str = "squared"

    @property
    def frame(self) -> pd.DataFrame:
        import pandas as pd

        frame = pd.DataFrame(self.rows, columns=Row._fields)
        return frame.drop(columns="member") if self.n_members is None else frame

    def __len__(self) -> int:
        """How many epochs there were."""
        return self.rows[-1].epoch if self.rows else 0

    def __getitem__(self, k: int) -> History:
        if self.n_members is None:
            raise TypeError("the history of one network has no members")
        k = index_of(k, self.n_members)
        rows = [row for row in self.rows if row.member == k]
        return History(rows, self.stopped, loss=self.loss)

    def __iter__(self) -> Iterator[History]:
        return (self[k] for k in range(self.n_members or 1))

    @property
    def best_epoch(self) -> int | list[int]:
        """The epoch whose weights the network has: the lowest validation loss, else the last.

        Of an ensemble a list, member by member; each has its own.
        """
        epochs = [member._best_epoch() for member in self._members()]
        return epochs[0] if self.n_members is None else epochs

    def _members(self) -> list[History]:
        return [self] if self.n_members is None else list(self)

    def _best_epoch(self) -> int:
        if not self.rows:
            return 0
        losses = self.frame.set_index("epoch")["validation_loss"]
        return int(losses.index[-1] if losses.isna().all() else losses.idxmin())

    def last(self) -> list[Row]:
        """The rows of the latest epoch: one, or one for each member that was still trained."""
        return [row for row in self.rows[-(self.n_members or 1) :] if row.epoch == len(self)]

    @property
    def best(self) -> pd.DataFrame:
        """The rows of the best epochs: one, or one for each member."""
        import pandas as pd

        members = [member for member in self._members() if member.rows]
        rows = [member.rows[member._best_epoch() - 1] for member in members]
        return pd.DataFrame(rows, columns=Row._fields)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Both losses against the epoch, the best epoch marked."""
        from regression_lib.plots import plot_history

        return plot_history(self, ax=ax)

    def __repr__(self) -> str:
        if not self.rows:
            return f"History(0 epochs, {self.stopped})"
        best = self.best
        if self.n_members is None:
            who, where = "", f"epoch {best.epoch[0]}"
        else:
            who, where = f"{self.n_members} members, ", "at their best epochs"
        return printable(
            f"History({who}{len(self)} epochs, {self.stopped}; {where}: train loss "
            f"{_mean(best.train_loss)}, validation loss {_mean(best.validation_loss)})"
        )

    def _repr_html_(self):
        last = self.frame.tail(3 * (self.n_members or 1))
        return (
            f"<p>{escape(repr(self))}</p>{last.to_html(index=False, float_format='{:.4g}'.format)}"
        )


def _mean(values):
    spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
    return f"{values.mean():.4f}{spread}"
