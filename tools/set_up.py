"""Set up the environment of the course: `make` runs this once, and on Windows you may run it.

It makes `.venv` and installs what `requirements-torch.txt` and `requirements.txt` pin, PyTorch
first, and for the CPU unless you ask for CUDA. Run it as often as you like: it installs what is
missing and nothing else, so that a set-up which was interrupted goes on, and a finished one needs
no network. It needs the standard library alone.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from importlib import util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE = 5  # seconds that an index may take to answer
TORCH_PIN = "requirements-torch.txt"
PINS = "requirements.txt"
GOES_ON = (
    "it says why above. The same command goes on from here. "
    "README says how to set up without internet."
)
PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input"]


class Trouble(Exception):
    """What stands in the way, in words for the person at the keyboard."""


def say(text):
    print(f"set-up: {text}", flush=True)


def check_python(version=sys.version_info):
    if tuple(version[:2]) < OLDEST:
        found, needed = (".".join(map(str, v[:2])) for v in (version, OLDEST))
        raise Trouble(
            f"this is Python {found}, and the course needs {needed} or newer. "
            "Name a newer one: make PYTHON=python3.12, or on Windows py -3.12 tools\\set_up.py"
        )


# The environment


def python_of(folder):
    windows = folder / "Scripts" / "python.exe"
    return windows if os.name == "nt" else folder / "bin" / "python"


def works(python):
    """Whether this Python starts, has a pip that starts, and is new enough."""
    try:
        asked = [str(python), *PIP, "--version"]
        said = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    found = re.search(rb"\(python (\d+)\.(\d+)\)", said.stdout)
    return said.returncode == 0 and bool(found) and tuple(map(int, found.groups())) >= OLDEST


def check_writable(folder):
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Trouble(
            f"nothing can be written to {folder} ({error.strerror}). "
            "Copy the course to a folder of your own, with a few GB free, and begin there."
        ) from error


def make_environment(folder):
    """Make the environment, or make it anew where an earlier attempt left half of one."""
    python = python_of(folder)
    begun = folder.exists() and any(folder.iterdir())
    check_writable(folder)
    if begun and works(python):
        return python
    if util.find_spec("ensurepip") is None:
        raise Trouble(
            "this Python cannot make environments, since its module ensurepip is missing. "
            "On Debian and Ubuntu: sudo apt install python3-venv"
        )
    say(f"{folder.name} is half there: made anew" if begun else f"making {folder.name}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)])
    if made.returncode or not works(python):
        raise Trouble(f"{sys.executable} could not make {folder}; it says why above.")
    return python


# What is there, and what is not


def pins(path):
    """The requirements of a file, without their hashes."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r"(?m)^([A-Za-z0-9][^\\#\n]*?)\s*(?:\\|#.*)?$", text)


def mend(distributions):
    """Forget what an interrupted pip left half-written, or pip would take it for installed."""
    for found in distributions:
        # The last thing that an installer writes is its own name.
        if found.read_text("METADATA") and not found.read_text("INSTALLER"):
            shutil.rmtree(found._path, ignore_errors=True)


def unmet(lines):
    """Those requirements that the Python which runs this does not satisfy."""
    from importlib import metadata  # inside, so that an old Python comes as far as its message

    from pip._vendor.packaging.requirements import Requirement

    for line in lines:
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate():
            continue
        try:
            if wanted.specifier.contains(metadata.version(wanted.name), prereleases=True):
                continue
        except metadata.PackageNotFoundError:
            pass
        yield line


def survey():
    """What is missing here and which build of PyTorch is there; runs inside the environment."""
    from importlib import metadata

    mend(list(metadata.distributions()))
    try:
        needs = " ".join(metadata.requires("torch") or [])
        build = "cuda" if re.search(r"\b(?:nvidia|cuda)-", needs) else "cpu"
    except metadata.PackageNotFoundError:
        build = None
    project = not list(unmet(["regression-lib"]))
    missing = {name: list(unmet(pins(ROOT / name))) for name in (TORCH_PIN, PINS)}
    return {"missing": missing, "build": build, "project": project}


def look(python):
    found = subprocess.run([str(python), __file__, "--survey"], stdout=subprocess.PIPE, check=True)
    return json.loads(found.stdout)


# Installing


def pip(python, *arguments, quiet=False):
    """Run pip where the person sees its progress; whether it succeeded."""
    hidden = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} if quiet else {}
    return subprocess.run([str(python), *PIP, *arguments], cwd=ROOT, **hidden).returncode == 0


def reachable(address, patience=PATIENCE):
    """Whether an index answers soon. A name server may hang, so the asking has a thread."""
    answers = []

    def ask():
        request = urllib.request.Request(address + "/torch/", method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=patience):
                answers.append(True)
        except OSError:
            pass

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience)
    return bool(answers)


