"""What a student's folder is called: the same in each run and, where that can be known, each set.

By the roster, if it knows the student; else by the name; and where two share a name, by name and
number, except that whoever has the plain name already keeps it. Of a number that an LMS gives anew
for each assignment (`Claim.lasting`) only that assignment's folders are asked.
"""

import json
from collections import defaultdict

from grading.roster import LONGEST, safe


class Identities:
    """Names folders for the students of a source.

    Parameters
    ----------
    course : Course
    roster : Roster or None
    """

    def __init__(self, course, roster):
        self.roster = roster
        self.known = defaultdict(list)  # {folder in small letters: (folder, set, lms, number)}
        for path in sorted(course.root.glob("submitted/*/*/origin.json")):
            origin = _read(path)
            about = (path.parts[-3], path.parts[-2], origin.get("lms"), origin.get("number"))
            self.known[path.parts[-3].casefold()].append(about)

    def name(self, claims):
        """{(problem set, key): folder, or a ValueError with the reason why there is none}."""
        bases = {about: _base(claim) for about, claim in claims.items()}
        self.namesakes = defaultdict(list)
        for about, base in bases.items():
            self.namesakes[str(base).casefold()].append(about)
        rivals = {about: self._rivals(about, claims, bases) for about in claims}
        found = {}
        for about, claim in claims.items():
            try:
                person = self._person(claim, rivals[about])
                found[about] = person or self._folder(about, claim, bases[about], rivals[about])
            except ValueError as reason:
                found[about] = reason
        return self._apart(found, claims)

    def _rivals(self, about, claims, bases):
        """Others who would get the same name, in this set or, by lasting numbers, in any."""
        mine = claims[about]
        return {
            (name, key): claims[name, key]
            for name, key in self.namesakes[str(bases[about]).casefold()]
            if key != about[1]
            and (name == about[0] or (mine.lasting and claims[name, key].lasting))
        }

    def _person(self, claim, rivals):
        """The id in the roster; by a name only if nobody else here has it."""
        if not self.roster:
            return None
        person = self.roster.find(
            "" if claim.lms else claim.name,
            lms=claim.lms,
            number=claim.number,
            login=claim.login,
            email=claim.email,
            name="" if rivals else claim.name,
        )
        return person and person.id

    def _folder(self, about, claim, base, rivals):
        if isinstance(base, ValueError):
            raise base
        if claim.number and (before := self._before(about[0], claim, base)):
            return before
        nameless = 1 + len({key for (_, key), other in rivals.items() if not other.number})
        reserved = self.roster is not None and any(
            folder.casefold() == base.casefold() for folder in self.roster.people
        )
        if claim.number and (rivals or reserved or self._is_anothers(about[0], claim, base)):
            return _with_number(base, claim.number)
        if not claim.number and (nameless > 1 or reserved):
            count = max(nameless, 2)
            raise ValueError(f"{count} students would be called {base} here; rename one of them")
        return base

    def _before(self, name, claim, base):
        """The folder that this very student has already."""
        for folder in (base, _with_number(base, claim.number)):
            for spelt, of, lms, number in self.known[folder.casefold()]:
                if (lms, number) == (claim.lms, claim.number) and (claim.lasting or of == name):
                    return spelt
        return None

    def _is_anothers(self, name, claim, base):
        return any(
            lms == claim.lms and number and number != claim.number and (claim.lasting or of == name)
            for _, of, lms, number in self.known[base.casefold()]
        )

    def _apart(self, found, claims):
        """No two students in one folder: a name may look like another's name and number."""
        people = self.roster.people if self.roster else {}
        for _ in range(2):
            by_folder = defaultdict(list)
            for about, folder in found.items():
                if not isinstance(folder, ValueError) and folder not in people:
                    by_folder[about[0], folder.casefold()].append(about)
            for abouts in by_folder.values():
                for about in abouts if len(abouts) > 1 else ():
                    found[about] = _further(found[about], claims[about].number, len(abouts))
        return found


def _further(folder, number, count):
    """A folder with the number, if it has none yet; else the reason why it is nobody's."""
    if number and not folder.endswith(f"-{number}"):
        return _with_number(folder, number)
    return folder if number else ValueError(f"{count} students would be called {folder} here")


def _base(claim):
    """A student's name as a folder; or the error that there is none in it."""
    try:
        if claim.anonymous and not claim.name:
            return safe(f"{claim.anonymous}-{claim.number}")
        return safe(claim.name or claim.login or claim.number)
    except ValueError as error:
        return error


def _with_number(base, number):
    return f"{base[: LONGEST - 1 - len(number[:20])].rstrip('.-')}-{safe(number[:20])}"


def _read(path):
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return origin if isinstance(origin, dict) else {}
