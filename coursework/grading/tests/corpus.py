"""A hundred ways to attack, break or confuse the grading, each with the grade that it deserves.

`CODE` goes into the first solution cell: (code, points for the first and the second question,
what the first hint says). `SHAPES` changes a notebook that solves everything. `FILES` are no
notebooks, or not ours: they get a reason instead of a grade.
"""

import json

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from tiny import SQUARE, answer, cell, name

HONEST = "\n" + SQUARE
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
    "RU5ErkJggg=="
)
WRONG = "\ndef square(x):\n    return x + 1"
QUIET = "\ntry:\n    {}\nexcept Exception:\n    pass" + HONEST


def tried(action):
    """Do it if it can be done, then solve the question."""
    return QUIET.format(action.replace("\n", "\n    "))


CODE = {
    # --- time ---
    "endless loop": ("while True: pass", 0, 3, "before it, square ended with CellTimeout"),
    "endless loop that ignores alarms": (
        "import signal\nfor number in (signal.SIGALRM, signal.SIGPROF):\n"
        "    signal.signal(number, signal.SIG_IGN)\nwhile True: pass",
        0,
        0,
        "did not stop",
    ),
    "loop that catches everything": (
        "while True:\n    try:\n        while True: sum(range(9))\n    except BaseException: pass",
        0,
        0,
        "did not stop",
    ),
    "sleep": ("import time\ntime.sleep(10**6)", 0, 3, "NameError"),
    "slow answer": ("def square(x):\n    while True: pass", 0, 3, "CellTimeout"),
    # --- processes ---
    "fork bomb": ("import os\nwhile True: os.fork()", 0, 0, "not reached"),
    "processes that stay": (
        "import subprocess\n[subprocess.Popen(['sleep', '86399']) for _ in range(5)]" + HONEST,
        2,
        3,
        "",
    ),
    "daemon": (
        "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        import time; time.sleep(86399)\n    os._exit(0)" + HONEST,
        2,
        3,
        "",
    ),
    "threads that stay": (
        "import threading\ndef turn():\n    while True: pass\n"
        "threading.Thread(target=turn).start()" + HONEST,
        2,
        3,
        "",
    ),
    "many threads": (
        "import threading, time\nfor _ in range(10**5):\n"
        "    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
        0,
        None,
        "",
    ),
    "kill the parent": (tried("import os\nos.kill(os.getppid(), 9)"), 2, 3, ""),
    "kill everything": (tried("import os\nos.kill(-1, 9)"), 2, 3, ""),
    "sys.exit": ("import sys\nsys.exit(0)", 0, 3, "NameError"),
    "os._exit": ("import os\nos._exit(0)", 0, 0, "ended its own process"),
    "abort": ("import os\nos.abort()", 0, 0, "ended its own process"),
    "segmentation fault": ("import ctypes\nctypes.string_at(0)", 0, 0, "ended its own process"),
    "atexit": ("import atexit, time\natexit.register(time.sleep, 86399)" + HONEST, 2, 3, ""),
    # --- memory, disk, output ---
    "memory, bit by bit": (
        "held = []\nwhile True: held.append(bytearray(10**8))",
        0,
        3,
        "NameError",
    ),
    "memory, all at once": ("import numpy\nnumpy.ones(10**12)", 0, 3, "NameError"),
    "shared memory": (
        "f = open('/dev/shm/a', 'wb')\nwhile True: f.write(bytes(10**6))",
        0,
        3,
        "NameError",
    ),
    "a full disk": ("f = open('a', 'wb')\nwhile True: f.write(bytes(10**6))", 0, 3, "NameError"),
    "a hundred thousand files": ("for k in range(10**5): open(str(k), 'w')", 0, 3, "NameError"),
    "gigabytes of output": ("while True: print('x' * 10**6)", 0, 3, "NameError"),
    "output past Python": (
        "import os\nfor _ in range(100): os.write(1, b'x' * 10**5)" + HONEST,
        2,
        3,
        "",
    ),
    "deep recursion": ("def f(): f()\nf()", 0, 3, "NameError"),
    # --- what is not theirs ---
    "read the course": ("import os\nos.listdir(COURSE)", 0, 3, "NameError"),
    "read the solutions": (
        "import glob\nfor place in (COURSE, COURSE + '/..', '/root', '/home', '/tmp'):\n"
        "    assert not glob.glob(place + '/**/tiny.ipynb', recursive=True)" + HONEST,
        2,
        3,
        "",
    ),
    "read the gradebook": (
        "import sqlite3\nsqlite3.connect(COURSE + '/gradebook.db').execute('select * from grade')",
        0,
        3,
        "NameError",
    ),
    "read the checks from memory": (
        "import gc\nfor one in gc.get_objects():\n    if type(one) is dict and 'cells' in one:\n"
        "        assert 'these are no ' + 'squares' not in repr(one)" + HONEST,
        2,
        3,
        "",
    ),
    "delete everything": (
        "import shutil\nfor place in ('/tmp', '/dev', '/work', '/etc'):\n"
        "    shutil.rmtree(place, ignore_errors=True)" + HONEST,
        2,
        3,
        "",
    ),
    "write to the system": ("open('/usr/lib/here', 'w')", 0, 3, "NameError"),
    "write to the environment": (
        "import torch\nopen(torch.__file__, 'a').write('raise SystemExit')",
        0,
        3,
        "NameError",
    ),
    "other processes": (
        "import os\nassert not [p for p in os.listdir('/proc') if p.isdigit()]" + HONEST,
        2,
        3,
        "",
    ),
    "what others left": (
        "import os\nassert os.listdir('/dev/shm') == []\nassert os.listdir('/tmp') == ['work']"
        + HONEST,
        2,
        3,
        "",
    ),
    "secrets of the environment": (
        "import os\nassert 'SECRET' not in os.environ and '/root' not in os.environ['PATH']"
        + HONEST,
        2,
        3,
        "",
    ),
    "network": (
        "import socket\nfor family in range(50):\n    try:\n        socket.socket(family)\n"
        "    except OSError:\n        continue\n    assert family == socket.AF_UNIX" + HONEST,
        2,
        3,
        "",
    ),
    "this machine's ports": (
        "import socket\nsocket.create_connection(('127.0.0.1', PORT))",
        0,
        3,
        "before it, square ended with PermissionError",
    ),
    "memory that nobody counts": (
        "import ctypes, mmap, os\nlibc = ctypes.CDLL(None)\nfor take in (\n"
        "    lambda: os.memfd_create('a'), lambda: mmap.mmap(-1, 4096),\n"
        "    lambda: mmap.mmap(os.open('/dev/zero', os.O_RDWR), 4096),\n"
        "    lambda: mmap.mmap(-1, 1 << 21, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000),\n"
        "):\n    try:\n        take()\n    except OSError:\n        continue\n    assert False\n"
        "assert {libc.shmget(0, 4096, 0o1600), libc.msgget(0, 0o1600), libc.inotify_init1(0),\n"
        "    libc.semget(0, 1, 0o1600), libc.mq_open(b'/a', 66, 0o600, None)} == {-1}" + HONEST,
        2,
        3,
        "",
    ),
    "memory in sockets": (
        "import socket\nheld = []\nwhile True:\n    held.append(socket.socketpair())\n"
        "    held[-1][0].setblocking(False)\n    held[-1][0].send(bytes(10**5))",
        0,
        3,
        "before it, square ended with OSError",
    ),
    "memory in sockets that wait": (
        "import socket\ndoor = socket.socket(socket.AF_UNIX)\ndoor.bind('door')\n"
        "door.listen(4096)\nwhile True:\n    one = socket.socket(socket.AF_UNIX)\n"
        "    one.connect('door')\n    one.setblocking(False)\n    one.send(bytes(10**5))\n"
        "    one.close()",
        0,
        0,
        "MB of memory",
    ),
    "new namespaces": (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "assert libc.unshare(0x10000000) != 0\n"
        "assert libc.syscall((1 << 30) + 272, 0x10000000) != 0 and ctypes.get_errno() == 1"
        + HONEST,
        2,
        3,
        "",
    ),
    "mounts": (
        "import ctypes\nassert ctypes.CDLL(None).mount(b'a', b'/tmp', b'tmpfs', 0, None) != 0"
        + HONEST,
        2,
        3,
        "",
    ),
    "tracing": (
        "import ctypes\nassert ctypes.CDLL(None).ptrace(0, 0, 0, 0) != 0" + HONEST,
        2,
        3,
        "",
    ),
    "links": (
        "import os\nos.remove('data.csv')\nos.symlink('/etc/passwd', 'data.csv')" + HONEST,
        2,
        3,
        "",
    ),
    # --- the judge ---
    "patched numpy": ("np.allclose = np.shape = lambda *a, **k: (4,)" + WRONG, 0, 3, "no squares"),
    "patched torch": (
        "import torch\ntorch.allclose = lambda *a, **k: True" + WRONG,
        0,
        3,
        "no squares",
    ),
    "patched builtins": (
        "import builtins\nbuiltins.abs = lambda x: 0\nbuiltins.AssertionError = Warning" + WRONG,
        0,
        3,
        "no squares",
    ),
    "patched worker": (
        "import sys\nsession = sys.modules['grading.session']\nsession.plain = lambda *a: 1\n"
        "session.Session._record = lambda *a: b'{\"points\": 99}\\n'",
        0,
        0,
        "ended its own process",
    ),
    "forged records": (
        "import os, json\nforged = {'id': 'square-test', 'points': 495, 'seconds': 0}\n"
        "forged['answers'] = {'squares': 'yes', 'others': None}\n"
        "os.write(3, json.dumps(forged).encode() + b'\\n')" + HONEST,
        0,
        3,
        "one square",
    ),
    "garbage in the channel": ("import os\nos.write(3, b'\\xff\\n' * 1000)" + HONEST, 2, 3, ""),
    "nested garbage in the channel": (
        "import os\nos.write(3, b'[' * 10**6 + b'\\n')" + HONEST,
        2,
        3,
        "",
    ),
    "garbage that is nested just so": (
        "import os\nfor k in range(20, 1200, 3):\n"
        "    os.write(3, b'{\"a\":' + b'[' * k + b']' * k + b'}\\n')" + HONEST,
        2,
        3,
        "",
    ),
    "a flood in the channel": (
        "import os\nwhile True: os.write(3, b'x' * 10**6)",
        0,
        0,
        "handed back more than",
    ),
    "closed channel": ("import os\nos.closerange(0, 64)" + HONEST, 0, 0, "ended its own process"),
    "input transformers": (
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['squares = 1'])" + HONEST,
        2,
        0,  # their own next cell they have changed
        "",
    ),
    "an answer that lies": (
        "class Lie(np.ndarray):\n    __eq__ = lambda *a: True\n    __array_ufunc__ = None\n"
        "def square(x):\n    return np.zeros(4).view(Lie)",
        0,
        3,
        "no squares",
    ),
    "an answer that is code": (
        "class Evil:\n    def __reduce__(self): return (print, ('x',))\n"
        "def square(x):\n    return Evil()",
        0,
        3,
        "must be numbers",
    ),
    "an answer of a gigabyte": ("def square(x):\n    return np.zeros(10**8)", 0, 3, "MemoryError"),
    "an answer of 16 megabytes": (
        "def square(x):\n    return np.ones(2 * 10**6)",
        0,
        3,
        "squares is too large: 2,000,000 numbers, 15 MB",
    ),
    "an answer of objects": (
        "def square(x):\n    return np.array([{}] * 4)",
        0,
        3,
        "must be numbers",
    ),
    "a wrong shape": ("def square(x):\n    return (x * x)[:, None]", 0, 3, "one square for each"),
    "only what can be seen": (
        "def square(x):\n    return np.arange(4.0) ** 2",
        0,
        3,
        "negative numbers",
    ),
    # --- honest, though odd ---
    "warnings": (
        "import warnings, sys\nwarnings.warn('old')\nprint('!', file=sys.stderr)" + HONEST,
        2,
        3,
        "",
    ),
    "magics": ("%matplotlib inline\n!rm -rf /" + HONEST, 2, 3, ""),
    "a cell magic around it all": ("%%time" + HONEST, 2, 3, ""),
    "a captured cell": ("%%capture" + HONEST, 2, 3, ""),
    "await at the top": ("import asyncio\nawait asyncio.sleep(0)" + HONEST, 2, 3, ""),
    "workers for data": (
        "import torch\nfrom torch.utils.data import DataLoader\n"
        "assert len(list(DataLoader(torch.ones(4, 1), num_workers=2))) == 4" + HONEST,
        2,
        3,
        "",
    ),
    "an answer that is no plain data": (
        "def square(x):\n    return 10**5000",
        0,
        3,
        "squares is an integer of 16,610 bits; at most 4,096",
    ),
    "a list in itself": (
        "def square(x):\n    x = []\n    x.append(x)\n    return x",
        0,
        3,
        "nested at most 4 deep",
    ),
    "an answer that raises": (
        "class Lie:\n    def lie(self, *_): raise SystemExit\n"
        "    __str__ = __repr__ = __iter__ = __len__ = keys = lie\n"
        "    dtype = __class__ = property(lie)\ndef square(x): return Lie()",
        0,
        3,
        "squares is a Lie",
    ),
    "an error that raises": (
        "class Lie(Exception):\n    def __str__(self): raise SystemExit\nraise Lie",
        0,
        3,
        "before it, square ended with Lie",
    ),
    "asks for input": ("input('your name')", 0, 3, "NameError"),
    "no Python": ("def square(x) return", 0, 3, "square ended with SyntaxError"),
    "a base exception": ("class Stop(BaseException): pass\nraise Stop", 0, 3, "NameError"),
    "script in the output": ("print('<script>alert(1)</script>')" + HONEST, 2, 3, ""),
}


