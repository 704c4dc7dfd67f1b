"""Accuracy and CPU time on all data of the course: `make accuracy`.

Prints Markdown tables and writes them, with the machine and versions, to benchmarks/accuracy.md.
Each model trains on seven tenths of the rows or so, is chosen on a tenth or so, and is scored
once on the fifth that is left, for five random splits (seeds 0 to 4): mean ± standard deviation.
Times are CPU seconds of one training on one thread.

The options of `DeepRegressor` are its defaults, which were chosen on validation rows of King County
and on the development tables of tables.py, unless a row says otherwise; gradient boosting is tuned
by 40 trials of Optuna on the validation rows of seed 0, for each table anew. "− tuned boosting" is
the mean ± standard deviation of the five differences, split by split; the splits overlap, so it is
narrower than it would be on five sets of new houses, and a row that one split chooses by may be a
test row of another.
"""

import platform
import time
from pathlib import Path

import numpy as np
import optuna
import sklearn
import torch
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from regression_lib import (
    KC4,
    KC17,
    DeepRegressor,
    RegressionNet,
    fit,
    load_king_county,
    load_tecator,
    make_projectile,
    split,
    spread,
)

SEEDS = range(5)
TRIALS = 40
ROOT = Path(__file__).resolve().parent
TUNED = "gradient boosting, tuned"
SMOOTH = {
    "hidden": (128, 128),
    "activation": "tanh",
    "numeric_embedding": None,
    "epochs": 100,
    "batch_size": 64,
    "weight_decay": 0.01,
}


# ------------------------------------------------------------------------------ the models
# Each takes (seed, train, valid) and returns something with `predict`.


def network(make, **options):
    """A `RegressionNet` and the options of `fit`."""

    def train(seed, train, valid):
        net = make(train, seed)
        fit(net, train, validation=valid, seed=seed, **options)
        return net

    return train


def peer(make):
    """An estimator of scikit-learn."""
    return lambda seed, train, valid: make(seed).fit(train.X, as_target(train.y))


def deep(**options):
    """A `DeepRegressor`, which finds its best epoch on the validation rows."""

    def train(seed, train, valid):
        model = DeepRegressor(random_state=seed, **options)
        return model.fit(train.X, train.y, validation=(valid.X, valid.y))

    return train


def as_target(y):
    """One column as scikit-learn wants it, several as they are."""
    return y.to_numpy().ravel() if y.shape[1] == 1 else y.to_numpy()


def tuned_post(train, seed):
    n = len(train.feature_names)
    return RegressionNet.from_post(n, 1, bn_momentum=0.1, standardize=True, seed=seed)


def plain(batch_norm):
    return lambda train, seed: RegressionNet(
        len(train.feature_names), batch_norm=batch_norm, seed=seed
    )


def boosting(seed, **options):
    return HistGradientBoostingRegressor(early_stopping=False, random_state=seed, **options)


def tuned_boosting(data):
    """The best of 40 trials on the validation rows of seed 0."""
    train, valid, _ = split(data, seed=0)

    def error(trial):
        model = boosting(0, **boosting_space(trial)).fit(train.X, as_target(train.y))
        return root_mean_squared_error(valid.y, model.predict(valid.X))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(error, n_trials=TRIALS)
    return lambda seed: boosting(seed, **study.best_params)


def boosting_space(trial):
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
        "max_iter": trial.suggest_int("max_iter", 100, 800),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 8, 64),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 60),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 10, log=True),
        "max_features": trial.suggest_float("max_features", 0.3, 1),
    }


# ------------------------------------------------------------------------------ the tables


def houses(features):
    """Errors of ln(price), the root of the mean square."""
    data = load_king_county(features=features).log_target()
    models = {
        "mean of the training rows": peer(lambda seed: DummyRegressor()),
        "ridge regression": peer(lambda seed: make_pipeline(StandardScaler(), Ridge())),
        "the post's 20 × 130, tuned": network(tuned_post, batch_size=512, epochs=20),
        "3 × 128 with BatchNorm": network(plain(True)),
        "3 × 128 without BatchNorm": network(plain(False)),
        "gradient boosting, defaults": peer(
            lambda seed: HistGradientBoostingRegressor(random_state=seed)
        ),
        TUNED: peer(tuned_boosting(data)),
        "`DeepRegressor()`": deep(),
        "`DeepRegressor(n_members=8)`": deep(n_members=8),
    }
    return table(data, models, root_mean_squared_error, "test error of ln(price)")


