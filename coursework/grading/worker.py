"""The sandbox from inside: a warm server, one process for each submission, and its watcher.

A *server* imports PyTorch once, then forks a child for each submission; the child moves into
namespaces of its own, gives up every right, and only then runs the student's cells (session.py).
So no submission sees another, the server, or the network, and when the child ends, the kernel ends
all that it started. Nothing that comes back is trusted.

Frames on standard input and output: four bytes of length, then JSON.
"""

import contextlib
import ctypes
import gc
import json
import math
import os
import resource
import select
import signal
import struct
import sys
import time
import traceback

from grading.session import PATIENCE, Session, prepare, say

LIMIT_OF_RESULT, LIMIT_OF_FRAME = 32 << 20, 256 << 20
MOST_PARTS = 1_000_000  # lists and dicts of all records, each of which takes far more than its text
DEEPEST = 40  # levels of JSON in a record; an answer has 16 at most
GRACE = 3  # seconds between asking a cell to stop and stopping its process
MEGABYTE = 1 << 20
SPARE = 64 * MEGABYTE  # of memory that a cell cannot use up, to say what happened to it
SOCKET = 0.5  # MB that the kernel may hold for one, in the name of no process
TICKS = os.sysconf("SC_CLK_TCK")
LIBC = ctypes.CDLL(None, use_errno=True)
NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x08000000 | 0x40000000
PRIVATE_TREE = (1 << 18) | (1 << 14)
NO_SUID_NO_DEVICES, NO_EXEC, READ_ONLY = 2 | 4, 8, 1
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38
NEW_USER_NAMESPACE, REFUSE, ALLOW, ABSENT = 0x10000000, 0x00050001, 0x7FFF0000, 0x00050026
LOAD, AND, EQUAL, AT_LEAST, ANY_BIT, ANSWER = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
LOCAL_FAMILY, STREAM, TYPE_OF_SOCKET = 1, 1, 0xF  # AF_UNIX, SOCK_STREAM and its mask
SHARED, NAMELESS, HUGE = 0x01, 0x20, 0x40000  # flags of mmap
# The numbers of what is looked at more closely, and of what is refused outright: first what gives
# rights or sight of others, then what holds memory that no process is charged with.
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
LOOKED_AT = {
    "x86_64": {"clone": 56, "clone3": 435, "mmap": 9, "sockets": [41, 53]},
    "aarch64": {"clone": 220, "clone3": 435, "mmap": 222, "sockets": [198, 199]},
}
REFUSED = {  # call: x86_64, aarch64; None where there is no such call
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "ptrace": (101, 117),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "vmsplice": (278, 75),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "landlock_create_ruleset": (444, 444),
    "io_setup": (206, 0),
}


# --- frames -----------------------------------------------------------------------------------


def read_frame(stream):
    """The next frame; None at the end.

    Raises
    ------
    ValueError
        If the frame is whole but cannot be read.
    """
    head = stream.read(4)
    if len(head) < 4:
        return None
    size = struct.unpack(">I", head)[0]
    if size > LIMIT_OF_FRAME:
        raise ValueError(f"a frame of {size} bytes")
    body = stream.read(size)
    if len(body) < size:
        return None
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("a frame that is nested too deep") from None


def write_frame(stream, value):
    body = json.dumps(value).encode()
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


# --- the server: one at a time ----------------------------------------------------------------


def serve():
    """Answer jobs until the other side closes."""
    stdin, stdout = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    os.dup2(silence, 1)
    shell = prepare()
    gc.freeze()  # else the first collection in each child copies all memory
    write_frame(stdout, {"ready": True})
    while (job := read_frame(stdin)) is not None:
        write_frame(stdout, supervise(job, shell))


def once():
    """Without a warm server: one job, in a sandbox that was made for it alone."""
    job = read_frame(sys.stdin.buffer)
    stdout = os.fdopen(os.dup(1), "wb")
    write_frame(stdout, supervise(job | {"isolate": False}, prepare()))


