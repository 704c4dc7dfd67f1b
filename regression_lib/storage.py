"""Files that are written whole or not at all, and that run nothing when they are read.

A model is one safetensors file: its numbers, and one line of JSON that says what they are. Unlike
a pickle it can be opened without trusting whoever wrote it.
"""

import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

FORMAT, VERSION = "regression_lib", 2


def write_whole(path, content):
    """Write bytes to `path` all at once: a failure half-way leaves what was there before."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_model(path, tensors, about):
    """Write tensors by name, and a dict of plain values that describes them."""
    # One entry only: safetensors writes several in any order, and equal models should be equal
    # files.
    metadata = {FORMAT: json.dumps({"version": VERSION, **about})}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_whole(path, to_bytes(tensors, metadata))


def read_model(path):
    """The tensors and the description that `write_model` wrote.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the file is cut short, is no model of this library, or is of another version.
    """
    Path(path).stat()  # a missing file says so in its own words
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            tensors, metadata = {n: file.get_tensor(n) for n in names}, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); it may have been cut short, "
            f"or written by another program"
        ) from error
    if FORMAT not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not a model of {FORMAT}")
    try:
        about = json.loads(metadata[FORMAT])
        version = about["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} has a description that cannot be read: {error!r}") from error
    if version != VERSION:
        cure = "install a newer regression_lib" if version > VERSION else "train the model again"
        raise ValueError(f"{path} has format {version}, not {VERSION}: {cure}")
    return tensors, about
