"""Write requirements.txt: the newest environment that pyproject.toml allows, pinned.

Run it with any Python 3.11+ (`make lock`). It installs the project into a throw-away
environment, so what happens to be installed elsewhere cannot leak into the pins.
"""

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# The pinned environment of book, tests and coursework; `make lock` writes it anew.
# On Linux a plain install of torch may bring several GB of CUDA: README says how to avoid that.
-e .
"""
# What only one kind of system has, and so a freeze on another does not show or must not pin.
MARKERS = {
    "pexpect": 'sys_platform != "win32"',
    "ptyprocess": 'sys_platform != "win32"',
    "appnope": 'sys_platform == "darwin"',
    "colorama": 'sys_platform == "win32"',
    "pywinpty": 'sys_platform == "win32"',
}
ACCELERATOR_ONLY = re.compile(r"nvidia-|cuda-|triton", re.IGNORECASE)


def frozen(python):
    """The `name==version` lines of an environment, without local build labels such as +cpu."""
    command = [python, "-m", "pip", "freeze", "--all", "--exclude-editable", "--exclude", "pip"]
    freeze = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split("+")[0] for line in freeze.splitlines() if "==" in line]


def pinned(lines):
    """The requirements, sorted, with a marker on what not every system can install."""
    for line in sorted(lines, key=str.lower):
        name = line.split("==")[0]
        if not ACCELERATOR_ONLY.match(name):
            marker = MARKERS.get(name.lower())
            yield f"{line} ; {marker}" if marker else line


def main():
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        scripts = "Scripts" if sys.platform == "win32" else "bin"
        python = str(Path(folder, scripts, "python"))
        extras = f"{ROOT}[book,test,coursework]"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-e", extras], check=True)
        text = HEADER + "\n".join(pinned(frozen(python))) + "\n"
    Path(ROOT, "requirements.txt").write_text(text)


if __name__ == "__main__":
    main()
