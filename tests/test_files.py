"""Files: whole or not there, read into memory of one's own, and never believed when damaged."""

import json
import math
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torture import DAMAGES, damaged, outcome

import regression_lib.storage as storage
from regression_lib import EnsembleNet, RegressionNet, fit
from regression_lib.storage import check_writable, write_tensors, write_whole

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = (X @ [1.0, -2.0, 0.5])[:, None]
OPTIONS = {"validation": (X[:9], Y[:9]), "epochs": 2, "batch_size": 16}
POSIX = pytest.mark.skipif(os.name != "posix", reason="rights and links as POSIX has them")


def trained(members=None, **options):
    options = {"hidden": (5, 4), "batch_norm": True, **options}
    net = RegressionNet(3, **options) if members is None else EnsembleNet(members, 3, **options)
    fit(net, X, Y, **OPTIONS)
    net.feature_names, net.target_names, net.units = ("a", "b", "c"), ("y",), {"a": "m", "y": "€"}
    return net


# ------------------------------------------------------------------------------ damage


@pytest.mark.slow
@pytest.mark.parametrize("members", [None, 2])
def test_a_damaged_model_is_refused_or_the_same(tmp_path, members):
    net = trained(members, numeric_embedding="piecewise_linear", n_bins=4)
    net.save(tmp_path / "whole")
    content, expected = (tmp_path / "whole").read_bytes(), net.state_dict()

    def same(found):
        state = found.state_dict()
        return all(torch.equal(state[name], tensor) for name, tensor in expected.items()) and (
            found.config,
            found.feature_names,
            found.units,
        ) == (net.config, net.feature_names, net.units)

    rng, seen, start = random.Random(members or 1), {}, time.process_time()
    for _ in range(750):
        (tmp_path / "m").write_bytes(damaged(content, rng.choice([*DAMAGES]), rng))
        found = outcome(lambda: type(net).load(tmp_path / "m"), same)
        seen[found] = seen.get(found, 0) + 1
    assert set(seen) <= {"refused", "equal"}
    assert seen["refused"] > 700
    assert time.process_time() - start < 60


@pytest.mark.slow
@pytest.mark.parametrize("members", [None, 2])
def test_a_damaged_checkpoint_is_refused_or_the_same(tmp_path, members):
    def new():
        options = {"hidden": (4,)}
        return RegressionNet(3, **options) if members is None else EnsembleNet(2, 3, **options)

    path, expected = tmp_path / "run", new()
    fit(expected, X, Y, checkpoint=path, **OPTIONS)
    content, rng, seen = path.read_bytes(), random.Random(7 + (members or 0)), {}

    def resumed():
        net = new()
        fit(net, X, Y, checkpoint=path, resume=True, **OPTIONS)
        return net

    def same(net):
        return np.array_equal(net.predict(X), expected.predict(X))

    for _ in range(750):
        path.write_bytes(damaged(content, rng.choice([*DAMAGES]), rng))
        found = outcome(resumed, same)
        seen[found] = seen.get(found, 0) + 1
    assert set(seen) <= {"refused", "equal"}
    assert seen["refused"] > 700


# ------------------------------------------------------------------------------ lies


def rewritten(path, change):
    """A file that agrees with its own digest, and says something else than a network could."""
    kind, tensors, about = storage.read_tensors(path)
    kind = change(about, tensors) or kind
    write_tensors(path, kind, tensors, about)


LIES = {
    "no configuration": lambda about, _: about.pop("config") and None,
    "an unknown option": lambda about, _: about["config"].update(colour="red"),
    "an option that is left out": lambda about, _: about["config"].pop("seed") and None,
    "too many inputs": lambda about, _: about["config"].update(n_features=10**12),
    "endless layers": lambda about, _: about["config"].update(hidden=[1] * 10**5),
    "endless bins": lambda about, _: about["config"].update(
        numeric_embedding="piecewise_linear", n_bins=[10**12] * 3
    ),
    "a width that is text": lambda about, _: about["config"].update(hidden=["5", 4]),
    "another activation": lambda about, _: about["config"].update(activation="system"),
    "momentum that is no number": lambda about, _: about["config"].update(bn_momentum=math.nan),
    "names as one text": lambda about, _: about.update(feature_names="abc"),
    "too few names": lambda about, _: about.update(feature_names=["a", "b"]),
    "names twice": lambda about, _: about.update(feature_names=["a", "b", "b"]),
    "names that are numbers": lambda about, _: about.update(feature_names=[1, 2, 3]),
    "no names at all": lambda about, _: about.pop("target_names") and None,
    "units as a list": lambda about, _: about.update(units=["m"]),
    "units that are numbers": lambda about, _: about.update(units={"a": 1}),
    "a weight less": lambda _, tensors: tensors.pop("head.bias") is None or None,
    "a weight more": lambda _, tensors: tensors.update(extra=torch.zeros(1)),
    "a weight of another shape": lambda _, t: t.update({"head.bias": torch.zeros(2)}),
    "a weight of another type": lambda _, t: t.update({"head.bias": torch.zeros(1).double()}),
    "whole numbers for weights": lambda _, t: t.update({"head.weight": torch.ones(1, 4).long()}),
    "another kind": lambda *_: "Forest",
    "no kind": lambda *_: 3,
}


