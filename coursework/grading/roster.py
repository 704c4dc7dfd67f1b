"""Who is in the class: names, addresses and numbers, from the tables that LMSs give out.

A roster of your own is a CSV file with the columns ``id``, ``name``, ``email`` and ``extension``:
a number of days, or the moment until which nothing is late. A table of an LMS's is recognised by
its header; `DIALECTS` holds what each column is called there. Several tables become one class: a
person is the same by id, by e-mail or by an LMS's number, and by name only where a table has none
of the others and the name is unique.

With a roster, a student's folder is called by the id: what your own table says, else what the
LMS's table has for the school's number, else the login, the e-mail, the name.
"""

import datetime
import re
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from grading import tables
from grading.source import zone_of

UNSAFE = re.compile(r"[^\w.@+-]+")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST = 60
NOBODY = re.compile(r"points possible|student, test|test student|manual posting|muted|", re.I)
QUOTED = re.compile(r"^'(?=[=+\-@])")  # what makes a formula harmless is no part of a name
MOMENTS = ("%A, %d %B %Y, %I:%M %p", "%A, %B %d, %Y, %I:%M %p", "%A, %d %B %Y, %H:%M")


@dataclass(frozen=True)
class Dialect:
    """What the columns of a table are called, in small letters; the first that is there counts."""

    lms: str
    marks: tuple  # the columns by which the table is recognised
    id: tuple = ()
    name: tuple = ("full name", "name")
    first: tuple = ("first name", "first_name")
    last: tuple = ("last name", "last_name", "surname")
    email: tuple = ("email address", "email", "e-mail")
    login: tuple = ("username",)
    number: tuple = ()
    extension: tuple = ()
    when: tuple = ()  # when it was handed in, of a table for one assignment


DIALECTS = (
    Dialect(
        "Moodle",
        ("identifier", "grade"),
        ("id number",),
        number=("identifier",),
        when=("last modified (submission)",),
    ),
    Dialect(
        "Canvas",
        ("student", "id", "section"),
        ("sis user id",),
        name=("student",),
        login=("sis login id",),
        number=("id",),
    ),
    Dialect("Brightspace", ("orgdefinedid",), ("orgdefinedid",)),
    Dialect(
        "GitHub Classroom",
        ("identifier", "github_username"),
        ("identifier",),
        login=(),
        number=("github_username",),
    ),
    Dialect(
        "GitHub Classroom",
        ("roster_identifier", "github_username"),
        ("roster_identifier",),
        login=(),
        number=("github_username",),
        when=("submission_timestamp",),
    ),
    Dialect("Gradescope", ("sid",), ("sid",)),
    Dialect("", ("id",), ("id",), login=("login", "username"), extension=("extension",)),
    Dialect("Moodle", ("first name", "email address"), ("id number",)),
    Dialect("Blackboard", ("username", "last name"), ("student id",)),
)


@dataclass
class Person:
    """Somebody of the class, by whatever name an LMS knows them."""

    id: str
    name: str = ""
    email: str = ""
    login: str = ""
    numbers: dict = field(default_factory=dict)  # of each LMS, a set of its numbers
    extension: object = None  # days as a number, or the moment until which nothing is late
    handed_in: dict = field(default_factory=dict)  # {(LMS, number): moment}, where a table says it
    called: str = ""  # the id as the table has it

    def absorb(self, other):
        """Take over what another table says of the same person, where this one says nothing."""
        for key in ("name", "email", "login"):
            setattr(self, key, getattr(self, key) or getattr(other, key))
        if self.extension is None:
            self.extension = other.extension
        for lms, numbers in other.numbers.items():
            self.numbers.setdefault(lms, set()).update(numbers)
        self.handed_in |= other.handed_in


@dataclass
class Template:
    """A table as it came, with whose each row is: what goes back to the LMS looks the same."""

    path: Path
    lms: str
    table: tables.Table
    columns: dict  # what a column is for, and its place
    people: list = field(default_factory=list)  # for each row after the header, an id or None