def supervise(job, shell):
    """Run one submission in a child, and end it when a limit is reached."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _become_submission(job, send, shell)  # never returns
    os.close(send)
    try:
        return _watched(child, receive, job)
    finally:
        os.close(receive)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if not job.get("trusted"):  # else these would be everybody's processes
            _end_the_rest()


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


def _watched(child, receive, job):
    """Read what the child says, until it ends or must be ended; the records and the reason."""
    watcher, said, reason = Watcher(child, job), bytearray(), None
    while reason is None:
        ready, _, _ = select.select([receive], [], [], 0.05)
        if ready:
            part = os.read(receive, 1 << 16)
            if not part:
                break
            said += part
            if b"\n" in part:
                watcher.next_cell()
        reason = watcher.broken_limit(len(said))
    return {"records": list(_records(said)), "ended": reason}


def _records(said):
    """Each record; an empty one in place of what would fill the memory of who reads them all."""
    left = MOST_PARTS
    for line in filter(None, said.split(b"\n")):
        parts = line.count(b"[") + line.count(b"{")
        record = _parsed(line) if parts <= left else {}
        left -= parts if record else 0
        yield record


def _parsed(line):
    """A record of the submission's; empty if it is none, or one that could not be passed on."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) and is_shallow(record) else {}


def is_shallow(value):
    """Whether JSON is nested so little that all who read it can."""
    level = [value]
    for _ in range(DEEPEST):
        parts = (part for one in level for part in (one.values() if type(one) is dict else one))
        level = [part for part in parts if type(part) in (dict, list)]
        if not level:
            return True
    return False


# --- watching ---------------------------------------------------------------------------------


class Watcher:
    """What a submission has used so far, of what it may use.

    Time is processor time of all its processes, so that a busy machine costs nobody a point; for
    those who sleep there is a limit by the clock, several times as long.
    """

    def __init__(self, child, job):
        self.child, self.limits, self.trusted = child, job["limits"], job.get("trusted")
        self.isolated = job.get("isolate", not self.trusted)
        self.given = _megabytes(os.getpid())
        self.begin, self.used = time.monotonic(), 0.0
        self.next_cell()

    def next_cell(self):
        self.cell_begin, self.used_before, self.asked = time.monotonic(), self.used, False

    def broken_limit(self, size):
        """What the submission did too much of, in words; None if nothing."""
        own = self._processes()
        self.used = max(self.used, sum(seconds for _, seconds in own.values()))
        if size > LIMIT_OF_RESULT:
            return f"handed back more than {LIMIT_OF_RESULT // MEGABYTE} MB"
        if (reason := self._broken_time(own)) or self.trusted:
            return reason
        if len(own) > self.limits["processes"]:
            return f"started more than {self.limits['processes']} processes"
        held = sum(max(0, _megabytes(process) - self.given) for process in own)
        if held + SOCKET * _sockets(own) > self.limits["megabytes"]:
            return f"held more than {self.limits['megabytes']} MB of memory"
        return None

    def _broken_time(self, own):
        now, whole, cell = time.monotonic(), self.limits["seconds"], self.limits["cell_seconds"]
        if self.used > whole:
            return f"used more than {whole} s of processor time in all"
        if now - self.begin > PATIENCE * whole:
            return f"took longer than {PATIENCE * whole} s in all, most of which it waited"
        if self.used - self.used_before > cell + GRACE:
            return f"had a cell that used more than {cell} s of processor time and did not stop"
        if now - self.cell_begin > PATIENCE * cell + GRACE:
            return f"had a cell that took longer than {PATIENCE * cell} s and did not stop"
        if self.used - self.used_before > cell and not self.asked:
            self._ask_to_stop(own)
        return None

    def _ask_to_stop(self, own):
        """Tell the session, whose own clock does not see the processes that its cell started."""
        self.asked = True
        for process, (parent, _) in own.items():
            if (parent if self.isolated else process) == self.child:
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGALRM)

    def _processes(self):
        """Each process of the submission: its parent and its processor time so far."""
        if self.trusted:  # all others are the user's own
            running = [self.child]
        else:
            running = {int(name) for name in os.listdir("/proc") if name.isdigit()}
            running -= {1, os.getpid()} | ({self.child} if self.isolated else set())
        return {process: found for process in running if (found := _parent_and_seconds(process))}


