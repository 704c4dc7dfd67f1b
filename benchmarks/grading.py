"""How many submissions a minute: this course's grader beside nbgrader's own, on the same notebooks.

`make grading-speed` runs it and writes `grading.md`. All ways grade the same copies of the first
problem set, solved, on the same machine, one way after the other.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COURSEWORK = ROOT / "coursework"
NAME = "ps1_tensors"
PAGE = Path(__file__).with_suffix(".md")
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(COURSEWORK),
    "OMP_NUM_THREADS": "1",
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}
OPENING = """\
# How fast is the grading?

Solved copies of the first problem set, graded on {cores} cores of one machine, one way after the
other; `make grading-speed` measures anew. Each time holds everything but feedback: start, sandbox,
checks, gradebook. nbgrader as it comes runs students' code with the grader's own rights.

| way | submissions | seconds | a minute | × nbgrader |
|---|--:|--:|--:|--:|
"""


def course(folder, count):
    """A course with so many submissions."""
    source = folder / "source" / NAME
    shutil.copytree(COURSEWORK / "source" / NAME, source)
    (folder / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.root = '.'\n")
    for number in range(count):
        target = folder / "submitted" / f"student{number:03d}" / NAME
        target.mkdir(parents=True)
        for path in source.iterdir():
            shutil.copy(path, target)
    return folder


def timed(command, folder):
    """Seconds that a command takes in a course."""
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return time.perf_counter() - begin


def ours(*options):
    base = [sys.executable, "-m", "grading", "--course", ".", "grade", NAME, "--no-feedback"]
    return [*base, *options]


def nbgraders(folder):
    """nbgrader's own way, without the release that comes before it."""
    timed(["nbgrader", "generate_assignment", NAME, "--create"], folder)
    return timed(["nbgrader", "autograde", NAME], folder)


def cluster(folder):
    """A Dask cluster of two workers on this machine."""
    from distributed import LocalCluster

    here = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    os.environ.update(ENVIRONMENT)  # which the workers inherit; the scheduler is this process
    sys.path.insert(0, str(COURSEWORK))
    with LocalCluster(**here) as dask:
        return timed(ours("--scheduler", dask.scheduler_address), folder)


def measure(count):
    """(way, submissions, seconds) for each way."""
    few = max(4, count // 5)
    ways = [
        ("nbgrader autograde, as it comes", count, nbgraders),
        ("warm sandboxes", count, lambda folder: timed(ours(), folder)),
        ("warm sandboxes, ten times as many", 10 * count, lambda folder: timed(ours(), folder)),
        ("a Dask cluster of two workers", count, cluster),
        ("a sandbox for each submission", few, lambda folder: timed(ours("--cold"), folder)),
    ]
    for way, number, run in ways:
        with tempfile.TemporaryDirectory() as folder:
            place = course(Path(folder), number)
            if run is not nbgraders:
                timed([sys.executable, "-m", "grading", "--course", ".", "release", NAME], place)
            seconds = run(place)
            print(f"{way}: {number} in {seconds:.1f} s", flush=True)
            yield way, number, seconds


def page(rows):
    """The table, and what larger classes cost at the rates measured."""
    text = OPENING.format(cores=os.cpu_count())
    plain = rows[0][2] / rows[0][1]
    for way, number, seconds in rows:
        rate, times = 60 * number / seconds, plain * number / seconds
        text += f"| {way} | {number} | {seconds:.1f} | {rate:.0f} | {times:.1f} |\n"
    each = rows[2][2] / rows[2][1]
    text += "\nAt the rate of the third line, on machines like this one:\n\n"
    text += (
        "| submissions | one machine | ten machines | nbgrader, one machine |\n|--:|--:|--:|--:|\n"
    )
    for number in (500, 50_000):
        hours = [number * each / 3600, number * each / 36000, number * plain / 3600]
        text += f"| {number:,} | " + " | ".join(map(in_words, hours)) + " |\n"
    return text


def in_words(hours):
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=40)
    count = parser.parse_args().count
    PAGE.write_text(page(list(measure(count))), encoding="utf-8")


if __name__ == "__main__":
    main()