def sources(python, version, choice, links):
    """Where to take PyTorch from, best first: (requirement, options of pip, words)."""
    plain = f"torch=={version}"
    if choice and choice not in ("cpu", "cuda"):
        return [(plain, ["--index-url", choice], f"PyTorch {version} from {choice}")]
    if choice == "cuda":  # three equal signs leave out builds with a label, such as +cpu
        return [(f"torch==={version}", [], f"PyTorch {version} with CUDA, several GB")]
    if platform.system() != "Linux":
        return [(plain, [], f"PyTorch {version}")]
    # No package of PyPI has a label, so this never takes CUDA by surprise.
    labelled, words = f"{plain}+cpu", f"PyTorch {version} for the CPU"
    trial = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--retries", "1"]
    if pip(python, *trial, *links, labelled, quiet=True):
        return [(labelled, [], words)]
    if links or os.environ.get("PIP_NO_INDEX"):
        return [(plain, [], f"PyTorch {version}")]
    fallback = (
        f"PyTorch's own index gave no build for the CPU ({CPU_INDEX}), "
        f"so pip looks for PyTorch {version} elsewhere; that may bring CUDA"
    )
    first = [(labelled, ["--index-url", CPU_INDEX], words)] if reachable(CPU_INDEX) else []
    return [*first, (plain, [], fallback)]


def get_torch(python, choice, links, verb, version=None):
    """Install or download PyTorch, as pinned, from the first source that has it."""
    version = version or pins(ROOT / TORCH_PIN)[0].partition("==")[2]
    for requirement, options, words in sources(python, version, choice, links):
        say(words)
        alone = ["--no-deps"] if options or "+" in requirement else []  # the rest is pinned
        if pip(python, *verb, *links, *options, *alone, requirement):
            return
    raise Trouble(f"pip could not get PyTorch {version}; {GOES_ON}")


def keeps(found, choice, earlier=None):
    """Whether the PyTorch that is there will do."""
    return not found["missing"][TORCH_PIN] and choice in (None, found["build"], earlier)


def project_digest():
    """Changes when what pyproject.toml says about the package does, or where the course lies."""
    import tomllib

    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    told = [about["build-system"], about["project"], about["tool"]["setuptools"], str(ROOT)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def done_before(ready):
    """What the last complete set-up noted."""
    try:
        return dict(json.loads(ready.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def install(python, ready, choice, links):
    """Bring the environment to what the pins say; without the network where they are met."""
    found, before = look(python), done_before(ready)
    if not keeps(found, choice, before.get("torch")):
        anew = ["--force-reinstall"] if found["build"] and choice else []
        get_torch(python, choice, links, ["install", *anew])
        found = look(python)
    missing = found["missing"][PINS]
    if missing:
        say(f"{len(missing)} packages, as {PINS} pins them")
        if not pip(python, "install", *links, "--requirement", PINS):
            raise Trouble(f"pip could not install everything; {GOES_ON}")
    digest = project_digest()
    if not found["project"] or before.get("project") != digest:
        say("the course's own library")
        # Without isolation, since a build environment would be fetched from the network.
        own = ["install", *links, "--no-deps", "--no-build-isolation", "--editable", "."]
        if not pip(python, *own):
            raise Trouble(f"pip could not install the course's own library; {GOES_ON}")
    now = {"project": digest, "torch": choice or before.get("torch")}
    ready.write_text(json.dumps(now) + "\n", encoding="utf-8")


def fill_wheelhouse(python, folder, choice):
    """Download what the pins name, for machines of this kind that have no network."""
    check_writable(folder)
    get_torch(python, choice, [], ["download", "--dest", str(folder)])
    wheels = ["--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    if not pip(python, "download", *wheels, "--requirement", PINS):
        raise Trouble(f"pip could not download everything; {GOES_ON}")
    version = ".".join(map(str, sys.version_info[:2]))
    say(f"{folder} serves {platform.system()} on {platform.machine()} with Python {version}.")
    say(f"There: make book WHEELHOUSE={folder.name}, or set_up.py --wheelhouse {folder.name}")


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch", help="cpu, cuda, or the address of an index of PyTorch's")
    parser.add_argument("--wheelhouse", help="take everything from this folder, without network")
    parser.add_argument("--fill", metavar="FOLDER", help="fill a folder for --wheelhouse")
    parser.add_argument("--into", default=".venv", help="the environment, .venv by default")
    parser.add_argument("--only-torch", action="store_true", help="leave the rest to others")
    parser.add_argument("--survey", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(torch=os.environ.get("TORCH"), wheelhouse=os.environ.get("WHEELHOUSE"))
    return parser.parse_args(arguments)


def set_up(options):
    check_python()
    links = []
    if options.wheelhouse:
        house = Path(options.wheelhouse).resolve()
        if not list(house.glob("*.whl")):
            raise Trouble(f"there are no wheels in {house}; make wheelhouse fills such a folder.")
        links = ["--no-index", "--find-links", str(house)]
    choice = options.torch or None
    folder = ROOT / options.into
    python = make_environment(folder)
    if options.fill:
        fill_wheelhouse(python, Path(options.fill).resolve(), choice)
    elif options.only_torch:
        if not keeps(look(python), choice):
            get_torch(python, choice, links, ["install"])
    else:
        install(python, folder / ".ready", choice, links)
        say(f"ready: {os.path.relpath(python)}")


def main(arguments=None):
    options = options_of(arguments)
    if options.survey:
        print(json.dumps(survey()))
        return 0
    try:
        set_up(options)
    except Trouble as trouble:
        print(f"set-up: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: stopped. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