def _without_tests():
    notebook = answer()
    notebook.cells = [c for c in notebook.cells if not (name(c) or "").endswith("-test")]
    return notebook


def _test_that_passes():
    notebook = answer(square=WRONG)
    cell(notebook, "square-test").source = "# --- answers\nsquares = 1\n# --- check\npass"
    return notebook


def _forged_points():
    notebook = answer(total="def total(x):\n    return 0.0")
    for c in notebook.cells:
        if c.metadata.get("nbgrader", {}).get("points"):
            c.metadata.nbgrader.points = 495
    return notebook


def _copied_cells():
    notebook = answer()
    notebook.cells += [nbformat.from_dict(c) for c in answer(square=WRONG).cells]
    return notebook


def _reversed():
    notebook = answer()
    notebook.cells.reverse()
    return notebook


def _retyped():
    notebook = answer()
    solution = cell(notebook, "square")
    solution.cell_type = "markdown"
    return notebook


def _stolen_id():
    notebook = answer(square=WRONG)
    cell(notebook, "total").metadata.nbgrader.grade_id = "square-test"
    return notebook


def _edited_start():
    notebook = answer()
    cell(notebook, "start").source = "raise SystemExit"
    return notebook


def _own_cells():
    notebook = answer(square="def square(x):\n    return helper(x)")
    notebook.cells.insert(2, new_code_cell("def helper(x):\n    return x * x"))
    return notebook


