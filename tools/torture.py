"""Damage files and kill processes many times over, and say what became of them: `make torture`.

It prints two tables, and its exit status is 1 if anything was lost, or believed that was damaged.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from regression_lib import EnsembleNet, RegressionNet, fit, search

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
Y = (X @ [1.0, -2.0, 0.5])[:, None]

# ------------------------------------------------------------------------------ damage


def _flip(content, place, _length, rng):
    content[place] ^= 1 << rng.randrange(8)


def _flip_description(content, _place, _length, rng):
    content[rng.randrange(min(len(content), 1500))] ^= 1 << rng.randrange(8)


def _cut(content, place, _length, _rng):
    del content[place:]


def _lose(content, place, length, _rng):
    del content[place : place + length]


def _overwrite(content, place, length, rng):
    content[place : place + length] = rng.randbytes(length)


def _repeat(content, place, length, _rng):
    content[place:place] = content[place // 2 : place // 2 + length]


def _blank(content, place, length, _rng):
    content[place : place + length] = bytes(length)


DAMAGES = {
    "a bit flipped": _flip,
    "a bit of the description": _flip_description,
    "cut short": _cut,
    "bytes lost": _lose,
    "bytes overwritten": _overwrite,
    "bytes repeated": _repeat,
    "zeros": _blank,
}


def damaged(content, kind, rng):
    """A file as a bad disk, a cut connection or an editor leaves it."""
    content = bytearray(content)
    DAMAGES[kind](content, rng.randrange(len(content)), rng.randrange(1, 40), rng)
    return bytes(content)


def outcome(read, same):
    """How reading went: a ValueError in our words, an equal model, or what should not be."""
    try:
        found = read()
    except ValueError as error:
        ours = type(error) is ValueError and "weights_only" not in str(error)
        return "refused" if ours else "foreign words"
    except Exception as error:
        return type(error).__name__
    return "equal" if same(found) else "believed"


def model_file(folder):
    """A model's file, how it is read, and whether what was read is the model."""
    path = folder / "model"
    net = EnsembleNet(2, 3, hidden=(5, 4), numeric_embedding="piecewise_linear", n_bins=4)
    fit(net, X, Y, epochs=1)
    net.feature_names, net.units = ("a", "b", "c"), {"a": "m"}
    net.save(path)

    def same(found):
        agrees = all(torch.equal(t, found.state_dict()[n]) for n, t in net.state_dict().items())
        said = [(n.config, n.feature_names, n.units) for n in (net, found)]
        return agrees and said[0] == said[1]

    return path, lambda: EnsembleNet.load(path), same


def checkpoint_file(folder):
    """The same of a checkpoint, which is read by going on from it."""
    path, options = folder / "run", {"epochs": 2, "validation": (X[:9], Y[:9])}
    net = RegressionNet(3, hidden=(4,))
    fit(net, X, Y, checkpoint=path, **options)

    def resumed():
        again = RegressionNet(3, hidden=(4,))
        fit(again, X, Y, checkpoint=path, resume=True, **options)
        return again

    return path, resumed, lambda found: np.array_equal(found.predict(X), net.predict(X))


def damage_table(folder, n_files):
    """Rows of (file, damage, Counter of outcomes)."""
    rows, rng = [], random.Random(0)
    for name, make in [("model", model_file), ("checkpoint", checkpoint_file)]:
        path, read, same = make(folder)
        content = path.read_bytes()
        for kind in DAMAGES:
            seen = Counter()
            for _ in range(-(-n_files // (2 * len(DAMAGES)))):
                path.write_bytes(damaged(content, kind, rng))
                seen[outcome(read, same)] += 1
            rows.append((name, kind, seen))
    return rows


# ------------------------------------------------------------------------------ kills


def killed(action, least, most, rng):
    """Run an action in a process of its own, and kill it in the midst."""
    process = os.fork()
    if process == 0:
        try:
            action()
        finally:
            os._exit(0)
    time.sleep(rng.uniform(least, most))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def kill_a_training(folder, rng):
    """Killed, then gone on with: are the weights those of a training that nobody disturbed?"""
    options = {"epochs": 40, "batch_size": 16, "validation": 0.2}
    expected, path = RegressionNet(3, hidden=(16,)), folder / f"run {rng.random()}"
    fit(expected, X, Y, **options)

    def train():
        net = RegressionNet(3, hidden=(16,))
        fit(net, X, Y, checkpoint=path, resume=True, **options)
        return net

    for _ in range(2):
        killed(train, 0.01, 0.4, rng)
    return "the same weights" if same_weights(train(), expected) else "other weights"


def same_weights(a, b):
    return all(torch.equal(t, b.state_dict()[name]) for name, t in a.state_dict().items())


def kill_a_save(folder, rng):
    """Killed while it saves: is the file the model of before or after, and no draft left?"""
    path = folder / "saved"
    nets = [RegressionNet(3, hidden=(400, 400), seed=seed) for seed in (0, 1)]
    nets[0].save(path)

    def save():
        while True:
            nets[1].save(path)
            nets[0].save(path)

    killed(save, 0.0, 0.1, rng)
    found = RegressionNet.load(path)
    whole = any(same_weights(found, net) for net in nets)
    found.save(path)
    left = [draft for draft in folder.iterdir() if draft.name.endswith(".part")]
    return "whole, no draft left" if whole and not left else "torn, or drafts left"


def kill_a_search(folder, rng, suffix):
    """Killed, then gone on with: are there as many trials as were asked for, and no other?"""
    storage = folder / f"study {rng.random()}{suffix}"

    def space(trial):
        return {"hidden": [trial.suggest_int("width", 2, 8)]}

    def run():
        options = {"validation": (X[:50], Y[:50]), "epochs": 2, "baseline": False}
        return search(X, Y, space=space, n_trials=12, storage=storage, **options)

    for _ in range(2):
        killed(run, 0.01, 0.6, rng)
    states = Counter(run().frame.state)
    return "all trials" if states["complete"] + states["pruned"] == 12 else f"{dict(states)}"


KILLS = {
    "training with a checkpoint, twice": kill_a_training,
    "saving a model": kill_a_save,
    "search in SQLite, twice": lambda folder, rng: kill_a_search(folder, rng, ".db"),
    "search in a journal, twice": lambda folder, rng: kill_a_search(folder, rng, ".journal"),
}
WELL = {"refused", "equal", "the same weights", "whole, no draft left", "all trials"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=100, help="of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)  # a fork must not inherit half a pool of threads
    outcomes = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), random.Random(1)
        print("| file | damage | outcomes |\n|---|---|---|")
        for file, kind, seen in damage_table(folder, options.files):
            print(f"| {file} | {kind} | {', '.join(f'{n} {k}' for k, n in seen.items())} |")
            outcomes += seen
        print("\n| killed | outcomes |\n|---|---|")
        for kind, kill in KILLS.items():
            seen = Counter(kill(folder, rng) for _ in range(options.kills))
            print(f"| {kind} | {', '.join(f'{n} {k}' for k, n in seen.items())} |", flush=True)
            outcomes += seen
    return 0 if set(outcomes) <= WELL else 1


if __name__ == "__main__":
    sys.exit(main())
