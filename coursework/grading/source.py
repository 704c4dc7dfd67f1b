"""What is in a folder or a zip: names that never become paths here, and a fault where one is bad.

A zip is read in place. One entry with a bad name, a password or a packing that nobody knows costs
that entry alone, although Python's `zipfile` gives the whole archive up for some of these.
"""

import datetime
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

from grading import lms

PACKINGS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
LIMIT_OF_INNER, MOST_INNER = 64 << 20, 5000  # bytes and entries of a zip that a student handed in
LONGEST_PATH = 1000  # a zip has room for 65,535 letters, and patterns take their time over them
ENTRY, UTF8, LOCKED = b"PK\x01\x02", 0x800, 0x1
# What a terminal or a page would obey instead of showing it.
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
LOST = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    NotImplementedError,
)


class Unreadable(ValueError):
    """A file that cannot be read; the message says why, to whoever handed it in."""


@dataclass(frozen=True)
class Found:
    """A file in a folder or a zip: where, from when, how large, and how to read its head."""

    path: PurePosixPath
    when: float | None
    size: int
    read: Callable[[int], bytes]
    fault: str = ""  # why it cannot be read
    is_folder: bool = False


@contextmanager
def files(source, zone=None):
    """Everything that is in a source, without the one folder around all that is named like it.

    Parameters
    ----------
    source : path
        A folder or a zip.
    zone : ZoneInfo, optional
        Of the times in a zip; by default this machine's.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such source, or it is a broken zip.
    """
    source = Path(source)
    if source.is_dir():
        yield _without_top(list(_in_folder(source)), source.resolve().name)
    elif source.is_file():
        with open(source, "rb") as body:
            try:
                archive = zipfile.ZipFile(Lenient(body))
            except LOST as error:
                raise ValueError(f"{source} is no zip that can be read: {error}") from None
            with archive:
                yield _without_top(list(_in_zip(archive, zone)), source.stem)
    else:
        raise FileNotFoundError(f"there is no folder or zip of submissions {source}")


def inside(found, zone=None):
    """The files of a zip that was handed in.

    Raises
    ------
    Unreadable
        If it is none, or has more in it than one student's work.
    """
    if found.size > LIMIT_OF_INNER:
        raise Unreadable(f"it is larger than {LIMIT_OF_INNER >> 20} MB")
    return [
        replace(file, read=partial(_again, found, zone, number))
        for number, file in enumerate(_opened(found, zone))
    ]


def _opened(found, zone):
    body = found.read(LIMIT_OF_INNER)
    if body.count(ENTRY) > MOST_INNER:
        raise Unreadable(f"it holds more than {MOST_INNER} files")
    try:
        return list(_in_zip(zipfile.ZipFile(Lenient(io.BytesIO(body))), zone))
    except LOST:
        raise Unreadable("it is no zip that can be opened") from None


def _again(found, zone, number, most):
    """Reads from a zip that is opened anew, so that nobody holds those of a whole class."""
    return _opened(found, zone)[number].read(most)


def _without_top(found, title):
    """Without the one folder around all, if it is named like the source and is nobody's."""
    tops = {file.path.parts[0] for file in found if file.path.parts[0] != "__MACOSX"}
    top = tops.pop() if len(tops) == 1 else None
    inner = [file for file in found if len(file.path.parts) > 1]
    if not top or not inner or not title.startswith(top) or _is_somebodys(top):
        return found
    return [replace(file, path=PurePosixPath(*file.path.parts[1:])) for file in inner]


def _is_somebodys(folder):
    return bool(lms.read(PurePosixPath(folder, "any")).lms)


def _in_folder(folder):
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") or f.startswith(".ipynb"))
        for name in sorted([*folders, *names]):
            path = Path(place, name)
            state = path.lstat()
            kind = stat.S_IFMT(state.st_mode)
            fault = "" if kind in (stat.S_IFREG, stat.S_IFDIR) else "it is a link, or no file"
            yield Found(
                PurePosixPath(_legible(path.relative_to(folder).as_posix())),
                state.st_mtime,
                state.st_size,
                partial(_head, path),
                fault,
                kind == stat.S_IFDIR,
            )


