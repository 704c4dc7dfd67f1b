"""The sandbox refuses where it cannot keep its promises, and comes back when it is broken."""

import io
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import tiny
from grading import jail as jails
from grading import worker
from grading.jail import Jail, NoSandbox, prove
from grading.run import grade, runners

SIX = {"id": "six", "code": "six = 2 * 3", "answers": ["six"]}
JOB = {"cells": [SIX], "files": {}}


def six(result):
    return [r["answers"] for r in result["records"] if "answers" in r] == [{"six": 6}]


@pytest.fixture(scope="module")
def jail(sandbox):
    with Jail({"cell_seconds": 5}) as jail:
        yield jail


class TestProof:
    def test_a_sound_sandbox_is_proven(self, jail, tmp_path):
        prove(jail, tmp_path)

    def test_a_course_that_can_be_read_is_found_out(self, jail):
        with pytest.raises(NoSandbox, match="the course can be read"):
            prove(jail, "/usr")

    def test_a_sandbox_with_the_data_in_it_is_found_out(self, sandbox, monkeypatch, tmp_path):
        whole = jails.command(True)
        place = whole.index("--proc")
        leak = ["--ro-bind", str(jails.LIBRARY), f"/library/{jails.LIBRARY.name}"]
        leaky = [*whole[:place], *leak, "--setenv", "PYTHONPATH", "/library", *whole[place:]]
        monkeypatch.setattr(jails, "command", lambda warm: leaky)
        with Jail() as open_one, pytest.raises(NoSandbox, match="the library and its data"):
            prove(open_one, tmp_path)

    LEAKS = (
        ('"memfd_create": (319, 279),', "", "memory can be held that nobody counts"),
        ("(ANY_BIT, 1, 0, SHARED)", "(ANY_BIT, 0, 0, SHARED)", "memory can be held"),
        ("(EQUAL, 0, 4, LOCAL_FAMILY)", "(EQUAL, 0, 0, LOCAL_FAMILY)", "sockets that lead out"),
        ('"unshare": (272, 97),', "", "new rights can be had"),
    )

    @pytest.mark.parametrize(("whole", "hole", "words"), LEAKS)
    def test_a_filter_with_a_hole_is_found_out(
        self, sandbox, monkeypatch, tmp_path, whole, hole, words
    ):
        for name in jails.INSIDE:
            text = jails.WORKER.with_name(name).read_text()
            assert name != "worker.py" or whole in text
            (tmp_path / name).write_text(text.replace(whole, hole))
        monkeypatch.setattr(jails, "WORKER", tmp_path / "worker.py")
        with Jail() as leaky, pytest.raises(NoSandbox, match=words):
            prove(leaky, "/nowhere")

    @pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="about a virtual environment")
    def test_a_library_in_the_environment_is_covered(self, monkeypatch):
        inside = Path(sys.prefix) / "lib" / "regression_lib"
        monkeypatch.setattr(jails, "LIBRARY", inside)
        arguments = jails.command(True)
        place = f"{jails.ENVIRONMENT}/lib/regression_lib"
        assert arguments[arguments.index(place) - 1] == "--tmpfs"

    def test_no_sandbox_at_all_is_found_out(self, tmp_path):
        """Without bubblewrap around it, the probe must not pass."""
        with Jail(trusted=True) as bare, pytest.raises(NoSandbox):
            prove(bare, tmp_path)


class TestRefusal:
    def test_another_system(self, monkeypatch):
        monkeypatch.setattr(sys, "platform", "darwin")
        with pytest.raises(NoSandbox, match="darwin"):
            Jail().__enter__()

    def test_no_bubblewrap(self, monkeypatch):
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(NoSandbox, match="apt install bubblewrap"):
            Jail().__enter__()

    @pytest.mark.skipif(os.geteuid() != 0, reason="about root")
    def test_root_without_a_cgroup(self, sandbox, monkeypatch, tmp_path):
        monkeypatch.setattr(jails.Cgroup, "ROOT", tmp_path / "nothing")
        with pytest.raises(NoSandbox, match="As root it needs a cgroup"):
            Jail().__enter__()

    def test_nothing_is_graded_then(self, course, monkeypatch):
        folder = course.submitted("alice", tiny.NAME)
        folder.mkdir(parents=True)
        (folder / f"{tiny.NAME}.ipynb").write_text("{}")
        monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
        with pytest.raises(NoSandbox):
            grade(course, tiny.NAME, show=False)
        assert not course.note("alice", tiny.NAME).exists()


