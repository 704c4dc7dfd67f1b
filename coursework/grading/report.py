"""The class at a glance: `grades.csv`, and a page with scores and the success of each question.

Everybody is on the list: who was graded, who handed in what cannot be graded, and who is on the
roster and handed in nothing.
"""

import csv
import io
import math
from collections import Counter
from statistics import mean

from grading.course import write_whole
from grading.marks import marks_of
from grading.pages import environment
from grading.tables import harmless

COLUMNS = ["student", "name", "email", "state", "score", "max_score", "late_hours", "late_days"]
COLUMNS += ["late_penalty", "needs_manual", "reason"]
LEADER = "leaderboard: rmse="


def rows(course, assignment, roster=None):
    """One dict for each student of the class; those who are not graded have a reason and no score.

    Besides the columns of `grades.csv`, "cells" holds what each question earned.
    """
    people = roster.people if roster else {}
    marks = marks_of(course, assignment)
    handed_in = {p.parent.name for p in course.root.glob(f"submitted/*/{assignment.name}")}
    found = []
    for student in sorted(marks.keys() | handed_in | people.keys()):
        person, note = people.get(student), course.read_note(student, assignment.name)
        origin = course.read_origin(student, assignment.name)
        row = dict.fromkeys(COLUMNS, "") | {"student": student, "cells": {}}
        row["name"] = getattr(person, "name", "") or origin.get("name", "")
        row["email"] = getattr(person, "email", "") or origin.get("email", "")
        # Only a note says that somebody is graded: the gradebook has rows before it has points.
        if student in marks and "cells" in note:
            row |= _graded(marks[student], note)
        else:
            row["state"] = "not graded"
            row["reason"] = _reason(student in handed_in, marks.get(student), note, origin)
        found.append(row)
    return found


def _graded(marks, note):
    cells = {}
    for name, mark in marks.questions.items():
        parts = note["cells"].get(name, {}).get("parts", [])
        cells[name] = {"points": mark.points, "max": mark.worth, "parts": parts}
    return {
        "state": "graded",
        "score": round(marks.score, 3),
        "max_score": marks.max_score,
        "late_hours": round(marks.hours_late, 2),
        "late_days": math.ceil(marks.hours_late / 24),
        "late_penalty": round(marks.penalty, 3),
        "needs_manual": marks.waiting,
        "cells": cells,
    }


def _reason(handed_in, marks, note, origin):
    """Why somebody has no grade, in words that they understand."""
    reason = note.get("not_graded") or origin.get("problem")
    if not reason:
        return "grading has not reached it yet" if handed_in else "nothing was handed in"
    if marks and marks.score:
        return f"{reason}; the gradebook keeps {marks.score:g} points of an earlier hand-in"
    return reason


def write(course, assignment, roster=None, *, names=False):
    """`grades.csv` and `class.html` of a problem set; the rows, for whoever asks.

    Parameters
    ----------
    names : bool
        Whether the page of the class, which may be shown to it, names students.
    """
    table = rows(course, assignment, roster)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: harmless(value) for name, value in row.items()} for row in table)
    folder = course.reports(assignment.name)
    write_whole(folder / "grades.csv", text.getvalue())
    notes = {row["student"]: course.read_note(row["student"], assignment.name) for row in table}
    write_whole(folder / "class.html", page(assignment, table, notes, names=names))
    return table


def page(assignment, table, notes, *, names=False):
    """The page of the class, without a script."""
    graded = [row for row in table if row["state"] == "graded"]
    late = [row for row in graded if row["late_hours"]]
    return (
        environment()
        .get_template("class.html")
        .render(
            title=assignment.name,
            names=names,
            total=len(table),
            graded=len(graded),
            mean=mean(row["score"] for row in graded) if graded else None,
            most=graded[0]["max_score"] if graded else None,
            waiting=sum(bool(row["needs_manual"]) for row in graded),
            histogram=_histogram(graded),
            questions=_questions(assignment, notes),
            slowest=_slowest(notes),
            leaders=_leaders(notes),
            late=late,
            lost=[row for row in table if row["state"] != "graded"],
            reasons=Counter(
                row["reason"] for row in table if row["state"] != "graded"
            ).most_common(),
        )
    )


def _histogram(graded, bins=10):
    """(from, to, students) of ten equal steps."""
    if not graded:
        return []
    most = graded[0]["max_score"] or 1
    counts = [0] * bins
    for row in graded:
        counts[min(bins - 1, max(0, int(bins * row["score"] / most)))] += 1
    return [(most * k / bins, most * (k + 1) / bins, count) for k, count in enumerate(counts)]


def _questions(assignment, notes):
    """(question, solved, tried, the hint that was given most) of each graded cell."""
    lines = []
    for cell in assignment.notebook.cells:
        if assignment.kind(cell) != "test":
            continue
        name, worth = cell.metadata.nbgrader.grade_id, cell.metadata.nbgrader.points
        found = [note["cells"][name] for note in notes.values() if name in note.get("cells", {})]
        # Points of parts add up to all of them, but for a rounding: 0.1 + 0.2 is not 0.3.
        solved = sum(math.isclose(verdict["points"], worth) for verdict in found)
        hints = Counter(verdict["hint"] for verdict in found if verdict["hint"])
        lines.append((name, solved, len(found), max(hints, key=hints.get)[:160] if hints else ""))
    return lines


def _slowest(notes, most=5):
    """(student, seconds) of those whose notebooks ran longest."""
    seconds = {
        student: sum(verdict["seconds"] for verdict in note["cells"].values())
        for student, note in notes.items()
        if "cells" in note
    }
    return [(name, seconds[name]) for name in sorted(seconds, key=seconds.get, reverse=True)[:most]]


def _leaders(notes, most=20):
    """(student, error): lines that a check printed as `leaderboard: rmse=0.123`, least first."""
    best = {}
    for student, note in notes.items():
        for verdict in note.get("cells", {}).values():
            for line in verdict["said"].splitlines():
                rmse = _number(line.removeprefix(LEADER)) if line.startswith(LEADER) else math.nan
                if math.isfinite(rmse):
                    best[student] = min(rmse, best.get(student, math.inf))
    order = sorted(best, key=lambda student: (best[student], student))[:most]
    return [(name, best[name]) for name in order]


def _number(text):
    try:
        return float(text.split()[0])
    except (ValueError, IndexError):
        return math.nan