def _legible(name):
    """A name that can be printed and written, whatever bytes it has on the disk."""
    return UNSEEN.sub("\ufffd", os.fsencode(name).decode("utf-8", "replace"))


def _head(path, most):
    try:
        # Since the folder was read, the name may have become a link or a pipe.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(number, "rb") as file:
            return file.read(most)
    except OSError as error:
        raise Unreadable(f"it cannot be read ({error.strerror})") from None


def _in_zip(archive, zone):
    for info in archive.infolist():
        name = _name(info)
        path = PurePosixPath(UNSEEN.sub("\ufffd", name[:LONGEST_PATH]))
        if not path.parts or path == PurePosixPath("/"):
            continue
        yield Found(
            path,
            _moment(info, zone),
            info.file_size,
            partial(_head_in_zip, archive, info),
            _fault(info, name),
            name.endswith("/"),
        )


def _name(info):
    """An entry's name: UTF-8 where the zip merely forgets to say that it is."""
    name = info.orig_filename
    if not info.flag_bits & UTF8 and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/").encode("utf-8", "replace").decode()


def _fault(info, name):
    kind = info.external_attr >> 28  # of a Unix file; 0 if it was made elsewhere
    parts = PurePosixPath(name).parts
    if len(name) > LONGEST_PATH:
        return f"its name is longer than {LONGEST_PATH} letters"
    if "\0" in name:
        return "its name holds a character that no name may hold (NUL)"
    if name.startswith("/") or ".." in parts or parts[0].endswith(":"):
        return "its path leads out of the source"
    if kind not in (0, 4, 8):
        return "it is a link, or no file"
    if info.flag_bits & LOCKED:
        return "it is locked with a password; hand it in without one"
    if info.compress_type not in PACKINGS:
        return f"it is packed in a way that cannot be read here (number {info.compress_type})"
    return ""


def _head_in_zip(archive, info, most):
    try:
        with archive.open(info) as file:
            return file.read(most)
    except UnicodeDecodeError:
        raise Unreadable("its name has letters in no known encoding; give it a plain one") from None
    except LOST as error:
        raise Unreadable(f"it is damaged and cannot be read ({error})") from None


def _moment(info, zone):
    """The time in a zip, which has no zone; None for the beginning of 1980, which means none."""
    try:
        local = datetime.datetime(*info.date_time)
    except ValueError:  # some tools write the month 0
        return None
    return None if local.year == 1980 else local.replace(tzinfo=zone).timestamp()


class Lenient:
    """A zip's bytes, in which a name that is no UTF-8 does not say that it is.

    `zipfile` reads the list of entries in one piece, and gives up at the first name that it
    cannot decode. Without the flag it takes such a name for one of the old encoding.
    """

    def __init__(self, file):
        self.file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def seekable(self):
        return True

    def read(self, size=-1):
        body = self.file.read(size)
        return _mended(bytearray(body)) if body.startswith(ENTRY) else body


def _mended(body):
    place = 0
    while body[place : place + 4] == ENTRY and place + 46 <= len(body):
        flags = int.from_bytes(body[place + 8 : place + 10], "little")
        lengths = [int.from_bytes(body[place + k : place + k + 2], "little") for k in (28, 30, 32)]
        name = bytes(body[place + 46 : place + 46 + lengths[0]])
        if flags & UTF8 and not _is_utf8(name):
            body[place + 8 : place + 10] = (flags & ~UTF8).to_bytes(2, "little")
        place += 46 + sum(lengths)
    return bytes(body)


def _is_utf8(name):
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def zone_of(name):
    """A time zone by its name; None, which is this machine's, by none.

    Raises
    ------
    ValueError
        If there is no such zone.
    """
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; one is called Europe/Berlin") from None