def _script_everywhere():
    notebook = answer(
        why="<script>alert(1)</script><img src=x onerror=alert(1)> [a](javascript:alert(1))"
    )
    script = {"text/html": "<script>alert(1)</script>"}
    for c in notebook.cells:
        if c.cell_type == "code":
            c.outputs = [new_output("display_data", data=script)]
    return notebook


def _strange_types():
    notebook = json.loads(nbformat.writes(answer()))
    notebook["cells"] += [
        None,
        3,
        {"source": {"a": 1}, "metadata": []},
        {"cell_type": "code", "source": [1]},
    ]
    return notebook


def _halves(name, first, second, *between):
    """A cell split by JupyterLab; both halves carry its id."""
    notebook = answer()
    place = notebook.cells.index(cell(notebook, name))
    halves = [nbformat.from_dict(cell(notebook, name)) for _ in range(2)]
    halves[0].source, halves[1].source = first, second
    halves[1].id = "second-half"
    notebook.cells[place : place + 1] = [halves[0], *between, halves[1]]
    return notebook


def _split_solution():
    return _halves("square", "power = 2", "def square(x):\n    return x**power")


def _split_function():
    return _halves("square", "def square(x):", "    return x * x")


def _answer_below_the_stub():
    notebook = answer(square="def square(x):\n    raise NotImplementedError()")
    notebook.cells.insert(3, new_code_cell(SQUARE))
    return notebook


