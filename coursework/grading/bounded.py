"""Functions with a limit on time and memory: each call runs in a child process of its own.

What students hand in is read, judged and shown by code of ours, which they cannot change. But a
megabyte of brackets or an answer that broadcasts to a gigabyte can hold any code up. Here it holds
up a child, which is forked from a clean server and ends with the call.
"""

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

MEGABYTE = 1 << 20
PATIENCE = 10  # how many times longer than its processor time a call may take on a busy machine
PLACES = threading.BoundedSemaphore(os.cpu_count() or 1)  # a cluster may bring many results at once
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["grading.warm"])


class Exceeded(Exception):
    """A call was ended, or ended itself; the message says why, as in "it took longer than 3 s"."""


class Failed(Exception):
    """What a call raised, in words."""


def warm_up():
    """Start the server, which takes seconds, without waiting for it."""
    from multiprocessing import forkserver

    # A server looks for modules where this variable says, not where this process found them.
    here, known = str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")
    if here not in known.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, known]))
    try:
        forkserver.ensure_running()
    except OSError as error:
        if "path too long" not in str(error):
            raise
        folder = tempfile.gettempdir()
        raise RuntimeError(
            f"The folder for temporary files has too long a name for a socket in it ({folder}); "
            "name another, as in: TMPDIR=/tmp make grade"
        ) from error


def each(function, *arguments, seconds=60, megabytes=1500):
    """What a generator function yields, one by one, from a child process.

    Parameters
    ----------
    function : function
        Of a module, so that it can be found there.
    seconds : float
        Of processor time, which a busy neighbour does not spend.
    megabytes : float
        Beyond what the server holds already.

    Raises
    ------
    Exceeded
        If a limit was reached or the process ended; what came before it has been yielded.
    Failed
        If the function raised an error. A `ValueError` of the grading's own comes as it is.
    """
    warm_up()
    with PLACES:
        yield from _each(function, arguments, seconds, megabytes)


def _each(function, arguments, seconds, megabytes):
    receive, send = CONTEXT.Pipe(duplex=False)
    work = (send, function, arguments, seconds, megabytes)
    child = CONTEXT.Process(target=_work, args=work, daemon=True)
    child.start()
    send.close()
    end = time.monotonic() + PATIENCE * seconds
    try:
        while (said := _next(child, receive, end, seconds))[0] != "end":
            if said[0] == "raised":
                raise said[1]
            yield said[1]
    finally:
        child.kill()
        child.join()
        receive.close()


def call(function, *arguments, **limits):
    """What a function returns, from a child process; see `each`."""
    (value,) = each(_once, function, arguments, **limits)
    return value


def _once(function, arguments):
    yield function(*arguments)


def _next(child, receive, end, seconds):
    if not receive.poll(max(0, end - time.monotonic())):
        raise Exceeded(f"it took longer than {PATIENCE * seconds:g} s")
    try:
        return receive.recv()
    except (EOFError, OSError):  # nothing, or half a message
        child.join()
    if child.exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise Exceeded(f"it took longer than {seconds:g} s")
    raise Exceeded("it ended its process")


def _work(send, function, arguments, seconds, megabytes):
    """In the child: within the limits, send what the function yields."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the grader, which ends this one
    _limit(seconds, megabytes)
    try:
        for value in function(*arguments):
            send.send(("value", value))
        send.send(("end", None))
    except MemoryError:
        send.send(("raised", Exceeded(f"it needed more than {megabytes:g} MB")))
    except Exception as error:
        ours = isinstance(error, ValueError) and type(error).__module__.startswith("grading.")
        send.send(("raised", error if ours else Failed(in_words(error))))


def in_words(error):
    """The name and the message of an error, if it has one that can be shown."""
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except Exception:  # a message may be anything, as long as it is an object
        return type(error).__name__


def _limit(seconds, megabytes):
    whole = max(1, round(seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere it is no limit, or one on what was there before
        most = _held() + round(megabytes * MEGABYTE)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _held():
    """Bytes of data that this process has got from the server."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
