"""The inside of the sandbox: run a student's cells, and hand back plain data.

This file alone enters the sandbox (see jail.py). A *server* imports PyTorch once, then forks a
child for each submission; the child moves into namespaces of its own, gives up every right, and
only then runs the student's code. So no submission sees another, the server, or the network, and
when the child ends, the kernel ends all that it started. Nothing that comes back is trusted.

Frames on standard input and output: four bytes of length, then JSON.
"""

import ast
import base64
import contextlib
import ctypes
import io
import json
import os
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import traceback

LIMIT_OF_RESULT = 8 << 20
GRACE = 3  # seconds between asking a cell to stop and stopping its process
MEGABYTE = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x08000000 | 0x40000000
PRIVATE_TREE = (1 << 18) | (1 << 14)
NO_SUID_NO_DEVICES, NO_EXEC, READ_ONLY = 2 | 4, 8, 1
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38
NEW_USER_NAMESPACE, REFUSE, ALLOW, ABSENT = 0x10000000, 0x00050001, 0x7FFF0000, 0x00050026
# Machine: its number in seccomp, `clone`, `clone3`, and the calls that are refused outright:
# unshare, setns, mount, ptrace, bpf, perf_event_open, userfaultfd, io_uring_setup, keyctl, add_key.
CALLS = {
    "x86_64": (0xC000003E, 56, 435, [272, 308, 165, 101, 321, 298, 323, 425, 250, 248]),
    "aarch64": (0xC00000B7, 220, 435, [97, 268, 40, 117, 280, 241, 282, 425, 219, 217]),
}


# --- frames -----------------------------------------------------------------------------------


def read_frame(stream):
    head = stream.read(4)
    return json.loads(stream.read(struct.unpack(">I", head)[0])) if len(head) == 4 else None


def write_frame(stream, value):
    body = json.dumps(value).encode()
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


# --- the server: one at a time, watched -----------------------------------------------------------


def warm_up():
    """What each submission would pay for by itself: imports, and an optimiser's first step."""
    import matplotlib

    matplotlib.use("Agg")
    import IPython.core.inputtransformer2  # noqa: F401
    import matplotlib.pyplot
    import pandas  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torch

    torch.set_num_threads(1)
    layer = torch.nn.Linear(2, 1)
    torch.nn.functional.mse_loss(layer(torch.ones(2, 2)), torch.ones(2, 1)).backward()
    torch.optim.AdamW(layer.parameters()).step()


def serve():
    """Answer jobs until the other side closes."""
    stdin, stdout = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    os.dup2(silence, 1)
    warm_up()
    write_frame(stdout, {"ready": True})
    while (job := read_frame(stdin)) is not None:
        write_frame(stdout, supervise(job))


