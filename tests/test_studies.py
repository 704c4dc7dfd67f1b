"""The file of a search: found from anywhere, of any name, one search at a time, mended."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import optuna
import pytest
import torch

from regression_lib import search, studies

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X @ [1.0, -2.0, 0.5]
FILES = ["s.db", "s.journal"]
SCRIPT = """
import os, signal, sys
import numpy as np
from regression_lib import search

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
Y = X @ [1.0, -2.0, 0.5]

def space(trial):
    if trial.number == 2 and "die" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"hidden": [trial.suggest_int("width", 2, 8)]}

found = search(X, Y, validation=(X[:20], Y[:20]), space=space, epochs=1, baseline=False,
               n_trials=int(sys.argv[2]), storage=sys.argv[1])
print(found.frame.state.tolist())
"""


def space(trial):
    return {"hidden": [trial.suggest_int("width", 2, 8)]}


def run(storage, n_trials=2, **options):
    options = {"validation": (X[:20], Y[:20]), "epochs": 1, "baseline": False} | options
    return search(X, Y, space=space, n_trials=n_trials, storage=storage, **options)


def script(folder, *arguments, prefix=()):
    command = [*prefix, sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)


def ended(found):
    return found.frame.state.isin(["complete", "pruned"]).sum()


@pytest.mark.parametrize("name", FILES)
class TestWhere:
    def test_a_relative_path_is_the_same_file_from_another_folder(
        self, tmp_path, monkeypatch, name
    ):
        (tmp_path / "runs").mkdir()
        monkeypatch.chdir(tmp_path)
        assert ended(run(f"runs/{name}")) == 2
        monkeypatch.chdir(tmp_path / "runs")
        assert ended(run(name, n_trials=3)) == 3

    @pytest.mark.parametrize("odd", ["why?", "100%20", "a#b", "{x}", "a b & c=d", "größe"])
    def test_a_path_is_no_url(self, tmp_path, odd, name):
        folder = tmp_path / odd
        folder.mkdir()
        for k in (1, 2):
            path = folder / f"study?{k}{odd}{name}"
            assert ended(run(path, n_trials=k)) == k  # each has its own file, and only its own
            assert path.is_file()
        seen = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        assert seen == {f"study?{k}{odd}{name}" for k in (1, 2)}
        assert [path.name for path in tmp_path.iterdir()] == [odd]


class TestTorn:
    def test_a_killed_search_on_a_relative_journal_goes_on(self, tmp_path):
        assert script(tmp_path, "s.journal", 5, "die").returncode == -signal.SIGKILL
        # As if it had been killed while it held Optuna's own lock, which is a link.
        (tmp_path / "s.journal.lock").symlink_to("s.journal")
        done = script(tmp_path, "s.journal", 5)
        assert done.stdout.count("complete") + done.stdout.count("pruned") == 5, done.stderr

    @pytest.mark.parametrize("rest", [b'{"op_code":4,"wor', b"\0" * 100, b"{"])
    def test_half_a_last_line_costs_that_line_and_no_more(self, tmp_path, rest):
        path = tmp_path / "s.journal"
        run(path)
        with open(path, "ab") as file:
            file.write(rest)
        assert ended(run(path, n_trials=3)) == 3
        assert ended(run(path, n_trials=4)) == 4

    def test_a_full_disk_names_the_file_and_loses_no_trial(self, tmp_path, monkeypatch):
        path = tmp_path / "s.journal"
        run(path)
        original, written = os.fsync, []

        def full(descriptor):
            written.append(1)
            if len(written) > 6:
                raise OSError(28, "No space left on device")
            original(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match=r"No space left on device.*s\.journal"):
                run(path, n_trials=9)
        assert ended(run(path, n_trials=4)) == 4

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("s.journal", b"nonsense\n{}\n"),
            ("s.journal", b"somebody's diary, in one line"),
            ("s.journal", b'{"op_code": 0}\nand a word that is no entry'),
            ("s.journal", b'{"op_code": 0}\n'),
            ("s.journal", b'{"op_code": 99, "worker_id": "x"}\n'),
            ("s.journal", b"[]\n"),
            ("s.db", b"nonsense" * 900),
        ],
    )
    def test_what_is_no_study_is_named(self, tmp_path, name, content):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} cannot be read as the study of a search"):
            run(path)
        assert path.read_bytes() == content


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
class TestShared:
    def test_a_second_search_at_the_same_time_is_refused(self, tmp_path, name):
        path = tmp_path / name
        run(path)
        with studies.opened(path):
            with pytest.raises(RuntimeError, match=rf"another search is at work on .*{name}"):
                run(path, n_trials=4)
            done = script(tmp_path, name, 4)
            assert "RuntimeError: another search is at work" in done.stderr
        assert ended(run(path, n_trials=4)) == 4

    def test_a_study_is_read_where_nothing_may_be_written(self, tmp_path, name):
        if shutil.which("bwrap") is None:
            pytest.skip("needs bubblewrap for a folder that is read-only for everybody")
        run(tmp_path / name)
        before = (tmp_path / name).read_bytes()
        shutil.rmtree(tmp_path / f".{name}.lock", ignore_errors=True)
        jail = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--chdir", tmp_path]
        jail += ["--setenv", "TMPDIR", "/dev"]  # the one place for drafts of other libraries
        done = script(tmp_path, name, 2, prefix=jail)
        if "bwrap:" in done.stderr:
            pytest.skip(done.stderr.strip())
        assert done.stdout.strip() == "['complete', 'complete']", done.stderr
        more = script(tmp_path, name, 3, prefix=jail)
        assert f"PermissionError: 1 trials are left, but {name} is read-only" in more.stderr
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize(
    ("n_trials", "error", "words"),
    [
        (0, ValueError, "n_trials must be at least 1, got 0"),
        (-1, ValueError, "n_trials must be at least 1, got -1"),
        (2.5, TypeError, r"n_trials must be a whole number, got 2\.5"),
    ],
)
def test_numbers_of_trials_that_are_none(n_trials, error, words):
    with pytest.raises(error, match=words):
        run(None, n_trials=n_trials)


def test_trials_in_threads_give_the_threads_and_optunas_words_back():
    import joblib

    threads, level = torch.get_num_threads(), optuna.logging.get_verbosity()
    try:
        torch.set_num_threads(2)
        with joblib.parallel_config("threading"):
            found = run(None, n_trials=6, n_jobs=3)
        assert ended(found) == 6
        assert torch.get_num_threads() == 2
        assert optuna.logging.get_verbosity() == level
    finally:
        torch.set_num_threads(threads)


def test_other_names_of_the_same_numbers_are_another_search(tmp_path):
    import pandas as pd

    options = {"validation": (X[:20], Y[:20]), "space": space, "epochs": 1, "baseline": False}
    frame = pd.DataFrame(X, columns=list("abc"))
    options |= {"storage": tmp_path / "s.db", "n_trials": 1}
    options["validation"] = (frame[:20], Y[:20])
    search(frame, Y, **options)
    other = frame.set_axis(list("abd"), axis=1)
    with pytest.raises(ValueError, match="holds another search"):
        search(other, Y, **(options | {"validation": (other[:20], Y[:20])}))


@pytest.mark.parametrize("name", FILES)
def test_a_study_that_no_search_has_made_is_refused(tmp_path, name):
    with studies.opened(tmp_path / name) as (storage, _):
        optuna.create_study(study_name="tpe", storage=storage, direction="maximize")
    with pytest.raises(ValueError, match="holds a study 'tpe' that no search has made"):
        run(tmp_path / name)


def test_a_folder_that_is_not_there_is_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
            run(f"nowhere/{name}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("space", "words"), [(5, "space must be a function"), (lambda _: None, "must return a dict")]
)
def test_a_space_that_is_none(space, words):
    with pytest.raises(TypeError, match=words):
        search(X, Y, validation=(X, Y), space=space, n_trials=1)


def test_a_space_may_return_numbers_of_numpy(tmp_path):
    options = {"validation": (X, Y), "epochs": 1, "baseline": False, "n_trials": 1}
    found = search(
        X, Y, space=lambda _: {"n_bins": np.int64(4)}, storage=tmp_path / "s.db", **options
    )
    assert found.best_params["n_bins"] == 4