@pytest.mark.parametrize("change", LIES.values(), ids=LIES)
def test_a_file_that_lies_is_refused_in_our_words(tmp_path, change):
    path = tmp_path / "m"
    trained().save(path)
    rewritten(path, change)
    with pytest.raises(ValueError, match="cannot be read as a RegressionNet"):
        RegressionNet.load(path)


CHECKPOINT_LIES = {
    "no rows": lambda about, _: about.pop("rows") and None,
    "rows that are short": lambda about, _: about.update(rows=[[1, 0]]),
    "rows that are text": lambda about, _: about.update(rows=[["1"] * 6]),
    "no generator": lambda _, tensors: tensors.pop("shuffles.0") is None or None,
    "a generator of zeros": lambda _, tensors: tensors["shuffles.0"].zero_() is None or None,
    "weights of another shape": lambda _, t: t.update({"net.head.bias": torch.zeros(3)}),
    "no task": lambda about, _: about.pop("task") and None,
    "a model": lambda *_: "RegressionNet",
}


@pytest.mark.parametrize("change", CHECKPOINT_LIES.values(), ids=CHECKPOINT_LIES)
def test_a_checkpoint_that_lies_is_refused_in_our_words(tmp_path, change):
    path = tmp_path / "run"
    fit(RegressionNet(3, hidden=(4,)), X, Y, checkpoint=path, **OPTIONS)
    rewritten(path, change)
    with pytest.raises(ValueError, match="is not a checkpoint of fit"):
        fit(RegressionNet(3, hidden=(4,)), X, Y, checkpoint=path, resume=True, **OPTIONS)


@pytest.mark.parametrize("text", ["no json", "{}", "[1]", "3", '{"version": [3]}', "[" * 10**5])
def test_a_description_that_says_nothing_is_refused(tmp_path, text):
    header = json.dumps({"__metadata__": {storage.FORMAT: text}}).encode()
    (tmp_path / "m").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match=r"cannot be read|has format"):
        RegressionNet.load(tmp_path / "m")


@pytest.mark.parametrize("header", [b"", b"null", b"[]", b'{"__metadata__": 3}', b"[" * 10**5])
def test_what_is_no_header_is_refused(tmp_path, header):
    (tmp_path / "m").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match=r"not a whole safetensors file|not a model"):
        RegressionNet.load(tmp_path / "m")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        RegressionNet.load(tmp_path)
    with pytest.raises(OSError, match=r"is a folder, not a file"):
        RegressionNet(2).save(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="is not a file"):
            RegressionNet.load(tmp_path / "pipe")
        with pytest.raises(OSError, match="is a device or a pipe"):
            RegressionNet(2).save(tmp_path / "pipe")


def test_names_that_do_not_fit_are_not_saved(tmp_path):
    net = RegressionNet(3)
    net.feature_names = ("a",)
    with pytest.raises(ValueError, match=r"feature_names must be None or 3 different texts"):
        net.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------ memory


def test_a_loaded_model_does_not_care_what_becomes_of_its_file(tmp_path):
    path = tmp_path / "m"
    net = trained(hidden=(300, 300))
    net.save(path)
    loaded = RegressionNet.load(path)
    expected = loaded.predict(X)
    path.write_bytes(b"\xff" * path.stat().st_size)
    assert np.array_equal(loaded.predict(X), expected)
    os.truncate(path, 0)
    assert np.array_equal(loaded.predict(X), expected)
    loaded.save(path)
    again = RegressionNet.load(path)
    again.save(path)
    path.unlink()
    assert np.array_equal(again.predict(X), expected)


# ------------------------------------------------------------------------------ writing


@POSIX
def test_a_file_keeps_its_rights_and_a_link_its_target(tmp_path):
    target, link = tmp_path / "model", tmp_path / "latest"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to("model")
    write_whole(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "model"]