def supervise(job):
    """Run one submission in a child, and end it when a limit is reached."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _become_submission(job, send)  # never returns
    os.close(send)
    try:
        return _watch(child, receive, job)
    finally:
        os.close(receive)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if not job.get("trusted"):  # else these would be everybody's processes
            _end_the_rest()


def _watch(child, receive, job):
    """Read what the child says, until it ends or must be ended; the records and the reason."""
    limits, usage = job["limits"], (lambda _: (0, 0)) if job.get("trusted") else _usage
    said, begin, reason = bytearray(), time.monotonic(), None
    last, seen = begin, 0
    while reason is None:
        ready, _, _ = select.select([receive], [], [], 0.05)
        if ready:
            part = os.read(receive, 1 << 16)
            if not part:
                break
            said += part
            if (lines := said.count(b"\n")) > seen:
                seen, last = lines, time.monotonic()
        reason = _broken_limit(usage(child), len(said), begin, last, limits)
    return {"records": [_parsed(line) for line in said.split(b"\n") if line], "ended": reason}


def _end_the_rest():
    """Wait until nothing of the submission is left; the kernel ends it, which may take a moment."""
    for _ in range(1000):
        others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != 1]
        others.remove(str(os.getpid()))
        if not others:
            return
        for name in others:
            with contextlib.suppress(OSError):
                os.kill(int(name), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        time.sleep(0.01)
    os._exit(1)  # the grader builds a new sandbox


def _broken_limit(usage, size, begin, last, limits):
    now, (processes, megabytes) = time.monotonic(), usage
    if size > LIMIT_OF_RESULT:
        return f"handed back more than {LIMIT_OF_RESULT // MEGABYTE} MB"
    if now - begin > limits["seconds"]:
        return f"ran longer than {limits['seconds']} s in all"
    if now - last > limits["cell_seconds"] + GRACE:
        return f"had a cell that ran longer than {limits['cell_seconds']} s and did not stop"
    if processes > limits["processes"]:
        return f"started more than {limits['processes']} processes"
    if megabytes > limits["megabytes"]:
        return f"held more than {limits['megabytes']} MB of memory"
    return None


def _usage(child):
    """Processes of the submission, and the MB that they hold beyond what the server gave them."""
    given = _megabytes(os.getpid())
    running = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    own = running - {1, os.getpid(), child}
    return len(own), sum(max(0, _megabytes(process) - given) for process in own)


def _megabytes(process):
    kilobytes = 0
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{process}/status") as status:
        for line in status:
            if line.startswith(("RssAnon", "RssShmem")):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def _parsed(line):
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


# --- the child: into namespaces of its own, without rights ---------------------------------------


def _become_submission(job, send):
    """In the forked child: isolate, fork into the new process namespace, run, never return."""
    try:
        send = _only_descriptor(send)
        os.setsid()
        if job.get("isolate", not job.get("trusted")):
            _leave_the_server()
            inner = os.fork()
            if inner:
                os.waitpid(inner, 0)
                os._exit(0)
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            _own_file_systems(job["limits"])
        if not job.get("trusted"):
            _give_up_rights(job["limits"])
        Session(job, send).run()
    except BaseException:
        _say(send, {"broken": traceback.format_exc()[-2000:]})
    os._exit(0)


def _only_descriptor(keep):
    """Close all but one; in particular the two that lead out of the sandbox."""
    os.dup2(keep, 3)
    os.closerange(4, 1024)
    return 3


def _checked(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _leave_the_server():
    """New user, mount, process, IPC and network namespaces, with the same user in them."""
    user, group = os.getuid(), os.getgid()
    _checked(LIBC.unshare(NEW_NAMESPACES), "unshare")
    for name, text in [
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ]:
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _own_file_systems(limits):
    """Scratch space of its own, empty and bounded; no /proc, in which the server would stand."""
    _checked(LIBC.mount(b"none", b"/", None, PRIVATE_TREE, None), "mount /")
    size = f"size={limits['disk_megabytes']}m,nr_inodes=4096".encode()
    for place in ("/tmp", "/dev/shm"):
        _mount("tmpfs", place, NO_SUID_NO_DEVICES, size)
    _mount("tmpfs", "/proc", NO_SUID_NO_DEVICES | NO_EXEC | READ_ONLY, b"size=4k")


def _mount(kind, place, flags, options=None):
    _checked(LIBC.mount(kind.encode(), place.encode(), kind.encode(), flags, options), place)


def _give_up_rights(limits):
    """Resource limits, no capabilities, and no way to gain any."""
    memory = limits["megabytes"] * MEGABYTE
    for name, value in {
        "CORE": 0,
        "NOFILE": 256,
        "FSIZE": limits["disk_megabytes"] * MEGABYTE,
        "DATA": memory,
        "CPU": limits["seconds"] + 1,
        "NPROC": limits["processes"] + 32,
    }.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    for capability in range(64):
        LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
    _checked(LIBC.capset(header, none), "capset")
    _checked(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _refuse_calls()


def _refuse_calls():
    """A seccomp filter: no namespaces, in which a process would have rights again, no tracing."""
    machine, clone, clone3, refused = CALLS[os.uname().machine]
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    program = [(load, 0, 0, 4), (equal, 1, 0, machine), (answer, 0, 0, REFUSE), (load, 0, 0, 0)]
    program += [(at_least, 0, 1, 1 << 30), (answer, 0, 0, REFUSE)]  # the same calls, as x32
    for call in refused:
        program += [(equal, 0, 1, call), (answer, 0, 0, REFUSE)]
    # libc falls back from clone3, whose flags a filter cannot see, to clone, whose it can.
    program += [(equal, 0, 1, clone3), (answer, 0, 0, ABSENT)]
    program += [(equal, 0, 3, clone), (load, 0, 0, 16), (any_bit, 0, 1, NEW_USER_NAMESPACE)]
    program += [(answer, 0, 0, REFUSE), (answer, 0, 0, ALLOW)]
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    held = ctypes.create_string_buffer(code)
    whole = struct.pack("HxxxxxxP", len(program), ctypes.addressof(held))
    _checked(LIBC.prctl(PR_SET_SECCOMP, 2, ctypes.c_char_p(whole), 0, 0), "seccomp")


# --- the student's cells ---------------------------------------------------------------------


class CellTimeout(Exception):
    """A cell ran too long."""


def _say(send, record):
    line = json.dumps(record).encode() + b"\n"
    while line:
        line = line[os.write(send, line) :]


def _workplace(job):
    if job.get("trusted"):
        return tempfile.mkdtemp()
    os.makedirs("/tmp/work", exist_ok=True)
    return "/tmp/work"


class Session:
    """One namespace, cell after cell, as in a notebook; each cell's record leaves at its end."""

    def __init__(self, job, send):
        self.job, self.send, self.limits = job, send, job["limits"]
        self.namespace = {"__name__": "__main__", "get_ipython": _Magic}
        os.chdir(_workplace(job))
        for name, content in job["files"].items():
            with open(os.path.basename(name), "wb") as file:
                file.write(base64.b64decode(content))
        os.environ.update(HOME=os.getcwd(), OMP_NUM_THREADS="1", MPLBACKEND="Agg")

    def run(self):
        signal.signal(signal.SIGALRM, self._alarm)
        for cell in self.job["cells"]:
            _say(self.send, {"start": cell["id"]})
            begin = time.perf_counter()
            record = {"id": cell["id"], **self._run_cell(cell)}
            _say(self.send, record | {"seconds": round(time.perf_counter() - begin, 3)})

    def _alarm(self, *_):
        raise CellTimeout(f"this cell ran longer than {self.limits['cell_seconds']} s")

    def _run_cell(self, cell):
        record, error = {}, None
        with Captured(self.limits["output_kilobytes"] * 1024) as captured:
            signal.setitimer(signal.ITIMER_REAL, self.limits["cell_seconds"])
            try:
                execute(cell["code"], self.namespace)
                if cell.get("answers"):
                    record["answers"] = {n: plain(self.namespace[n]) for n in cell["answers"]}
            except BaseException as raised:  # SystemExit, KeyboardInterrupt: all end a cell only
                error = _described(raised)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        return record | {"error": error, "text": captured.text, "pictures": _pictures()}


