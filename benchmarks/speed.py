"""Speed and memory beside the libraries that a reader may know: `make speed`.

Prints a Markdown report and writes it to benchmarks/speed.md. Every peer does the same training
on the same rows in this process; in each round all of them run, one after another, so that what
else the machine does falls on all alike. The first run of each is not counted. Tables give
medians over the rounds; "× ours" is the median of each round's own ratio, above 1 where ours is
faster. Runs of the whole report differ, most for the deep network: read a ratio near 1 as a tie.
A peer that cannot run gets a row that says why.

    python benchmarks/speed.py [--threads 2] [--quick]

It runs in an environment of its own, benchmarks/requirements.txt, which is not the book's.
"""

import argparse
import gc
import math
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from peers import (
    FULL_BATCH,
    OURS,
    PEERS,
    WITHOUT_NORM_ALONE,
    Bare,
    ByHand,
    Ours,
    Setting,
    Sklearn,
    Skorch,
    plain_network,
)
from threadpoolctl import threadpool_limits

from regression_lib import (
    KC17,
    DeepRegressor,
    EnsembleNet,
    fit,
    fold_batch_norm,
    load_king_county,
    split,
)
from regression_lib.backprop import Backpropagation
from regression_lib.losses import loss_of
from regression_lib.optimizers import Descent

ROOT = Path(__file__).resolve().parent
PACKAGES = ["regression-lib", "torch", "numpy", "scikit-learn", "skorch", "lightning", "keras"]
SMALL, DEEP = Setting(), Setting(hidden=(130,) * 20)
WITHOUT_NORM = SMALL._replace(batch_norm=False)
LARGER_BATCHES = [setting._replace(batch_size=256) for setting in (SMALL, WITHOUT_NORM)]
QUICK_PEERS = (Ours, Bare, Sklearn, ByHand)  # those to compare larger batches with
MEMBERS = 16
MEMORY_OF = (
    OURS,
    "bare loop, fused AdamW",
    "skorch, fused AdamW",
    "Lightning, fused AdamW",
    "scikit-learn MLPRegressor",
)


class Extent(NamedTuple):
    """How much is measured. Deep networks get fewer rows, and their times are scaled."""

    rounds: int
    epochs: int
    rows: int | None
    deep_rows: int
    search_epochs: int
    seeds: int
    seconds: float  # of calls, for each function in each round
    starts: int
    memory_of: tuple
    many_rows: tuple  # of tables of 20 columns


FULL = Extent(5, 2, None, 2560, 7, 5, 0.05, 7, MEMORY_OF, (10_000, 100_000, 1_000_000))
QUICK = Extent(1, 1, 640, 192, 1, 1, 0.005, 1, MEMORY_OF[:1], (2_000,))
ERROR = 0.19  # of ln(price): every peer comes below it in a few epochs


class Rows(NamedTuple):
    """Standardised training and validation rows, and the scale of the target."""

    train: tuple
    valid: tuple
    y_scale: float


def load_rows():
    train, valid, _ = split(load_king_county(features=KC17).log_target(), seed=0)
    x_mean, x_scale = train.X.mean(), train.X.std(ddof=0)
    y_mean, y_scale = train.y.mean(), train.y.std(ddof=0)
    standardized = [
        tuple(
            np.array((values - mean) / scale, dtype=np.float32)
            for values, mean, scale in [(part.X, x_mean, x_scale), (part.y, y_mean, y_scale)]
        )
        for part in (train, valid)
    ]
    return Rows(*standardized, y_scale.item())


# ------------------------------------------------------------------------------ the harness


@dataclass
class Timing:
    """The runs of one contestant: wall and CPU seconds, and what each run returned."""

    wall: list = field(default_factory=list)
    cpu: list = field(default_factory=list)
    results: list = field(default_factory=list)
    error: str = ""

    def run(self, work):
        gc.collect()  # nobody pays for another's rubbish
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        self.results.append(result)

    def ratio(self, other):
        return median(mine / its for mine, its in zip(self.wall, other.wall, strict=True))


