"""`import regression_lib` stays light and needs no extra; its two floors keep their order."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import regression_lib

LIBRARY = Path(regression_lib.__file__).parent
HEAVY = ("torch", "pandas", "sklearn", "matplotlib", "optuna", "joblib", "dask", "IPython")
HEAVY += ("rich", "tqdm", "narwhals", "anywidget", "traitlets", "onnx")
EXTRAS = ("anywidget", "traitlets", "ipywidgets", "IPython", "polars", "pyarrow", "distributed")
EXTRAS += ("onnx", "onnxruntime", "skrub")


def run(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_what_takes_long_is_loaded_when_used():
    loaded = f"print([m for m in {HEAVY} if m in sys.modules])"
    assert run(f"import sys, regression_lib; {loaded}") == "[]"
    heavy = [name for name in HEAVY if name != "torch"]
    code = "import sys, torch; before = set(sys.modules); import regression_lib as rl; "
    code += "rl.RegressionNet, rl.fit, rl.load_tecator, rl.claim, rl.quiz, rl.track; "
    assert run(code + f"print([m for m in {heavy} if m in set(sys.modules) - before])") == "[]"


def test_every_public_name_is_there():
    assert {"DeepRegressor", "fit", "plots", "claim", "quiz", "playground"} <= {
        name for name in regression_lib.__all__ if hasattr(regression_lib, name)
    }
    assert set(regression_lib.__all__) <= set(dir(regression_lib))
    with pytest.raises(AttributeError, match="attribute fti"):
        regression_lib.fti  # noqa: B018 - asking is the point


def test_without_any_extra_everything_imports_and_an_explorer_says_what_it_needs():
    code = f"""
import sys
sys.modules.update(dict.fromkeys({EXTRAS}))  # None stands for a package that is not there
from regression_lib import *
assert len(quiz("01_tensors").questions) == 5 and callable(DeepRegressor)
for explore in (explore_activations, playground):
    try:
        explore()
    except ImportError as error:
        print(error)
"""
    hint = 'is not installed: pip install "regression-lib[explore]"'
    assert [line.endswith(hint) for line in run(code).splitlines()] == [True, True]


def imports(path):
    """The modules of this library that a module names, wherever in its text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_library_leans_on_nothing_of_the_course():
    for path in LIBRARY.glob("*.py"):
        assert not [name for name in imports(path) if name.startswith("regression_lib.course")]
        assert "regression_lib" not in imports(path) or path.stem in ("doctor",), path.stem


def test_no_module_imports_in_a_circle():
    top = {path.stem for path in LIBRARY.glob("*.py")}
    leans = {
        name: {
            module.split(".")[1]
            for module in top_level_imports(LIBRARY / f"{name}.py")
            if module.startswith("regression_lib.")
        }
        for name in top
    }
    while leans:
        free = [name for name, others in leans.items() if not others & leans.keys()]
        assert free, f"in a circle: {sorted(leans)}"
        for name in free:
            del leans[name]


def top_level_imports(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [node.module for node in body if isinstance(node, ast.ImportFrom) and node.module]