class TestWays:
    def test_a_killed_sandbox_is_built_anew(self, jail):
        jail.process.kill()
        assert six(jail.run(JOB))

    def test_a_sandbox_for_each_job(self, sandbox, tmp_path):
        with Jail(warm=False) as cold:
            prove(cold, tmp_path)
            assert six(cold.run(JOB))

    def test_where_warm_ones_do_not_work_cold_ones_are_taken(self, course, monkeypatch):
        whole = jails.command

        def broken(warm):
            return ["false"] if warm else whole(warm)

        monkeypatch.setattr(jails, "command", broken)
        with runners(course, 1) as places:
            assert not places[0].warm
            assert six(places[0].run(JOB))

    def test_trusted_code_runs_without_one(self):
        with Jail(trusted=True) as bare:
            assert six(bare.run(JOB))

    def test_no_file_outlives_its_job(self, jail):
        write = {"id": "w", "code": "open('left', 'w').close(); open('/dev/shm/left', 'w').close()"}
        look = "import os\nseen = [len(os.listdir(p)) for p in ('.', '/dev/shm')]"
        jail.run({"cells": [write], "files": {}})
        result = jail.run({"cells": [{"id": "l", "code": look, "answers": ["seen"]}], "files": {}})
        assert result["records"][-1]["answers"] == {"seen": {"list": [0, 0]}}


class TestLimits:
    WRONG = (
        ({"second": 3}, "there is no limit 'second'; there are seconds, cell_seconds"),
        ({"seconds": "3"}, "the limit seconds must be a whole number, not '3'"),
        ({"megabytes": 0.5}, "the limit megabytes must be a whole number, not 0.5"),
        ({"processes": True}, "the limit processes must be a whole number, not True"),
        ({"cell_seconds": 0}, "must lie between 1 and a million, not 0"),
        ({"seconds": float("nan")}, "must lie between 1 and a million, not nan"),
        ({"megabytes": 10**9}, "must lie between 1 and a million"),
        ({"disk_megabytes": None}, "must be a whole number, not None"),
    )

    @pytest.mark.parametrize(("limits", "words"), WRONG)
    def test_nonsense_is_refused_in_words(self, limits, words):
        with pytest.raises(ValueError, match=re.escape(words)):
            Jail(limits)

    def test_changes_are_taken(self):
        assert Jail({"megabytes": 500}).limits == jails.LIMITS | {"megabytes": 500}


# A server that is ready, counts its jobs in a file, and answers each with the bytes of another.
FORGER = """
import struct, sys
def say(body):
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()
say(b'{{"ready": true}}')
while len(head := sys.stdin.buffer.read(4)) == 4:
    sys.stdin.buffer.read(struct.unpack(">I", head)[0])
    open({count!r}, "a").write("x")
    sys.stderr.buffer.write(b"\\x1b[31m\\xff" * 10**5) if {noisy} else None
    say(open({body!r}, "rb").read())
"""
DEEP = sys.getrecursionlimit()
UNREADABLE = {
    "no JSON": b"\xff\xfe",
    "empty": b"",
    "no result": b"3",
    "no records": b'{"records": 3, "ended": null}',
    "records of another kind": b'{"records": [3], "ended": null}',
    "a reason of another kind": b'{"records": [], "ended": 3}',
    "an integer without end": b'{"records": [{"a": ' + b"1" * 5000 + b'}], "ended": null}',
}
UNREADABLE |= {
    f"nested {depth} deep": b'{"records": [{"a": '
    + b"[" * depth
    + b"]" * depth
    + b'}], "ended": 1}'
    for depth in (worker.DEEPEST, DEEP - 60, DEEP - 30, DEEP - 3, DEEP + 3, 10**5)
}


