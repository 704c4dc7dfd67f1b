"""The folders of a course, what its settings say, and files that are whole or as they were."""

import contextlib
import datetime
import json
import os
import tomllib
import zoneinfo
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nbgrader.api import Gradebook
from sqlalchemy.engine import URL
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

SETTINGS = "grading.toml"
OF_CHECKS = {"check_seconds": 60, "check_megabytes": 1500}
OF_SANDBOX = ("seconds", "cell_seconds", "megabytes", "processes", "disk_megabytes")
OF_SANDBOX += ("output_kilobytes",)


def write_whole(path, content):
    """Write text or bytes so that a reader sees the old file or the new one, never a part."""
    # What a student's process says may hold half a surrogate pair, which is no UTF-8.
    body = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(fresh, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


class Course:
    """The folders of an nbgrader course."""

    def __init__(self, root):
        self.root = Path(root).resolve()

    @property
    def db_url(self):
        return _sqlite(self.root / "gradebook.db")

    @contextlib.contextmanager
    def alone(self):
        """Keep other graders out, who would write the same rows; the system ends it with us.

        Raises
        ------
        RuntimeError
            If another is at work in this course.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(ImportError, FileNotFoundError):  # Windows; no such course
                import fcntl

                folder = os.open(self.root, os.O_RDONLY)
                stack.callback(os.close, folder)
                _lock(fcntl, folder, self.root)
            yield

    def make_gradebook(self):
        """An empty gradebook, if there is none; to make one takes a second, and may be stopped."""
        path = self.root / "gradebook.db"
        if path.exists():
            return
        fresh = path.with_name(f".gradebook.{os.getpid()}")
        try:
            Gradebook(_sqlite(fresh)).close()
            os.replace(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)

    def submitted(self, student, assignment):
        return self.root / "submitted" / student / assignment

    def graded(self, student, assignment):
        return self.root / "autograded" / student / assignment

    def feedback(self, student, assignment):
        return self.root / "feedback" / student / assignment

    def reports(self, assignment):
        return self.root / "reports" / assignment

    def note(self, student, assignment):
        return self.graded(student, assignment) / "graded.json"

    def read_note(self, student, assignment):
        """What was noted when grading was done; empty if it was not."""
        return _read_json(self.note(student, assignment))

    def write_note(self, student, assignment, note):
        write_whole(self.note(student, assignment), json.dumps(note, indent=1))

    def read_origin(self, student, assignment):
        """Where a hand-in came from, as it was noted when it was collected; empty if it was not."""
        return _read_json(self.submitted(student, assignment) / "origin.json")

    def is_done(self, student, assignment, digest):
        """Whether this very notebook was graded with this very problem set."""
        note = self.read_note(student, assignment.name)
        return (note.get("submission"), note.get("source")) == (digest, assignment.digest)

    def config(self):
        """What `nbgrader_config.py` says, as nbgrader itself would read it, and where we are."""
        config = Config()
        if (self.root / "nbgrader_config.py").is_file():
            config = PyFileConfigLoader("nbgrader_config.py", path=str(self.root)).load_config()
        config.CourseDirectory.root = str(self.root)
        config.CourseDirectory.db_url = self.db_url
        return config

    @cached_property
    def settings(self):
        """What `grading.toml` says.

        Raises
        ------
        ValueError
            With the line or the key that is wrong, and what may stand there.
        """
        path = self.root / SETTINGS
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from None
        return Settings.of(table, {p.parent.name for p in self.root.glob("source/*/*.ipynb")})


def _lock(fcntl, folder, path):
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RuntimeError(
            f"Another command is at work in {path}; wait until it has ended, and try again."
        ) from None
    except OSError:  # a file system without locks
        pass


def _sqlite(path):
    """The address of a database; in it a path's "%" and "?" would mean something else."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def _read_json(path):
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


@dataclass(frozen=True)
class Settings:
    """Limits and due dates, of all problem sets and of each."""

    zone: str | None = None
    common: dict = field(default_factory=dict)
    sets: dict = field(default_factory=dict)

    @classmethod
    def of(cls, table, names):
        """Checked settings; a key that nobody reads is a mistake."""
        _known(table, {"zone", "limits", "sets"}, "")
        if (zone := table.get("zone")) is not None and not _is_zone(zone):
            raise ValueError(f"{SETTINGS}: zone = {zone!r} is no time zone, as 'Europe/Berlin' is")
        _known(table.get("sets", {}), names, "sets")
        for name, about in table.get("sets", {}).items():
            _known(about, {"limits", "due", "title"}, f"sets.{name}")
            _limits(about.get("limits", {}), f"sets.{name}.limits")
            if not isinstance(about.get("due", datetime.datetime.min), datetime.datetime):
                raise ValueError(f"{SETTINGS}: sets.{name}.due is no date with a time")
            if not isinstance(about.get("title", ""), str):
                raise ValueError(f"{SETTINGS}: sets.{name}.title is no text")
        _limits(table.get("limits", {}), "limits")
        return cls(zone, table.get("limits", {}), table.get("sets", {}))

    def limits(self, name):
        """Of the sandbox for a problem set; what is not set is not in it."""
        both = self.common | self.sets.get(name, {}).get("limits", {})
        return {key: both[key] for key in OF_SANDBOX if key in both}

    def check_limits(self, name):
        """Of the processes that check and show a problem set; see `bounded.each`."""
        both = OF_CHECKS | self.common | self.sets.get(name, {}).get("limits", {})
        return {"seconds": both["check_seconds"], "megabytes": both["check_megabytes"]}

    def title(self, name):
        """What a problem set is called on the platform, where it is not its own name."""
        return self.sets.get(name, {}).get("title", name)

    def due(self, name):
        """When a problem set is due, in UTC without saying so, as nbgrader has it; or None."""
        when = self.sets.get(name, {}).get("due")
        if when is None:
            return None
        if when.tzinfo is None and self.zone:
            when = when.replace(tzinfo=zoneinfo.ZoneInfo(self.zone))
        return when.astimezone(datetime.UTC).replace(tzinfo=None)  # of this machine, without a zone


def _is_zone(zone):
    return isinstance(zone, str) and zone in zoneinfo.available_timezones()


def _known(table, names, where):
    if not isinstance(table, dict):
        raise ValueError(f"{SETTINGS}: {where} = {table!r} is no table; write [{where}]")
    for key in table:
        if key not in names:
            place = f"[{where}] " if where else ""
            raise ValueError(f"{SETTINGS}: {place}knows no {key!r}; there are {sorted(names)}")


def _limits(table, where):
    _known(table, {*OF_SANDBOX, *OF_CHECKS}, where)
    for key, value in table.items():
        if type(value) not in (int, float) or not 0 < value < 1e9:
            raise ValueError(f"{SETTINGS}: {where}.{key} = {value!r} is no number above 0")
