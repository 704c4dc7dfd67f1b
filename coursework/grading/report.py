"""The class at a glance: `grades.csv`, and a page with scores and the success of each question."""

import csv
import html
import io
import json
from statistics import mean

from nbgrader.api import Gradebook

from grading.record import write_whole

COLUMNS = ["student", "state", "score", "max_score", "late_penalty", "needs_manual", "reason"]
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
    found = {}
    with Gradebook(course.db_url) as gradebook:
        for submission in gradebook.assignment_submissions(assignment.name):
            found[submission.student.id] = {
                "student": submission.student.id,
                "state": "graded",
                "score": round(submission.score - submission.late_submission_penalty, 3),
                "max_score": submission.max_score,
                "late_penalty": submission.late_submission_penalty,
                "needs_manual": submission.needs_manual_grade,
                "reason": "",
            }
    for path in course.root.glob(f"submitted/*/{assignment.name}"):
        student, note = path.parent.name, _note(course, path.parent.name, assignment.name)
        if "not_graded" in note or student not in found:
            reason = note.get("not_graded", "grading has not reached it yet")
            empty = dict.fromkeys(COLUMNS, "")
            found[student] = empty | {"student": student, "state": "not graded", "reason": reason}
    return [found[student] for student in sorted(found)]


def _note(course, student, name):
    path = course.note(student, name)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write(course, assignment):
    """`grades.csv` and `class.html` of a problem set; the rows, for whoever asks."""
    table = rows(course, assignment)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    # A spreadsheet takes a leading = + - @ for a formula.
    writer.writerows(
        {
            k: f"'{v}" if str(v)[:1] in "=+-@" and k in ("student", "reason") else v
            for k, v in row.items()
        }
        for row in table
    )
    folder = course.root / "reports" / assignment.name
    write_whole(folder / "grades.csv", text.getvalue())
    notes = {row["student"]: _note(course, row["student"], assignment.name) for row in table}
    write_whole(folder / "class.html", page(assignment, table, notes))
    return table


def page(assignment, table, notes):
    """The page of the class, without a script."""
    graded = [row for row in table if row["state"] == "graded"]
    parts = [f"<h1>{html.escape(assignment.name)}</h1>", _summary(table, graded)]
    parts += ["<h2>Scores</h2>", _histogram(graded)] if graded else []
    parts += ["<h2>Questions</h2>", _questions(assignment, notes)]
    parts += ["<h2>Slowest</h2>", _slowest(notes)]
    if leaders := _leaders(notes):
        parts += ["<h2>Leaderboard</h2>", leaders]
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
    return Raw(f'<meter min="0" max="{most}" value="{value}">{value} of {most}</meter>')


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
    return _table(["points", "students", ""], lines)


def _questions(assignment, notes):
    """How many solved each graded cell, and the hint that was given most."""
    lines = []
    for cell in assignment.notebook.cells:
        if assignment.kind(cell) != "test":
            continue
        name, worth = cell.metadata.nbgrader.grade_id, cell.metadata.nbgrader.points
        found = [note["cells"][name] for note in notes.values() if name in note.get("cells", {})]
        solved = sum(verdict["points"] == worth for verdict in found)
        hints = [verdict["hint"] for verdict in found if verdict["hint"]]
        common = max(set(hints), key=hints.count)[:160] if hints else ""
        lines.append(
            (name, f"{solved} of {len(found)}", _meter(solved, max(1, len(found))), common)
        )
    return _table(["question", "solved", "", "most frequent hint"], lines)


def _slowest(notes, most=5):
    seconds = {
        student: sum(verdict["seconds"] for verdict in note.get("cells", {}).values())
        for student, note in notes.items()
    }
    slow = sorted(seconds, key=seconds.get, reverse=True)[:most]
    return _table(["student", "seconds"], [(name, f"{seconds[name]:.1f}") for name in slow])


def _leaders(notes, most=20):
    """Lines that a check printed as `leaderboard: rmse=0.123`, the smallest first."""
    found = []
    for student, note in notes.items():
        for verdict in note.get("cells", {}).values():
            for line in verdict["said"].splitlines():
                if line.startswith("leaderboard: rmse="):
                    found.append((float(line.partition("=")[2].split()[0]), student))
    lines = [(k, name, f"{rmse:.4f}") for k, (rmse, name) in enumerate(sorted(found)[:most], 1)]
    return _table(["place", "student", "RMSE"], lines) if lines else ""
