"""Our networks beside nine peers on eighteen open tables: `make tables`.

Prints a line for every training, and writes the report to benchmarks/tables.md. The tables and
their preparation, which is the same for every model and learnt from the training rows of each
fold alone, stand in benchmarks/table_sources.py. Eighteen tables judge; the twelve others are
there to develop on, and the defaults of `DeepRegressor` may be chosen by them.

Three folds, shuffled with seed 0: a model trains on two thirds of the rows, holds out of these
what it wants to hold out, and is scored on the third that is left. Every model has its package's
defaults and the fold's number as its seed. Three things are not defaults: LightGBM may grow 5,000
trees, and stops 50 after the best one on a tenth of its rows; ridge chooses its penalty among
thirteen between 0.01 and 10,000 by leave-one-out; scikit-learn's MLP learns standardised features
and targets and stops early. RealMLP-TD-S and TabM-D are those of pytabkit.

Each training is a process of its own with one thread. Its seconds are CPU seconds of fitting and
of predicting the test rows, without imports. One that takes more than 120 is ended: that model has
no result on that table, and no rank there. Ranks of a table are those among the models that
finished its three folds, by mean R²: the peers and `DeepRegressor()`, which is "ours"; with one
network, and with eight, each takes its place; by default there are eight up to 2,000 rows. Since
the dearest models are compared on the small tables alone, mean ranks stand there a second time
for the tables that RealMLP and TabM both finished.

    python benchmarks/tables.py [--only ames concrete] [--models ours ridge]
                                [--development] [--report]

The results of every training are kept in benchmarks/tables and not measured again, unless
the version of a package changes, or for ours any line of regression_lib; remove that folder after
changing how a table is prepared. It runs in an environment of its own,
benchmarks/requirements-tables.txt.

The judged folds were looked at with our models twice, each time when the defaults had been
frozen: before the mean with a ridge regression and "auto" members, and after. Both came of losses
that the first look had shown, against ridge and where rows are few; how they work was chosen by
the other tables, by parts of them of a few hundred rows, and by the course's spectra of meat.
"""

import argparse
import json
import math
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from table_models import MODELS, OURS
from table_report import FOLDS, LIMIT, sections
from table_sources import DEVELOPMENT, JUDGED, TABLES, load, prepare

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "tables"
PATIENCE = 3600  # seconds on the clock, for a child that waits for ever
ONE_THREAD = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"], "1")


# ------------------------------------------------------------------------------ one training


def measure(model, table, fold, limit=LIMIT):
    """Scores and CPU seconds of one training; ends the whole process if it takes too long."""
    X, y = load(table)
    train, test = list(KFold(FOLDS, shuffle=True, random_state=0).split(X))[fold]
    train_X, test_X = prepare(X.iloc[train], X.iloc[test])
    estimator = MODELS[model].make(fold)
    if MODELS[model].first:
        other = MODELS[model].make(fold).set_params(**MODELS[model].first)
        other.fit(train_X[:40], y[train[:40]]).predict(train_X[:40])
    limit_cpu(limit)
    start = cpu_seconds()
    predicted = np.ravel(estimator.fit(train_X, y[train]).predict(test_X))
    seconds = cpu_seconds() - start
    limit_cpu(math.inf)
    return {
        "r2": r2_score(y[test], predicted),
        "train_r2": r2_score(y[train], np.ravel(estimator.predict(train_X))),
        "seconds": seconds,
    }