def test_a_file_that_may_not_be_written_to_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # what root is never told
    for write in (lambda: write_whole(path, b"new"), lambda: check_writable(path)):
        with pytest.raises(PermissionError, match="may not be written to"):
            write()
    assert path.read_bytes() == b"old"


def kill_while_writing(path):
    code = (
        "import os, sys; from regression_lib import storage; "
        "storage.os.replace = lambda *_: os._exit(9); "
        "storage.write_whole(sys.argv[1], b'new')"
    )
    return subprocess.run([sys.executable, "-c", code, str(path)]).returncode


def test_a_killed_writer_leaves_the_old_file_and_its_draft_does_not_stay(tmp_path):
    path = tmp_path / "m[1]"
    write_whole(path, b"old")
    assert kill_while_writing(path) == 9
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    write_whole(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


def test_only_drafts_that_nobody_writes_any_more_are_removed(tmp_path, monkeypatch):
    path = tmp_path / "m"
    mine = storage._draft(path)
    monkeypatch.setattr(storage, "_here", lambda: "00000000")  # as in another container
    elsewhere = Path(str(storage._draft(path)).replace(f".{os.getpid()}.", ".999999."))
    monkeypatch.undo()
    foreign = tmp_path / ".m.999999.precious.part"
    for draft in (mine, elsewhere, foreign):
        draft.write_bytes(b"half")
    write_whole(path, b"whole")
    assert mine.exists()
    assert elsewhere.exists()
    assert foreign.exists()
    long_ago = time.time() - 2 * storage.A_DAY
    for draft in (mine, elsewhere, foreign):
        os.utime(draft, (long_ago, long_ago))
    write_whole(path, b"whole")
    assert sorted(tmp_path.iterdir()) == [foreign, path]


def test_a_name_may_be_as_long_as_a_file_may_have(tmp_path):
    for name in ("x" * 255, "ü" * 127):
        RegressionNet(2).save(tmp_path / name)
        assert RegressionNet.load(tmp_path / name).config == RegressionNet(2).config


@POSIX
def test_a_link_to_itself_and_a_missing_folder_are_named(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=r"a is a link that leads to itself|symbolic links"):
        RegressionNet(2).save(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere to write m to"):
        RegressionNet(2).save(tmp_path / "nowhere" / "m")


def test_a_checkpoint_stays_where_it_began(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path)
    fit(
        RegressionNet(3, hidden=(4,)),
        X,
        Y,
        checkpoint="run",
        callback=lambda _: os.chdir(tmp_path / "b"),
        **OPTIONS,
    )
    assert not list((tmp_path / "b").iterdir())
    assert len(storage.read_tensors(tmp_path / "run")[2]["rows"]) == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda frame, y: (frame, 1000 * y),
        lambda frame, y: (1000 * frame, y),
        lambda frame, y: (frame.set_axis(list("cab"), axis=1), y),
        lambda frame, y: (frame, y.set_axis(["z"], axis=1)),
    ],
    ids=["targets in other units", "inputs in other units", "renamed", "target renamed"],
)
def test_a_checkpoint_is_of_these_numbers_under_these_names(tmp_path, other):
    frame, y = pd.DataFrame(X, columns=list("abc")), pd.DataFrame(Y, columns=["y"])
    options = {"checkpoint": tmp_path / "run", "epochs": 2}
    fit(RegressionNet(3, hidden=(4,)), frame, y, **options)
    with pytest.raises(ValueError, match=r"is of another training: (rows|names)="):
        fit(RegressionNet(3, hidden=(4,)), *other(frame, y), resume=True, **options)


def test_a_checkpoint_that_cannot_be_written_is_noticed_before_the_first_epoch(tmp_path):
    seen, net = [], RegressionNet(3, hidden=(4,))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for place in (tmp_path / "nowhere" / "run", tmp_path):
        with pytest.raises(OSError, match=r"nowhere|is a folder"):
            fit(net, X, Y, checkpoint=place, callback=seen.append, **OPTIONS)
    assert not seen
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap for a read-only folder")
def test_a_read_only_folder_is_said_to_be_one(tmp_path):
    code = "from regression_lib import RegressionNet; RegressionNet(2).save('m')"
    command = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--chdir", str(tmp_path)]
    command += ["--setenv", "TMPDIR", "/dev"]
    done = subprocess.run([*command, sys.executable, "-c", code], capture_output=True, text=True)
    if "bwrap:" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.stderr.splitlines()[-1].startswith("OSError: [Errno 30] Read-only file system")