@dataclass
class Roster:
    """The class, and the tables that it was read from."""

    people: dict = field(default_factory=dict)  # by id, which is the name of a folder
    templates: list = field(default_factory=list)

    @classmethod
    def read(cls, *paths, zone=None):
        """Read tables of any known dialect; the same person in two of them becomes one.

        Parameters
        ----------
        *paths : path
        zone : str, optional
            In which time zone the tables' times are; by default this machine's.

        Raises
        ------
        FileNotFoundError, ValueError
            With the file, the line, the value, and what to do.
        """
        roster, zone = cls(), zone_of(zone)
        found = [_template(Path(path)) for path in paths]
        # Of your own table are the ids, wherever you name it.
        for template, dialect in sorted(found, key=lambda pair: pair[1].lms != ""):
            _Reader(roster, template, dialect, zone).read()
            roster.templates.append(template)
        return roster

    def find(self, text="", *, lms="", number="", login="", email="", name=""):
        """The one person who is meant, or None if it is nobody, or could be two.

        `text` may be anything: an id, a login, an e-mail, a name.
        """
        if number:
            for person in self.people.values():
                if number in person.numbers.get(lms, ()):
                    return person
        for word in filter(None, (login, email, text)):
            word = word.casefold()
            for person in self.people.values():
                if word in {person.id.casefold(), person.called.casefold()}:
                    return person
                if word in {person.login.casefold(), person.email.casefold()}:
                    return person
        for words in filter(None, (name, text)):
            if found := self._named(words):
                return found
        return None

    def _named(self, words):
        """By a name that is unique here."""
        keys = name_keys(words)
        found = [person for person in self.people.values() if keys & name_keys(person.name)]
        return found[0] if len(found) == 1 else None


@cache
def name_keys(name):
    """A name in each of its orders, as letters alone: LMSs turn it around, and drop the rest."""
    whole = unicodedata.normalize("NFKC", name).casefold()
    words = [word for part in whole.split() if (word := re.sub(r"[\W_]+", "", part))]
    return frozenset("".join(words[k:] + words[:k]) for k in range(len(words)))


def safe(text):
    """A name that is one folder, on each system, wherever it came from.

    Raises
    ------
    ValueError
        If nothing is left of it.
    """
    whole = unicodedata.normalize("NFC", text)  # a zip from macOS has accents apart
    name = UNSAFE.sub("-", whole)[:LONGEST].strip(".-")
    if not name:
        raise ValueError("it names no student")
    return f"{name}_" if RESERVED.fullmatch(name) else name


