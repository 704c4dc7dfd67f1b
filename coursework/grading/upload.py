"""What goes back to the LMS: tables of grades as it reads them, and a zip of feedback.

An LMS's own table, if it is among the roster's, is filled in and otherwise left as it came. Who is
not graded has an empty cell, never a 0: an upload then leaves alone what stands in the LMS.

Of Canvas' export only the columns that say who a student is are kept beside the one for this
problem set. Canvas takes over each column of an upload, and an old export would bring back the old
grades of all other assignments.
"""

import os
import re
import zipfile
from dataclasses import dataclass, field

from grading import tables
from grading.course import write_whole
from grading.handin import holds

WHO = ("student", "id", "sis user id", "sis login id", "integration id", "root account", "section")
MOODLE = ["Identifier", "Full name", "Email address", "Grade", "Maximum Grade"]
MOODLE += ["Last modified (grade)"]  # without which Moodle refuses the table
CANVAS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
NUMBERED = re.compile(r" \(\d+\)$")  # Canvas writes an assignment's number behind its name


@dataclass
class Written:
    """The files that were written, and what whoever uploads them should know."""

    files: list = field(default_factory=list)
    notes: list = field(default_factory=list)


@dataclass(frozen=True)
class Student:
    """A row of the grades, with what the LMS calls the student."""

    row: dict
    origin: dict
    person: object = None

    @property
    def id(self):
        return self.row["student"]

    @property
    def score(self):
        """The points, or nothing: who is not graded has no 0."""
        graded = self.row.get("state") == "graded" and self.row.get("score") not in ("", None)
        return self.row["score"] if graded else ""

    def about(self, key):
        return self.origin.get(key) or getattr(self.person, key, "") or ""

    def number(self, lms):
        """The number in an LMS, by where the work came from or, if it is one only, the roster."""
        if self.origin.get("lms") == lms and self.origin.get("number"):
            return self.origin["number"]
        known = self.person.numbers.get(lms, set()) if self.person else set()
        return next(iter(known)) if len(known) == 1 else ""


def write(course, name, rows, roster=None):
    """Write `moodle.csv`, `canvas.csv`, `questions.csv` and `feedback.zip` to the set's reports.

    An LMS of which nobody has a number, and of which no table was given, gets no table.

    Parameters
    ----------
    course : Course
    name : str
        The problem set.
    rows : list of dict
        One for each student, as `report.rows` has them; "cells" holds what each question gave.
    roster : Roster, optional

    Returns
    -------
    Written
    """
    people = roster.people if roster else {}
    students = [
        Student(row, course.read_origin(row["student"], name), people.get(row["student"]))
        for row in rows
    ]
    folder, done = course.root / "reports" / name, Written()
    made = {
        "moodle.csv": _moodle(students, name, roster, done.notes),
        "canvas.csv": _canvas(students, course.settings.title(name), roster, done.notes),
        "questions.csv": tables.written(_questions(students)),
    }
    for title, body in made.items():
        if body is not None:
            write_whole(folder / title, body)
            done.files.append(folder / title)
        else:
            (folder / title).unlink(missing_ok=True)  # of an earlier run, with other students
    done.files += _feedback(course, name, students, folder / "feedback.zip")
    return done


def _template(roster, lms, students, wanted):
    """The LMS's table with most of these students, of those with a certain column."""
    ids, numbers = {s.id for s in students}, {s.number(lms) for s in students} - {""}
    fitting = [
        template
        for template in (roster.templates if roster else ())
        if template.lms == lms and wanted in template.columns
    ]

    def common(template):
        place = template.columns["number"]
        there = {_digits(row[place]) for row in template.table.rows[1:] if place < len(row)}
        return len(there & numbers), len(ids.intersection(template.people))

    return max(fitting, key=common, default=None)


def _digits(text):
    return text.strip().rpartition(" ")[2]


def _filled(template, place, students, most, notes):
    """The rows of a table after its header, with points in one column; who is missing is noted."""
    by_id = {student.id: student for student in students}
    filled = []
    for row, who in zip(template.table.rows[1:], template.people, strict=True):
        row = row + [""] * (place + 1 - len(row))
        if who is not None:
            student = by_id.pop(who, None)
            row[place] = _points(student, most(row)) if student else ""
        filled.append(row)
    if lost := [student.id for student in by_id.values() if student.score != ""]:
        notes.append(f"{template.path.name} has no row for {', '.join(sorted(lost))}")
    return filled


def _points(student, most):
    """The score in the LMS's scale: 18 of 20 must not arrive there as 18 of 100."""
    own = student.row.get("max_score")
    if student.score == "" or not most or not own or most == own:
        return student.score
    return round(student.score * most / own, 3)


def _moodle(students, name, roster, notes):
    """The grading worksheet: Moodle's own, filled in; or one with the numbers that we know."""
    if template := _template(roster, "Moodle", students, "number"):
        header = template.table.rows[0]
        titles = [" ".join(cell.casefold().split()) for cell in header]
        maximum = titles.index("maximum grade") if "maximum grade" in titles else None

        def most(row):
            return _number(row[maximum]) if maximum is not None and maximum < len(row) else None

        body = _filled(template, titles.index("grade"), students, most, notes)
        _note_scale(students, {most(row) for row in body}, template, notes)
        return tables.written([header, *body], template.table.encoding, template.table.delimiter)
    known = [student for student in students if student.number("Moodle")]
    body = [
        [
            f"Participant {student.number('Moodle')}",
            student.about("name"),
            student.about("email"),
            student.score,
            student.row.get("max_score", ""),
            "-",
        ]
        for student in known
    ]
    return tables.written([MOODLE, *body]) if body else None


