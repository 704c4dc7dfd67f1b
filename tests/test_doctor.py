"""`python -m regression_lib doctor` prints a block to paste, and its status tells the truth."""

import subprocess
import sys

from regression_lib import doctor


def run(*arguments):
    command = [sys.executable, "-m", "regression_lib", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_doctor_finds_this_machine_well():
    done = run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("python", "torch", "king_county.csv.gz", "training", "All is well"):
        assert word in done.stdout
    assert done.stdout.count("```") == 2
    assert "NO " not in done.stdout


def test_doctor_names_what_is_wrong(monkeypatch, capsys):
    damaged = ("king_county.csv.gz", "sha256 000000000000… DAMAGED", False)
    monkeypatch.setattr(doctor, "_data", lambda: [damaged])
    assert doctor.main() == 1
    out = capsys.readouterr().out
    assert "NO  king_county.csv.gz" in out
    assert "Look at: king_county.csv.gz." in out


def test_an_unknown_command_is_refused():
    done = run("nurse")
    assert done.returncode == 2
    assert "doctor" in done.stderr


def test_import_stays_light():
    """What only some users need loads when it is used."""
    heavy = "matplotlib.pyplot", "IPython", "ipywidgets", "optuna", "sklearn", "rich"
    code = f"import sys, regression_lib; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