def _template(path):
    """A table, with what its columns are for."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no roster {path}")
    table = tables.read(path)
    header = [" ".join(cell.casefold().split()) for cell in table.rows[0]]
    for dialect in DIALECTS:
        if all(mark in header for mark in dialect.marks):
            break
    else:
        known = "; ".join(sorted({", ".join(dialect.marks) for dialect in DIALECTS}))
        raise ValueError(
            f"{path}, line {table.lines[0]}: no column says who a student is (it has "
            f"{', '.join(table.rows[0])}); give it a column id, or take a table that has: {known}"
        )
    wanted = ("id", "name", "first", "last", "email", "login", "number", "extension", "when")
    columns = {
        use: header.index(title)
        for use in wanted
        for title in reversed(getattr(dialect, use))
        if title in header
    }
    return Template(path, dialect.lms, table, columns), dialect


class _Reader:
    """Reads one table into a roster."""

    def __init__(self, roster, template, dialect, zone):
        self.roster, self.template, self.dialect, self.zone = roster, template, dialect, zone
        self.seen = {}  # the line of each id in this table

    def read(self):
        table = self.template.table
        for line, row in zip(table.lines[1:], table.rows[1:], strict=True):
            self.template.people.append(self._row(line, row))

    def _row(self, line, row):
        """Whose a row is; None if it is no student's."""
        said = {
            use: QUOTED.sub("", row[place].strip()) if place < len(row) else ""
            for use, place in self.template.columns.items()
        }
        said = {use: "" if text == "-" else text for use, text in said.items()}
        name = said.get("name") or " ".join(filter(None, (said.get("first"), said.get("last"))))
        if self.dialect.lms and name and NOBODY.fullmatch(name):
            return None
        if self.dialect.lms == "Canvas" and not name:
            return None
        number = self._number(said.get("number", ""))
        own = said.get("id", "").lstrip("#" if self.dialect.lms == "Brightspace" else "")
        login = said.get("login", "").lstrip("#" if self.dialect.lms == "Brightspace" else "")
        called = own or login or said.get("email") or name or number
        if not called or not (self.dialect.lms or own):
            raise self._error(line, "id", "", "each student needs an id")
        person = Person(
            self._safe(line, called),
            name,
            said.get("email", ""),
            login,
            {self.dialect.lms: {number}} if number else {},
            self._extension(line, said.get("extension", "")),
            called=called,
        )
        if number and (when := self._moment(said.get("when", ""))):
            person.handed_in[self.dialect.lms, number] = when
        return self._add(line, person, bool(own)).id

    def _number(self, text):
        """An LMS's number, without the word that Moodle writes before it."""
        found = re.search(r"\d+$", text) if self.dialect.lms == "Moodle" else None
        return found[0] if found else text

    def _safe(self, line, called):
        try:
            return safe(called)
        except ValueError:
            words = "no folder can be called so; give this student letters or digits"
            raise self._error(line, "id", called, words) from None

    def _add(self, line, person, has_own_id):
        """The person in the roster, who may be there already."""
        before = self.seen.get(person.called.casefold())
        if before is not None and has_own_id:
            words = f"the same id stands in line {before}; each student needs an id of their own"
            raise self._error(line, "id", person.called, words)
        if before is not None:  # two of one name, of whom the table says nothing else
            number = next(iter(person.numbers.get(self.dialect.lms, ())), "")
            person.id = safe(f"{person.id[: LONGEST - 12]}-{number or line}")
        self.seen.setdefault(person.called.casefold(), line)
        same = self._same(person, has_own_id)
        if len(same) > 1:
            ids = " and ".join(sorted(other.id for other in same))
            words = f"by id, e-mail and number this is {ids}; correct one of the tables"
            raise self._error(line, "student", person.called, words)
        if same:
            same[0].absorb(person)
            return same[0]
        for other in self.roster.people.values():
            if other.id.casefold() == person.id.casefold():
                words = f"its folder would be that of {other.called!r}; change one of the two"
                raise self._error(line, "id", person.called, words)
        self.roster.people[person.id] = person
        return person

    def _same(self, person, has_own_id):
        """Who of the roster this is: by id, e-mail or number; else by a name that is unique."""
        email, called = person.email.casefold(), person.called.casefold()
        is_id = has_own_id or person.called == person.login  # and not a name, which others share
        found = [
            other
            for other in self.roster.people.values()
            if (is_id and other.called.casefold() == called)
            or (email and other.email.casefold() == email)
            or any(n & other.numbers.get(lms, set()) for lms, n in person.numbers.items())
        ]
        if found or has_own_id or not person.name:
            return found
        keys = name_keys(person.name)
        named = [o for o in self.roster.people.values() if keys & name_keys(o.name)]
        return named if len(named) == 1 and not self._has_both(named[0], person) else []

    def _has_both(self, one, other):
        """Whether two have what tells them apart."""
        return bool(one.email and other.email) or self.dialect.lms in one.numbers

    def _extension(self, line, text):
        """Days, or the moment in UTC until which nothing is late."""
        if not text:
            return None
        with_point = text.replace(",", ".")
        if re.fullmatch(r"\d+(\.\d+)?", with_point):
            return float(with_point)
        try:
            when = datetime.datetime.fromisoformat(text)
        except ValueError:
            words = "write days as a number (2), or a time (2026-03-05, or 2026-03-05 18:00)"
            raise self._error(line, "extension", text, words) from None
        if re.fullmatch(r"[\d-]+", text):  # a day lasts until its end
            when += datetime.timedelta(days=1, seconds=-1)
        return in_utc(when, self.zone)

    def _moment(self, text):
        """When something was handed in, if the table says it in a form that is known."""
        for form in MOMENTS:
            try:
                return in_utc(datetime.datetime.strptime(text, form), self.zone)
            except ValueError:
                continue
        try:
            stamp = datetime.datetime.fromisoformat(text.replace(" UTC", "+00:00"))
        except ValueError:
            return None
        return in_utc(stamp, self.zone)

    def _error(self, line, column, value, words):
        return ValueError(f"{self.template.path}, line {line}: {column} {value!r}: {words}")


def in_utc(when, zone=None):
    """A moment in UTC; without a zone of its own it is of the given one, or of this machine."""
    if when.tzinfo is None and zone is not None:
        when = when.replace(tzinfo=zone)
    return when.astimezone(datetime.UTC)
