"""A student's cells, one after the other: each leaves a record of plain data at its end.

Runs inside the sandbox (see worker.py), where each record stands alone: whatever a cell does to its
answers, its errors or its output, it costs this cell and no other.
"""

import ast
import base64
import builtins
import contextlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback

import numpy as np

from grading.terminal import last_state

CELL = "cell "  # how the names of code from cells begin, in tracebacks
LIMIT_OF_ARRAY, LIMIT_OF_RECORD, MOST_READ = 4 << 20, 12 << 20, 2 << 20
LIMIT_OF_PICTURE, LIMIT_OF_PICTURES, MOST_PICTURES = 1 << 20, 8 << 20, 4
LARGEST_INTEGER, DEEPEST, MOST_DIMENSIONS = 4096, 4, 8  # bits, levels, axes
PROCESSORS = 4  # that a cell sees, so that one worker for each is not too many
PATIENCE = 5  # how many times longer than its processor time a cell may take by the clock
ALLOWED = "an answer must be numbers, text or NumPy arrays, or lists, tuples and dicts of these"
ADVICE = {
    "Tensor": "x.item() or x.detach().numpy() makes one of it",
    "Series": "x.to_numpy() makes one of it",
    "DataFrame": "x.to_numpy() makes one of it",
    "Index": "x.to_numpy() makes one of it",
    "set": "sorted(x) makes one of it",
    "frozenset": "sorted(x) makes one of it",
    "bytes": "x.decode() makes one of it",
}
ADVICE |= dict.fromkeys(["generator", "map", "filter", "zip", "range"], "list(x) makes one of it")


class CellTimeout(BaseException):
    """A cell ran too long; no `except Exception` of the cell's should keep this from ending it."""


class Clock:
    """Asks a cell to stop: after so much processor time, or far longer of waiting.

    Busy neighbours cost nobody processor time. The other limit is for those who sleep.
    """

    def __init__(self, seconds):
        self.seconds, self.armed = seconds, False
        self.start()

    def start(self):
        """A new cell begins."""
        self.used_before, self.began = _processor_seconds(), time.monotonic()

    def used(self):
        return _processor_seconds() - self.used_before

    def waited(self):
        return time.monotonic() - self.began

    def __enter__(self):
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, self._ring)
        self.armed = True
        # What comes after a cell that used up its time, like its pictures, gets a second.
        signal.setitimer(signal.ITIMER_PROF, max(1, self.seconds - self.used()))
        signal.setitimer(signal.ITIMER_REAL, max(1, PATIENCE * self.seconds - self.waited()))
        return self

    def __exit__(self, *_error):
        self.armed = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, *_signal):
        """Also the watcher rings, when processes that the cell started use up its time."""
        if not self.armed:
            return
        self.armed, limit = False, PATIENCE * self.seconds
        if self.waited() < limit:
            raise CellTimeout(f"this cell used more than {self.seconds} s of processor time")
        raise CellTimeout(f"this cell took longer than {limit} s, most of which it waited")


def _processor_seconds():
    others = os.times()  # processes that this one started and has waited for
    return time.process_time() + others.children_user + others.children_system


class Output:
    """What a cell shows: both streams in a file in memory, cut at a limit, and pictures."""

    def __init__(self, limit):
        self.limit, self.pictures = limit, []
        self.pictures_held = 0  # bytes, of all cells together
        # In memory, so that a full disk does not swallow the message about it; and made at the
        # beginning, since the sandbox refuses to make another (see worker.py).
        self.file = os.memfd_create("output") if hasattr(os, "memfd_create") else _nameless()
        self.stream = None

    def begin(self):
        os.dup2(self.file, 1)
        os.dup2(self.file, 2)
        if self.stream is None or self.stream.closed:
            self.stream = open(  # noqa: SIM115 - it stays open, loggers of earlier cells hold it
                1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
            )
        sys.stdout = sys.stderr = self.stream
        self.clear()

    def clear(self):
        with contextlib.suppress(OSError, ValueError):
            self.stream.flush()
        self.pictures.clear()
        os.ftruncate(self.file, 0)
        os.lseek(self.file, 0, os.SEEK_SET)

    def text(self):
        with contextlib.suppress(OSError, ValueError):
            self.stream.flush()
        size = os.fstat(self.file).st_size
        # What a progress bar overwrote is no output; so it is gone before the rest is cut.
        text = last_state(os.pread(self.file, MOST_READ, 0).decode("utf-8", "replace"))
        kept = text.encode()[: self.limit].decode("utf-8", "ignore")
        more = len(text) - len(kept) + max(0, size - MOST_READ)
        return kept + (f"\n… {more:,} characters more" if more else "")

    def keep_picture(self, data):
        """Keep a PNG, as bytes or in base64, unless it was shown already."""
        text = base64.b64encode(data).decode() if isinstance(data, bytes) else str(data)
        size = len(text) * 3 // 4
        fits = size <= LIMIT_OF_PICTURE and self.pictures_held + size <= LIMIT_OF_PICTURES
        if fits and text not in self.pictures and len(self.pictures) < MOST_PICTURES:
            self.pictures.append(text)
            self.pictures_held += size

    def keep_figures(self, *_how, **_options):
        """What `plt.show()` does, and the end of a cell: show the open figures and close them."""
        from matplotlib import pyplot

        try:
            for number in pyplot.get_fignums()[:MOST_PICTURES]:
                self.keep_picture(as_png(pyplot.figure(number)))
        finally:
            pyplot.close("all")


