"""The sandbox: a process without network, rights or a view of the course, one for each worker.

bubblewrap builds it: a read-only system of what Python needs, empty scratch space, no network, no
environment. In it stands worker.py as a warm server, which gives each submission namespaces of its
own. Where these cannot be nested, `Jail(warm=False)` builds a sandbox for each submission instead,
at the price of importing PyTorch each time. Where there is no sandbox at all, nothing is run.
"""

import contextlib
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from grading.worker import is_shallow, read_frame, write_frame

WORKER = Path(__file__).with_name("worker.py")
INSIDE = {  # what of the grader the sandbox holds, and where
    "worker.py": "/grading/worker.py",
    "session.py": "/grading/session.py",
    "shell.py": "/grading/shell.py",
    "terminal.py": "/grading/terminal.py",
    "no_psutil.py": "/missing/psutil.py",
}
LIBRARY = Path(find_spec("regression_lib").origin).parent  # found, not loaded: it brings PyTorch
ENVIRONMENT = "/environment"
LIMITS = {
    "seconds": 180,  # of processor time, as is the next; five times as long by the clock
    "cell_seconds": 60,
    "megabytes": 2000,
    "processes": 16,
    "disk_megabytes": 64,
    "output_kilobytes": 64,
}
UNREADABLE = {"records": [], "ended": "has answers that cannot be read"}
NEEDED = """\
Grading runs students' code, and only inside a sandbox. {reason}
Grade on Linux with bubblewrap (apt install bubblewrap) as an ordinary user, or in the container
that coursework/README.md describes. Nothing was graded."""


class NoSandbox(RuntimeError):
    """There is no sandbox here, so nothing may run."""

    def __init__(self, reason):
        super().__init__(NEEDED.format(reason=reason))


def checked(changes):
    """`LIMITS` with changes.

    Raises
    ------
    ValueError
        If a limit is not known, or no number that could be one.
    """
    for name, value in changes.items():
        if name not in LIMITS:
            raise ValueError(f"there is no limit {name!r}; there are {', '.join(LIMITS)}")
        whole = type(value) is int
        if not (whole or (type(value) is float and name.endswith("seconds"))):
            raise ValueError(f"the limit {name} must be a whole number, not {value!r}")
        if not (0 < value <= 10**6 and math.isfinite(value)):
            raise ValueError(f"the limit {name} must lie between 1 and a million, not {value!r}")
    return LIMITS | changes


def _system():
    """The folders that Python and its packages need, and where each stands in the sandbox.

    A virtual environment may lie anywhere, also under /tmp, which a submission has for itself; so
    it is moved. Python finds out by itself.
    """
    settings = ["/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives"]
    own = ["/usr", "/lib", "/lib64", "/bin", *settings, os.path.realpath(sys.base_prefix)]
    places = {path: path for path in own if Path(path).exists()}
    return places if sys.prefix == sys.base_prefix else places | {sys.prefix: ENVIRONMENT}


def _links(places):
    """Names under which the environment knows its Python, and what they stand for.

    `.venv/bin/python` may lead to it through other links, as uv's and pyenv's do, and
    `pyvenv.cfg` may name a link. Inside the sandbox each of these names is a link once more.
    """
    links = {}

    def add(name):
        known = [*places, *links]
        if not any(Path(name).is_relative_to(place) for place in known):
            links[name] = os.path.realpath(name)

    add(os.path.normpath(sys.base_prefix))
    name = sys.executable
    for _ in range(40):
        if not os.path.islink(name):
            break
        name = os.path.normpath(os.path.join(os.path.dirname(name), os.readlink(name)))
        add(name)
    return links


def _covered(places):
    """Arguments that hide the library where it is installed among them: it holds the truth."""
    for here, there in places.items():
        for start in (here, os.path.realpath(here)):
            if LIBRARY.is_relative_to(start):
                place = str(Path(there) / LIBRARY.relative_to(start))
                yield from ["--tmpfs", place, "--remount-ro", place]
                break


def _python(places):
    if ENVIRONMENT in places.values():
        return f"{ENVIRONMENT}/bin/{Path(sys.executable).name}"
    return os.path.realpath(sys.executable)


