"""Where a search keeps its trials: in one file, which one search at a time may write to.

Optuna has the storages; what stands here is about the file. It is found again from whatever folder
the search is started in, it may have any name, and what a kill or a full disk has torn is mended
before it is read.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import optuna
import sqlalchemy
from optuna.storages.journal import JournalFileBackend

from regression_lib.storage import PathLike, plain_file

BROKEN = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)


@contextmanager
def opened(path: PathLike | None) -> Iterator[tuple[optuna.storages.BaseStorage, bool]]:
    """Optuna's storage in that file, for this search alone, and whether it may be written to.

    Parameters
    ----------
    path : path, or None
        ``*.db`` for SQLite, ``*.journal`` for a journal; None for the memory.

    Raises
    ------
    ValueError
        If it has another suffix, or cannot be read as a study.
    RuntimeError
        If another search is at work on it.
    OSError
        If it cannot be read or, later, written to.
    """
    if path is None:
        yield optuna.storages.InMemoryStorage(), True
        return
    path = plain_file(path)
    if path.suffix not in OPEN:
        raise ValueError(f"storage must end in .db (SQLite) or .journal, got {str(path)!r}")
    with _alone(path) as may_write:
        try:
            storage = OPEN[path.suffix](path, may_write)
        except (*BROKEN, LookupError, TypeError, ValueError, AssertionError) as error:
            raise ValueError(
                f"{path} cannot be read as the study of a search: {_brief(error)}"
            ) from error
        try:
            yield storage, may_write
        except BROKEN as error:
            raise OSError(f"{path} could not be read or written: {_brief(error)}") from error


@contextmanager
def _alone(path):
    """Keep other searches away; False where the folder cannot be written to, and nobody writes."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}")
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise RuntimeError(
            f"another search is at work on {path}: wait for its end, or give this one a file of "
            f"its own"
        ) from error
    except OSError:
        if not path.exists():  # there is nothing to read, and no place to write it
            raise
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _sqlite(path, may_write):
    query = {"uri": "true"} if may_write else {"uri": "true", "mode": "ro", "immutable": "1"}
    # As a URI a path may hold what a URL would take for its own: ?, %, #, {.
    url = sqlalchemy.URL.create("sqlite", database=path.as_uri(), query=query)
    return optuna.storages.RDBStorage(url.render_as_string(), skip_table_creation=not may_write)


def _journal(path, may_write):
    whole = _length_of_whole_lines(path) if path.exists() else 0
    if may_write:
        # Left by a search that was killed while it wrote: nobody else is at work now.
        Path(f"{path}.lock").unlink(missing_ok=True)
        if path.exists() and whole < path.stat().st_size:
            os.truncate(path, whole)  # what was written when the power or the disk ended
    return optuna.storages.JournalStorage(_Journal(str(path)))


class _Journal(JournalFileBackend):
    """Optuna's journal, with a name to the file when it cannot be written to."""

    def append_logs(self, logs):
        try:
            super().append_logs(logs)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file_path) from error


def _length_of_whole_lines(path):
    """How many bytes of a journal are entries; only half of one more may follow them."""
    length = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n") and _may_become_an_entry(line):
                break
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                entry = None
            if not isinstance(entry, dict):
                raise ValueError(f"its line {number} is no entry of a journal")
            length += len(line)
    return length


def _may_become_an_entry(line):
    """Whether a line is the beginning of one, so that cutting it off costs nobody a file."""
    start = b'{"op_code":'
    return line.startswith(start) or start.startswith(line) or not line.strip(b"\0")


def _brief(error):
    return f"{str(error).splitlines()[0][:200] if str(error) else type(error).__name__}"


OPEN = {".db": _sqlite, ".journal": _journal}