def _half_answer_below():
    stub = "raise NotImplementedError()"
    return _halves("square", stub, SQUARE, new_markdown_cell("My answer:"))


def _words_below_the_stub():
    notebook = answer(why="YOUR ANSWER HERE")
    notebook.cells.append(new_markdown_cell("They grow, since each is added to."))
    return notebook


def _words_in_halves():
    return _halves("why", "YOUR ANSWER HERE", "They grow.", new_markdown_cell("First:"))


def _pasted_picture():
    notebook = answer(why="See ![this](attachment:image.png) and ![that](attachment:gone.png)")
    picture = {"image.png": {"image/png": PNG}, "a.svg": {"image/svg+xml": "<svg onload=alert(1)>"}}
    cell(notebook, "why")["attachments"] = picture
    return notebook


def _large_outputs():
    notebook = answer()
    cell(notebook, "square").outputs = [new_output("stream", text="x" * (6 << 20))]
    return notebook


def _metadata_lost():
    """As some editors save it: nbgrader's metadata are gone, the ids of the cells are not."""
    notebook = answer()
    for one in notebook.cells:
        one.metadata.pop("nbgrader", None)
    return notebook


def _words(text):
    return lambda: answer(why=text)


def _edited_import():
    notebook = answer(square="import math\n" + SQUARE)
    cell(notebook, "start").source += "\nimport math"
    return notebook