def cpu_seconds():
    """Of this process, and of its children that have ended."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def limit_cpu(seconds):
    """Let the system end this process after so many CPU seconds more."""
    until = resource.RLIM_INFINITY
    if seconds < math.inf:
        until = math.ceil(time.process_time() + seconds)
    for name, soft in [("CPU", until), ("CORE", 0)]:  # and without an image of its memory
        kind = getattr(resource, f"RLIMIT_{name}")
        resource.setrlimit(kind, (soft, resource.getrlimit(kind)[1]))


def run_alone(command, patience=PATIENCE):
    """What a process of its own prints last, as JSON; or why it prints nothing.

    Returns
    -------
    dict
        What it printed; ``{"over": True}`` if it was ended for its CPU seconds; or else
        ``{"failed": reason}``.
    """
    try:
        done = subprocess.run(
            command, env=os.environ | ONE_THREAD, capture_output=True, text=True, timeout=patience
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"no result after {patience} s"}
    if done.returncode == -signal.SIGXCPU:
        return {"over": True}
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        words = done.stderr.strip().splitlines() or ["no word"]
        return {"failed": f"exit status {done.returncode}: {words[-1]}"}


# ------------------------------------------------------------------------------ all of them


def remembered(folder=RESULTS):
    """Every result on file by (model, version, table, fold); a broken line is no result."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                result = json.loads(line)
                key = tuple(result.pop(name) for name in ("model", "version", "table", "fold"))
            except (ValueError, KeyError, AttributeError):
                continue
            found[key] = result
    return found


def remember(key, result, folder=RESULTS):
    """Append one line, in one piece: several of these programs may write at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps(dict(zip(("model", "version", "table", "fold"), key, strict=True)) | result)
    name = "".join(letter if letter.isalnum() else "_" for letter in key[0])
    with open(folder / f"{name}.jsonl", "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def run_all(models, tables, run=run_alone, folder=RESULTS):
    """Train what is not on file yet; a model that was over the limit once is spared the rest."""
    known = remembered(folder)
    for model in models:
        for table in tables:
            for fold in range(FOLDS):
                key = (model, MODELS[model].version, table, fold)
                if key not in known:
                    result = run([sys.executable, __file__, "--one", model, table, str(fold)])
                    print(f"{table} {fold} {model}: {in_words(result)}", flush=True)
                    if "failed" in result:  # and is tried again the next time
                        continue
                    remember(key, result, folder)
                    known[key] = result
                if "over" in known[key]:
                    break


def in_words(result):
    if "failed" in result:
        return result["failed"]
    if "over" in result:
        return f"over {LIMIT} s"
    return f"R² {result['r2']:.4f}, {result['seconds']:.1f} CPU s"


def report(known):
    yield "# Tables\n"
    yield __doc__
    names = sorted({model.package for model in MODELS.values()} | {"torch"})
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    yield f"{platform.machine()}, Python {platform.python_version()}, {versions}."
    for title, tables in [("Tables that judge", JUDGED), ("Tables to develop on", DEVELOPMENT)]:
        yield f"\n## {title}\n"
        yield from sections(tables, known)


def chosen(names):
    """The models behind these names, in the order of MODELS."""
    groups = {"ours": OURS, "peers": [model for model in MODELS if model not in OURS]}
    wanted = {model for name in names for model in groups.get(name, [name])}
    if wanted - set(MODELS):
        raise SystemExit(
            f"there is no model {', '.join(sorted(wanted - set(MODELS)))}. "
            f"Choose from {', '.join(MODELS)}, or say ours or peers."
        )
    return [model for model in MODELS if model in wanted]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=sorted(TABLES), help="these tables")
    parser.add_argument("--models", nargs="+", default=["peers", "ours"], help="these models")
    parser.add_argument("--development", action="store_true", help="the tables to develop on")
    parser.add_argument("--report", action="store_true", help="train nothing, write the report")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        model, table, fold = asked.one
        print(json.dumps(measure(model, table, int(fold))))
        return
    tables = asked.only or (DEVELOPMENT if asked.development else JUDGED)
    if not asked.report:
        run_all(chosen(asked.models), tables)
    if asked.report or not (asked.only or asked.development):
        text = "\n".join(report(remembered()))
        (ROOT / "tables.md").write_text(text + "\n", encoding="utf-8")
    else:
        print("\n".join(sections(tables, remembered())))


if __name__ == "__main__":
    main()
