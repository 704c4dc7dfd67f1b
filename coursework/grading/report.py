"""The class at a glance: `grades.csv`, and a page with scores and the success of each question."""

import csv
import html
import io
import math
from collections import Counter
from statistics import mean

from nbgrader.api import Gradebook

from grading.record import write_whole

COLUMNS = ["student", "state", "score", "max_score", "late_hours", "late_penalty"]
COLUMNS += ["needs_manual", "reason"]
LEADER = "leaderboard: rmse="
STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
th, td { border-bottom: 1px solid #8888; padding: .3rem .9rem .3rem 0; }
th, td { text-align: start; vertical-align: top; }
td.n { font-variant-numeric: tabular-nums; text-align: end; }
meter { width: 10rem; }
"""


def rows(course, assignment):
    """One dict for each student who handed in, ungraded ones with their reason."""
    with Gradebook(course.db_url) as gradebook:
        found = {s.student.id: s for s in gradebook.assignment_submissions(assignment.name)}
        handed_in = {p.parent.name for p in course.root.glob(f"submitted/*/{assignment.name}")}
        return [
            _row(student, found.get(student), course.read_note(student, assignment.name))
            for student in sorted(found.keys() | handed_in)
        ]


def _row(student, submission, note):
    """Only a note says that somebody is graded: the gradebook has rows before it has points."""
    if submission is None or "cells" not in note:
        reason = note.get("not_graded", "grading has not reached it yet")
        empty = dict.fromkeys(COLUMNS, "")
        return empty | {"student": student, "state": "not graded", "reason": reason}
    penalty = submission.late_submission_penalty
    return {
        "student": student,
        "state": "graded",
        "score": round(submission.score - penalty, 3),
        "max_score": submission.max_score,
        "late_hours": round(submission.total_seconds_late / 3600, 2),
        "late_penalty": round(penalty, 3),
        "needs_manual": submission.needs_manual_grade,
        "reason": "",
    }


def write(course, assignment):
    """`grades.csv` and `class.html` of a problem set; the rows, for whoever asks."""
    table = rows(course, assignment)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in table)
    folder = course.root / "reports" / assignment.name
    write_whole(folder / "grades.csv", text.getvalue())
    notes = {row["student"]: course.read_note(row["student"], assignment.name) for row in table}
    write_whole(folder / "class.html", page(assignment, table, notes))
    return table


def _harmless(value):
    """Text that a spreadsheet does not take for a formula; numbers stay numbers."""
    formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula else value


def page(assignment, table, notes):
    """The page of the class, without a script."""
    graded = [row for row in table if row["state"] == "graded"]
    parts = [f"<h1>{html.escape(assignment.name)}</h1>", _summary(table, graded)]
    parts += ["<h2>Scores</h2>", _histogram(graded)] if graded else []
    parts += ["<h2>Questions</h2>", _questions(assignment, notes)]
    parts += ["<h2>Slowest</h2>", _slowest(notes)] if graded else []
    if leaders := _leaders(notes):
        parts += ["<h2>Leaderboard</h2>", leaders]
    if late := [row for row in graded if row["late_hours"]]:
        parts += ["<h2>Late</h2>", _late(late)]
    lost = [(row["student"], row["reason"]) for row in table if row["state"] != "graded"]
    parts += ["<h2>Not graded</h2>", _table(["student", "reason"], lost)] if lost else []
    title = f"<title>{html.escape(assignment.name)}: the class</title>"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8">{title}<style>{STYLE}</style>'
    return head + "<main>" + "\n".join(parts) + "</main></html>\n"


def _table(heads, lines):
    cells = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    body = ""
    for line in lines:
        shown = (c if isinstance(c, Raw) else html.escape(str(c)) for c in line)
        body += "<tr>" + "".join(f"<td>{c}</td>" for c in shown) + "</tr>"
    return f"<table><tr>{cells}</tr>{body}</table>"


class Raw(str):
    """HTML of our own making."""


def _meter(value, most):
    words = f"{value} of {most}"
    return Raw(f'<meter min="0" max="{most}" value="{value}" aria-label="{words}">{words}</meter>')


def _summary(table, graded):
    manual = sum(bool(row["needs_manual"]) for row in graded)
    words = f"{len(graded)} of {len(table)} graded"
    if graded:
        scores = [row["score"] for row in graded]
        words += f"; mean {mean(scores):.1f} of {graded[0]['max_score']:g} points"
    return f"<p>{words}; {manual} wait for points by hand.</p>"


def _histogram(graded, bins=10):
    most = graded[0]["max_score"] or 1
    counts = [0] * bins
    for row in graded:
        counts[min(bins - 1, max(0, int(bins * row["score"] / most)))] += 1
    top = max(counts)
    lines = [
        (f"{most * k / bins:g} – {most * (k + 1) / bins:g}", count, _meter(count, top))
        for k, count in enumerate(counts)
    ]
    return _table(["points", "students", "share"], lines)


def _questions(assignment, notes):
    """How many solved each graded cell, and the hint that was given most."""
    lines = []
    for cell in assignment.notebook.cells:
        if assignment.kind(cell) != "test":
            continue
        name, worth = cell.metadata.nbgrader.grade_id, cell.metadata.nbgrader.points
        found = [note["cells"][name] for note in notes.values() if name in note.get("cells", {})]
        solved = sum(verdict["points"] == worth for verdict in found)
        hints = Counter(verdict["hint"] for verdict in found if verdict["hint"])
        common = max(hints, key=hints.get)[:160] if hints else ""
        share = _meter(solved, max(1, len(found)))
        lines.append((name, f"{solved} of {len(found)}", share, common))
    return _table(["question", "solved", "share", "most frequent hint"], lines)


def _late(late):
    lines = [
        (row["student"], f"{row['late_hours']:.1f}", f"{row['late_penalty']:g}") for row in late
    ]
    return _table(["student", "hours late", "points taken off"], lines)


def _slowest(notes, most=5):
    seconds = {
        student: sum(verdict["seconds"] for verdict in note["cells"].values())
        for student, note in notes.items()
        if "cells" in note
    }
    slow = sorted(seconds, key=seconds.get, reverse=True)[:most]
    return _table(["student", "seconds"], [(name, f"{seconds[name]:.1f}") for name in slow])


def _leaders(notes, most=20):
    """Lines that a check printed as `leaderboard: rmse=0.123`, the smallest first."""
    best = {}
    for student, note in notes.items():
        for verdict in note.get("cells", {}).values():
            for line in verdict["said"].splitlines():
                rmse = _number(line.removeprefix(LEADER)) if line.startswith(LEADER) else math.nan
                if math.isfinite(rmse):
                    best[student] = min(rmse, best.get(student, math.inf))
    order = sorted(best, key=lambda student: (best[student], student))[:most]
    lines = [(place, name, f"{best[name]:.4f}") for place, name in enumerate(order, 1)]
    return _table(["place", "student", "RMSE"], lines) if lines else ""


def _number(text):
    try:
        return float(text.split()[0])
    except (ValueError, IndexError):
        return math.nan
