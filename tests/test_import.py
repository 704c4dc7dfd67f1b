"""`import regression_lib` stays light, and nothing imports in a circle."""

import subprocess
import sys

HEAVY = ("pandas", "sklearn", "matplotlib", "optuna", "joblib", "dask", "IPython", "rich", "tqdm")


def test_what_takes_long_is_loaded_when_used():
    code = (
        "import sys, torch; before = set(sys.modules); import regression_lib; "
        f"print([m for m in {HEAVY} if m in set(sys.modules) - before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    code = (
        "import regression_lib as r; assert set(r.__all__) <= set(dir(r)); "
        "[getattr(r, name) for name in r.__all__]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