class TestFrames:
    @pytest.fixture
    def forged(self, sandbox, monkeypatch, tmp_path):
        """A jail whose sandbox answers with some bytes, and what it was asked so far."""

        def forged(body, noisy=False):
            places = {"count": str(tmp_path / "count"), "body": str(tmp_path / "body")}
            Path(places["body"]).write_bytes(body)
            code = FORGER.format(noisy=noisy, **places)
            monkeypatch.setattr(jails, "command", lambda warm: [sys.executable, "-c", code])
            return Jail(), Path(places["count"])

        return forged

    @pytest.mark.parametrize("kind", UNREADABLE)
    def test_what_cannot_be_read_is_a_reason_and_no_second_try(self, forged, kind):
        jail, count = forged(UNREADABLE[kind])
        with jail:
            result = jail.run(JOB)
            assert result == {"records": [], "ended": "has answers that cannot be read"}
            assert count.read_text() == "x"
            assert jail.run(JOB) == result  # and the jail can be used again

    @pytest.mark.parametrize("part", [b"[]", b"{}"])
    def test_records_that_fill_the_memory_of_their_readers_are_none(self, part):
        sound = b'{"id": "a", "seconds": 1}'
        full = b'{"id": "b", "x": [' + b",".join([part] * worker.MOST_PARTS) + b"]}"
        said = b"\n".join([sound, full, sound, b""])
        whole = {"id": "a", "seconds": 1}
        assert list(worker._records(said)) == [whole, {}, whole]

    def test_a_frame_of_gigabytes_is_not_read(self):
        with pytest.raises(ValueError, match="a frame of 4294967295 bytes"):
            worker.read_frame(io.BytesIO(b"\xff" * 8))

    def test_a_complaint_is_short_and_printable(self, forged):
        jail, _ = forged(b"", noisy=True)
        with jail:
            worker.write_frame(jail.process.stdin, {})
            jail.process.stdout.read(4)
            assert len(jail._complaint()) <= 1000
            assert "\x1b" not in jail._complaint()


def answer_of(machine, call, *arguments, whole=None):
    """What the filter says to a call: a small reading of classic BPF."""
    arguments = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("II8x6Q", call, whole or worker.MACHINES[machine], *arguments)
    program, place, held = worker._filter(machine), 0, 0
    while True:
        code, yes, no, value = program[place]
        if code == worker.ANSWER:
            return value
        if code == worker.LOAD:
            held = struct.unpack_from("I", data, value)[0]
        elif code == worker.AND:
            held &= value
        else:
            truth = {
                worker.EQUAL: held == value,
                worker.AT_LEAST: held >= value,
                worker.ANY_BIT: bool(held & value),
            }[code]
            place += yes if truth else no
        place += 1


HEADERS = {
    "x86_64": ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"],
    "aarch64": ["/usr/include/asm-generic/unistd.h"],
}


@pytest.mark.parametrize("machine", worker.MACHINES)
class TestFilter:
    def test_the_numbers_are_the_kernel_s(self, machine):
        path = next((Path(p) for p in HEADERS[machine] if Path(p).exists()), None)
        if path is None:
            pytest.skip("needs the headers of the kernel (linux-libc-dev)")
        found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())
        table = {name: int(number) for name, number in found}
        column = list(worker.MACHINES).index(machine)
        for name, numbers in worker.REFUSED.items():
            assert numbers[column] == table.get(name), name
        calls = worker.LOOKED_AT[machine]
        assert calls["sockets"] == [table["socket"], table["socketpair"]]
        assert all(calls[name] == table[name] for name in ("clone", "clone3", "mmap"))

    def test_what_it_answers(self, machine):
        column, calls = list(worker.MACHINES).index(machine), worker.LOOKED_AT[machine]
        refused = [numbers[column] for numbers in worker.REFUSED.values()]
        for call in refused:
            assert call is None or answer_of(machine, call) == worker.REFUSE
        assert answer_of(machine, calls["clone3"]) == worker.ABSENT
        assert answer_of(machine, calls["clone"], 0x10000000) == worker.REFUSE
        assert answer_of(machine, calls["clone"], 0x11) == worker.ALLOW
        assert answer_of(machine, 1) == worker.ALLOW
        assert answer_of(machine, (1 << 30) + 1) == worker.REFUSE
        assert answer_of(machine, 1, whole=3) == worker.REFUSE

    def test_what_it_answers_to_sockets(self, machine):
        for call in worker.LOOKED_AT[machine]["sockets"]:
            for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM | 0o2004000):
                assert answer_of(machine, call, socket.AF_UNIX, kind) == worker.ALLOW
            for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):
                assert answer_of(machine, call, socket.AF_UNIX, kind) == worker.REFUSE
            for family in (*range(2, 50), 1000):
                assert answer_of(machine, call, family, socket.SOCK_STREAM) == worker.REFUSE

    def test_what_it_answers_to_maps(self, machine):
        call = worker.LOOKED_AT[machine]["mmap"]
        for flags in (0x02, 0x22, 0x01, 0x20022):  # of files, and nameless ones of its own
            assert answer_of(machine, call, 0, 4096, 3, flags) == worker.ALLOW
        for flags in (0x21, 0x23, 0x40022, 0x40001):
            assert answer_of(machine, call, 0, 4096, 3, flags) == worker.REFUSE


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_settings_of_the_kernel_cannot_be_written(sandbox, warm):
    code = "try:\n    open('/proc/sys/kernel/core_pattern', 'a')\n    kept = False\n"
    code += "except OSError:\n    kept = True"
    with Jail(warm=warm) as jail:
        result = jail.run({"cells": [{"id": "a", "code": code, "answers": ["kept"]}], "files": {}})
    assert result["records"][-1]["answers"] == {"kept": True}


