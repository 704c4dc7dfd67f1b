"""A model card that the model writes itself: what it has seen, how far off it was, who made it.

Nothing in it is typed by hand, so nothing in it can be out of date: `fit` keeps a few numbers of
each column, and the card is drawn from them. What numbers cannot say (what the model is for, and
for whom it must not be used) is left to be written below it.

Source: Mitchell et al. (2019), "Model Cards for Model Reporting", arXiv:1810.03993.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from regression_lib.checks import as_matrix
from regression_lib.intervals import root_mean_square, rows_needed
from regression_lib.rows import hold_out, is_fraction
from regression_lib.seen import QUARTILES
from regression_lib.words import printable

if TYPE_CHECKING:
    import pandas as pd

    from regression_lib.estimator import DeepRegressor

SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)
FIVE_NUMBERS = ("smallest", "first quarter", "median", "third quarter", "largest")
MOST_LINES = 100  # of a table on a card; its frames have all


@dataclass
class Facts:
    """What a card tells of a training, and cannot be seen from the network.

    Attributes
    ----------
    n_rows : int
        That were trained on or judged by; calibration rows are not among them.
    validation : str
        Which rows chose the best epoch.
    n_validation : int
    rmse : list of float, or None
        Of each target over the validation rows, in its own units.
    made : str
        Day and minute, in UTC.
    share : list of float, or None
        Of a mean of network and ridge regression, how much is the network, for each target.
    options : dict of str
        Parameters that differ from their defaults.
    versions : dict of str
    """

    n_rows: int
    validation: str
    n_validation: int
    rmse: list[float] | None
    made: str
    share: list[float] | None
    options: dict[str, str]
    versions: dict[str, str]

    @classmethod
    def of(cls, model: DeepRegressor, net: Any, rows: tuple, training: dict) -> Facts:
        """Of a training that has just ended.

        Parameters
        ----------
        rows : X, y and sample_weight
            That `fit` was given.
        training : dict
            The options of `fit`; and `share`, how much the network is of a mean with a line.
        """
        X, y, weight = rows
        held = _held_out(X, y, weight, training)
        return cls(
            n_rows=len(X) if weight is None else int(np.count_nonzero(weight)),
            validation=_which(training["validation"], len(held)),
            n_validation=sum(len(part[1]) for part in held),
            rmse=_rmse([net] if len(held) == 1 else net, held) if held else None,
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            share=training.get("share"),
            options=_changed(model),
            versions=_versions(),
        )


OTHERS = ", for each member others"


def _held_out(X, y, weight, training):
    """X, y and weights of the validation rows: of all, or of each member, which has its own."""
    validation = training["validation"]
    if validation is None:
        return []
    if not is_fraction(validation):
        return [(*validation, None)]
    # Drawn as `fit` draws them, which tells nobody which they were.
    rows = np.arange(len(X)) if weight is None else np.flatnonzero(weight)
    seeds = [training["seed"]] if isinstance(training["seed"], int) else training["seed"]
    drawn = [hold_out(rows, validation, seed)[1] for seed in seeds]
    return [(X[held], y[held], None if weight is None else weight[held]) for held in drawn]


def _which(validation, n_drawn):
    if validation is None:
        return "none: the weights are those of the last epoch"
    if is_fraction(validation):
        return f"{validation:.3g} of the rows, held out at random{OTHERS if n_drawn > 1 else ''}"
    return "rows of the user's choice"


def _rmse(nets, held):
    """Of each network on the rows that it is judged by, alone: others have trained on them."""
    errors = [
        as_matrix(y, "validation y") - net.predict(X)
        for net, (X, y, _) in zip(nets, held, strict=True)
    ]
    weights = [weight for _, _, weight in held if weight is not None]
    together = np.concatenate(weights) if weights else None
    return root_mean_square(np.concatenate(errors), together).tolist()


def _changed(model):
    """Parameters by name that are not as a new estimator has them, as texts."""
    defaults = type(model)().get_params(deep=False)
    given = {name: repr(value) for name, value in model.get_params(deep=False).items()}
    return {name: text for name, text in given.items() if text != repr(defaults[name])}


def _versions():
    names = ("regression_lib", "torch", "numpy", "sklearn")
    found = {name: str(sys.modules[name].__version__) for name in names if name in sys.modules}
    return found | {"python": platform.python_version()}


@dataclass(repr=False)
class ModelCard:
    """What a model says about itself; a notebook shows it, and `print` writes it as Markdown.

    Attributes
    ----------
    title : str
    facts : dict of str
        Sentences by name.
    targets, columns : pandas.DataFrame
        A row each: name, unit, five numbers; of a target its errors, of a column how many
        different values it has.
    ranges : pandas.DataFrame
        How far predictions may be off, by the share of rows that this holds for; empty for a
        model that is not calibrated.
    """

    title: str
    facts: dict[str, str]
    targets: pd.DataFrame
    columns: pd.DataFrame
    ranges: pd.DataFrame

    @property
    def markdown(self) -> str:
        """The card as text, to be kept beside the model."""
        lines = [f"# {self.title}", ""]
        lines += [f"- **{name}**: {text}" for name, text in self.facts.items()]
        for name, table in self._tables().items():
            lines += ["", f"## {name}", "", *_markdown(table)]
        return "\n".join(lines) + "\n"

    def _tables(self):
        tables = {"Targets": self.targets, "Columns": self.columns, "Ranges": self.ranges}
        return {name: table for name, table in tables.items() if len(table)}

    def __str__(self) -> str:
        return printable(self.markdown)

    def __repr__(self) -> str:
        return printable(f"ModelCard({self.title}; {self.facts['trained']})")

    def _repr_html_(self):
        facts = "".join(f"<li><b>{escape(k)}</b>: {escape(v)}</li>" for k, v in self.facts.items())
        tables = "".join(
            f"<h4>{name}</h4>{table[:MOST_LINES].to_html(index=False, float_format=_short)}"
            f"{escape(_more(table))}"
            for name, table in self._tables().items()
        )
        return f"<h3>{escape(self.title)}</h3><ul>{facts}</ul>{tables}"


def _markdown(table):
    """A frame as lines of Markdown."""
    rows = [[_cell(value) for value in row] for row in table[:MOST_LINES].itertuples(index=False)]
    lines = [list(table.columns), ["---"] * table.shape[1], *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + ([_more(table)] if _more(table) else [])


def _cell(value):
    text = _short(value) if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "\\|")


def _short(value):
    return f"{value:.6g}"


def _more(table):
    left = len(table) - MOST_LINES
    return f"\n… and {left:,} more" if left > 0 else ""


def card_of(model: DeepRegressor) -> ModelCard:
    """The card of a `DeepRegressor` that has been fitted."""
    import pandas as pd

    net, calibration = model.net_, model.calibration_
    targets = list(net.target_names or _numbered("y", model.n_outputs_))
    columns = list(net.feature_names or _numbered("column", model.n_features_in_))
    errors = {"RMSE (validation)": model._facts.rmse}
    errors |= {} if calibration is None else {"RMSE (calibration)": calibration.rmse}
    described = _described(targets, net.units, model._seen_y)
    described |= {name: rmse for name, rmse in errors.items() if rmse is not None}
    seen = _described(columns, net.units, model._seen)
    seen["different values"] = model._seen.n_distinct
    return ModelCard(
        title=f"Model card: {_few(targets)} from {_few(columns)}",
        facts=_sentences(model, net, calibration),
        targets=pd.DataFrame(described),
        columns=pd.DataFrame(seen),
        ranges=pd.DataFrame(_ranges(calibration, targets)),
    )


def _numbered(what, count):
    return [what] if what == "y" and count == 1 else [f"{what} {k}" for k in range(count)]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} columns"


def _described(names, units, seen):
    """Name, unit and five numbers of each column."""
    assert len(QUARTILES) == len(FIVE_NUMBERS)
    table = {"name": names, "unit": [units.get(name, "") for name in names]}
    return table | dict(zip(FIVE_NUMBERS, seen.quartiles, strict=True))


def _sentences(model, net, calibration):
    """What is no table."""
    facts = model._facts
    said = {
        "trained": f"{facts.made}, on {facts.n_rows:,} rows without gaps, {model.n_iter_} epochs",
        "network": repr(net),
        "options": _listed(facts.options, "={}".format) or "all defaults",
        "validation rows": facts.validation,
    }
    if facts.n_validation:
        said["validation rows"] += (
            f" ({facts.n_validation:,}). They chose the best epoch, so that their error flatters"
        )
    if facts.validation.endswith(OTHERS):
        said["validation rows"] += (
            ". It is that of members alone on rows of their own: all members together err less"
        )
    if facts.share is not None:
        told = ", ".join(f"{share:.0%}" for share in facts.share)
        said["mean"] = f"{told} network, the rest a ridge regression, by the validation rows"
    if calibration is None:
        said["calibration rows"] = "none, so that it has no ranges: see DeepRegressor.calibrate"
    else:
        said["calibration rows"] = f"{len(calibration):,}. They chose nothing"
    said["warns"] = "of rows that lie outside a column's range by more than half its width"
    return said | {"versions": _listed(facts.versions, " {}".format)}


def _listed(values: dict[str, str], form: Callable[[str], str]) -> str:
    return ", ".join(name + form(value) for name, value in values.items())


def _ranges(calibration, targets):
    """± in the targets' units for each share that there are rows enough for."""
    n_rows = 0 if calibration is None else len(calibration)
    shares = [share for share in SHARES if rows_needed(share) <= n_rows]
    if not shares:
        return []
    nowhere = np.zeros((1, len(targets)))  # one band, the same width wherever it is asked for
    widths = [calibration.half_width(nowhere, share)[0] for share in shares]
    by_target = zip(targets, np.transpose(widths), strict=True)
    return {"share": shares} | {f"± {name}": column for name, column in by_target}
