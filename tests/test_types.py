"""What is public carries types, and a checker that reads them finds a wrong call."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

import regression_lib
from regression_lib import network, optimizers

ROOT = Path(regression_lib.__file__).parent

# What a reader of the page writes.
RIGHT = """
import numpy as np
import regression_lib as rl

train, valid, test = rl.split(rl.load_king_county(n=500, features=rl.KC4).log_target(), seed=1)
net = rl.RegressionNet(4, hidden=(32, 32), activation="silu", numeric_embedding="piecewise_linear")
history = rl.fit(net, train, validation=valid, epochs=2, schedule="cosine", progress="plain")
rl.fit(net, train.X, train.y, validation=(valid.X, valid.y), callback=lambda history: None)
mean: float = net.predict(test.X).mean()
net.save("model.safetensors")
again: rl.RegressionNet = rl.RegressionNet.load("model.safetensors")
rl.plots.describe(history.plot(), "A line.")

many = rl.EnsembleNet(3, 4, hidden=[16], seed=[1, 2, 3])
rl.fit(many, train, lr=[1e-3, 1e-2, 1e-1])
center, width = many.predict(test.X, return_std=True)
gap: np.ndarray = center - many[0].predict(test.X)
fewer: rl.EnsembleNet = rl.fold_batch_norm(many[:2])

model = rl.DeepRegressor(hidden=(16,), epochs="auto", patience=3).fit(train.X, train.y)
center, width = model.predict(test.X, return_std=True)
shape: tuple[int, ...] = model.predict(test.X).shape
low, high = model.calibrate(valid.X, valid.y).predict_interval(test.X, 0.9, bands=2)
gap = high - low
text: str = model.card().markdown
model.save("estimator.safetensors")
model = rl.DeepRegressor.load("estimator.safetensors")
rl.export_onnx(model, "model.onnx")
rl.export_onnx(net, "model.onnx")
rate: float = rl.lr_sweep(net, train, validation=valid, lrs=[1e-3, 1e-2]).best_lr
best: dict[str, object] = rl.search(train, validation=valid, n_trials=2).best_params
for row in rl.track([1, 2], "Rows"):
    row.bit_length()
rl.claim("Two is even", True, {"2 % 2 = 0": 2 % 2 == 0, "so is 4": np.float64(4) % 2 == 0})
"""

# One wrong call a line, each for a reason of its own.
WRONG = """
import regression_lib as rl
rl.fit(3)
rl.fit(rl.RegressionNet(4), None, lr="fast")
rl.fit(rl.RegressionNet(4), None, optimizer="adamax")
rl.RegressionNet("4")
rl.RegressionNet(4, hiden=(8,))
rl.RegressionNet(4, init="zeros")
rl.RegressionNet(4).predict(None, return_std=True)
rl.EnsembleNet(4, 4).predict(None).keys()
rl.DeepRegressor(schedule="linear")
rl.DeepRegressor().predict(None, return_std=True).mean()
rl.DeepRegressor(calibration_fraction="some")
rl.DeepRegressor().predict_interval(None, "most")
rl.DeepRegressor().predict_interval(None).mean()
rl.DeepRegressor.load(3)
rl.export_onnx("model", "model.onnx")
rl.load_king_county(n="x")
rl.split([1, 2, 3])
rl.track(3)
rl.quiz(1)
rl.claim("Two is even", "yes", {})
rl.History().plot(ax="left")
rl.fitt
"""


# What the library leans on is not read where nothing hangs on it: of torch alone that takes longer
# than all the rest.
SKIPPED = "torch optuna sqlalchemy narwhals anywidget traitlets rich safetensors filelock IPython"
SETTINGS = f"""
[mypy]
ignore_missing_imports = True
[mypy-{",".join(f"{name}.*" for name in SKIPPED.split())}]
follow_imports = skip
"""


def modules():
    return sorted([*ROOT.glob("*.py"), *(ROOT / "course").glob("*.py")])


def public_functions(body, prefix=""):
    """Name and node of what carries no underscore; the methods that a call runs into as well."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            spoken = ("__init__", "__getitem__", "__len__", "__repr__")
            if not node.name.startswith("_") or node.name in spoken:
                yield prefix + node.name, node


def lacking(function):
    """The parameters without a type, and "return" if that has none."""
    a = function.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])]
    names = [p.arg for p in every if p.annotation is None and p.arg not in ("self", "cls")]
    return names + (["return"] if function.returns is None else [])


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_public_function_is_annotated(path):
    found = dict(public_functions(ast.parse(path.read_text(encoding="utf-8")).body))
    assert {name: lacking(node) for name, node in found.items() if lacking(node)} == {}


def test_the_walk_sees_what_lacks_a_type():
    text = (
        "class A:\n    def f(self, x, *y: int): ...\n    def _g(self, x): ...\ndef h() -> None: ..."
    )
    found = {name: lacking(node) for name, node in public_functions(ast.parse(text).body)}
    assert found == {"A.f": ["x", "return"], "h": []}


def test_a_type_lists_the_names_that_are_known():
    assert set(get_args(optimizers.Schedule)) == set(optimizers.SCHEDULES)
    assert set(get_args(network.Init)) == set(network.INITS)


@pytest.mark.slow
def test_a_checker_accepts_right_calls_and_finds_each_wrong_one(tmp_path, monkeypatch):
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(ROOT.parent))
    files = {"right.py": RIGHT, "wrong.py": WRONG, "mypy.ini": SETTINGS}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    options = ["--config-file", "mypy.ini", "--cache-dir", str(tmp_path / "cache")]
    out, err, _ = api.run(["right.py", "wrong.py", *options])
    assert err == ""
    found = re.findall(r"^(.+?):(\d+): error: ", out, re.M)
    assert {file for file, _ in found} == {"wrong.py"}, out
    expected = [n for n, line in enumerate(WRONG.splitlines(), 1) if line.startswith("rl.")]
    assert sorted({int(number) for _, number in found}) == expected, out
