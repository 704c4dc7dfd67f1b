"""Files that are whole or not there."""

import subprocess
import sys

from regression_lib.storage import write_whole


def test_killed_while_writing(tmp_path):
    """A process that dies between writing and renaming leaves the old file whole."""
    path = tmp_path / "m"
    write_whole(path, b"old")
    code = (
        "import os, sys; from regression_lib import storage; "
        "storage.os.replace = lambda *_: os._exit(9); "
        "storage.write_whole(sys.argv[1], b'new')"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == 9
    assert path.read_bytes() == b"old"
