"""A notebook's code does in the sandbox what it does in a notebook; a cell costs only itself."""

import contextlib
import json
import os
import subprocess
import sys

import pytest
from grading.jail import Jail
from grading.session import ALLOWED, LARGEST_INTEGER

SECONDS = 3


@pytest.fixture(scope="module")
def jail(sandbox):
    with Jail({"cell_seconds": SECONDS, "seconds": 60, "megabytes": 900}) as jail:
        yield jail


@pytest.fixture(scope="module")
def run(jail):
    """Run cells, each a text or a whole cell; the record of each that came to its end."""

    def run(*cells, files=None):
        cells = [{"code": cell} if isinstance(cell, str) else cell for cell in cells]
        cells = [{"id": str(number)} | cell for number, cell in enumerate(cells)]
        result = jail.run({"cells": cells, "files": files or {}})
        assert result["ended"] is None
        return [record for record in result["records"] if "seconds" in record]

    return run


def answers(code, *names):
    return {"code": code, "answers": list(names)}


# Cells of a student's, then what the last of them shows; all of them come to their end.
NOTEBOOKS = {
    "a last expression": (["1 + 1"], "2\n"),
    "a semicolon": (["1 + 1;"], ""),
    "None": (["None"], ""),
    "%%time": (["%%time\nx = 5", "x"], "5\n"),
    "%time, assigned": (["def f(): return 7\nx = %time f()", "x"], "7\n"),
    "%%capture": (
        ["%%capture said\nprint('hidden')\ny = 2", "y, said.stdout"],
        "(2, 'hidden\\n')\n",
    ),
    "%timeit": (["a = []\n%timeit -n 2 -r 1 a.append(1)", "len(a)"], "2\n"),
    "%%timeit": (["%%timeit -n 1 -r 1 a = []\na.append(1)", "'went on'"], "'went on'\n"),
    "%matplotlib": (["%matplotlib inline\nx = 1\n%matplotlib notebook", "x"], "1\n"),
    "%pylab": (["%pylab inline\nx = linspace(0, 1, 3)", "float(x.sum())"], "1.5\n"),
    "%config": (["%config InlineBackend.figure_format = 'retina'\nx = 3", "x"], "3\n"),
    "%config of nothing": (["%config Nothing.at_all = 1\nx = 3", "x"], "3\n"),
    "%%writefile": (["%%writefile helper.py\nthree = 3", "import helper\nhelper.three"], "3\n"),
    "%run": (["%%writefile own.py\nfour = 4", "%run own.py", "four"], "4\n"),
    "%load_ext": (["%load_ext autoreload\n%autoreload 2\nx = 4", "x"], "4\n"),
    "%load_ext of nothing": (["%load_ext no_such_thing\nx = 4", "x"], "4\n"),
    "%watermark": (["%load_ext watermark\n%watermark -v\nx = 6", "x"], "6\n"),
    "%tensorboard": (["%tensorboard --logdir runs\nx = 6", "x"], "6\n"),
    "%precision": (["%precision 2", "3.14159"], "3.14\n"),
    "%env": (["%env ONE=1", "import os\nos.environ['ONE']"], "'1'\n"),
    "%cd": (["import os\nos.mkdir('a')\n%cd -q a", "os.getcwd()"], "'/tmp/work/a'\n"),
    "%history": (["x = 1", "%history"], "x = 1\n%history\n"),
    "%%memit": (["%%memit\nx = 5", "x"], "5\n"),
    "%%prun": (["%%prun -q\nx = 5", "x"], "5\n"),
    "rich": (["from rich.progress import track\nlist(track([1]))\nx = 1", "x"], "1\n"),
    "%%python": (["%%python\nprint(6 * 7)"], "42\n"),
    "%reset": (["x = 1\n%reset -f", "'x' in globals()"], "False\n"),
    "help": (["def f():\n    'Does it.'", "f?"], "Does it."),
    "source": (["def f():\n    return 1", "f??"], "return 1"),
    "_": (["3", "_ + 1"], "4\n"),
    "Out": (["3", "Out[1] + 1"], "4\n"),
    "In": (["3", "In[1]"], "'3'\n"),
    "display": (["display('one')\ndisplay(2)"], "'one'\n2\n"),
    "display of a table": (
        ["import pandas as pd\ndisplay(pd.DataFrame({'a': [1]}))"],
        "   a\n0  1\n",
    ),
    "clear_output": (
        ["from IPython.display import clear_output\nprint('old')\nclear_output()\nprint('new')"],
        "new\n",
    ),
    "await": (["import asyncio\nawait asyncio.sleep(0, 'slept')"], "'slept'\n"),
    "async for": (
        ["async def g():\n    yield 1\nasync for one in g():\n    print(one)"],
        "1\n",
    ),
    "tasks": (
        [
            "import asyncio\nasync def f():\n    return 8\ntask = asyncio.create_task(f())",
            "await task",
        ],
        "8\n",
    ),
    "the source of a function": (
        ["def f():\n    return 1", "import inspect\nprint(inspect.getsource(f))"],
        "def f():\n    return 1\n\n",
    ),
    "tqdm of notebooks": (
        ["from tqdm.notebook import tqdm, trange\nx = [k for k in tqdm(range(3))]", "x"],
        "[0, 1, 2]\n",
    ),
    "progress, its last state": (["print('1%\\r2%\\r3%')"], "3%\n"),
    "automagic": (["pwd"], "'/tmp/work'\n"),
    "%%html": (["%%html\n<b>bold</b>", "'on'"], "'on'\n"),
    "%%javascript": (["%%javascript\nalert(1)", "'on'"], "'on'\n"),
    "exit": (["exit()", "'on'"], "'on'\n"),
}


