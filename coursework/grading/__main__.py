"""Release, collect, grade and report, from the command line: `python -m grading --help`."""

import argparse
import os
import sys
import warnings
import zipfile
from pathlib import Path

from grading import report
from grading.assignment import Assignment
from grading.collect import collect
from grading.record import Course
from grading.run import feedback, grade, release

HERE = Path(__file__).resolve().parent.parent


def names(course, wanted):
    """The problem sets that were asked for; all of them by default."""
    return wanted or sorted(path.parent.name for path in course.root.glob("source/*/*.ipynb"))


def release_all(course, options):
    """Student versions as folders and as zips."""
    for name in names(course, options.sets):
        release(course, name)
        folder = course.root / "release" / name
        target, fresh = folder.with_suffix(".zip"), folder.with_suffix(".new")
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, f"{name}/{path.name}")
        os.replace(fresh, target)
        print(f"{name}: {folder} and {target.name}")


def grade_all(course, options):
    """Collect, grade, write feedback and reports; 1 if something could not be graded."""
    sets = names(course, options.sets)
    if options.submissions:
        collect_all(course, sets, options.submissions)
    there = [name for name in sets if any(course.root.glob(f"submitted/*/{name}"))]
    if not there:
        raise FileNotFoundError("nothing was handed in; name a folder or zip with --submissions")
    return 1 if sum([grade_one(course, name, options) for name in there]) else 0


def collect_all(course, sets, source):
    """Collect for each problem set, and name what none of them took."""
    left = {}
    for name in sets:
        for entry in collect(course, name, source).pop("", []):
            file, _, reason = entry.partition(": ")
            left.setdefault(file, []).append(reason)
    for file, reasons in left.items():
        if len(reasons) == len(sets):
            print(f"left out: {file}: {reasons[-1]}")


def grade_one(course, name, options):
    """Grade a problem set and report; how many could not be graded."""
    where = {"workers": options.workers, "scheduler": options.scheduler}
    where |= {"warm": False if options.cold else None, "trusted": options.trust_submissions}
    if options.trust_submissions:
        print("Without a sandbox: students' code runs with your rights.", file=sys.stderr)
    done = grade(course, name, again=options.again, **where)
    table = report.write(course, Assignment.load(course.root, name))
    graded = [row["student"] for row in table if row["state"] == "graded"]
    if not options.no_feedback:
        feedback(course, name, graded)
    lost = [row for row in table if row["state"] != "graded"]
    print(f"{name}: {done['graded']} graded now, {len(graded)} in all, {len(lost)} not graded")
    for row in lost:
        print(f"  {row['student']}: {row['reason']}")
    print(f"  {course.root / 'reports' / name}")
    return len(lost)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="grading", description=__doc__)
    parser.add_argument("--course", type=Path, default=HERE, help="the folder with source/")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("release", help="make the students' versions")
    grading = commands.add_parser("grade", help="collect, grade, give feedback, report")
    for command in (making, grading):
        command.add_argument("sets", nargs="*", help="problem sets; all by default")
    grading.add_argument("--submissions", type=Path, help="a folder or a zip to collect from")
    grading.add_argument("--workers", type=int, help="sandboxes at the same time")
    grading.add_argument("--again", action="store_true", help="also what is graded already")
    grading.add_argument("--cold", action="store_true", help="a new sandbox for each submission")
    grading.add_argument("--scheduler", help="address of a Dask cluster that runs the sandboxes")
    grading.add_argument(
        "--trust-submissions",
        action="store_true",
        help="no sandbox: students' code runs with your rights and can change all that you can",
    )
    grading.add_argument("--no-feedback", action="store_true", help="grades only")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", module="nbgrader")  # of its way with SQLAlchemy
    course = Course(options.course)
    try:
        return {"release": release_all, "grade": grade_all}[options.command](course, options)
    except KeyboardInterrupt:
        print("\nStopped. What is graded is kept; the same command goes on with the rest.")
        return 130
    except (RuntimeError, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
