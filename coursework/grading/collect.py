"""Bring what was handed in to where the course keeps it: from a folder, a zip, or an LMS's names.

Known shapes, `ps1_tensors` being the problem set:

- ``alice/ps1_tensors/ps1_tensors.ipynb`` and ``alice/ps1_tensors.ipynb``, as nbgrader has them;
- ``Alice Doe_123456_assignsubmission_file_/ps1_tensors.ipynb``, a download of Moodle's;
- ``doealice_LATE_12345_67890_ps1_tensors-1.ipynb``, a download of Canvas';
- ``alice_ps1_tensors.ipynb`` or ``alice.ipynb``.

What lies in a student's folder, and under which name, is up to the student. So whose it is says the
outermost folder alone, and two who would get the same name here get nothing. A zip is read in
place: no name in it ever becomes a path.
"""

import datetime
import re
import stat
import time
import unicodedata
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from grading.assignment import LIMIT_OF_NOTEBOOK
from grading.record import moment, write_whole

MOODLE = re.compile(r"(?P<student>.+?)_\d+_assignsubmission_file_?$")
CANVAS = re.compile(r"(?P<student>[^_]+)(?:_LATE)?_(?P<number>\d+)_\d+_.+$")
UNSAFE = re.compile(r"[^\w.@+-]+")
LONGEST, MOST_BYTES, STAMP = 60, 2 << 30, "timestamp.txt"


@dataclass(frozen=True)
class Found:
    """A file in a folder or a zip: where, from when, how large, and how to read its head."""

    path: PurePosixPath
    when: float
    size: int
    read: Callable[[int], bytes]
    ordinary: bool


@dataclass
class Collected:
    """What came in: of each problem set by student, and what belongs to nobody by file."""

    taken: dict  # {set: {student: file}}
    problems: dict  # {set: {student: reason}}, of those who have no notebook here
    kept: dict  # {set: {student: reason}}, where the last hand-in is bad and an earlier one stays
    left: dict  # {file: reason}


def collect(course, names, source, roster=None, *, zone=None):
    """Copy each student's last notebook of several problem sets to ``submitted/``."""
    names, done = list(names), {name: {} for name in names}
    left = {}
    for name in names:
        done[name] = _collect_one(course, name, source)
        for entry in done[name].pop("", []):
            file, _, reason = entry.partition(": ")
            left.setdefault(file, []).append(reason)
    none = {name: {} for name in names}
    whole = {file: words[-1] for file, words in left.items() if len(words) == len(names)}
    return Collected(done, none, dict(none), whole)


def _collect_one(course, name, source):
    """Copy each student's newest notebook to ``submitted/``.

    Of a notebook that is too large to be graded only the head is copied; grading says so then.

    Parameters
    ----------
    course : Course
    name : str
        The problem set.
    source : path
        A folder or a zip.

    Returns
    -------
    dict
        The file that each student handed in, by student; what was left out, each file with the
        reason, stands under "".

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such source, or it is a broken zip, or more than would fit here.
    """
    others = {path.name for path in course.root.glob("source/*")} - {name}
    taken, left = {}, []
    with _files(Path(source)) as files:
        stamps = {file.path.parent: file for file in files if file.path.name == STAMP}
        notebooks = [file for file in files if file.path.suffix == ".ipynb"]
        chosen = _newest(notebooks, name, others, left)
        if sum(min(file.size, LIMIT_OF_NOTEBOOK) for file in chosen.values()) > MOST_BYTES:
            raise ValueError(f"{source} holds more than {MOST_BYTES >> 30} GB of notebooks")
        for student, file in chosen.items():
            try:
                body, when = file.read(LIMIT_OF_NOTEBOOK + 1), _when(file, stamps)
            except Exception as error:  # a zip can be broken in many ways
                left.append(f"{file.path}: it cannot be read ({error})")
                continue
            _take(body, when, course.submitted(student, name), name)
            taken[student] = str(file.path)
    return taken | ({"": left} if left else {})


def _newest(notebooks, name, others, left):
    """The file of each student: rather one with the right name, then the newest."""
    found = {}
    for file in notebooks:
        if any(part.startswith((".", "__MACOSX")) and part != ".." for part in file.path.parts):
            continue
        try:
            if not file.ordinary:
                raise ValueError("it is a link, or no file")
            who, student = owner(file.path, name, others)
        except ValueError as reason:
            left.append(f"{file.path}: {reason}")
            continue
        found.setdefault(student.casefold(), {}).setdefault((who, student), []).append(file)
    chosen = {}
    for claims in found.values():
        for (_, student), files in claims.items():
            best = max(files, key=lambda file: (name in file.path.stem, file.when))
            if len(claims) == 1:
                chosen[student] = best
            else:
                left.append(f"{best.path}: {len(claims)} students would be called {student} here")
    return chosen


