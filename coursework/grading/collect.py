"""Bring what was handed in to where the course keeps it: from a folder, a zip, or an LMS's names.

Known shapes, `ps1_tensors` being the problem set:

- ``alice/ps1_tensors/ps1_tensors.ipynb`` and ``alice/ps1_tensors.ipynb``, as nbgrader has them;
- ``ps1_tensors/alice.ipynb``, ``alice_ps1_tensors.ipynb`` or ``alice.ipynb``;
- the downloads of the LMSs in `grading.lms`.

What lies in a student's folder, and under which name, is up to the student. So whose it is says the
outermost folder alone. Of each student there comes a notebook, or a reason why there is none:
nobody vanishes, and nobody's file stops the others'. Beside it lies ``origin.json``, which says
what was taken from where, and how the LMS calls the student.
"""

import datetime
import json
from dataclasses import dataclass, field

from grading import handin
from grading.course import write_whole
from grading.identity import Identities
from grading.record import moment
from grading.roster import in_utc
from grading.sorting import STAMP, Sorting
from grading.source import Unreadable, files, zone_of

MOST_BYTES, ORIGIN = 8 << 30, "origin.json"
TOO_MUCH = "this collection is larger than {} GB, and {} is among its largest; collect it alone"


@dataclass
class Collected:
    """What came in: of each problem set by student, and what belongs to nobody by file."""

    taken: dict  # {set: {student: file}}
    problems: dict  # {set: {student: reason}}, of those who have no notebook here
    kept: dict  # {set: {student: reason}}, where the last hand-in is bad and an earlier one stays
    left: dict = field(default_factory=dict)  # {file: reason}


def collect(course, names, source, roster=None, *, zone=None):
    """Copy each student's last notebook of several problem sets to ``submitted/``.

    Parameters
    ----------
    course : Course
    names : iterable of str
        The problem sets that are asked for.
    source : path
        A folder or a zip.
    roster : Roster, optional
        By which students get their ids; without one, by their names.
    zone : str, optional
        Of the times in names and zips, as "Europe/Berlin"; by default this machine's.

    Returns
    -------
    Collected

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such source, or it is a broken zip, or there is no such zone.
    """
    names, zone = list(names), zone_of(zone)
    known = {path.name for path in course.root.glob("source/*") if path.is_dir()}
    sorting = Sorting(known, names, source, roster)
    done = Collected(*({name: {} for name in names} for _ in range(3)), left=sorting.left)
    with files(source, zone) as found:
        hand_ins = _by_folder(sorting.sort(found), Identities(course, roster), done.left)
        picks = {about: handin.pick(items, about[0]) for about, items in hand_ins.items()}
        stamps = {file.path.parent: file for file in found if file.path.name == STAMP}
        writer = _Writer(course, roster, zone, stamps, done)
        for (name, student), picked in sorted(_within_limit(picks).items()):
            writer.write(name, student, picked)
    return done


def _by_folder(hand_ins, identities, left):
    """{(problem set, folder): items}; who gets no folder is left with all files."""
    folders = identities.name({about: items[0].claim for about, items in hand_ins.items()})
    found = {}
    for about, items in hand_ins.items():
        folder = folders[about]
        if isinstance(folder, ValueError):
            left |= {str(item.file.path): str(folder) for item in items}
        else:
            found.setdefault((about[0], folder), []).extend(items)
    return found


def _within_limit(picks):
    """The largest files beyond the limit become problems, never the class."""
    total, within = 0, {}
    for about, picked in sorted(picks.items(), key=lambda pair: _size(pair[1])):
        total += _size(picked)
        if picked.file and total > MOST_BYTES:
            problem = TOO_MUCH.format(MOST_BYTES >> 30, picked.item.name)
            picked = handin.Picked(picked.item, problem=problem)
        within[about] = picked
    return within


def _size(picked):
    return picked.file.size if picked.file else 0