def as_png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=70)
    return buffer.getvalue()


def _nameless():
    file, path = tempfile.mkstemp()
    os.unlink(path)
    return file


class Session:
    """One namespace, cell after cell, as in a notebook.

    Parameters
    ----------
    job : dict
        `cells`, `files` and `limits`. A cell has an `id`, its `code`, perhaps the names of its
        `answers`, and `locked` if it is the instructor's own.
    send : int
        The descriptor to which each record goes, as a line of JSON.
    shell : Shell
        Where a student's cells run.
    """

    def __init__(self, job, send, shell):
        from IPython.display import display

        self.display = display
        self.job, self.send, self.shell, self.process = job, send, shell, os.getpid()
        self.namespace, self.compiler = shell.user_ns, shell.compile
        self.clock = Clock(job["limits"]["cell_seconds"])
        self.output = shell.output = Output(job["limits"]["output_kilobytes"] * 1024)
        os.chdir(_workplace(job))
        sys.path[0] = ""  # a notebook imports what lies beside it
        for name, content in job["files"].items():
            with open(os.path.basename(name), "wb") as file:
                file.write(base64.b64decode(content))
        os.environ.update(HOME=os.getcwd(), OMP_NUM_THREADS="1", MPLBACKEND="Agg")
        os.environ.update(LOKY_MAX_CPU_COUNT=str(PROCESSORS), PYTHON_CPU_COUNT=str(PROCESSORS))

    def run(self):
        for cell in self.job["cells"]:
            say(self.send, {"start": cell["id"]})
            self.clock.start()
            self.output.begin()
            line = self._record(cell)
            if os.getpid() != self.process:
                os._exit(0)  # a child that the cell has forked and that came back from it
            _write(self.send, line)

    def _record(self, cell):
        """Run a cell; its record as a line of JSON."""
        with _bounded_memory(self.job["limits"]["megabytes"] << 20):
            answers, error = self._guarded(self._answers, cell)
        self._guarded(self.output.keep_figures)
        text = self.output.text()
        shown = {"text": text, "pictures": list(self.output.pictures)}
        shown |= {"seconds": round(self.clock.used(), 3)}
        record = {"id": cell["id"], "error": error} | ({} if error else {"answers": answers})
        line, unfit = self._guarded(_encoded, record | shown)
        return line if unfit is None else _encoded({"id": cell["id"], "error": unfit} | shown)

    def _guarded(self, action, *arguments):
        """What an action returns, and None; or None, and what is wrong, in words."""
        try:
            with self.clock:
                return action(*arguments), None
        except BaseException as raised:  # SystemExit, KeyboardInterrupt: all end a cell only
            return None, self._in_words(raised)

    def _in_words(self, raised):
        try:
            with self.clock:
                return described(raised)
        except BaseException as another:
            words = f"its message could not be made: {_name(type(another))}"
            return {"name": _name(type(raised)), "message": words, "lines": []}

    def _answers(self, cell):
        if not (cell.get("answers") or cell.get("locked")):
            if (error := self.shell.failure_of(cell["code"])) is not None:
                raise error
            return {}
        self._run_own(cell["code"])
        answers = {}
        for name in cell.get("answers", []):
            if name not in self.namespace:
                raise NameError(f"this cell has set no {name}")
            answers[name] = plain(self.namespace[name], name)
        return answers

    def _run_own(self, code):
        """The instructor's code; no magic and no input transformer of a student changes it."""
        name = self.compiler.cache(code)
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec", dont_inherit=True), self.namespace)
        if last is not None:
            whole = compile(ast.Expression(last.value), name, "eval", dont_inherit=True)
            if (value := eval(whole, self.namespace)) is not None:
                self.display(value)


def prepare():
    """The shell; and all that each submission would pay for by itself, like a first figure."""
    import matplotlib

    matplotlib.use("Agg")
    import pandas  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torch
    import tqdm
    from IPython.display import display
    from matplotlib import pyplot

    from grading.shell import Shell

    torch.set_num_threads(1)
    layer = torch.nn.Linear(2, 1)
    torch.nn.functional.mse_loss(layer(torch.ones(2, 2)), torch.ones(2, 1)).backward()
    torch.optim.AdamW(layer.parameters()).step()
    pyplot.plot([1, 2])
    as_png(pyplot.gcf())
    pyplot.close("all")
    shell = Shell.instance()
    shell.display_formatter.formatters["image/png"].for_type_by_name(
        "matplotlib.figure", "Figure", as_png
    )
    pyplot.show = lambda *how, **options: shell.output.keep_figures(*how, **options)
    # Bars as widgets need a browser; the same bars as text do not.
    sys.modules["tqdm.notebook"] = tqdm.std
    os.cpu_count = lambda: PROCESSORS
    builtins.display, builtins.get_ipython = display, shell.get_ipython
    return shell