def _parent_and_seconds(process):
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        # Its own time, and that of the children that it has waited for.
        return int(fields[1]), sum(map(int, fields[11:15])) / TICKS
    return None


def _megabytes(process):
    """Memory that is this process's own, swapped out or not, and the tables that map it."""
    kilobytes, kinds = 0, ("RssAnon", "RssShmem", "VmSwap", "VmPTE", "HugetlbPages")
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{process}/status") as status:
        for line in status:
            if line.startswith(kinds):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def _sockets(own):
    """How many there are in the submission's network namespace, open or on the way."""
    for process in own:
        with contextlib.suppress(OSError), open(f"/proc/{process}/net/unix", "rb") as file:
            return max(0, file.read().count(b"\n") - 1)
    return 0


# --- the child: into namespaces of its own, without rights ---------------------------------------


def _become_submission(job, send, shell):
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
        session = Session(job, send, shell)
        if not job.get("trusted"):
            _give_up_rights(job["limits"])
        session.run()
    except BaseException:
        say(send, {"broken": traceback.format_exc()[-2000:]})
    finally:
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
    for name, value in {
        "CORE": 0,
        "NOFILE": 256,
        "FSIZE": limits["disk_megabytes"] * MEGABYTE,
        "DATA": limits["megabytes"] * MEGABYTE + SPARE,
        "CPU": math.ceil(limits["seconds"]) + GRACE,
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
    """A seccomp filter, see `_filter`."""
    program = _filter(os.uname().machine)
    held = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    whole = struct.pack("HxxxxxxP", len(program), ctypes.addressof(held))
    _checked(LIBC.prctl(PR_SET_SECCOMP, 2, ctypes.c_char_p(whole), 0, 0), "seccomp")


def _filter(machine):
    """No namespaces, in which a process would have rights again, no tracing, no hidden memory.

    A cgroup would count all memory; an ordinary user has none, and there counts only what stands in
    /proc (see `_megabytes`). What does not stand there is refused if it has no bound of its own:
    memfds, System V and POSIX queues, pages given to a pipe, watches of files, nameless memory that
    is shared, which stays when it is no longer mapped. Bounded are files (by the size of their
    tmpfs), pipes (64 MB for each user: fs.pipe-user-pages-soft), terminals (64 KB each, as many as
    descriptors: 256 for each process) and locks of files (only by the time that they take).
    Sockets, which PyTorch's and joblib's workers need, may hold `SOCKET` each and are counted; a
    datagram socket would hold ten times that.
    """
    calls, refuse, allow = LOOKED_AT[machine], (ANSWER, 0, 0, REFUSE), (ANSWER, 0, 0, ALLOW)
    column = list(MACHINES).index(machine)
    program = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, MACHINES[machine]), refuse, (LOAD, 0, 0, 0)]
    program += [(AT_LEAST, 0, 1, 1 << 30), refuse]  # the same calls, as x32
    for numbers in REFUSED.values():
        if numbers[column] is not None:
            program += [(EQUAL, 0, 1, numbers[column]), refuse]
    # libc falls back from clone3, whose flags a filter cannot see, to clone, whose it can.
    program += [(EQUAL, 0, 1, calls["clone3"]), (ANSWER, 0, 0, ABSENT)]
    program += [(EQUAL, 0, 4, calls["clone"]), (LOAD, 0, 0, 16)]
    program += [(ANY_BIT, 0, 1, NEW_USER_NAMESPACE), refuse, allow]
    for call in calls["sockets"]:
        program += [(EQUAL, 0, 7, call), (LOAD, 0, 0, 16), (EQUAL, 0, 4, LOCAL_FAMILY)]
        program += [(LOAD, 0, 0, 24), (AND, 0, 0, TYPE_OF_SOCKET), (EQUAL, 0, 1, STREAM)]
        program += [allow, refuse]
    program += [(EQUAL, 0, 6, calls["mmap"]), (LOAD, 0, 0, 40), (ANY_BIT, 3, 0, HUGE)]
    program += [(ANY_BIT, 0, 1, NAMELESS), (ANY_BIT, 1, 0, SHARED), allow, refuse]
    return [*program, allow]


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else once()
