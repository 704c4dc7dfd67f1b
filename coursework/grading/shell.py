"""IPython as students know it from notebooks, short of the shell.

It runs inside the sandbox. What a notebook would show in a page, this hands to an `Output`: text
and pictures. What would reach beyond Python (`!ls`, `%%bash`, `%pip`) does nothing and says so.
"""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import warnings

from IPython.core import page
from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import SList
from traitlets.config import Config

from grading.session import CELL

SETTINGS = {
    "HistoryManager": {"enabled": False, "hist_file": ":memory:"},
    "InteractiveShell": {"colors": "nocolor", "autocall": 0},
}
COMMANDS = ["bash", "sh", "script", "cmd", "shell", "system", "sx", "sc", "perl", "ruby"]
COMMANDS += ["pip", "conda", "mamba", "micromamba", "uv"]
# What notebooks load for comfort: no answer depends on it, and it may not be installed here.
COMFORT = ["autoreload", "aimport", "watermark", "tensorboard", "tensorflow_version", "store"]
COMFORT += ["lprun", "mprun", "memit", "nb_black", "lab_black", "matplotlib", "gui", "xmode"]
SETTERS = ["config", "load_ext", "reload_ext", "unload_ext", "colors"]


class Compiler(CachingCompiler):
    """Gives each cell a name of its own, also when one cell runs another, as `%%capture` does."""

    def get_code_name(self, *_code):
        return f"{CELL}{len(self._filename_map) + 1}"


class Shown(DisplayHook):
    """The value of a last expression goes where `display` goes, without a prompt."""

    def write_output_prompt(self):
        pass

    def write_format_data(self, format_dict, md_dict=None):
        self.shell.display_pub.publish(format_dict, md_dict)


class Publisher(DisplayPublisher):
    """Pictures are kept as pictures, all else as plain text."""

    def publish(self, data, *_about, **_options):
        if "image/png" in data:
            self.shell.output.keep_picture(data["image/png"])
        elif "text/plain" in data:
            print(data["text/plain"])

    def clear_output(self, *_wait, **_options):
        self.shell.output.clear()


class Shell(InteractiveShell):
    """The shell in which a student's cells run; the one who forks sets its `output`."""

    compiler_class, displayhook_class, display_pub_class = Compiler, Shown, Publisher

    def __init__(self, **options):
        super().__init__(config=Config(SETTINGS), **options)
        self.output = self.failure = self.raised = self.loop = None
        self.remembered = {}
        self.loop_runner = self._in_loop
        self.display_formatter.active_types = ["text/plain", "image/png"]
        self.set_hook("show_in_pager", page.as_hook(page.display_page), 90)
        warnings.filterwarnings("ignore", "To exit: use")
        _register_magics(self)

    def init_ipython_dir(self, _folder):
        self.ipython_dir = tempfile.gettempdir()  # where nothing is looked for and nothing put

    def init_profile_dir(self, _folder):
        self.profile_dir = None

    @property
    def db(self):
        return self.remembered  # of %cd and %bookmark, which would keep it in a file

    def failure_of(self, code):
        """Run a student's cell; the exception that ended it, or None."""
        self.failure = self.raised = None
        result = self.run_cell(code, store_history=True)
        found = (self.raised, result.error_before_exec, result.error_in_exec, self.failure)
        # What IPython keeps would keep the memory of the cell, and its pictures.
        self.failure = self.raised = self.last_execution_result = None
        self.history_manager.outputs.clear()
        return next((error for error in found if error is not None), None)

    # An error stands once, in the record of its cell; IPython would print it, too.
    def showtraceback(self, exc_tuple=None, *_how, running_compiled_code=False, **_options):
        self.failure = (exc_tuple or sys.exc_info())[1]
        if running_compiled_code and self.raised is None:
            self.raised = self.failure  # IPython asks it more than once, which may raise again

    def showsyntaxerror(self, *_how, **_options):
        self.failure = sys.exc_info()[1]

    def _format_exception_for_storage(self, *_error, **_options):
        return {}  # it would call what the student's exception defines

    def _tee(self, channel):
        """IPython would keep an object for each print, millions of them for a loop that prints."""
        return contextlib.nullcontext()

    # In a notebook a loop is running already, so that cells may create tasks.
    def should_run_async(self, raw_cell, **options):
        if options.get("preprocessing_exc_tuple") is None and not self._loop_is_running():
            return self.autoawait
        return super().should_run_async(raw_cell, **options)

    def _loop_is_running(self):
        return self.loop is not None and self.loop.is_running()

    def _in_loop(self, coroutine):
        if self.loop is None:  # made here, since loops do not survive a fork
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        try:
            return self.loop.run_until_complete(coroutine)
        except BaseException:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()  # else it would go on beside the next cell
            raise

    # No commands: neither as `!ls`, `files = !ls` and `!!ls`, nor as aliases like `%ls`.
    def system(self, command):
        print(f"!{command}: the grader runs no shell commands")

    system_raw = system_piped = system

    def getoutput(self, command, *_how, **_options):
        self.system(command)
        return SList()

    def ask_exit(self):
        print("exit: the grader goes on with the next cell")

    def enable_matplotlib(self, gui=None):
        return gui, "agg"


def _register_magics(shell):
    # Newer versions load magics when they are first used; that would undo what is done here.
    getattr(shell.magics_manager, "load_all_lazy_magics", lambda: None)()
    lines, cells = (shell.magics_manager.magics[kind] for kind in ("line", "cell"))
    for name in COMMANDS:
        lines[name] = cells[name] = _refused(name)
    lines |= dict.fromkeys(COMFORT, _skipped)
    lines |= {name: _forgiving(name, lines[name]) for name in SETTERS}
    cells |= dict.fromkeys(["python", "python3"], _python)
    cells["memit"] = lambda _line, cell: shell.run_cell(cell)  # measured by nobody, but run


def _refused(name):
    def refused(line, cell=None):
        sign = "%%" if cell is not None else "%"
        print(f"{sign}{name} {line}".rstrip() + ": the grader runs no shell commands")
        return SList() if name in ("system", "sx", "sc") else None

    return refused


def _skipped(_line):
    return None


def _forgiving(name, usual):
    """Settings and extensions: one that is missing costs a line of text and not the cell."""

    def forgiving(line):
        words = line.split("#")[0].strip()
        if words.startswith("InlineBackend") or words in COMFORT:
            return None
        try:
            return usual(line)
        except (ImportError, UsageError) as error:
            print(f"%{name} {words}: skipped by the grader ({error})")

    return forgiving


def _python(_line, cell):
    """`%%python`: another process, whose variables are its own."""
    done = subprocess.run([sys.executable, "-"], input=cell.encode(), capture_output=True)
    print((done.stdout + done.stderr).decode(errors="replace"), end="")
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, "python")
