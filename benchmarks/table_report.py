"""What `benchmarks/tables.py` found, as Markdown: scores, means of ranks, wins and losses."""

import numpy as np
import pandas as pd
from table_models import DEAR, MODELS, OURS
from table_sources import TABLES, load

FOLDS = 3
LIMIT = 120  # CPU seconds of fit and predict
MEANS = ("r2", "train_r2", "seconds")


def frames(tables, known):
    """Means over the folds, each as tables × models: R², training R², CPU seconds; who was over.

    A model without all its folds on a table has no number there.
    """
    means = {name: pd.DataFrame(index=tables, columns=list(MODELS), dtype=float) for name in MEANS}
    over = pd.DataFrame(False, index=tables, columns=list(MODELS))
    for model in MODELS:
        for table in tables:
            keys = [(model, MODELS[model].version, table, fold) for fold in range(FOLDS)]
            results = [known[key] for key in keys if key in known]
            over.loc[table, model] = any("over" in result for result in results)
            if len(results) == FOLDS and not over.loc[table, model]:
                for name, frame in means.items():
                    frame.loc[table, model] = np.mean([result[name] for result in results])
    measured = over.any() | means["r2"].notna().any()
    keep = [model for model in MODELS if measured[model]]
    return *(frame[keep] for frame in means.values()), over[keep]


def ranks(scores):
    """1 for the best of a table, among the models that have a score there; ties share.

    Of ours the first alone stands among the peers; each other one takes its place there, since
    several of one kind would push the peers down.
    """
    ours = [model for model in OURS if model in scores]
    peers = [model for model in scores if model not in ours]

    def among_peers(models):
        return scores[[*peers, *models]].rank(axis=1, ascending=False)

    ranked = among_peers(ours[:1])
    for other in ours[1:]:
        ranked[other] = among_peers([other])[other]
    return ranked[list(scores)]


def scores_table(scores, over):
    best = scores.max(axis=1)
    yield ["table", "rows", "columns", *scores]
    for table, row in scores.iterrows():
        X, _ = load(table)
        cells = [cell(value, best[table], over.loc[table, model]) for model, value in row.items()]
        yield [f"{table}{' (ln)' if TABLES[table].log else ''}", f"{len(X):,}", X.shape[1], *cells]


def cell(value, best, over):
    if np.isnan(value):
        return f"over {LIMIT} s" if over else "–"
    return f"**{value:.4f}**" if value == best else f"{value:.4f}"


def means_table(scores, train, seconds):
    """A row for each model, the best mean rank first."""
    ranked = ranks(scores)
    dear = [model for model in DEAR if model in scores]
    small = scores[dear].notna().all(axis=1)
    these = f"{small.sum()} {'small ' if dear else ''}tables"
    columns = pd.DataFrame(
        {
            "mean rank": ranked.mean(),
            "tables": scores.notna().sum(),
            f"mean rank on {these}": ranked[small].mean(),
            "mean R² there": scores[small].mean(),
            "mean R² on the training rows there": train[small].mean(),
            "mean CPU s": seconds.mean(),
            "CPU s as a multiple of CatBoost's": multiple_of(seconds, "CatBoost"),
        }
    ).sort_values("mean rank")
    yield ["model", *columns]
    digits = [2, 0, 2, 4, 4, 1, 2]
    for model, row in columns.iterrows():
        yield [model, *(number(*pair) for pair in zip(row, digits, strict=True))]


def multiple_of(seconds, peer):
    """Mean seconds over mean seconds of the peer, on the tables that both finished."""
    if peer not in seconds:
        return pd.Series(np.nan, seconds.columns)
    both = {model: seconds[[model, peer]].dropna() for model in seconds}
    return pd.Series({k: v.iloc[:, 0].sum() / v.iloc[:, -1].sum() for k, v in both.items()})


def number(value, digits):
    return "–" if np.isnan(value) else f"{value:.{digits}f}"


def duels(scores, mine):
    """Table by table: how far ours is ahead of boosting and of ridge."""
    peers = [peer for peer in ("CatBoost", "LightGBM", "ridge") if peer in scores]
    ahead = scores[peers].rsub(scores[mine], axis=0)
    yield ["table", *(f"− {peer}" for peer in peers)]
    for table, row in ahead.iterrows():
        yield [table, *("–" if np.isnan(value) else f"{value:+.4f}" for value in row)]
    yield [
        "**wins : losses**",
        *(f"**{(d > 0).sum()} : {(d < 0).sum()}**" for _, d in ahead.items()),
    ]
    yield [
        "least",
        *("–" if d.isna().all() else f"{d.min():+.4f} ({d.idxmin()})" for _, d in ahead.items()),
    ]


def markdown(rows):
    header, *rows = [[str(value) for value in row] for row in rows]
    right = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, right, *rows])


def sections(tables, known):
    """All that is known of these tables, line by line."""
    scores, train, seconds, over = frames(tables, known)
    yield (
        "R² on the rows that were not trained on, mean of the folds; the best one bold. Columns\n"
        "are those before a category becomes several; (ln) says that the logarithm is predicted.\n"
    )
    yield markdown(scores_table(scores, over))
    yield "\n### Means\n"
    yield markdown(means_table(scores, train, seconds))
    for mine in OURS:
        if mine in scores:
            yield f"\n### {mine}: R² minus that of the peer\n"
            yield markdown(duels(scores, mine))