def race(contestants, rows, rounds):
    """Time contestants in turn, round after round, after one run of each that does not count.

    Parameters
    ----------
    contestants : dict of str to callable
        Given X, y and the round it returns the work to time; preparing it is not timed.
    rows : (X, y)
    rounds : int

    Returns
    -------
    dict of str to Timing
    """
    timings = {name: Timing() for name in contestants}
    first_rows = tuple(part[:256] for part in rows)
    for number in range(-1, rounds):
        for name, prepare in contestants.items():
            if timings[name].error:
                continue
            try:
                if number < 0:
                    prepare(*first_rows, 0)()
                else:
                    timings[name].run(prepare(*rows, number))
            except Exception as error:  # of any library, and the others go on
                timings[name].error = first_line(error)
            say(f"round {number + 1} of {rounds}: {name}")
    return timings


def first_line(error):
    text = f"{type(error).__name__}: {error}"
    return text.splitlines()[0].replace("|", "/")[:120]


def say(text):
    """What is going on, on the terminal and not in the report."""
    print(f"{text:<78}", end="\r", file=sys.stderr, flush=True)


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return ["", *(f"| {' | '.join(map(str, line))} |" for line in lines), ""]


def section(title, text):
    return ["", f"## {title}", "", text]


def failed(name, timing, header):
    """A row that says why there are no numbers."""
    return [name, f"not measured: {timing.error}", *[""] * (len(header) - 2)]


# ------------------------------------------------------------------------------ the sections


def time_per_epoch(rows, extent):
    """The same epochs by every peer."""
    n_rows = len(rows.train[0])
    yield from section(
        "1. Time per epoch",
        f"{n_rows:,} rows, batches of {SMALL.batch_size} where no other number is named, "
        f"{SMALL.lr:g} as the constant learning rate, AdamW (Adam in the post's loops and in "
        f"scikit-learn). A loop that takes all rows at once makes one step an epoch and learns "
        f"far less in it: compare its time per row. What is written by hand in NumPy is this one "
        f"network and nothing else.",
    )
    for setting, some_rows in [
        (SMALL, extent.rows),
        (DEEP, extent.deep_rows),
        (WITHOUT_NORM, extent.rows),
        *((setting, extent.rows) for setting in LARGER_BATCHES),
    ]:
        used = tuple(part[:some_rows] for part in rows.train)
        kinds = QUICK_PEERS if setting in LARGER_BATCHES else PEERS.values()
        yield from _epochs_of(setting, kinds, used, n_rows, extent)


def _epochs_of(setting, kinds, used, n_rows, extent):
    def contestant(peer):
        return lambda X, y, seed: partial(
            peer(setting._replace(seed=seed)).train, X, y, extent.epochs
        )

    left_out = WITHOUT_NORM_ALONE if setting.batch_norm else ()
    peers = {n: p for n, p in PEERS.items() if p in kinds and p not in left_out}
    timings = race({n: contestant(p) for n, p in peers.items()}, used, extent.rounds)
    yield from ["", f"### {setting}", ""]
    if len(used[0]) < n_rows:
        yield f"Measured on {len(used[0]):,} rows; the time of an epoch is scaled to all of them."
    header = ["peer", "µs a step", "(least)", "s an epoch", "× ours", "training loss"]
    lines = []
    for name, timing in timings.items():
        if timing.error:
            lines.append(failed(name, timing, header))
            continue
        steps = 1 if name == FULL_BATCH else math.ceil(len(used[0]) / setting.batch_size)
        step = [1e6 * seconds / extent.epochs / steps for seconds in timing.wall]
        epoch = median(timing.wall) / extent.epochs * n_rows / len(used[0])
        ratio, loss = timing.ratio(timings[OURS]), final_loss(timing)
        lines.append([name, f"{median(step):,.0f}", f"{min(step):,.0f}"])
        lines[-1] += [f"{epoch:.3f}", f"{ratio:.2f}", f"{loss:.4f}"]
    yield from table(header, lines)
    yield _same_work(timings, extent.epochs)


def final_loss(timing):
    return median(losses.train[-1] for losses in timing.results)


