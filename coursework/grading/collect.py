"""Bring what was handed in to where the course keeps it: from a folder, a zip, or an LMS's names.

Known shapes, `ps1_tensors` being the problem set:

- ``alice/ps1_tensors/ps1_tensors.ipynb`` and ``alice/ps1_tensors.ipynb``, as nbgrader has them;
- ``Alice Doe_123456_assignsubmission_file_/ps1_tensors.ipynb``, a download of Moodle's;
- ``doealice_LATE_12345_67890_ps1_tensors-1.ipynb``, a download of Canvas';
- ``alice_ps1_tensors.ipynb`` or ``alice.ipynb``.
"""

import datetime
import os
import re
import shutil
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

MOODLE = re.compile(r"(?P<student>.+?)_\d+_assignsubmission_file_?$")
CANVAS = re.compile(r"(?P<student>[^_]+)(?:_LATE)?_\d+_\d+_.+$")
SAFE = re.compile(r"[^\w.@+-]+")
MOST_FILES, MOST_BYTES = 20_000, 2 << 30


def collect(course, name, source):
    """Copy each student's newest notebook to ``submitted/``.

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
        The file that each student handed in, by student; what was left out stands under "".

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such source, or it is a zip that would not fit here.
    """
    found, left = {}, []
    with _as_folder(Path(source)) as folder:
        for path in sorted(folder.rglob("*.ipynb")):
            relative = path.relative_to(folder)
            if any(part.startswith((".", "__MACOSX")) for part in relative.parts):
                continue
            student = student_of(relative, name)
            if student is None or path.is_symlink():
                left.append(str(relative))
            elif student not in found or path.stat().st_mtime > found[student].stat().st_mtime:
                found[student] = path
        for student, path in found.items():
            _take(path, course.submitted(student, name), name)
        return {student: str(path.relative_to(folder)) for student, path in found.items()} | (
            {"": left} if left else {}
        )


def student_of(path, name):
    """The student that a file belongs to, or None if it is not of this problem set."""
    folders, stem = [part for part in path.parts[:-1] if part != name], path.stem
    if folders and (match := MOODLE.match(folders[-1])):
        return _safe(match["student"])
    if stem == name or (folders and stem.startswith(name)):
        return _safe(folders[-1]) if folders else None
    if (match := CANVAS.match(stem)) and name in stem:
        return _safe(match["student"])
    if stem.endswith(f"_{name}"):
        return _safe(stem.removesuffix(f"_{name}"))
    return _safe(stem) if not folders and name not in stem else None


def _safe(student):
    """A name that is one folder, wherever it came from."""
    return SAFE.sub("-", student).strip(".-") or None


def _take(path, folder, name):
    """The notebook and the time at which it was handed in; unchanged ones stay as they are."""
    target, stamp = folder / f"{name}.ipynb", folder / "timestamp.txt"
    given = path.parent / "timestamp.txt"
    when = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    text = given.read_text() if given.is_file() else f"{when:%Y-%m-%d %H:%M:%S} UTC"
    if target.is_file() and target.read_bytes() == path.read_bytes():
        return
    folder.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    shutil.copyfile(path, fresh)
    os.replace(fresh, target)
    stamp.write_text(text)


@contextmanager
def _as_folder(source):
    """The source itself if it is a folder; what a zip holds, unpacked and bounded."""
    if source.is_dir():
        yield source
    elif zipfile.is_zipfile(source):
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(source) as archive:
            _unpack(archive, Path(folder))
            yield Path(folder)
    else:
        raise FileNotFoundError(f"{source} is neither a folder nor a zip of submissions")


def _unpack(archive, folder):
    """Notebooks and time stamps only, each inside the folder, with the times that the zip has."""
    wanted = [i for i in archive.infolist() if i.filename.endswith((".ipynb", "timestamp.txt"))]
    if len(wanted) > MOST_FILES or sum(i.file_size for i in wanted) > MOST_BYTES:
        raise ValueError(f"the zip holds {len(wanted):,} notebooks or more than 2 GB of them")
    for info in wanted:
        target = (folder / info.filename).resolve()
        if not target.is_relative_to(folder.resolve()) or (info.external_attr >> 28) == 0xA:
            continue  # a path that leads out, or a link
        archive.extract(info, folder)
        moment = datetime.datetime(*info.date_time).timestamp()
        os.utime(target, (moment, moment))