def _deep_metadata(depth):
    def make():
        notebook = json.loads(nbformat.writes(answer()))
        nested = 1
        for _ in range(depth):
            nested = [nested]
        notebook["cells"][0]["metadata"]["deep"] = nested
        return notebook

    return make


# What is done, then points for both questions.
SHAPES = {
    "a solution split in two": (_split_solution, 2, 3),
    "a function split through its middle": (_split_function, 2, 3),
    "the answer in a new cell below the stub": (_answer_below_the_stub, 2, 3),
    "the answer in the second half of the stub": (_half_answer_below, 2, 3),
    "words in a new cell below the stub": (_words_below_the_stub, 2, 3),
    "words in halves": (_words_in_halves, 2, 3),
    "a picture pasted into an answer": (_pasted_picture, 2, 3),
    "outputs of six megabytes": (_large_outputs, 2, 3),
    "metadata lost by an editor": (_metadata_lost, 2, 3),
    "an import added to a locked cell": (_edited_import, 2, 3),
    "a megabyte of words": (_words("word " * 200_000), 2, 3),
    "formulas without end": (_words("\\(" * 20_000), 2, 3),
    "brackets without end": (_words("[" * 20_000), 2, 3),
    "metadata nested 500 deep": (_deep_metadata(500), 2, 3),
    "tests deleted": (_without_tests, 2, 3),
    "a test rewritten so that it passes": (_test_that_passes, 0, 3),
    "points forged": (_forged_points, 2, 0),
    "cells copied": (_copied_cells, 2, 3),
    "cells reversed": (_reversed, 2, 3),
    "a solution retyped as text": (_retyped, 2, 3),
    "a grade id stolen": (_stolen_id, 0, 0),
    "a locked cell edited": (_edited_start, 2, 3),
    "cells added": (_own_cells, 2, 3),
    "script in text and outputs": (_script_everywhere, 2, 3),
    "cells of strange types": (_strange_types, 2, 3),
}
FILES = {
    "empty": (b"", "no notebook"),
    "not JSON": (b"%PDF-1.7 homework", "no notebook"),
    "nested without end": (b'{"cells": ' + b"[" * 200_000, "no notebook"),
    "cells that are no list": (b'{"cells": {"a": 1}}', "no notebook"),
    "nested 990 deep": (b'{"cells": ' + b"[" * 990 + b"]" * 990 + b"}", "no"),
    "too large": (b'{"cells": []}' + b" " * (65 << 20), "larger than 64 MB"),
    "too much text": (
        b'{"cells": [{"cell_type": "code", "source": "' + b"x" * (6 << 20) + b'"}]}',
        "larger than 5 MB",
    ),
    "too many cells": (b'{"cells": [' + b"{}," * 1000 + b"{}]}", "1,001 cells"),
    "another problem set": (
        b'{"cells": [{"cell_type": "code", "source": "1"}]}',
        "belongs to tiny",
    ),
}
