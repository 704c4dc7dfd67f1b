"""The models of `benchmarks/tables.py`, each at its package's defaults and on one thread."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

LIBRARY = Path(__file__).resolve().parent.parent / "regression_lib"


class StoppedLightGBM:
    """LightGBM that finds the number of its trees on a tenth of its rows."""

    def __init__(self, seed):
        import lightgbm

        self.seed = seed
        self.stop = lightgbm.early_stopping(50, verbose=False)
        self.model = lightgbm.LGBMRegressor(
            n_estimators=5000, random_state=seed, n_jobs=1, verbose=-1
        )

    def fit(self, X, y):
        X, held_X, y, held_y = train_test_split(X, y, test_size=0.1, random_state=self.seed)
        self.model.fit(X, y, eval_set=[(held_X, held_y)], callbacks=[self.stop])
        return self

    def predict(self, X):
        return self.model.predict(X)


def catboost(seed):
    from catboost import CatBoostRegressor

    return CatBoostRegressor(
        random_seed=seed, thread_count=1, verbose=False, allow_writing_files=False
    )


def xgboost(seed):
    from xgboost import XGBRegressor

    return XGBRegressor(random_state=seed, n_jobs=1)


def ridge(seed):
    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))


def sklearn_mlp(seed):
    network = MLPRegressor(early_stopping=True, random_state=seed)
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), network), transformer=StandardScaler()
    )


def realmlp(seed):
    from pytabkit import RealMLP_TD_S_Regressor

    return RealMLP_TD_S_Regressor(device="cpu", n_threads=1, random_state=seed)


def tabm(seed):
    from pytabkit import TabM_D_Regressor

    return TabM_D_Regressor(device="cpu", n_threads=1, random_state=seed)


def ours(**options):
    def make(seed):
        from regression_lib import DeepRegressor

        return DeepRegressor(random_state=seed, **options)

    return make


@dataclass(frozen=True)
class Model:
    """How to make an estimator from a seed, and what decides whether a result is still its own."""

    make: Callable
    package: str = "scikit-learn"
    # Options of a first fit, to forty rows, in which PyTorch and Lightning import much more.
    first: dict = field(default_factory=dict)

    @property
    def version(self):
        if self.package != "regression-lib":
            return installed(self.package)
        digest = hashlib.sha256()
        for path in sorted(LIBRARY.glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:12]


def installed(package):
    """The version of a package, or where to find an environment that has it."""
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise SystemExit(
            f"{package} is not installed here. `make tables` sets up .venv-tables, which has it; "
            "then run .venv-tables/bin/python benchmarks/tables.py."
        ) from error


MODELS = {  # from cheap to dear
    "ridge": Model(ridge),
    "LightGBM": Model(StoppedLightGBM, "lightgbm"),
    "CatBoost": Model(catboost, "catboost"),
    "XGBoost": Model(xgboost, "xgboost-cpu"),
    "HGB": Model(lambda seed: HistGradientBoostingRegressor(random_state=seed)),
    "random forest": Model(lambda seed: RandomForestRegressor(random_state=seed)),
    "MLP": Model(sklearn_mlp),
    "RealMLP": Model(realmlp, "pytabkit", {"n_epochs": 1}),
    "TabM": Model(tabm, "pytabkit", {"n_epochs": 1}),
    "ours": Model(ours(), "regression-lib", {"epochs": 1}),
    "ours, 1 network": Model(ours(n_members=1), "regression-lib", {"epochs": 1}),
    "ours, 8 members": Model(ours(n_members=8), "regression-lib", {"epochs": 1}),
}
OURS = ("ours", "ours, 1 network", "ours, 8 members")
DEAR = ("RealMLP", "TabM")  # which may not finish