def _same_work(timings, epochs):
    """Whether all losses are what the same work would give: the check of this comparison."""
    ours = final_loss(timings[OURS])
    far = [
        name
        for name, timing in timings.items()
        if name != FULL_BATCH and not timing.error and not 0.8 < final_loss(timing) / ours < 1.25
    ]
    verdict = f"**not so for {', '.join(far)}**" if far else "so it is"
    return (
        f"Training loss: the mean over epoch {epochs}, median over the rounds, which differ in "
        f"their seeds. Equal work must give about equal losses (here: within a fifth of ours, "
        f"the full batch aside): {verdict}."
    )


def time_to_error(rows, extent):
    """Until the validation error after an epoch is below ERROR for the first time."""
    yield from section(
        "2. Time to a fixed validation error",
        f"{len(rows.train[0]):,} rows, learning rate 0.003 throughout, until the root mean squared "
        f"error of ln(price) on {len(rows.valid[0]):,} validation rows, taken after each epoch in "
        f"each library's own way, is below {ERROR} for the first time. A training lasts "
        f"{extent.search_epochs} epochs, and its time up to then is their share of it. Medians "
        f"over the seeds; one that does not come below counts as all epochs, marked with +. Where "
        f"weights start and how rows are shuffled changes the number of epochs more than a library "
        f"does, so the last column is the time of one epoch with its validation.",
    )
    used = tuple(part[: extent.rows] for part in rows.train)

    def contestant(peer):
        setting = (WITHOUT_NORM if peer in WITHOUT_NORM_ALONE else SMALL)._replace(lr=3e-3)
        return lambda X, y, seed: partial(
            peer(setting._replace(seed=seed)).train, X, y, extent.search_epochs, rows.valid
        )

    contestants = {n: contestant(p) for n, p in PEERS.items() if n != FULL_BATCH}
    timings = race(contestants, used, extent.seeds)
    our_wall = reached(timings[OURS], rows, extent)[2]
    header = ["peer", "epochs, by seed", "CPU s", "wall s", "× ours", "ms an epoch"]
    lines = []
    for name, timing in timings.items():
        if timing.error:
            lines.append(failed(name, timing, header))
            continue
        epochs, cpu, wall = reached(timing, rows, extent)
        epoch = 1000 * median(timing.wall) / extent.search_epochs
        cells = [f"{cpu:.2f}", f"{wall:.2f}", f"{wall / our_wall:.2f}", f"{epoch:,.0f}"]
        lines.append([name, ", ".join(epochs), *cells])
    yield from table(header, lines)
    yield "MLPRegressor and what is written in NumPy have no BatchNorm; the others do."


def reached(timing, rows, extent):
    """The epochs of each seed until the error is reached, in words; median CPU and wall s."""
    last, limit = extent.search_epochs, ERROR / rows.y_scale
    epochs = [epochs_until(limit, losses.validation) for losses in timing.results]
    shares = [(number or last) / last for number in epochs]
    seconds = [
        median(share * s for share, s in zip(shares, clock, strict=True))
        for clock in (timing.cpu, timing.wall)
    ]
    return [str(number or f"{last}+") for number in epochs], *seconds


def epochs_until(error, losses):
    """The number of the first epoch whose loss is below error², or None."""
    return next((i for i, loss in enumerate(losses, 1) if loss < error**2), None)


