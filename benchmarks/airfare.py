"""Why trees lead on the table `airfare`: they know the route when they see it.

The table follows each of 1,149 routes for four years, and the length of a route nearly names it.
With rows drawn at random, three years of a route help to predict the fourth, and whoever can look
a route up by its length to the mile is ahead. Here the same models are also judged on routes that
they have never seen, the folds drawn by route, which is the question that the table seems to ask.

    .venv-tables/bin/python benchmarks/airfare.py

Prints a Markdown table and writes it to benchmarks/airfare.md.
"""

from pathlib import Path

import numpy as np
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold
from table_models import MODELS
from table_report import FOLDS, markdown
from table_sources import load, prepare, raw

COMPARED = ("ridge", "random forest", "CatBoost", "ours", "ours, 8 members")


def score(model, X, y, train, test, fold):
    train_X, test_X = prepare(X.iloc[train], X.iloc[test])
    estimator = MODELS[model].make(fold).fit(train_X, y[train])
    return r2_score(y[test], np.ravel(estimator.predict(test_X)))


def report():
    X, y = load("airfare")
    route = raw("wooldridge/airfare")["id"].to_numpy()
    assert len(route) == len(X), "a row was left out, so that routes and rows do not match"
    yield f"# Airfare\n\n{__doc__}\n\nR² of ln(fare), mean of {FOLDS} folds.\n"
    folds = {
        "rows at random": KFold(FOLDS, shuffle=True, random_state=0).split(X),
        "routes apart": GroupKFold(FOLDS, shuffle=True, random_state=0).split(X, groups=route),
    }
    rows = [["folds", *COMPARED]]
    for name, parts in folds.items():
        parts = list(enumerate(parts))
        means = [
            np.mean([score(model, X, y, *both, fold) for fold, both in parts]) for model in COMPARED
        ]
        rows.append([name, *(f"{mean:.4f}" for mean in means)])
    yield markdown(rows)


def main():
    text = "\n".join(report())
    print(text)
    Path(__file__).with_suffix(".md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