def owner(path, name, others=()):
    """Who handed in a file of a problem set.

    Parameters
    ----------
    path : PurePosixPath
        Relative to the source.
    name : str
        The problem set.
    others : collection of str
        The other problem sets of the course.

    Returns
    -------
    who, student : str
        What tells a student from others there, and the name of their folder here.

    Raises
    ------
    ValueError
        With the reason why the file is left out.
    """
    folders, stem = [part for part in path.parts[:-1] if part != name], path.stem
    sets = [known for known in (name, *others) if known in stem]
    if set(folders) & set(others) or (sets and max(sets, key=len) != name):
        raise ValueError(f"it is not of {name}")
    if path.is_absolute() or ".." in folders:
        raise ValueError("its path leads out of the source")
    if folders and (match := MOODLE.match(folders[0])):
        return folders[0], _safe(match["student"])
    if len(folders) > 1 or (folders and not stem.startswith(name)):
        raise ValueError(f"it is not of {name}, or lies too deep")
    if folders:
        return folders[0], _safe(folders[0])
    if match := CANVAS.match(stem):
        return f"{match['student']}_{match['number']}", _safe(match["student"])
    student = stem.removesuffix(f"_{name}")
    if name in student:
        raise ValueError("it names no student")
    return student, _safe(student)


def _safe(student):
    """A name that is one folder, wherever it came from."""
    whole = unicodedata.normalize("NFC", student)  # a zip from macOS has accents apart
    safe = UNSAFE.sub("-", whole)[:LONGEST].strip(".-")
    if not safe:
        raise ValueError("it names no student")
    return safe


def _when(file, stamps):
    """When it was handed in: nbgrader's stamp where students cannot put one, else the file's."""
    stamp = stamps.get(file.path.parent)
    folders = file.path.parts[:-1]
    if stamp and stamp.ordinary and folders and not MOODLE.match(folders[0]):
        text = stamp.read(200).decode(errors="replace").strip()
        if moment(text):
            return text
    return f"{datetime.datetime.fromtimestamp(file.when, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _take(body, when, folder, name):
    """The notebook and the time at which it was handed in; unchanged ones stay as they are."""
    target, stamp = folder / f"{name}.ipynb", folder / STAMP
    if target.is_file() and stamp.is_file() and target.read_bytes() == body:
        return
    write_whole(stamp, when)  # before the notebook: else a stop here would leave the old time
    write_whole(target, body)


@contextmanager
def _files(source):
    """Notebooks and time stamps of a folder or a zip."""
    if source.is_dir():
        yield list(_in_folder(source))
    elif source.is_file():
        try:
            archive = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ValueError(f"{source} is no zip that can be read: {error}") from None
        with archive:
            yield list(_in_zip(archive, source.stem))
    else:
        raise FileNotFoundError(f"there is no folder or zip of submissions {source}")


def _wanted(path):
    return path.suffix == ".ipynb" or path.name == STAMP


def _in_folder(folder):
    for path in filter(_wanted, sorted(folder.rglob("*"))):
        state, relative = path.lstat(), PurePosixPath(path.relative_to(folder).as_posix())
        ordinary = stat.S_ISREG(state.st_mode)
        yield Found(relative, state.st_mtime, state.st_size, partial(_head, path), ordinary)


def _head(path, most):
    with open(path, "rb") as file:
        return file.read(most)


def _in_zip(archive, title):
    """Entries of a zip, without the one folder around all that is named like the zip."""
    entries = [info for info in archive.infolist() if not info.is_dir()]
    paths = [PurePosixPath(info.filename.replace("\\", "/")) for info in entries]
    tops = {path.parts[0] for path in paths if len(path.parts) > 1 and path.parts[0] != "__MACOSX"}
    top = tops.pop() if len(tops) == 1 else None
    if top and title.startswith(top) and not MOODLE.match(top):
        paths = [path.relative_to(top) if path.parts[0] == top else path for path in paths]
    for info, path in zip(entries, paths, strict=True):
        if _wanted(path):
            kind = info.external_attr >> 28  # of a Unix file; 0 if it was made elsewhere
            read = partial(_head_in_zip, archive, info)
            yield Found(path, _moment(info), info.file_size, read, kind in (0, 8))


def _head_in_zip(archive, info, most):
    with archive.open(info) as file:
        return file.read(most)


def _moment(info):
    try:
        return datetime.datetime(*info.date_time).timestamp()
    except ValueError:  # some tools write the year 1980 and the month 0
        return time.time()