def command(warm):
    """bubblewrap, its arguments, and the worker."""
    arguments = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc"]
    arguments += ["--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--new-session"]
    arguments += ["--uid", "1000", "--gid", "1000", "--clearenv"]
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/tmp"}
    environment |= {"MPLCONFIGDIR": "/tmp/matplotlib", "MPLBACKEND": "Agg"}
    environment |= {"PYTHONPATH": "/missing"}
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    arguments += ["--size", str(256 << 20), "--tmpfs", "/tmp"]
    places = _system()
    for here, there in places.items():
        # /lib may be a link to usr/lib; an environment that is one is taken from where it lies.
        if here == there and os.path.islink(here):
            arguments += ["--symlink", os.readlink(here), there]
        else:
            arguments += ["--ro-bind", os.path.realpath(here), there]
    for name, target in _links(places).items():
        arguments += ["--symlink", target, name]
    arguments += _covered(places)
    for name, place in INSIDE.items():
        arguments += ["--ro-bind", str(WORKER.with_name(name)), place]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    # Shared memory of /dev/zero would be counted nowhere, see worker.py.
    arguments += ["--dev-bind", "/dev/null", "/dev/zero", "--remount-ro", "/dev"]
    arguments += ["--size", str(64 << 20), "--tmpfs", "/dev/shm"]
    arguments += ["--remount-ro", "/", "--chdir", "/"]
    # A warm server hides its /proc from its children, after it has written there who they are. A
    # cold one cannot; and to root the settings of the kernel in it belong, without any capability.
    arguments += [] if warm else ["--disable-userns", "--remount-ro", "/proc"]
    return [*arguments, _python(places), "-m", "grading.worker", "serve" if warm else "once"]


class Cgroup:
    """Bounds for processes and memory that hold for root, too, whom resource limits do not."""

    ROOT = Path("/sys/fs/cgroup")

    def __init__(self, limits):
        name = f"grading-{os.getpid()}-{time.monotonic_ns()}"
        bounds = {"pids": ("pids.max", 4 * limits["processes"] + 32)}
        bounds["memory"] = ("memory.max", 2 * limits["megabytes"] << 20)
        self.folders = []
        if (self.ROOT / "cgroup.controllers").exists():
            self._make(self.ROOT / name, dict(bounds.values()))
        else:  # the first version: a tree for each controller
            old = {"memory": ("memory.limit_in_bytes", bounds["memory"][1])}
            for controller, (file, value) in (bounds | old).items():
                self._make(self.ROOT / controller / name, {file: value})

    @classmethod
    def sweep(cls):
        """Remove what graders left who were killed; the kernel keeps a folder with processes."""
        for folder in [*cls.ROOT.glob("grading-*"), *cls.ROOT.glob("*/grading-*")]:
            if not Path("/proc", folder.name.split("-")[1]).exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def _make(self, folder, values):
        folder.mkdir()
        self.folders.append(folder)
        for file, value in values.items():
            (folder / file).write_text(str(value))

    def enter(self):
        for folder in self.folders:
            (folder / "cgroup.procs").write_text("0")

    def remove(self):
        for folder in self.folders:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.02)


class Jail:
    """Runs jobs, one after the other; `with Jail() as jail: jail.run(job)`.

    Parameters
    ----------
    limits : dict, optional
        Changes to `LIMITS`; `ValueError` if one makes no sense.
    warm : bool
        One server for many jobs; False builds a sandbox for each.
    trusted : bool
        No sandbox at all: the code runs with your own rights.
    """

    def __init__(self, limits=None, *, warm=True, trusted=False):
        self.limits, self.warm, self.trusted = checked(limits or {}), warm or trusted, trusted
        self.process = self.cgroup = None

    def __enter__(self):
        if not self.trusted:
            refuse_where_it_cannot_work()
        if self.warm and self.process is None:
            self.start()
            self._await()
        return self

    def __exit__(self, *_error):
        self._stop()

    def start(self):
        """Begin to build a sandbox, which takes seconds; as root only inside a cgroup.

        It ends with the thread that calls this, so that it never outlives the grader.
        """
        if os.geteuid() == 0 and not self.trusted:
            try:
                Cgroup.sweep()
                self.cgroup = Cgroup(self.limits)
            except OSError as error:
                raise NoSandbox(f"As root it needs a cgroup of its own ({error}).") from None
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _stop
        enter = self.cgroup.enter if self.cgroup else None
        bare = [sys.executable, "-m", "grading.worker", "serve"]
        self.process = subprocess.Popen(
            bare if self.trusted else command(self.warm),
            **pipes,
            stderr=self.errors,
            preexec_fn=enter,
            cwd=WORKER.parent.parent if self.trusted else "/",
        )
        self.ready = not self.warm

    def _await(self):
        if not self.ready and self._read() != {"ready": True}:
            raise NoSandbox(f"It did not start: {self._complaint()}")
        self.ready = True

    def _terms(self):
        return {"limits": self.limits, "trusted": self.trusted}

    def _read(self):
        """What the sandbox says; None if it has ended."""
        try:
            said = read_frame(self.process.stdout)
        except OSError:
            return None
        except (ValueError, MemoryError):  # whole, and no use; asking again would not change it
            self._stop()
            return UNREADABLE
        return said if said is None or _is_result(said) or not self.ready else UNREADABLE

    def _complaint(self):
        words = ""
        with contextlib.suppress(OSError, ValueError):  # it may be closed already
            size = self.errors.seek(0, os.SEEK_END)
            self.errors.seek(max(0, size - 500))
            words = self.errors.read().decode(errors="replace")
        clean = "".join(c if c.isprintable() or c == "\n" else " " for c in words)
        return clean.strip() or "no reason was given"

    def _stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout, self.errors):
                with contextlib.suppress(OSError):
                    pipe.close()
        if self.cgroup:
            self.cgroup.remove()
        self.process = self.cgroup = None

    def run(self, job):
        """The records of a job's cells and why it ended early, if it did; see worker.py.

        If the sandbox itself ends, it is built anew and the job tried once more.
        """
        for _ in range(2):
            if self.process is None or not self.warm:
                self._stop()
                self.start()
            self._await()
            with contextlib.suppress(OSError):
                write_frame(self.process.stdin, job | self._terms())
                if (result := self._read()) is not None:
                    return result
            complaint = self._complaint()
            self._stop()
        return {"records": [], "ended": f"the sandbox ended: {complaint}"}