class _Writer:
    """Writes what was picked, each file whole or not at all."""

    def __init__(self, course, roster, zone, stamps, done):
        self.course, self.roster, self.zone = course, roster, zone
        self.stamps, self.done = stamps, done
        self.cells = {
            path.parent.name: set(handin.GRADE_ID.findall(path.read_bytes()))
            for path in course.root.glob("source/*/*.ipynb")
        }

    def write(self, name, student, picked):
        """The notebook with its time and its origin, or why there is none."""
        body, problem = b"", picked.problem
        if picked.file:
            try:
                body = picked.file.read(handin.LIMIT_OF_FILE)
            except Unreadable as reason:  # it could be read a moment ago
                problem = f"{picked.item.name}: {reason}"
        if not problem and self._is_of_another(body, name):
            problem = (
                f"the notebook of another problem set was handed in ({picked.item.name}); "
                f"hand in {name}.ipynb"
            )
        when, notes, told = self._when(student, picked.item)
        origin = self._origin(student, picked, when, [*picked.notes, *notes])
        folder = self.course.submitted(student, name)
        if problem:
            self._write_problem(folder, name, student, origin | {"problem": problem})
            return
        self._take(body, origin, folder, name, told)
        self.done.taken[name][student] = origin["file"]

    def _write_problem(self, folder, name, student, origin):
        """A reason instead of a notebook; a notebook that was taken before stays."""
        if not (folder / f"{name}.ipynb").is_file():
            self.done.problems[name][student] = origin["problem"]
            _write(folder / ORIGIN, origin)
            return
        reason = f"a later hand-in could not be taken ({origin['problem']}); the earlier one stays"
        self.done.kept[name][student] = origin["problem"]
        before = self.course.read_origin(student, name) or origin | {"file": "", "problem": ""}
        notes = [*(note for note in before.get("notes", []) if note != reason), reason]
        _write(folder / ORIGIN, before | {"notes": notes})

    def _is_of_another(self, body, name):
        """Whether a notebook has more cells of another problem set than of this one."""
        found = set(handin.GRADE_ID.findall(body))
        shared = {which: len(found & cells) for which, cells in self.cells.items()}
        return max(shared.values(), default=0) > shared.get(name, 0)

    def _take(self, body, origin, folder, name, told):
        """The notebook and the time of handing in.

        An unchanged one keeps its time, unless the LMS itself says another.
        """
        target, stamp = folder / f"{name}.ipynb", folder / STAMP
        if target.is_file() and target.read_bytes() == body:
            if stamp.is_file() and not told:
                origin["when"] = stamp.read_text(errors="replace").strip()
            elif origin["when"]:
                write_whole(stamp, origin["when"])
        else:
            # The time before the notebook: else a stop here would leave the old time.
            if origin["when"]:
                write_whole(stamp, origin["when"])
            else:
                stamp.unlink(missing_ok=True)
            write_whole(target, body)
        _write(folder / ORIGIN, origin)

    def _origin(self, student, picked, when, notes):
        claim = picked.item.claim
        person = self.roster and self.roster.people.get(student)
        return {
            "file": str((picked.file or picked.item.file).path),
            "lms": claim.lms,
            "number": claim.number,
            "name": claim.name or (person.name if person else ""),
            "email": claim.email or (person.email if person else ""),
            "when": when,
            "attempt": claim.attempt,
            "problem": "",
            "notes": notes,
        }

    def _when(self, student, item):
        """When it was handed in, in UTC, if that is known; notes; whether the LMS says it."""
        claim, notes = item.claim, []
        if claim.late:
            notes.append(f"{claim.lms} marks it as late")
        person = self.roster and self.roster.people.get(student)
        told = person.handed_in.get((claim.lms, claim.number)) if person else None
        if claim.when or told:
            return _text(in_utc(claim.when or told, self.zone)), notes, True
        stamp = self.stamps.get(item.file.path.parent) if not claim.lms else None
        if stamp and not stamp.fault and len(item.file.path.parts) > 1:
            text = _head(stamp)
            if moment(text):
                return text, notes, False
        if claim.dated and item.file.when is not None:
            when = datetime.datetime.fromtimestamp(item.file.when, datetime.UTC)
            return _text(when), notes, False
        where = claim.lms or "the zip"
        unsaid = f"{where} does not say when it was handed in; it counts as on time"
        return "", [*notes, unsaid], False


def _head(stamp):
    try:
        return stamp.read(200).decode(errors="replace").strip()
    except Unreadable:
        return ""


def _text(when):
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _write(path, origin):
    """An origin, if it is another than before."""
    text = json.dumps(origin, indent=1, ensure_ascii=False) + "\n"
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):
        pass
    write_whole(path, text)
