"""Files that are written whole or not at all, and that run nothing when they are read.

A model, or the state of a training, is one safetensors file: its numbers, and one line of JSON
that says what they are. Unlike a pickle it can be opened without trusting whoever wrote it; and it
carries a digest of all that it says, so that a bit which has flipped on a disk is noticed.
"""

import hashlib
import json
import os
import platform
import secrets
import stat
import time
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

PathLike: TypeAlias = str | os.PathLike[str]

FORMAT, VERSION = "regression_lib", 3
LONGEST_HEADER = 100_000_000  # bytes: the limit of safetensors itself
A_DAY = 24 * 60 * 60


def write_whole(path: PathLike, content: bytes) -> None:
    """Write bytes to `path` all at once: a failure half-way leaves what was there before.

    A link keeps pointing to the file that it names, and a file keeps the rights that it has.
    Drafts that a killed process has left are removed.

    Raises
    ------
    OSError
        If there is no such folder, it cannot be written to, or `path` is no plain file.
    """
    path = _target(path)
    _sweep(path)
    draft = _draft(path)
    try:
        with open(draft, "xb") as file:
            if path.exists():
                os.chmod(draft, stat.S_IMODE(path.stat().st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def check_writable(path: PathLike) -> None:
    """Raise the OSError now that `write_whole` would raise later, after hours of work."""
    draft = _draft(_target(path))
    try:
        draft.touch(exist_ok=False)
    finally:
        draft.unlink(missing_ok=True)


def plain_file(path: PathLike) -> Path:
    """The file that a path names, through links; it need not be there yet.

    Raises
    ------
    OSError
        If it is a folder, a device or a pipe.
    """
    try:
        path = Path(path).resolve()
    except RuntimeError as error:  # what Python says before 3.13
        raise OSError(f"{path} is a link that leads to itself") from error
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a device or a pipe"
        raise OSError(f"{path} is {what}, not a file: give a file's name")
    return path


def _target(path: PathLike) -> Path:
    path = plain_file(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} to")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is there and may not be written to")
    return path


def _draft(path):
    """Of a file with a name of any length: whose draft it is, and who writes it where."""
    name, where = _mark(path.name), _here()
    writer = f"{where}.{os.getpid()}.{secrets.token_hex(4)}"
    return path.with_name(f".{path.name[:40]}.{name}.{writer}.part")


def _mark(text):
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _here():
    """Where numbers of processes mean what they mean here: on this machine, in this container."""
    space = "/proc/self/ns/pid"
    return _mark(platform.node() + (os.readlink(space) if os.path.lexists(space) else ""))


def _sweep(path):
    """Remove the drafts of this file whose writers were killed."""
    for draft in path.parent.glob(f".*.{_mark(path.name)}.*.*.*.part"):
        where, writer = draft.name.split(".")[-4:-2]
        if _is_old(draft) or (where == _here() and writer.isdecimal() and not _runs(int(writer))):
            draft.unlink(missing_ok=True)


def _is_old(draft):
    try:
        return time.time() - draft.stat().st_mtime > A_DAY
    except FileNotFoundError:
        return False


def _runs(process):
    if os.name != "posix":  # there signal 0 would end the process instead of asking for it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def write_tensors(
    path: PathLike, kind: str, tensors: dict[str, torch.Tensor], about: dict[str, Any]
) -> None:
    """Write tensors by name, and a dict of plain values that describes them."""
    write_whole(path, packed(kind, tensors, about))


def packed(kind: str, tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> bytes:
    """The bytes of such a file; equal contents give equal bytes."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    said = {"kind": kind, "about": about}
    # One entry only: safetensors writes several in any order.
    entry = {"version": VERSION, "sha256": _digest(tensors, said), **said}
    return to_bytes(tensors, {FORMAT: json.dumps(entry)})


def read_tensors(path: PathLike) -> tuple[str, dict[str, torch.Tensor], dict[str, Any]]:
    """Kind, tensors and description that `write_tensors` wrote, in memory of their own.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the file is cut short or damaged, of another version, or of another program.
    """
    content = _read(Path(path))
    entry = _described(path, content)
    try:
        tensors = from_bytes(content)
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError, OverflowError) as error:
        raise ValueError(_not_whole(path, error)) from error
    said = {"kind": entry.get("kind"), "about": entry.get("about")}
    if entry.get("sha256") != _digest(tensors, said) or not isinstance(said["about"], dict):
        raise ValueError(
            f"{path} is damaged: its content does not agree with the digest that it was written "
            f"with. Take another copy, or make it anew."
        )
    return said["kind"], tensors, said["about"]


def _read(path):
    """All bytes, after a look at the length that the file's own header gives."""
    if not stat.S_ISREG(path.stat().st_mode):  # a missing file says so in its own words
        raise ValueError(f"{path} is not a file")
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LONGEST_HEADER, os.fstat(file.fileno()).st_size - 8):
            raise ValueError(_not_whole(path, f"no header of {length} bytes"))
        file.seek(0)
        return file.read()


def _described(path, content):
    """What the file says about itself, as a dict of this version."""
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(_not_whole(path, _brief(error))) from error
    if not isinstance(metadata, dict) or FORMAT not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not a model of {FORMAT}")
    try:
        entry = json.loads(metadata[FORMAT])
        version = entry["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} has a description that cannot be read: {_brief(error)}"
        ) from error
    if type(version) is not int or version != VERSION:
        newer = type(version) is int and version > VERSION
        cure = "install a newer regression_lib" if newer else "train the model again"
        raise ValueError(f"{path} has format {str(version)[:20]}, not {VERSION}: {cure}")
    return entry


def _digest(tensors, said):
    """SHA-256 of all that a file says: names, types, shapes and numbers, and the description."""
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _not_whole(path, why):
    return (
        f"{path} is not a whole safetensors file ({why}); it may have been cut short or damaged, "
        f"or written by another program"
    )


def _brief(error):
    return f"{type(error).__name__}: {str(error)[:200]}"