def _note_scale(students, maxima, template, notes):
    own = next((s.row["max_score"] for s in students if s.row.get("max_score")), None)
    others = {most for most in maxima if most and most != own}
    if own and others:
        scale = ", ".join(f"{most:g}" for most in sorted(others))
        notes.append(f"{template.path.name} counts to {scale}, the problem set to {own:g}: scaled")


def _number(text):
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def _canvas(students, name, roster, notes):
    """The gradebook's columns that say who is who, and the one of this problem set."""
    if template := _template(roster, "Canvas", students, "number"):
        header, rows = template.table.rows[0], template.table.rows[1:]
        place = _assignment(header, name)
        title = name if place is None else header[place]
        kept = [k for k, cell in enumerate(header) if " ".join(cell.casefold().split()) in WHO]
        own = next((s.row["max_score"] for s in students if s.row.get("max_score")), "")
        possible = [row for row in rows if row[0].strip().casefold() == "points possible"]
        most = _number(possible[0][place]) if possible and place is not None else None
        column = len(header) if place is None else place
        if place is None:
            notes.append(
                f"{template.path.name} has no assignment called {name!r}: canvas.csv would make a "
                'new one in Canvas. Name yours in grading.toml, as title = "…" of the set'
            )
        body = _filled(template, column, students, lambda _: most, notes)
        for row, who in zip(body, template.people, strict=True):
            if who is None and place is None and row[0].strip().casefold() == "points possible":
                row[column] = own
        _note_scale(students, {most}, template, notes)
        chosen = [[*(row[k] if k < len(row) else "" for k in kept), row[column]] for row in body]
        head = [*(header[k] for k in kept), title]
        return tables.written([head, *chosen], template.table.encoding, template.table.delimiter)
    known = [student for student in students if student.number("Canvas")]
    own = next((s.row["max_score"] for s in known if s.row.get("max_score")), "")
    body = [
        [
            student.about("name"),
            student.number("Canvas"),
            getattr(student.person, "called", ""),
            getattr(student.person, "login", ""),
            "",
            student.score,
        ]
        for student in known
    ]
    points = ["    Points Possible", "", "", "", "", own]
    return tables.written([[*CANVAS, name], points, *body]) if body else None


def _assignment(header, name):
    """The column of the assignment that is called like the problem set."""
    titles = [NUMBERED.sub("", cell) for cell in header]
    exact = [k for k, title in enumerate(titles) if title.casefold() == name.casefold()]
    alike = exact or [k for k, title in enumerate(titles) if holds(title, name)]
    return alike[0] if len(alike) == 1 else None


def _questions(students):
    """Each question's points, and whatever else is known of it, a column each."""
    head = ["student", "name", "email", "lms", "number", "state", "score", "max_score"]
    lines, columns = [], {}
    for student in students:
        said = {}
        for question, about in (student.row.get("cells") or {}).items():
            said |= _flat(question, about)
        columns |= dict.fromkeys(said)
        who = [student.id, student.about("name"), student.about("email")]
        who += [student.origin.get(key, "") for key in ("lms", "number")]
        who += [student.row.get("state", ""), student.score, student.row.get("max_score", "")]
        lines.append((who, said))
    body = [[*who, *(said.get(column, "") for column in columns)] for who, said in lines]
    return [[*head, *columns], *body]


def _flat(question, about):
    """{column: value}: the points under the question's name; its parts and the rest behind it."""
    found = {question: about.get("points")}
    for part in about.get("parts") or ():
        found[f"{question}: {part['name']}"] = part["points"]
    others = {key: value for key, value in about.items() if key not in ("points", "parts")}
    found |= {f"{question} {key}": value for key, value in others.items()}
    return {column: "" if value is None else value for column, value in found.items()}


def _feedback(course, name, students, target):
    """A zip of pages, named as Moodle takes them back; the same pages make the same bytes."""
    pages = {}
    for student in students:
        page = course.root / "feedback" / student.id / name / f"{name}.html"
        if page.is_file():
            pages[_page_name(student, name)] = page
    if not pages:
        target.unlink(missing_ok=True)
        return []
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
            for title, page in sorted(pages.items()):
                archive.writestr(_entry(title), page.read_bytes(), zipfile.ZIP_DEFLATED)
        with open(fresh, "rb") as file:
            os.fsync(file.fileno())
        os.replace(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)
    return [target]


def _page_name(student, name):
    """Moodle finds the student by the number between the first two underscores."""
    number = student.number("Moodle")
    if not number:
        return f"{student.id}.html"
    full = re.sub(r'[_/\\:*?"<>|\x00-\x1f]+', " ", student.about("name")).strip(" .")
    return f"{full or 'Participant'}_{number}_assignsubmission_file_/{name}.html"


def _entry(title):
    entry = zipfile.ZipInfo(title)  # of the year 1980, whenever it is made
    entry.external_attr = 0o644 << 16
    return entry