def _workplace(job):
    if job.get("trusted"):
        return tempfile.mkdtemp()
    os.makedirs("/tmp/work", exist_ok=True)
    return "/tmp/work"


def say(send, record):
    _write(send, json.dumps(record).encode() + b"\n")


def _write(send, line):
    while line:
        line = line[os.write(send, line) :]


def _encoded(record):
    line = json.dumps(record).encode() + b"\n"
    if len(line) > LIMIT_OF_RECORD:
        size = f"{len(line) / (1 << 20):.0f} MB, more than {LIMIT_OF_RECORD >> 20}"
        raise ValueError(f"what this cell hands back takes {size}")
    return line


@contextlib.contextmanager
def _bounded_memory(limit):
    """Less than the process may have: the rest is there to say that a cell has used up all."""
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if most == resource.RLIM_INFINITY:  # without a sandbox
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (min(limit, most), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def described(raised):
    """Name, message and the student's own lines of an exception, whatever it says about itself."""
    steps = traceback.walk_tb(BaseException.__traceback__.__get__(raised))
    steps = [(frame.f_code, line) for frame, line in steps]
    own = [(code, line) for code, line in steps if code.co_filename.startswith(CELL)][-5:]
    lines = [f"line {line}, in {code.co_name}" for code, line in own]
    return {"name": _name(type(raised)), "message": _message(raised), "lines": lines}


def _message(raised):
    try:
        message = _exactly(str, str(raised))[:2000]
    except Exception as error:
        return f"its message could not be made: {_name(type(error))}"
    if issubclass(type(raised), BaseExceptionGroup):
        parts = BaseExceptionGroup.exceptions.__get__(raised)[:10]
        message += "".join(f"; {_name(type(one))}: {_message(one)}" for one in parts)
    return message[:2000].encode("utf-8", "backslashreplace").decode()


def _name(kind):
    """The name of a class; a metaclass may have hidden it."""
    return _exactly(str, type.__dict__["__name__"].__get__(kind))[:80]


def _exactly(kind, value):
    """A value of a subclass as one of its base class, without asking it."""
    return {str: str.__str__, int: int.__int__, float: float.__float__}[kind](value)


def plain(value, where="it", depth=0):
    """A value as JSON: numbers, text, arrays of numbers, and lists, tuples, dicts of these.

    What a value says about itself (`__class__`, `__iter__`, `dtype`) is not asked.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if issubclass(kind, str):
        return _exactly(str, value)
    if issubclass(kind, (np.ndarray, np.generic)):
        return _plain_array(np.asarray(value), where)
    if issubclass(kind, int):
        return _plain_integer(_exactly(int, value), where)
    if issubclass(kind, float):
        return _exactly(float, value)
    if not issubclass(kind, (list, tuple, dict)):
        name = _name(kind)
        advice = f" ({ADVICE[name]})" if name in ADVICE else ""
        raise TypeError(f"{ALLOWED}; {where} is a {name}{advice}")
    if depth == DEEPEST:
        raise TypeError(f"{ALLOWED}, nested at most {DEEPEST} deep; {where} is deeper")
    if issubclass(kind, dict):
        return {"dict": [_plain_pair(*pair, where, depth) for pair in dict.items(value)]}
    iterate = list.__iter__ if issubclass(kind, list) else tuple.__iter__
    items = enumerate(iterate(value))
    return {"list": [plain(item, f"{where}[{k}]", depth + 1) for k, item in items]}


def _plain_array(array, where):
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 16:
        raise TypeError(f"{ALLOWED}; {where} is an array of {array.dtype}, which are no numbers")
    if array.ndim > MOST_DIMENSIONS:
        raise TypeError(f"{ALLOWED}; {where} has {array.ndim} axes, more than {MOST_DIMENSIONS}")
    if array.nbytes > LIMIT_OF_ARRAY:
        size = f"{array.size:,} numbers, {array.nbytes / (1 << 20):.0f} MB"
        raise ValueError(f"{where} is too large: {size}; at most {LIMIT_OF_ARRAY >> 20} MB")
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"array": data, "dtype": array.dtype.str, "shape": list(array.shape)}


def _plain_integer(number, where):
    if (bits := number.bit_length()) > LARGEST_INTEGER:
        raise ValueError(f"{where} is an integer of {bits:,} bits; at most {LARGEST_INTEGER:,}")
    return number


def _plain_pair(key, value, where, depth):
    try:
        text = _exactly(str, str(key))
    except CellTimeout:
        raise
    except BaseException as error:
        words = f"{where} has a key ({_name(type(key))}) that is no text"
        raise TypeError(f"{ALLOWED}; {words}: {_name(type(error))}") from None
    return [text, plain(value, f"{where}[{text[:40]!r}]", depth + 1)]
