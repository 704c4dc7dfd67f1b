"""Release, collect, grade and report, from the command line: `python -m grading --help`."""

import argparse
import difflib
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def names(course, wanted):
    """The problem sets that were asked for; all of them by default."""
    known = sorted(path.parent.name for path in course.root.glob("source/*/*.ipynb"))
    if not known:
        raise FileNotFoundError(f"{course.root} is no course: it has no source/<set>/<set>.ipynb")
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"there is no problem set {unknown[0]!r}; there are {', '.join(known)}")
    return wanted or known


def release_all(course, options):
    """Student versions as folders and as zips."""
    from grading.release import as_zip, release

    for name in names(course, options.sets):
        release(course, name)
        target = as_zip(course, name)
        print(f"{name}: {target.with_suffix('')} and {target.name}")
    return 0


def grade_all(course, options):
    """Collect, grade, write feedback and reports; 1 if somebody is not graded."""
    sets, roster = names(course, options.sets), read_roster(course, options)
    lost = collect_all(course, sets, options, roster) if options.submissions else 0
    there = [name for name in sets if any(course.root.glob(f"submitted/*/{name}"))]
    if not there:
        raise FileNotFoundError("nothing was handed in; name a folder or zip with --submissions")
    lost += sum([grade_one(course, name, options, roster) for name in there])
    return 1 if lost else 0


def read_roster(course, options):
    """The class as `--roster` or `roster.csv` of the course names it; None without either."""
    from grading.roster import Roster

    own = course.root / "roster.csv"
    paths = options.roster or ([own] if own.is_file() else [])
    return Roster.read(*paths, zone=course.settings.zone) if paths else None


def collect_all(course, sets, options, roster):
    """Collect for all problem sets at once, and name what belongs to none; how much that is."""
    from grading.collect import collect

    done = collect(course, sets, options.submissions, roster, zone=course.settings.zone)
    for file, reason in done.left.items():
        print(f"left out: {file}: {reason}")
    for name, reasons in done.kept.items():
        for student, reason in reasons.items():
            print(f"{name}: {student}: {reason}; what was handed in before counts")
    return len(done.left)


def grade_one(course, name, options, roster):
    """Grade a problem set and report; how many are not graded."""
    from grading import report, upload
    from grading.assignment import Assignment
    from grading.feedback import feedback
    from grading.release import release
    from grading.run import grade

    where = {"workers": options.workers, "scheduler": options.scheduler}
    where |= {"warm": False if options.cold else None, "trusted": options.trust_submissions}
    if options.trust_submissions:
        print("Without a sandbox: students' code runs with your rights.", file=sys.stderr)
    only = known_students(course, name, options.student)
    done = grade(course, name, again=options.again, only=only, roster=roster, **where)
    assignment = Assignment.load(course.root, name)
    table = report.write(course, assignment, roster, names=options.names)
    graded = [row["student"] for row in table if row["state"] == "graded"]
    shown = [student for student in graded if only is None or student in only]
    print(f"{name}: {done['graded']} graded now, {len(graded)} in all, ", end="")
    print(f"{len(table) - len(graded)} not graded")
    for row in table:
        if row["state"] != "graded":
            print(f"  {row['student']}: {row['reason']}")
    failed = {}
    if not options.no_feedback:
        written, failed = feedback(course, assignment, release(course, name), shown)
        print(f"  {written} pages of feedback are new")
        for student, reason in failed.items():
            print(f"  {student}: {reason}")
    for words in upload.write(course, name, table, roster).notes:
        print(f"  {words}")
    print(f"  {course.reports(name)}")
    return len(table) - len(graded) + len(failed)


def known_students(course, name, students):
    """The students that `--student` names, if they have handed in."""
    for student in students or ():
        if not course.submitted(student, name).is_dir():
            known = sorted(p.parent.name for p in course.root.glob(f"submitted/*/{name}"))
            alike = difflib.get_close_matches(student, known, cutoff=0.4) or known[:5]
            raise ValueError(
                f"{student!r} has handed in nothing for {name}; of {len(known)} who have, these "
                f"are alike: {', '.join(alike)}"
            )
    return set(students) if students else None


def forget_all(course, options):
    """Delete all that the course keeps of some students."""
    from grading.forget import forget

    for student in options.students:
        for words in forget(course, student):
            print(f"{student}: {words}")
    return 0


def compare_all(course, options):
    """Show which notebooks have much code in common."""
    from grading.similar import write

    for name in names(course, options.sets):
        print(f"{name}: {write(course, name)}")
    return 0


def parsed(arguments):
    parser = argparse.ArgumentParser(prog="grading", description=__doc__)
    parser.add_argument("--course", type=Path, default=HERE, help="the folder with source/")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("release", help="make the students' versions")
    grading = commands.add_parser("grade", help="collect, grade, give feedback, report")
    comparing = commands.add_parser("similar", help="show notebooks with much code in common")
    for command in (making, grading, comparing):
        command.add_argument("sets", nargs="*", help="problem sets; all by default")
    forgetting = commands.add_parser("forget", help="delete all that is kept of a student")
    forgetting.add_argument("students", nargs="+", metavar="student")
    grading.add_argument("--submissions", type=Path, help="a folder or a zip to collect from")
    grading.add_argument(
        "--roster", type=Path, action="append", help="who is in the class: CSV; roster.csv if there"
    )
    grading.add_argument("--student", action="append", help="grade this one alone")
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
    grading.add_argument("--names", action="store_true", help="name students on the class's page")
    return parser.parse_args(arguments)


def _done(options):
    """Do what was asked for, alone in the course."""
    from sqlalchemy.exc import OperationalError

    from grading.course import Course

    commands = {"release": release_all, "grade": grade_all}
    commands |= {"forget": forget_all, "similar": compare_all}
    course = Course(options.course)
    try:
        with course.alone():
            return commands[options.command](course, options)
    except OperationalError as error:
        raise RuntimeError(
            f"The gradebook could not be used: {error.orig}. Is another program writing to "
            "gradebook.db? What is graded is kept; the same command goes on with the rest."
        ) from error


def main(arguments=None):
    options = parsed(arguments)
    warnings.filterwarnings("ignore", module="nbgrader")  # of its way with SQLAlchemy
    try:
        return _done(options)
    except KeyboardInterrupt:
        print("\nStopped. What is graded is kept; the same command goes on with the rest.")
        return 130
    except (RuntimeError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
