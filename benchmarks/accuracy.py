"""Accuracy and CPU time on King County, four inputs, all rows, five splits: `make accuracy`.

Prints a Markdown table and writes it, with the machine and versions, to benchmarks/accuracy.md.
The error is the root mean squared error of ln(price) on the test rows (a fifth of all, seeds
0 to 4); what is tuned was chosen on validation rows. Times are CPU seconds of one training on
one thread, since more threads cost small networks more than they gain.
"""

import platform
import time
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from regression_lib import KC4, RegressionNet, fit, load_king_county, split, spread

SEEDS = range(5)
ROOT = Path(__file__).resolve().parent


def network(make, **options):
    """A model to train and predict with, from a network and the options of `fit`."""

    def train(seed, train, valid):
        net = make(seed)
        fit(net, train, validation=valid, seed=seed, **options)
        return net.predict

    return train


def peer(make):
    """The same from a scikit-learn estimator."""

    def train(seed, train, valid):
        model = make(seed).fit(train.X, train.y.to_numpy().ravel())
        return lambda X: model.predict(X).reshape(-1, 1)

    return train


def tuned_post(seed):
    return RegressionNet.from_post(4, 1, bn_momentum=0.1, standardize=True, seed=seed)


MODELS = {
    "mean of the training rows": peer(lambda seed: DummyRegressor()),
    "ridge regression": peer(lambda seed: make_pipeline(StandardScaler(), Ridge())),
    "the post's 20 × 130, tuned": network(tuned_post, batch_size=512, epochs=20),
    "3 × 128 with BatchNorm (the defaults)": network(lambda seed: RegressionNet(4, seed=seed)),
    "3 × 128 without BatchNorm": network(
        lambda seed: RegressionNet(4, batch_norm=False, seed=seed)
    ),
    "gradient boosting": peer(lambda seed: HistGradientBoostingRegressor(random_state=seed)),
}


def measure(model):
    """Test errors and CPU seconds over the seeds."""
    sales = load_king_county(features=KC4).log_target()
    errors, seconds = [], []
    for seed in SEEDS:
        train, valid, test = split(sales, seed=seed)
        start = time.process_time()
        predict = model(seed, train, valid)
        seconds.append(time.process_time() - start)
        errors.append(np.sqrt(np.mean((test.y.to_numpy() - predict(test.X)) ** 2)))
    return errors, seconds


def main():
    torch.set_num_threads(1)
    rows = []
    for name, model in MODELS.items():
        errors, seconds = measure(model)
        rows.append((name, spread(errors, 4), f"{np.mean(seconds):.1f}"))
        print(*rows[-1], sep="  ", flush=True)
    lines = ["| model | test error of ln(price) | CPU s |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    versions = f"torch {torch.__version__}, scikit-learn {sklearn.__version__}"
    about = f"{__doc__}\n{platform.machine()}, Python {platform.python_version()}, {versions}.\n"
    (ROOT / "accuracy.md").write_text("# Accuracy\n\n" + about + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