PROVE = """
import pathlib, sys
from grading.jail import Jail, prove
with Jail({}) as jail:
    prove(jail, pathlib.Path("/nowhere"))
    code = "import sys, subprocess\\nsix = int(subprocess.check_output([sys.executable, '-c', "
    code += "'import numpy; print(6)']))"
    result = jail.run({{"cells": [{{"id": "a", "code": code, "answers": ["six"]}}], "files": {{}}}})
    assert result["records"][-1].get("answers") == {{"six": 6}}, result
"""


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="about virtual environments")
class TestLayouts:
    """Environments that are links, and environments that know their Python by links."""

    @pytest.fixture
    def folder(self, sandbox):
        folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
        yield folder
        shutil.rmtree(folder)

    def proven(self, python, warm=True):
        environment = os.environ | {"PYTHONPATH": str(jails.WORKER.parent.parent)}
        code = PROVE.format("" if warm else "warm=False")
        done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]

    @pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
    def test_an_environment_that_is_a_link(self, folder, warm):
        link = folder / ".venv"
        link.symlink_to(sys.prefix)
        self.proven(link / "bin" / "python", warm)

    def copied(self, folder, python):
        """The environment once more, in hard links, with another way to its Python."""
        shutil.copytree(sys.prefix, folder, symlinks=True, copy_function=os.link)
        for name in ("python", "python3", f"python3.{sys.version_info[1]}"):
            (folder / "bin" / name).unlink(missing_ok=True)
        (folder / "bin" / "python").symlink_to(python)
        (folder / "pyvenv.cfg").unlink()  # not written over: it is the file of the original
        return folder / "bin" / "python"

    def test_an_environment_whose_python_is_behind_links(self, folder):
        """As uv makes it: the version's folder is a link, and so is the program in it."""
        (folder / "pythons").mkdir()
        (folder / "pythons" / "3").symlink_to(os.path.realpath(sys.base_prefix))
        (folder / "programs").mkdir()
        real = folder / "pythons" / "3" / "bin" / f"python3.{sys.version_info[1]}"
        (folder / "programs" / "python3").symlink_to(real)
        try:
            python = self.copied(folder / "project" / ".venv", folder / "programs" / "python3")
        except OSError:
            pytest.skip("the environment lies on another disk")
        (python.parent.parent / "pyvenv.cfg").write_text(f"home = {real.parent}\n")
        self.proven(python)

    def test_a_python_under_tmp_is_refused(self, monkeypatch, tmp_path):
        (tmp_path / "python").symlink_to(sys.executable)
        monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "base"))
        (tmp_path / "base").symlink_to(os.path.realpath(sys.base_prefix))
        with pytest.raises(NoSandbox, match="Make the environment anew"):
            jails.refuse_where_it_cannot_work()


class TestCluster:
    def test_a_worker_that_is_killed_loses_nothing(self, course, monkeypatch):
        """Two workers, ten submissions; one worker is killed when the first two are done."""
        distributed = pytest.importorskip("distributed")
        monkeypatch.setenv("PYTHONPATH", str(jails.WORKER.parent.parent))
        for k in range(10):
            folder = course.submitted(f"student{k}", tiny.NAME)
            folder.mkdir(parents=True)
            slow = "import time\ntime.sleep(0.5)\n" + tiny.SQUARE
            (folder / f"{tiny.NAME}.ipynb").write_text(tiny.as_text(tiny.answer(square=slow)))
        options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
        with distributed.LocalCluster(**options) as cluster:
            victim = next(iter(cluster.workers.values())).pid
            threading.Thread(target=kill_when_two_are_done, args=(course, victim)).start()
            address = cluster.scheduler_address
            done = grade(course, tiny.NAME, show=False, scheduler=address, again=True)
        assert done["graded"] == 10
        for k in range(10):
            cells = tiny.read_note(course, f"student{k}")["cells"]
            assert [cell["points"] for cell in cells.values()] == [2, 3]


def kill_when_two_are_done(course, process):
    for _ in range(600):
        if len(list(course.root.glob("autograded/student*/*/graded.json"))) >= 2:
            break
        time.sleep(0.1)
    os.kill(process, signal.SIGKILL)
