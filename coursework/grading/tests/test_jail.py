"""The sandbox refuses where it cannot keep its promises, and comes back when it is broken."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import tiny
from grading import jail as jails
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
