"""How long a class takes: this course's grader beside nbgrader's own, on the same notebooks.

`make grading-speed` runs it and writes `grading.md`. All ways grade the same copies of the first
problem set, solved, on the same machine, one way after the other; and the fourth set, which judges
how long a fit takes, is graded while other programs keep all cores busy.
"""

import argparse
import contextlib
import csv
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
# How long does the grading take?

Solved copies of the first problem set, graded on {cores} cores of one machine, one way after the
other; `make grading-speed` measures anew. Grading holds all but feedback: start, sandbox, checks,
gradebook, reports. nbgrader as it comes runs students' code with the grader's own rights.

| way | submissions | seconds, grading | a minute | seconds, feedback |
|---|--:|--:|--:|--:|
"""
BUSY = """
## With all cores busy

{spinners} programs that do nothing but count run beside the grader, on {cores} cores.

| set | submissions | cores | seconds, grading | least points | most points |
|---|--:|---|--:|--:|--:|
"""
SPIN = [sys.executable, "-c", "while True: pass"]


def course(folder, count, name=NAME):
    """A course with so many submissions, and its students' version made."""
    shutil.copytree(COURSEWORK / "source", folder / "source")
    source = folder / "source" / name
    shutil.copy(COURSEWORK / "grading.toml", folder)
    (folder / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.root = '.'\n")
    for number in range(count):
        target = folder / "submitted" / f"student{number:03d}" / name
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


def ours(*options, name=NAME):
    base = [sys.executable, "-m", "grading", "--course", ".", "grade", name]
    return [*base, *options]


def graded_by_us(folder, *options):
    """(seconds of grading, of feedback): the second run finds all graded, and makes the pages."""
    timed([sys.executable, "-m", "grading", "--course", ".", "release", NAME], folder)
    grading = timed(ours("--no-feedback", *options), folder)
    nothing = timed(ours("--no-feedback", *options), folder)
    return grading, timed(ours(*options), folder) - nothing


def graded_by_nbgrader(folder):
    """nbgrader's own way, without the release that comes before it."""
    timed(["nbgrader", "generate_assignment", NAME, "--create"], folder)
    return timed(["nbgrader", "autograde", NAME], folder), timed(
        ["nbgrader", "generate_feedback", NAME], folder
    )


def graded_by_cluster(folder):
    """A Dask cluster of two workers on this machine."""
    from distributed import LocalCluster

    here = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    os.environ.update(ENVIRONMENT)  # which the workers inherit; the scheduler is this process
    sys.path.insert(0, str(COURSEWORK))
    with LocalCluster(**here) as dask:
        return graded_by_us(folder, "--scheduler", dask.scheduler_address)


def measure(count):
    """(way, submissions, seconds of grading, of feedback) for each way."""
    few = max(4, count // 10)
    ways = [
        ("nbgrader, as it comes", count, graded_by_nbgrader),
        ("warm sandboxes", count, graded_by_us),
        ("warm sandboxes, five times as many", 5 * count, graded_by_us),
        ("a Dask cluster of two workers", count, graded_by_cluster),
        ("a sandbox for each submission", few, lambda folder: graded_by_us(folder, "--cold")),
    ]
    for way, number, run in ways:
        with tempfile.TemporaryDirectory() as folder:
            seconds = run(course(Path(folder), number))
            print(f"{way}: {number} in {seconds[0]:.1f} s, feedback {seconds[1]:.1f} s", flush=True)
            yield way, number, *seconds


@contextlib.contextmanager
def spinning(count):
    """So many programs that take all the processor time that they get."""
    busy = [subprocess.Popen(SPIN) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def points(folder, name):
    """What each student has got."""
    with open(folder / "reports" / name / "grades.csv", newline="", encoding="utf-8") as file:
        return [float(row["score"] or 0) for row in csv.DictReader(file)]


def neighbours(count):
    """(set, submissions, cores, seconds, least, most points), idle and with all cores busy."""
    for name, number in ((NAME, count), ("ps4_tuning_project", max(4, count // 10))):
        for spinners in (0, 2 * os.cpu_count()):
            with tempfile.TemporaryDirectory() as place, spinning(spinners):
                folder = course(Path(place), number, name)
                seconds = timed(ours("--no-feedback", name=name), folder)
                got = points(folder, name)
                print(f"{name}, {spinners} busy: {seconds:.1f} s, {min(got)} to {max(got)}")
                cores = "busy" if spinners else "idle"
                yield name, number, cores, seconds, min(got), max(got)


def page(rows, busy):
    """The tables, and what larger classes cost at the rates measured."""
    text = OPENING.format(cores=os.cpu_count())
    for way, number, seconds, pages in rows:
        text += (
            f"| {way} | {number} | {seconds:.1f} | {60 * number / seconds:.0f} | {pages:.1f} |\n"
        )
    each, plain = ((row[2] + row[3]) / row[1] for row in (rows[2], rows[0]))
    text += "\nGrading and feedback at the rates of the third and the first line:\n\n"
    text += (
        "| submissions | one machine | ten machines | nbgrader, one machine |\n|--:|--:|--:|--:|\n"
    )
    for number in (500, 50_000):
        hours = [number * each / 3600, number * each / 36000, number * plain / 3600]
        text += f"| {number:,} | " + " | ".join(map(in_words, hours)) + " |\n"
    text += BUSY.format(cores=os.cpu_count(), spinners=2 * os.cpu_count())
    for name, number, cores, seconds, least, most in busy:
        text += f"| `{name}` | {number} | {cores} | {seconds:.1f} | {least:g} | {most:g} |\n"
    return text


def in_words(hours):
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    count = parser.parse_args().count
    PAGE.write_text(page(list(measure(count)), list(neighbours(count))), encoding="utf-8")


if __name__ == "__main__":
    main()