def throws():
    data = make_projectile()
    models = {
        "ridge regression": peer(lambda seed: make_pipeline(StandardScaler(), Ridge())),
        "gradient boosting, defaults": peer(
            lambda seed: MultiOutputRegressor(HistGradientBoostingRegressor(random_state=seed))
        ),
        "`DeepRegressor()`": deep(),
        # Smooth functions have no steps: the best of four by validation, seeds 0 to 2.
        "`DeepRegressor`, 2 × 128, tanh, without bins": deep(**SMOOTH),
        "the same, 8 members": deep(n_members=8, **SMOOTH),
    }
    return table(data, models, r2_score, "mean R² of three targets")


def spectra(data):
    """Four principal components of the spectra.

    There are too few validation rows to choose by, so they train too. The options are the best
    of seven by cross-validation on such rows of seeds 0 to 2, duplicates included.
    """
    first = [StandardScaler(), PCA(4, whiten=True)]

    def of_components(make):
        def train(seed, train, valid):
            X, y = np.vstack([train.X, valid.X]), np.vstack([train.y, valid.y])
            return make_pipeline(*first, make(seed)).fit(X, y)

        return train

    options = {
        "hidden": (128, 128, 128),
        "batch_norm": True,
        "numeric_embedding": None,
        "epochs": 100,
        "batch_size": 32,
        "validation_fraction": 0,
    }
    models = {
        "ridge regression": of_components(lambda seed: Ridge()),
        "gradient boosting, defaults": of_components(
            lambda seed: MultiOutputRegressor(HistGradientBoostingRegressor(random_state=seed))
        ),
        "`DeepRegressor`, 3 × 128 with BatchNorm": of_components(
            lambda seed: DeepRegressor(random_state=seed, **options)
        ),
        "the same, 8 members": of_components(
            lambda seed: DeepRegressor(random_state=seed, n_members=8, **options)
        ),
    }
    return table(data, models, r2_score, "mean R² of three targets")


def table(data, models, score, title):
    """A row for each model; beside tuned boosting, where it is there, the paired differences."""
    scores, seconds = {}, {}
    for name, model in models.items():
        scores[name], seconds[name] = measure(data, model, score)
        print(f"{name}: {spread(scores[name], 4)}  {seconds[name]:.1f} CPU s", flush=True)
    header = ["model", title, "CPU s"]
    header += ["− tuned boosting"] if TUNED in models else []
    lines = [header, ["---"] * len(header)]
    for name in models:
        line = [name, spread(scores[name], 4), f"{seconds[name]:.1f}"]
        if TUNED in models:
            paired = np.subtract(scores[name], scores[TUNED])
            line.append("" if name == TUNED else spread(paired, 4))
        lines.append(line)
    return [f"| {' | '.join(line)} |" for line in lines]


def measure(data, model, score):
    """Test scores over the seeds, and the mean CPU seconds of a training."""
    scores, seconds = [], []
    for seed in SEEDS:
        train, valid, test = split(data, seed=seed)
        start = time.process_time()
        trained = model(seed, train, valid)
        seconds.append(time.process_time() - start)
        scores.append(score(test.y, trained.predict(test.X)))
    return scores, np.mean(seconds)


def report():
    yield "# Accuracy\n"
    yield __doc__
    versions = f"torch {torch.__version__}, scikit-learn {sklearn.__version__}"
    yield f"{platform.machine()}, Python {platform.python_version()}, {versions}."
    tecator = load_tecator()
    once = tecator.rows(~tecator.X.duplicated().to_numpy())
    for title, lines in [
        ("King County, area, bedrooms and coordinates", lambda: houses(KC4)),
        ("King County, seventeen features", lambda: houses(KC17)),
        ("Projectile with air drag, 2,000 throws", throws),
        (f"Tecator, {len(tecator)} spectra, of which 22 are there twice", lambda: spectra(tecator)),
        (f"Tecator, {len(once)} spectra, each once", lambda: spectra(once)),
    ]:
        print(f"\n{title}")
        yield "\n".join(["", f"## {title}", "", *lines()])


def main():
    torch.set_num_threads(1)
    text = "\n".join(report())
    (ROOT / "accuracy.md").write_text(text + "\n")
    print(f"\n{text}")


if __name__ == "__main__":
    main()
