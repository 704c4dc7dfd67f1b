"""What a student's folder is called: the same in each run and, where that can be known, each set.

By the roster, if it knows the student; else by the name; and where two share a name, by name and
number, except that whoever has the plain name already keeps it. Of a number that an LMS gives anew
for each assignment (`Claim.lasting`) only that assignment's folders are asked.
"""

import json
from collections import defaultdict

from grading.roster import LONGEST, UNSAFE, safe


class Identities:
    """Names folders for the students of a source.

    Parameters
    ----------
    course : Course
    roster : Roster or None
    """

    def __init__(self, course, roster):
        self.people = roster.people if roster else {}
        self.roster = roster
        self.known = defaultdict(list)  # {folder in small letters: [(set, LMS, number)]}
        self.before = {}  # {(set or None, LMS, number): folder}
        self.taken = defaultdict(list)  # {folder in small letters: [(set, key, lasting)]}
        for path in sorted(course.root.glob("submitted/*/*/origin.json")):
            folder, name, origin = path.parts[-3], path.parts[-2], _read(path)
            who = (origin.get("lms"), origin.get("number"))
            self.known[folder.casefold()].append((name, *who))
            for scope in (name, None):
                self.before.setdefault((scope, *who), folder)

    def name(self, claims):
        """{(problem set, key): folder, or a ValueError with the reason why there is none}."""
        bases = {about: _base(claim) for about, claim in claims.items()}
        namesakes = defaultdict(list)
        for about, base in bases.items():
            namesakes[str(base).casefold()].append(about)
        found, waiting = {}, []
        for about, claim in sorted(claims.items(), key=lambda pair: pair[0]):
            rivals = self._rivals(about, claims, namesakes[str(bases[about]).casefold()])
            if folder := self._settled(about[0], claim, rivals):
                found[about] = self._take(folder, about, claim)
            else:
                waiting.append((bool(claim.number), about, rivals))
        # Whoever has a number can be called by it, and so gives way to who has none.
        for _, about, rivals in sorted(waiting, key=lambda entry: entry[:2]):
            found[about] = self._fresh(about, claims[about], bases[about], rivals)
        return found

    def _rivals(self, about, claims, namesakes):
        """Others who would get the same name, in this set or, by lasting numbers, in any."""
        mine = claims[about]
        return {
            other: claims[other]
            for other in namesakes
            if other[1] != about[1]
            and (other[0] == about[0] or (mine.lasting and claims[other].lasting))
        }

    def _settled(self, name, claim, rivals):
        """The id in the roster, by a name only if nobody else here has it; or the folder before."""
        if self.roster:
            person = self.roster.find(
                "" if claim.lms else claim.name,
                lms=claim.lms,
                number=claim.number,
                login=claim.login,
                email=claim.email,
                name="" if rivals else claim.name,
            )
            if person:
                return person.id
        scope = None if claim.lasting else name
        return self.before.get((scope, claim.lms, claim.number)) if claim.number else None

    def _fresh(self, about, claim, base, rivals):
        """The plain name, or the name and the number; else why there is no folder."""
        if isinstance(base, ValueError):
            return base
        nameless = len({key for (_, key), other in rivals.items() if not other.number})
        if not claim.number:
            if nameless or not self._is_free(base, about, claim):
                count = max(2, nameless + 1)
                return ValueError(f"{count} students would be called {base} here; rename one")
            return self._take(base, about, claim)
        further = (_with_number(base, claim.number, k) for k in range(1, 100))
        for folder in further if rivals else (base, *further):
            if self._is_free(folder, about, claim):
                return self._take(folder, about, claim)
        return ValueError(f"too many students would be called {base} here")

    def _is_free(self, folder, about, claim):
        """Whether nobody else has this folder, or may have it."""
        small = folder.casefold()
        in_roster = any(small == person.casefold() for person in self.people)
        in_run = any(
            key != about[1] and (name == about[0] or (lasting and claim.lasting))
            for name, key, lasting in self.taken[small]
        )
        there = claim.number and any(
            lms == claim.lms
            and number not in ("", None, claim.number)
            and (claim.lasting or name == about[0])
            for name, lms, number in self.known[small]
        )
        return not (in_roster or in_run or there)

    def _take(self, folder, about, claim):
        self.taken[folder.casefold()].append((*about, claim.lasting))
        return folder


def _base(claim):
    """A student's name as a folder; or the error that there is none in it."""
    try:
        if claim.anonymous and not claim.name:
            return safe(f"{claim.anonymous}-{claim.number}")
        return safe(claim.name or claim.login or claim.number)
    except ValueError as error:
        return error


def _with_number(base, number, turn):
    """Name and number; the turn tells apart whom even these do not."""
    short = UNSAFE.sub("-", number)[:20].strip(".-") + (f"-{turn}" if turn > 1 else "")
    return f"{base[: LONGEST - 1 - len(short)].rstrip('.-')}-{short}"


def _read(path):
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return origin if isinstance(origin, dict) else {}
