"""Make `.venv-floors`, with the oldest versions that pyproject.toml allows: `make floors`.

A floor that nobody tries is a guess. What pyproject.toml names is taken at its oldest, and what
these packages need at its newest, as a person gets it who upgrades nothing by hand.
"""

import os
import re
import subprocess
import sys

import set_up

FOLDER = set_up.ROOT / ".venv-floors"
ACCELERATORS = re.compile(r"(?:nvidia-|cuda-|triton)")


def oldest():
    """The pins at the floors, by name; the project's own [tool.uv] is for `make lock` alone."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config"]
    command += ["--resolution", "lowest-direct", "--all-extras", "--no-header", "--no-annotate"]
    command += ["--python-version", ".".join(map(str, set_up.OLDEST)), "pyproject.toml"]
    told = subprocess.run(command, cwd=set_up.ROOT, capture_output=True, text=True, check=True)
    lines = [line for line in told.stdout.splitlines() if "==" in line]
    return {line.partition("==")[0]: line for line in lines if not ACCELERATORS.match(line)}


def main():
    pins = oldest()
    version = pins.pop("torch").partition("==")[2]
    python = set_up.make_environment(FOLDER)
    set_up.get_torch(python, os.environ.get("TORCH") or None, [], ["install"], version)
    file = FOLDER / "floors.txt"
    file.write_text("\n".join(pins.values()) + "\n", encoding="utf-8")
    own = ["--no-deps", "--editable", "."]
    if not (set_up.pip(python, "install", "-r", str(file)) and set_up.pip(python, "install", *own)):
        raise set_up.Trouble("pip could not install the oldest versions; it says why above.")


if __name__ == "__main__":
    try:
        main()
    except set_up.Trouble as trouble:
        sys.exit(f"floors: {trouble}")