def many_networks(rows, extent):
    """Sixteen networks that differ in their start."""
    yield from section(
        f"3. {MEMBERS} networks",
        f"Seconds for {MEMBERS} networks with BatchNorm to see all {len(rows.train[0]):,} rows "
        f"once, measured on {extent.deep_rows:,} rows and scaled. Of skorch and the bare loop two "
        f"networks are trained, and the time is multiplied by {MEMBERS // 2}.",
    )
    used = tuple(part[: extent.deep_rows] for part in rows.train)
    scale = len(rows.train[0]) / len(used[0]) / extent.epochs
    names = {
        f"one `EnsembleNet` of {MEMBERS}": (partial(_ensemble, extent.epochs), 1),
        f"{MEMBERS} × `fit`": (partial(_one_by_one, Ours, MEMBERS, extent.epochs), 1),
        f"{MEMBERS} × the bare loop": (partial(_one_by_one, Bare, 2, extent.epochs), MEMBERS // 2),
        f"{MEMBERS} × skorch": (partial(_one_by_one, Skorch, 2, extent.epochs), MEMBERS // 2),
    }
    header = ["", "s an epoch", "(least)", "× the ensemble", "mean training loss"]
    for setting in (SMALL, DEEP):
        contestants = {name: partial(make, setting) for name, (make, _) in names.items()}
        timings = race(contestants, used, max(1, extent.rounds - 2))
        first = next(iter(timings.values()))
        lines = []
        for name, timing in timings.items():
            if timing.error:
                lines.append(failed(name, timing, header))
                continue
            times = names[name][1]
            seconds = [times * scale * s for s in timing.wall]
            ratio = f"{times * timing.ratio(first):.2f}" if first.wall else ""
            lines.append([name, f"{median(seconds):.2f}", f"{min(seconds):.2f}", ratio])
            lines[-1].append(f"{np.mean(timing.results):.4f}")
        yield from ["", f"### {setting}", ""]
        yield from table(header, lines)


def _one_by_one(peer, count, epochs, setting, X, y, _round):
    trained = [peer(setting._replace(seed=seed)) for seed in range(count)]
    return lambda: [one.train(X, y, epochs).train[-1] for one in trained]


def _ensemble(epochs, setting, X, y, _round):
    s = setting
    nets = EnsembleNet(MEMBERS, s.n_features, 1, hidden=s.hidden, batch_norm=s.batch_norm)
    options = {"batch_size": s.batch_size, "lr": s.lr, "weight_decay": s.weight_decay}

    def work():
        frame = fit(nets, X, y, epochs=epochs, schedule="constant", **options).frame
        return list(frame["train_loss"][frame["epoch"] == epochs])

    return work


def latency(rows, extent):
    """How long one call of predict takes."""
    yield from section(
        "4. Prediction latency",
        "Median µs of a call, from a NumPy array to a NumPy array. The bare network is `torch.nn` "
        "in eval mode under `no_grad`, without any check of its input; it and ours have BatchNorm. "
        "MLPRegressor has none.",
    )
    header = ["network", "rows", "`predict`", "folded", "unfolded / folded", "bare", "MLPRegressor"]
    lines = []
    for setting in (SMALL, DEEP):
        functions = predictors(setting, rows)
        for n_rows in (1, 64, 4000):
            X = rows.train[0][:n_rows]
            say(f"latency of {setting}, {n_rows} rows")
            ours, folded, bare, sklearn = (
                median(times) for times in time_calls(functions, X, extent)
            )
            shape = str(setting).split(" with")[0]
            cells = [f"{ours:,.0f}", f"{folded:,.0f}", f"{ours / folded:.2f}"]
            lines.append([shape, f"{n_rows:,}", *cells, f"{bare:,.0f}", f"{sklearn:,.0f}"])
    yield from table(header, lines)
    X, y = (part[:640] for part in rows.train)
    model = DeepRegressor(epochs=1, random_state=0).fit(X, y[:, 0])
    calls = [
        median(time_calls([model.predict], rows.train[0][:n], extent)[0]) for n in (1, 64, 4000)
    ]
    yield (
        f"A default `DeepRegressor`, whose columns are cut into {sum(model.net_.config['n_bins'])} "
        f"bins, takes {calls[0]:,.0f} µs for 1 row, {calls[1]:,.0f} for 64 and {calls[2]:,.0f} "
        f"for 4,000."
    )


def predictors(setting, rows):
    """Ours, ours folded, a bare network and MLPRegressor, each trained for an epoch on few rows."""
    X, y = (part[:640] for part in rows.train)
    ours, sklearn = Ours(setting), Sklearn(setting._replace(batch_norm=False))
    ours.train(X, y, 1)
    sklearn.train(X, y, 1)
    bare = plain_network(setting).eval()

    def predict(X):
        with torch.no_grad():
            return bare(torch.from_numpy(X)).numpy()

    return [ours.net.predict, fold_batch_norm(ours.net).predict, predict, sklearn.net.predict]


def time_calls(functions, X, extent):
    """µs of single calls, a list for each function; in each round every function has a turn."""
    times = [[] for _ in functions]
    for _ in range(extent.rounds):
        for function, its_times in zip(functions, times, strict=True):
            function(X)
            end = time.perf_counter() + extent.seconds
            while (start := time.perf_counter()) < end:
                function(X)
                its_times.append(1e6 * (time.perf_counter() - start))
    return times


def memory_and_import(threads, extent):
    """What a training adds to the process, and the library to the start of a program."""
    yield from section(
        "5. Memory and import",
        f"Two trainings ({SMALL}; MLPRegressor without), each of two epochs on all rows, in a "
        f"process of their own: their seconds, and how much each raises the peak of resident "
        f"memory above what imports, data and the network take. The first loads what a library "
        f"loads only when it is used; another may have loaded it when it was imported.",
    )
    lines = []
    for name in extent.memory_of:
        say(f"memory of {name}")
        output, error = in_new_process(__file__, "--memory", name, "--threads", threads)
        lines.append([name, *([error, *[""] * 4] if error else output.split())])
    header = ["training", "first, MiB", "second, MiB", "first, s", "second, s"]
    header.append("whole process, MiB")
    yield from table(header, lines)
    code = (
        "import time; a = time.perf_counter(); import torch; b = time.perf_counter(); "
        "import regression_lib; print(b - a, time.perf_counter() - b)"
    )
    seconds = []
    for number in range(extent.starts + 1):  # the first fills the file cache
        say(f"import {number} of {extent.starts}")
        output, error = in_new_process("-c", code)
        if error:
            yield f"Import: {error}"
            return
        seconds.append([float(word) for word in output.split()])
    torch_seconds, our_seconds = np.median(seconds[1:], axis=0)
    yield (
        f"`import torch` takes {torch_seconds:.2f} s, `import regression_lib` after it "
        f"{our_seconds:.2f} s more (medians of {extent.starts})."
    )


def in_new_process(*arguments):
    """What this Python prints when it runs these arguments, and why not, if it fails."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stderr.strip().splitlines()
    return done.stdout, f"not measured: {lines[-1][:120]}" if done.returncode else ""


def memory_of(name):
    """What each of two trainings adds to this process's peak, its seconds, and the peak."""
    rows, peer = load_rows(), PEERS[name]
    mebibytes, seconds = [], []
    for _ in range(2):
        trained = peer(WITHOUT_NORM if peer is Sklearn else SMALL)
        forget_peak()
        before, start = peak_bytes(), time.perf_counter()
        trained.train(*rows.train, 2)
        seconds.append(time.perf_counter() - start)
        mebibytes.append((peak_bytes() - before) / 2**20)
    numbers = [f"{m:.1f}" for m in mebibytes] + [f"{s:.2f}" for s in seconds]
    return " ".join([*numbers, f"{peak_bytes() / 2**20:.0f}"])


def forget_peak():
    """Let the peak begin anew (Linux, proc(5)); elsewhere it keeps that of the imports."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def peak_bytes():
    """The largest resident memory so far."""
    status = Path("/proc/self/status")
    if status.exists():  # here ru_maxrss would begin with the size of the parent process
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def estimators(rows, threads, extent):
    """The estimator with its defaults, and tables that grow."""
    yield from section(
        "7. The estimator, and many rows",
        f"`DeepRegressor` with its defaults on the {len(rows.train[0]):,} rows, trained to its "
        f"end, validation included: seconds, and how much the peak of memory rises above the "
        f"data. Below that one epoch on random numbers in 20 columns, which by default are cut "
        f"into 1,280 bins. Each in a process of its own.",
    )
    lines, quick = [], ["--quick"] if extent is QUICK else []
    for what in ("1 member", "8 members", *extent.many_rows):
        name = what if isinstance(what, str) else f"{what:,} × 20, one epoch"
        say(f"estimator: {name}")
        options = ["--estimator", what, "--threads", threads, *quick]
        output, error = in_new_process(__file__, *options)
        lines.append([name, *([error, ""] if error else output.split())])
    yield from table(["training", "s", "MiB above the data"], lines)


def time_estimator(what, extent):
    """Seconds and MiB of a fit: of the members that are named, or of one epoch on many rows."""
    if what.isdigit():
        X = np.random.default_rng(0).random((int(what), 20), dtype=np.float32)
        y, model = X[:, 0].copy(), DeepRegressor(epochs=1, random_state=0)
    else:
        X, y = (part[: extent.rows] for part in load_rows().train)
        model = DeepRegressor(n_members=int(what.split()[0]), random_state=0)
        y = y[:, 0].copy()
    DeepRegressor(epochs=1).fit(X[:100, :3], y[:100])  # loads what is loaded when first used
    forget_peak()
    before, start = peak_bytes(), time.perf_counter()
    model.fit(X, y)
    return f"{time.perf_counter() - start:.1f} {(peak_bytes() - before) / 2**20:.0f}"


def floor(rows, extent):
    """What the arithmetic alone would take, and where the rest of a step goes."""
    rate = large_rate(extent)
    yield from section(
        "6. The floor",
        f"A step needs 2 · rows · n_in · n_out floating-point operations for each layer's product, "
        f"as many for the gradient of its weights, and as many for that of its input, which the "
        f"first layer does not need. `torch.mm` does nothing else, in the layers' own shapes or "
        f"with two matrices of 1024 × 1024 ({rate:.1f} GFLOP/s).",
    )
    steps = {}
    for setting in (SMALL, DEEP, WITHOUT_NORM):
        say(f"parts of a step of {setting}")
        some = extent.deep_rows if setting is DEEP else extent.rows
        steps[setting] = anatomy(setting, tuple(part[:some] for part in rows.train), extent)
    header = ["network", "MFLOP a step", "GFLOP/s, own shapes", "µs, own shapes"]
    header += ["µs, 1024 × 1024", "our step, µs", "× own shapes"]
    lines = []
    for setting, parts in steps.items():
        flop, alone, step = flop_of(setting), time_products(setting, extent), parts["together"]
        cells = [f"{flop / 1e6:.2f}", f"{flop / alone / 1e3:.1f}", f"{alone:,.0f}"]
        cells += [f"{flop / rate / 1e3:,.0f}", f"{step:,.0f}", f"{step / alone:.2f}"]
        lines.append([str(setting), *cells])
    yield from table(header, lines)
    yield "Where the time of a step of `fit` goes, in µs:"
    lines = [[part, *(f"{steps[s][part]:,.0f}" for s in steps)] for part in steps[SMALL]]
    yield from table(["part", *map(str, steps)], lines)
    yield (
        "The parts are timed one by one in a loop with the calls that `fit` makes. The rest is "
        "what `fit` takes beyond them: its start and end, shuffling, copies of weights, the loop. "
        "Below 0 it is within the noise of the two timings."
    )


def products_of(setting):
    """The matrix products of a step, as (rows, inner, columns)."""
    widths = [setting.n_features, *setting.hidden, 1]
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        yield setting.batch_size, n_in, n_out
        yield n_out, setting.batch_size, n_in
        if i > 0:
            yield setting.batch_size, n_out, n_in


def flop_of(setting):
    return sum(2 * a * b * c for a, b, c in products_of(setting))


def time_products(setting, extent):
    """µs that `torch.mm` takes for all products of a step, each with matrices of its own."""
    pairs = [(torch.randn(a, b), torch.randn(b, c)) for a, b, c in products_of(setting)]
    outputs = [a @ b for a, b in pairs]

    def work(_):
        for (a, b), output in zip(pairs, outputs, strict=True):
            torch.mm(a, b, out=output)

    return median(time_calls([work], None, extent)[0])


def large_rate(extent, size=1024):
    """GFLOP/s of a large product, where the calls and the memory no longer matter."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    times = time_calls([lambda _: torch.mm(a, b)], None, extent)[0]
    return 2 * size**3 / median(times) / 1e3


def anatomy(setting, used, extent):
    """µs of a step of `fit`: its parts, the rest, and all together."""

    def whole(X, y, seed):
        return partial(Ours(setting._replace(seed=seed)).train, X, y, extent.epochs)

    def by_parts(X, y, seed):
        net = Ours(setting._replace(seed=seed)).net
        return partial(parts_of_a_step, net, setting, X, y, extent.epochs)

    timings = race({"fit": whole, "parts": by_parts}, used, extent.rounds)
    n_steps = math.ceil(len(used[0]) / setting.batch_size) * extent.epochs
    steps = [1e6 * seconds / n_steps for seconds in timings["fit"].wall]
    rounds = timings["parts"].results
    parts = {name: median(one[name] for one in rounds) for name in rounds[0]}
    rests = (step - sum(one.values()) for step, one in zip(steps, rounds, strict=True))
    return {**parts, "the rest": median(rests), "together": median(steps)}


def parts_of_a_step(net, setting, X, y, epochs):
    """Mean µs of the calls that a step of `fit` makes, in their order, over some epochs."""
    x, y = torch.from_numpy(X), torch.from_numpy(y)
    descent = Descent(net.train(), "adamw", setting.lr, setting.weight_decay)
    mean_loss, sizes = loss_of("squared", net), {setting.batch_size, len(x) % setting.batch_size}
    passes = {size: Backpropagation(net, size) for size in sizes if size > 1}
    names = ["gather rows", "forward", "loss", "check the loss", "backward", "optimiser", "add up"]
    total, marks = torch.zeros(()), []
    orders = (torch.randperm(len(x)).split(setting.batch_size) for _ in range(epochs))
    with torch.inference_mode():
        for rows in chain.from_iterable(orders):
            if len(rows) not in passes:
                continue
            marks.append([time.perf_counter()])
            mark = partial(_mark, marks[-1])
            x_batch, y_batch = (torch.index_select(part, 0, rows) for part in (x, y))
            mark()
            predicted = passes[len(rows)].forward(x_batch)
            mark()
            loss, gradient = mean_loss(predicted, y_batch)
            mark()
            math.isfinite(loss.item())
            mark()
            passes[len(rows)].backward(gradient)
            mark()
            descent.step()
            mark()
            total.add_(loss, alpha=len(rows) / len(x))
            mark()
    return dict(zip(names, 1e6 * np.diff(marks, axis=1).mean(0), strict=True))


def _mark(marks):
    marks.append(time.perf_counter())


# ------------------------------------------------------------------------------ the report


def about(threads):
    """The machine and the versions."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    yield from ["# Speed", "", __doc__]
    yield f"{platform.machine()}, {os.cpu_count()} CPUs, {threads} used{load}; {platform.system()},"
    yield f"Python {platform.python_version()}, {', '.join(found)}."


def without_double_blanks(lines):
    before = None
    for line in lines:
        if line or before:
            yield line
        before = line


def report(extent, threads):
    rows = load_rows()
    yield from about(threads)
    yield from time_per_epoch(rows, extent)
    yield from time_to_error(rows, extent)
    yield from many_networks(rows, extent)
    yield from latency(rows, extent)
    yield from memory_and_import(threads, extent)
    yield from floor(rows, extent)
    yield from estimators(rows, threads, extent)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test; its numbers mean little"
    )
    parser.add_argument("--memory", metavar="PEER", help=argparse.SUPPRESS)
    parser.add_argument("--estimator", metavar="WHAT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with threadpool_limits(arguments.threads):  # NumPy's own, which scikit-learn uses
        if arguments.memory:
            print(memory_of(arguments.memory))
            return
        if arguments.estimator:
            print(time_estimator(arguments.estimator, QUICK if arguments.quick else FULL))
            return
        start, lines = time.perf_counter(), []
        extent = QUICK if arguments.quick else FULL
        for line in without_double_blanks(report(extent, arguments.threads)):
            say("")
            print(line, flush=True)
            lines.append(line)
        say(f"{time.perf_counter() - start:.0f} s")
    if not arguments.quick and arguments.threads == 1:  # the numbers that the repository keeps
        (ROOT / "speed.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