@pytest.mark.parametrize("kind", NOTEBOOKS)
def test_notebook(run, kind):
    cells, shown = NOTEBOOKS[kind]
    records = run(*cells)
    assert [record["error"] for record in records] == [None] * len(cells)
    text = records[-1]["text"]
    assert shown in text if "?" in cells[-1] else text == shown


PICKLES = {
    "pickle": "import pickle\nagain = pickle.loads(pickle.dumps(Own()))",
    "copy": "import copy\nagain = copy.deepcopy(Own())",
    "joblib": "import joblib\njoblib.dump(Own(), 'own')\nagain = joblib.load('own')",
    "torch": "import torch\ntorch.save(Own(), 'own')\n"
    "again = torch.load('own', weights_only=False)",
}


@pytest.mark.parametrize("kind", PICKLES)
def test_objects_of_own_classes_can_be_saved(run, kind):
    *_, record = run("class Own:\n    x = 3", PICKLES[kind], "again.x")
    assert record["text"] == "3\n"


# What asks for a shell: the line that says it, and what comes of it.
COMMANDS = ["!ls", "%ls", "!!ls", "%sx ls", "%system ls", "%pip install x", "%conda install x"]
COMMANDS += ["!pip install x", "%%bash\nls", "%%sh\nls", "%%script bash\nls", "pip install x"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_and_one_line_says_so(run, command):
    _, record = run("open('a-file', 'w').close()", command)
    assert record["error"] is None
    line, *rest = record["text"].splitlines()
    assert line.endswith(": the grader runs no shell commands")
    assert rest in ([], ["[]"])
    assert "a-file" not in record["text"]


@pytest.mark.parametrize("command", ["!ls", "%sx ls", "%system ls"])
def test_a_command_that_is_assigned_gives_an_empty_list(run, command):
    *_, record = run(f"files = {command}", answers("empty = list(files)", "empty"))
    assert record["answers"] == {"empty": {"list": []}}


class TestPictures:
    def test_open_figures_and_shown_ones(self, run):
        draw = "import matplotlib.pyplot as plt\nplt.plot([1, 2])"
        both = f"{draw}\nplt.show()\nplt.plot([2, 1])\nplt.show()"
        records = run(draw, both, f"{draw}\nplt.gcf()", f"{draw}\ndisplay(plt.gcf())")
        assert [len(record["pictures"]) for record in records] == [1, 2, 1, 1]
        assert [record["error"] for record in records] == [None] * 4

    def test_at_most_four(self, run):
        each = "for k in range(9):\n    plt.figure()\n    plt.plot([k])"
        (record,) = run(f"import matplotlib.pyplot as plt\n{each}")
        assert len(record["pictures"]) == 4

    def test_many_large_ones_are_dropped_and_cost_no_points(self, run):
        noise = "import numpy as np, matplotlib.pyplot as plt\nr = np.random.default_rng(0)\n"
        noise += "for k in range(4):\n    plt.figure(figsize=(8, 6), dpi=70)\n"
        noise += "    plt.axes((0, 0, 1, 1)).imshow(r.random((420, 560, 3)))"
        *records, last = run(*[noise] * 8, answers("x = 1", "x"))
        kept = sum(len(p) * 3 // 4 for record in records for p in record["pictures"])
        assert 4 << 20 < kept <= 8 << 20
        assert last["answers"] == {"x": 1}

    def test_a_figure_that_cannot_be_drawn_costs_nothing(self, run):
        bad = "import matplotlib.pyplot as plt\nplt.title('$\\\\frac{$')\nx = 1"
        first, second = run(bad, answers("y = x", "y"))
        assert (first["error"], first["pictures"], second["answers"]) == (None, [], {"y": 1})


class TestInstructor:
    """Locked cells and answers run without IPython, which a student could have changed."""

    @pytest.mark.parametrize("flag", [{"locked": True}, {"answers": ["x"]}])
    def test_input_transformers_do_not_reach_them(self, run, flag):
        own = "get_ipython().input_transformers_post.append(lambda lines: ['x = 99'])"
        _, locked, record = run(own, {"code": "x = 1"} | flag, answers("y = x", "y"))
        assert locked["error"] is None
        assert record["answers"] == {"y": 1}

    def test_ast_transformers_and_run_cell_do_not_either(self, run):
        own = "shell = get_ipython()\nshell.ast_transformers.append(1)\nshell.run_cell = print"
        _, record = run(own, answers("y = 2", "y"))
        assert record["answers"] == {"y": 2}

    def test_a_locked_cell_shows_its_last_expression(self, run):
        assert run({"code": "x = 4\nx", "locked": True})[0]["text"] == "4\n"

    def test_functions_that_display_can_be_called(self, run):
        shows = "def f():\n    display(1)\n    return get_ipython() is not None"
        assert run(shows, answers("x = f()", "x"))[1]["answers"] == {"x": True}


# Code, then name and message of its error. It stands in the record and nowhere else.
ERRORS = {
    "an error": ("1 / 0", "ZeroDivisionError", "division by zero"),
    "of syntax": ("x = = 1", "SyntaxError", "invalid syntax (cell 1, line 1)"),
    "of indentation": ("if 1:\nx", "IndentationError", "expected an indented block"),
    "in a magic": ("%%capture\n1 / 0", "ZeroDivisionError", "division by zero"),
    "in a script": ("%run nothing.py", "", "nothing.py"),
    "unknown magic": ("%no_such_magic", "UsageError", "no_such_magic"),
    "SystemExit": ("raise SystemExit(3)", "SystemExit", "3"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
    "recursion": ("def f(): f()\nf()", "RecursionError", "maximum recursion depth"),
    "memory": ("x = bytearray(1 << 40)", "MemoryError", ""),
    "small memory": (
        "held = []\nwhile True:\n    held.append(bytes(5000))",
        "MemoryError",
        "",
    ),
    "colab": ("from google.colab import drive", "ModuleNotFoundError", "google"),
    "a group": (
        "raise ExceptionGroup('two', [ValueError('one'), TypeError('other')])",
        "ExceptionGroup",
        "two (2 sub-exceptions); ValueError: one; TypeError: other",
    ),
    "__str__ that raises": (
        "class E(Exception):\n    def __str__(self): 1 / 0\nraise E",
        "E",
        "its message could not be made: ZeroDivisionError",
    ),
    "__str__ that exits": (
        "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E",
        "E",
        "its message could not be made: SystemExit",
    ),
    "__str__ without end": (
        "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
        "E",
        "its message could not be made: CellTimeout",
    ),
    "__str__ that is no text": (
        "class E(Exception):\n    def __str__(self): return 3\nraise E",
        "E",
        "its message could not be made: TypeError",
    ),
    "__class__ that lies": (
        "class E(Exception):\n    __class__ = int\nraise E('here')",
        "E",
        "here",
    ),
    "__bool__ that raises": (
        "class E(Exception):\n    def __bool__(self): 1 / 0\nraise E('here')",
        "E",
        "here",
    ),
    "a traceback of its own": (
        "class E(Exception):\n    def _render_traceback_(self): 1 / 0\nraise E('here')",
        "E",
        "here",
    ),
    "__name__ that raises": (
        "class M(type):\n    @property\n    def __name__(self): 1 / 0\n"
        "class E(Exception, metaclass=M): pass\nraise E('here')",
        "E",
        "here",
    ),
    "half a surrogate pair": ("raise ValueError('\\ud800')", "ValueError", "\\ud800"),
    "a repr that raises": (
        "class R:\n    def __repr__(self): 1 / 0\nR()",
        "ZeroDivisionError",
        "division by zero",
    ),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_error(run, kind):
    code, name, message = ERRORS[kind]
    first, second = run(code, answers("fine = 1", "fine"))
    assert name in first["error"]["name"]
    assert message in first["error"]["message"]
    assert (first["text"], second["answers"]) == ("", {"fine": 1})


def test_only_own_lines_stand_in_an_error(run):
    code = "import json\ndef f(x):\n    return json.loads(x)\nf('[')"
    assert run(code)[0]["error"]["lines"] == ["line 4, in <module>", "line 3, in f"]


LIES = "class Lie{}:\n    def lie(self, *_): raise SystemExit\n"
LIES += "    __str__ = __repr__ = __iter__ = __len__ = __getitem__ = __eq__ = keys = items = lie\n"
LIES += "    __hash__ = object.__hash__\n    dtype = shape = __class__ = property(lie)\n"
BAD = f"{ALLOWED}; x is a "
# Code that sets x, and what the message says.
UNFIT = {
    "a large integer": ("x = 10**5000", "x is an integer of 16,610 bits; at most 4,096"),
    "a large integer in a list": ("x = [1, -2**4097]", "x[1] is an integer of 4,098 bits"),
    "a list in itself": ("x = []\nx.append(x)", "nested at most 4 deep; x[0][0][0][0] is deeper"),
    "a deep list": ("x = 1\nfor _ in range(10**5): x = [x]", "nested at most 4 deep"),
    "a generator": ("x = (k for k in 'ab')", BAD + "generator (list(x) makes one of it)"),
    "a set": ("x = {1}", BAD + "set (sorted(x) makes one of it)"),
    "bytes": ("x = b'a'", BAD + "bytes"),
    "a complex number": ("x = 1j", BAD + "complex"),
    "complex numbers": ("import numpy as np\nx = np.ones(2) * 1j", "x is an array of complex128"),
    "dates": ("import numpy as np\nx = np.zeros(2, 'M8[s]')", "x is an array of datetime64[s]"),
    "a date": ("import datetime\nx = datetime.datetime.now()", BAD + "datetime"),
    "a tensor": ("import torch\nx = torch.ones(2)", BAD + "Tensor (x.item() or"),
    "a half tensor": ("import torch\nx = torch.ones(2).bfloat16()", BAD + "Tensor"),
    "a series": ("import pandas\nx = pandas.Series([1])", BAD + "Series (x.to_numpy()"),
    "a table": ("import pandas\nx = pandas.DataFrame()", BAD + "DataFrame (x.to_numpy()"),
    "an object": (LIES.format("") + "x = Lie()", BAD + "Lie"),
    "a bad key": (LIES.format("") + "x = {Lie(): 1}", "x has a key (Lie) that is no text"),
    "a bad item": ("x = {'a': [1, {2}]}", "x['a'][1] is a set"),
    "a function": ("def x(): pass", BAD + "function"),
    "a class": ("class x: pass", BAD + "type"),
    "a large array": ("import numpy as np\nx = np.ones(10**6)", "x is too large: 1,000,000"),
    "many axes": ("import numpy as np\nx = np.ones((1,) * 9)", "x has 9 axes, more than 8"),
    "a long text": ("x = 'a' * (13 << 20)", "takes 13 MB, more than 12"),
    "a wide list": ("x = [[[[1] * 99] * 99] * 99] * 99", ""),
    "nothing": ("if False: x = 1", "this cell has set no x"),
    "a property of type": (
        "class M(type):\n    @property\n    def __name__(self): 1 / 0\n"
        "class C(metaclass=M): pass\nx = C()",
        BAD + "C",
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_an_answer_that_is_no_plain_data_costs_its_cell_alone(run, kind):
    code, words = UNFIT[kind]
    before, cell, after = run(
        answers("a = 1", "a"), answers(code, "x"), answers("b = [2, 'three']", "b")
    )
    assert words in cell["error"]["message"]
    assert "answers" not in cell
    assert before["answers"] == {"a": 1}
    assert after["answers"] == {"b": {"list": [2, "three"]}}


# Code that sets x, and what arrives as JSON.
FIT = {
    "the largest integer": (f"x = 2**{LARGEST_INTEGER} - 1", 2**LARGEST_INTEGER - 1),
    "not a number": ("x = [float('nan'), -float('inf')]", {"list": [float("nan"), -float("inf")]}),
    "half a surrogate pair": ("x = '\\ud800'", "\ud800"),
    "a lying text": (LIES.format("(str)") + "x = Lie('a')", "a"),
    "a lying integer": (LIES.format("(int)") + "x = Lie(3)", 3),
    "a lying float": (LIES.format("(float)") + "x = Lie(0.5)", 0.5),
    "a lying list": (LIES.format("(list)") + "x = Lie([1])", {"list": [1]}),
    "a lying tuple": (LIES.format("(tuple)") + "x = Lie([1])", {"list": [1]}),
    "a lying dict": (LIES.format("(dict)") + "x = Lie(a=1)", {"dict": [["a", 1]]}),
    "a named tuple": (
        "from collections import namedtuple\nx = namedtuple('P', 'a b')(1, 2)",
        {"list": [1, 2]},
    ),
    "odd keys": (
        "x = {1: 1, None: 2, (3, 4): 3, '\\ud800': 4}",
        {"dict": [["1", 1], ["None", 2], ["(3, 4)", 3], ["\ud800", 4]]},
    ),
    "half precision": (
        "import numpy as np\nx = np.float16(1)",
        {"array": "ADw=", "dtype": "<f2", "shape": []},
    ),
    "a scalar of NumPy's": (
        "import numpy as np\nx = np.float64(0)",
        {"array": "AAAAAAAAAAA=", "dtype": "<f8", "shape": []},
    ),
    "a text of NumPy's": ("import numpy as np\nx = np.str_('a')", "a"),
    "an enumeration": ("import enum\nclass E(enum.IntEnum):\n    A = 2\nx = E.A", 2),
    "a lying array": (
        "import numpy as np\nclass Lie(np.ndarray):\n    dtype = shape = 3\n"
        "    def __array__(self, *a, **k): raise SystemExit\nx = np.zeros(1, 'u1').view(Lie)",
        {"array": "AA==", "dtype": "|u1", "shape": [1]},
    ),
}


@pytest.mark.parametrize("kind", FIT)
def test_an_answer_that_is_plain_arrives(run, kind):
    code, expected = FIT[kind]
    (record,) = run(answers(code, "x"))
    assert record["error"] is None
    assert json.dumps(record["answers"]["x"]) == json.dumps(expected)


class TestOutput:
    def test_many_prints_hold_no_memory(self, run):
        count = "import gc\ngc.collect()\nheld = len(gc.get_objects())"
        again = f"{count.replace('held', 'then')}\nmore = then - held"
        *_, last = run(count, "for k in range(20_000): print('step', k)", answers(again, "more"))
        assert last["answers"]["more"] < 5000

    def test_loggers_of_earlier_cells_are_heard(self, run):
        *_, record = run("import logging\nlogging.basicConfig()", "logging.warning('here')")
        assert "here" in record["text"]

    def test_a_closed_stream_is_opened_again(self, run):
        *_, record = run("import sys\nprint(1)\nsys.stdout.close()", "print('on')")
        assert (record["text"], record["error"]) == ("on\n", None)

    def test_what_is_too_long_is_cut(self, run):
        (record,) = run("print('x' * 10**5)")
        assert record["text"].endswith("x\n… 34,465 characters more")

    def test_what_was_overwritten_is_gone_before_the_rest_is_cut(self, run):
        bar = "import sys\nfor k in range(10**4): sys.stdout.write(f'\\r{k}/10000 ' + '#' * 40)"
        (record,) = run(f"{bar}\nprint('\\ndone')")
        assert record["text"] == f"9999/10000 {'#' * 40}\ndone\n"

    def test_half_a_surrogate_pair_can_be_printed(self, run):
        (record,) = run("print('\\ud800')")
        assert (record["text"], record["error"]) == ("\\ud800\n", None)


class TestWorkers:
    """What needs other processes or sockets, and is what honest notebooks do."""

    def test_a_loader_with_workers(self, run):
        code = (
            "import torch\nfrom torch.utils.data import DataLoader, TensorDataset\n"
            "data = TensorDataset(torch.arange(8.0))\n"
            "x = sum(float(b.sum()) for (b,) in DataLoader(data, batch_size=2, num_workers=2))"
        )
        (record,) = run(answers(code, "x"))
        assert record.get("answers") == {"x": 28}, record

    @pytest.mark.parametrize("kind", ["loky", "threading", "multiprocessing"])
    def test_joblib(self, run, kind):
        code = (
            "from joblib import Parallel, delayed\n"
            f"x = Parallel(n_jobs=2, backend={kind!r})(delayed(f)(k) for k in range(3))"
        )
        _, record = run("def f(x):\n    return x * x", answers(code, "x"))
        assert record.get("answers") == {"x": {"list": [0, 1, 4]}}, record

    def test_a_pool(self, run):
        code = (
            "from multiprocessing import Pool\nwith Pool(2) as pool:\n    x = pool.map(abs, [-1])"
        )
        (record,) = run(answers(code, "x"))
        assert record.get("answers") == {"x": {"list": [1]}}, record

    def test_one_worker_for_each_processor_is_not_too_many(self, run):
        code = "import os\nfrom multiprocessing import Pool\nfrom joblib import cpu_count\n"
        code += (
            "with Pool() as pool:\n    x = [os.cpu_count(), cpu_count() <= 4, *pool.map(abs, [3])]"
        )
        assert run(answers(code, "x"))[0]["answers"] == {"x": {"list": [4, True, 3]}}

    def test_callbacks_of_ctypes(self, run):
        code = "import ctypes\nx = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 3)()"
        assert run(answers(code, "x"))[0]["answers"] == {"x": 3}

    def test_a_child_that_comes_back_from_its_cell_ends(self, run):
        _, record = run("import os\nos.fork()", answers("x = 1", "x"))
        assert record["answers"] == {"x": 1}


BURN = "import time\nbegin = time.process_time()\n"
BURN += "while time.process_time() - begin < {}: pass\n"
CHILD = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'while True: pass'])"
IGNORE = "import signal\nfor number in (signal.SIGALRM, signal.SIGPROF):\n"
IGNORE += "    signal.signal(number, signal.SIG_IGN)\n"


@contextlib.contextmanager
def busy():
    """Two processes on each processor that never wait."""
    loop = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(loop) for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


ENDLESS = {
    "a loop": ("while True: pass", "used more than 1 s of processor time"),
    "one that catches errors": (
        "while True:\n    try:\n        sum(range(99))\n    except Exception: pass",
        "used more than 1 s of processor time",
    ),
    "a sleeper": (
        "import time\ntime.sleep(99)",
        "took longer than 5 s, most of which it waited",
    ),
    "a task that sleeps": (
        "import asyncio\nawait asyncio.sleep(99)",
        "most of which it waited",
    ),
    "another process": (CHILD, "used more than 1 s of processor time"),
}


DEAF = {
    "a loop": (IGNORE + "while True: pass", "of processor time in all"),
    "another process": (IGNORE + CHILD, "of processor time"),
    "a sleeper": (IGNORE + "import time\ntime.sleep(99)", "longer than 5 s and did not stop"),
}


class TestTime:
    @pytest.fixture(scope="class")
    def hurried(self, sandbox):
        with Jail({"cell_seconds": 1, "seconds": 4}) as jail:
            yield jail

    @pytest.fixture
    def timed(self, hurried):
        """Run student's code and then an answer; how the first ended, and the whole result."""

        def timed(code):
            cells = [{"id": "a", "code": code}, answers("x = 1", "x") | {"id": "b"}]
            result = hurried.run({"cells": cells, "files": {}})
            done = {r["id"]: r for r in result["records"] if "seconds" in r}
            return done.get("a", {}).get("error"), done.get("b", {}).get("answers"), result["ended"]

        return timed

    def test_busy_neighbours_cost_nobody_a_point(self, timed):
        with busy():
            assert timed(BURN.format(0.8)) == (None, {"x": 1}, None)

    @pytest.mark.parametrize("kind", ENDLESS)
    def test_a_cell_without_end_costs_itself(self, timed, kind):
        code, words = ENDLESS[kind]
        error, after, ended = timed(code)
        assert (error["name"], after, ended) == ("CellTimeout", {"x": 1}, None)
        assert words in error["message"]

    def test_a_task_that_was_stopped_does_not_go_on(self, hurried):
        cells = ["import asyncio\nawait asyncio.sleep(99)", "len(asyncio.all_tasks())"]
        cells = [{"id": str(k), "code": code} for k, code in enumerate(cells)]
        assert hurried.run({"cells": cells, "files": {}})["records"][-1]["text"] == "1\n"

    @pytest.mark.parametrize("kind", DEAF)
    def test_a_cell_that_does_not_stop_ends_the_submission(self, timed, kind):
        code, words = DEAF[kind]
        error, after, ended = timed(code)
        assert (error, after) == (None, None)
        assert words in ended

    def test_all_cells_together(self, hurried):
        cells = [{"id": str(k), "code": BURN.format(0.9)} for k in range(6)]
        result = hurried.run({"cells": cells, "files": {}})
        assert result["ended"] == "used more than 4 s of processor time in all"
        assert sum("seconds" in record for record in result["records"]) == 4

    def test_the_time_of_a_cell_is_processor_time(self, run):
        burnt, slept = run(BURN.format(0.3), "time.sleep(0.3)")
        assert 0.3 <= burnt["seconds"] < 0.6
        assert slept["seconds"] < 0.2


class TestWithoutServer:
    """The same session where a sandbox is made for each job, and where there is none."""

    CELLS = ("%%time\nx = 2", "!ls", "import matplotlib.pyplot as plt\nplt.plot([1])", "1 / 0")

    @pytest.mark.parametrize("way", [{"warm": False}, {"trusted": True}], ids=["cold", "trusted"])
    def test_cells(self, sandbox, way):
        cells = [{"id": str(k), "code": code} for k, code in enumerate(self.CELLS)]
        cells += [{"id": "y", "code": "y = x + 1", "answers": ["y"]}]
        cells += [{"id": "z", "code": "while True: pass"}]
        with Jail({"cell_seconds": 2}, **way) as jail:
            result = jail.run({"cells": cells, "files": {}})
        first, refused, drawn, failed, answered, endless = result["records"][1::2]
        assert first["error"] is None
        assert "no shell commands" in refused["text"]
        assert len(drawn["pictures"]) == 1
        assert failed["error"]["name"] == "ZeroDivisionError"
        assert answered["answers"] == {"y": 3}
        assert endless["error"]["message"] == "this cell used more than 2 s of processor time"

    def test_joblib_without_server(self, sandbox):
        code = "from joblib import Parallel, delayed\n"
        code += "x = Parallel(n_jobs=2)(delayed(abs)(k) for k in (-1, 2))"
        with Jail(warm=False) as jail:
            result = jail.run({"cells": [answers(code, "x") | {"id": "x"}], "files": {}})
        assert result["records"][-1].get("answers") == {"x": {"list": [1, 2]}}, result