class _Magic:
    """What a line that begins with % or ! turns into: a call that does nothing."""

    def __getattr__(self, _name):
        return self

    def __call__(self, *_arguments, **_options):
        return None


def execute(code, namespace):
    """Run a cell; like a notebook it shows the value of a last expression."""
    from IPython.core.inputtransformer2 import TransformerManager

    tree = ast.parse(TransformerManager().transform_cell(code), "cell")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), namespace)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)
        if value is not None:
            print(repr(value))


def _described(raised):
    """Name, message and the student's own lines of an exception."""
    own = [f for f in traceback.extract_tb(raised.__traceback__) if f.filename == "cell"]
    lines = [f"line {frame.lineno}, in {frame.name}" for frame in own][-5:]
    return {"name": type(raised).__name__, "message": str(raised)[:2000], "lines": lines}


class Captured:
    """Both output streams into a file in memory; what is beyond the limit is cut."""

    def __init__(self, limit):
        self.limit, self.text = limit, ""

    def __enter__(self):
        # In memory, so that a full disk does not swallow the message about it.
        self.file = os.memfd_create("output") if hasattr(os, "memfd_create") else _nameless()
        os.dup2(self.file, 1)
        os.dup2(self.file, 2)
        self.stream = sys.stdout = sys.stderr = open(1, "w", closefd=False)
        return self

    def __exit__(self, *_error):
        with contextlib.suppress(Exception):
            self.stream.flush()
            size = os.fstat(self.file).st_size
            self.text = os.pread(self.file, self.limit, 0).decode("utf-8", "replace")
            if size > self.limit:
                self.text += f"\n… {size - self.limit:,} bytes more"
            os.close(self.file)


def _nameless():
    file, path = tempfile.mkstemp()
    os.unlink(path)
    return file


def _pictures(most=4):
    """The figures of a cell as PNG, and none left over for the next cell."""
    found = []
    with contextlib.suppress(Exception):
        from matplotlib import pyplot

        for number in pyplot.get_fignums()[:most]:
            buffer = io.BytesIO()
            pyplot.figure(number).savefig(buffer, format="png", dpi=70)
            found.append(base64.b64encode(buffer.getvalue()).decode())
        pyplot.close("all")
    return found


def plain(value, depth=0):
    """A value as JSON: numbers, text, arrays of numbers, and lists, tuples, dicts of these."""
    import numpy as np

    if value is None or isinstance(value, (bool, str)) or type(value) in (int, float):
        return value
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"array": data, "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, (list, tuple)) and depth < 4:
        return {"list": [plain(item, depth + 1) for item in value]}
    if isinstance(value, dict) and depth < 4:
        return {"dict": [[str(k), plain(v, depth + 1)] for k, v in value.items()]}
    raise TypeError(f"an answer must be numbers, text or NumPy arrays, got {type(value).__name__}")


def once():
    """Without a warm server: one job, in a sandbox that was made for it alone."""
    job = read_frame(sys.stdin.buffer)
    stdout = os.fdopen(os.dup(1), "wb")
    warm_up()
    write_frame(stdout, supervise(job | {"isolate": False}))


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else once()