def _is_result(said):
    """Whether this is what `supervise` in worker.py returns."""
    match said:
        case {"records": list(records), "ended": str() | None}:
            return all(type(one) is dict and is_shallow(one) for one in records)
    return False


def refuse_where_it_cannot_work():
    """Raise `NoSandbox` with the reason and the way out."""
    if not sys.platform.startswith("linux"):
        raise NoSandbox(f"This system ({sys.platform}) has none.")
    names = [os.path.realpath(sys.base_prefix), *_links(_system())]
    if under := [name for name in names if Path(name).is_relative_to("/tmp")]:
        raise NoSandbox(
            f"Python itself lies under /tmp ({under[0]}), which each submission has for itself. "
            "Make the environment anew with a Python that lies elsewhere."
        )
    if shutil.which("bwrap") is None:
        raise NoSandbox("bubblewrap is not installed here.")


PROBE = """
import os, socket, ctypes
libc = ctypes.CDLL(None)
def refused(action):
    try:
        action()
    except Exception:
        return True
    return False
course = refused(lambda: os.listdir({course!r}))
network = refused(socket.if_nameindex) or [n for _, n in socket.if_nameindex()] == ["lo"]
system = refused(lambda: os.open("/usr", os.O_TMPFILE | os.O_RDWR))
kernel = refused(lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
processes = all(int(p) < 20 for p in os.listdir("/proc") if p.isdigit())
rights = libc.unshare(0x10000000) != 0
families = [getattr(socket, name, 0) for name in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_VSOCK")]
doors = all(refused(lambda: socket.socket(family)) for family in families if family)
memory = refused(lambda: os.memfd_create("a")) and libc.shmget(0, 4096, 0o1600) == -1
memory = memory and refused(lambda: __import__("mmap").mmap(-1, 4096))
data = refused(lambda: __import__("regression_lib.data"))
"""
PROMISES = {
    "course": "the course can be read",
    "network": "the network can be reached",
    "doors": "sockets that lead out of it can be made",
    "memory": "memory can be held that nobody counts",
    "system": "the system can be written",
    "kernel": "settings of the kernel can be written",
    "processes": "other processes can be seen",
    "rights": "new rights can be had",
    "data": "the library and its data can be loaded",
}


def prove(jail, course):
    """Run a known submission; raise `NoSandbox` unless the sandbox keeps each of its promises."""
    probe = {"id": "probe", "code": PROBE.format(course=str(course)), "answers": list(PROMISES)}
    sound = {"id": "sound", "code": "import torch\nsix = float(torch.arange(4).sum())"}
    result = jail.run({"cells": [probe, sound | {"answers": ["six"]}], "files": {}})
    answers = [record.get("answers") for record in result["records"] if "id" in record]
    if len(answers) != 2 or not answers[0] or answers[1] != {"six": 6.0}:
        raise NoSandbox(f"A known notebook did not run in it: {result}")
    broken = [words for name, words in PROMISES.items() if answers[0][name] is not True]
    if broken:
        raise NoSandbox(f"It leaks: {'; '.join(broken)}.")
