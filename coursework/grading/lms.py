r"""Whose a file is, as the names in a download say it: one table, with a rule for each LMS.

What an LMS writes itself (the outermost folder, or the beginning of a file's name) says whose the
file is, and nothing else does: all that follows is up to the student. A pattern therefore takes
the first place that fits, never the last one.

To add an LMS, add a `Rule` to `RULES`. Its pattern may hold these groups:

- ``name``, ``login``, ``number``: of the student; ``anonymous`` instead of a name if it is hidden;
- ``when``: the time, in the rule's format; ``attempt``, ``upload``: numbers that grow; ``late``;
- ``title``: what the instructor called the problem set;
- ``rest``: the student's own name for the file.

As the LMSs' sources have it, two things are not in a download. Moodle's numbers are those of
participants in one assignment: the same student has another number in the next, and only a roster
can tell that two are one. And Moodle, Canvas and ``git clone`` give each file the time of the
download. That is no time of handing in, so nobody is late by it.
"""

import datetime
import re
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import PurePosixPath

FILE, FOLDER, PATH = "file", "folder", "path"


@dataclass(frozen=True)
class Rule:
    """How an LMS names what was handed in."""

    lms: str
    where: str  # what the pattern sees: the outermost FOLDER, a FILE without any, or all folders
    pattern: str
    time: str = ""  # the format of the time in the name; it is local time
    dated: bool = False  # the time of the file says when it was handed in
    lasting: bool = True  # a student's number is the same in each problem set
    free: bool = False  # the student chose the whole name


MOODLE = (
    r"(?:(?P<anonymous>Participant)|(?P<name>.+?))(?:_(?P<number>\d+))?_assignsubmission_[a-z]+"
)
CANVAS = r"(?:(?P<upload>\d+)_|(?=(?:text|link)\.html$))(?P<rest>.+)"
BRIGHTSPACE = r"(?P<number>\d+)-\d+ - (?P<name>.+?) - (?P<when>[A-Z][a-z]+ \d+, \d{4} \d+ ?[AP]M)"
BLACKBOARD = (
    r"(?P<title>.+?)_(?P<login>[^_]+)_attempt_(?P<when>\d{4}(?:-\d\d){5})(?:_(?P<rest>.+)|\.txt)"
)
LOGIN = r"[A-Za-z\d](?:-?[A-Za-z\d]){0,38}"  # of GitHub's; it is their number, too
RULES = (
    Rule("Moodle", FOLDER, MOODLE + "_?", lasting=False),
    Rule("Moodle", FILE, MOODLE + "_(?P<rest>.+)", lasting=False),
    Rule("Canvas", FILE, r"(?:(?P<late>LATE)_)?(?P<anonymous>anon)_(?P<number>\w{3,}?)_" + CANVAS),
    Rule("Canvas", FILE, r"(?P<name>.+?)(?:_(?P<late>LATE))?_(?P<number>\d+)_" + CANVAS),
    Rule("Blackboard", FILE, BLACKBOARD, time="%Y-%m-%d-%H-%M-%S"),
    Rule("Brightspace", FOLDER, BRIGHTSPACE, time="%b %d, %Y %I%M %p"),
    Rule("Brightspace", FILE, BRIGHTSPACE + " - (?P<rest>.+)", time="%b %d, %Y %I%M %p"),
    Rule("Gradescope", FOLDER, r"(?P<anonymous>submission)_(?P<number>\d+)", lasting=False),
    Rule("GitHub Classroom", FOLDER, f"(?P<title>TITLE)-(?P<number>(?P<name>{LOGIN}))"),
    Rule(
        "Teams",
        PATH,
        r"(?P<name>[^/]+)/(?P<title>[^/]+)/Version (?P<attempt>\d{1,6})(?:/.*)?",
        dated=True,
    ),
    Rule("Google Classroom", FILE, r"(?P<name>[^_]+?) - (?P<rest>.+)", dated=True, free=True),
    Rule("", FOLDER, r"(?P<name>.+(?<!\.ipynb))", dated=True),
    Rule("", FILE, r"(?P<name>.+)", dated=True),
)
FREE = {rule.lms for rule in RULES if rule.free}
# Folders that LMSs put around everybody's, and one with what nobody has handed in.
AROUND = re.compile(r"(.* - )?Student Work|Submitted files|assignment_\d+_export")
DRAFTS = "Working files"


@dataclass(frozen=True)
class Claim:
    """That somebody handed in a file, as an LMS says it."""

    lms: str = ""
    name: str = ""
    number: str = ""
    login: str = ""
    email: str = ""
    anonymous: str = ""
    title: str = ""
    when: datetime.datetime | None = None  # local time if it has no zone
    attempt: int = 0
    upload: int = 0
    late: bool = False
    dated: bool = True
    lasting: bool = True
    free: bool = False
    own: PurePosixPath = field(default_factory=PurePosixPath)  # the student's name for the file

    @property
    def key(self):
        """What tells this student from all others of the source."""
        return (self.lms, self.number) if self.number else ("", self.login or self.name)


def read(path, titles=(), maker=""):
    """The claim that a path in a download makes.

    Parameters
    ----------
    path : PurePosixPath
        Relative to the download.
    titles : collection of str
        Names of problem sets, as they may begin the name of a repository.
    maker : str
        The LMS whose download it is, as `maker_of` says.

    Raises
    ------
    ValueError
        With the reason why it says nobody's name.
    """
    parts = unwrapped(path).parts
    if parts[0] == DRAFTS and len(parts) > 1:
        raise ValueError("it is a draft that was not handed in")
    if len(parts) == 1:
        return _best(_matches(FILE, parts[0], titles), maker)
    found = _matches(FOLDER, parts[0], titles)
    found += _matches(PATH, "/".join(parts[:-1]), titles)
    return replace(_best(found, ""), own=PurePosixPath(*parts[1:]))


def maker_of(names, titles=()):
    """The LMS that wrote the names of files, or nothing: one download is one LMS's.

    A student's own name for a file can look like another LMS's, but only behind what the LMS wrote,
    and only for that student's files. So it is the one whose pattern fits most of the names, and of
    several the one that leaves most of each name to the student, but not all of it. The number of
    an upload stands once in a download; where it stands twice, it is a part of something else.
    """
    fits = {}
    for name in names:
        for rule, match in _matches(FILE, name, titles):
            fits.setdefault(rule.lms, {}).setdefault(name, match.groupdict())
    for lms, found in fits.items():
        uploads = [groups["upload"] for groups in found.values() if groups.get("upload")]
        if len(set(uploads)) < len(uploads):
            fits[lms] = {}

    def fit(lms):
        rest = sum(len(groups.get("rest") or "") for groups in fits[lms].values())
        return len(fits[lms]), lms not in FREE, rest

    return max((lms for lms in fits if lms), key=fit, default="")


def _matches(where, text, titles):
    """The rules that fit, each with its match, in the order of the table."""
    rules = [(rule, _compiled(rule, tuple(titles))) for rule in RULES if rule.where == where]
    return [(rule, match) for rule, form in rules if (match := form.fullmatch(text))]


def _best(found, maker):
    """The claim of the rule that believes the least of a name."""
    if maker in FREE:  # there all of a name is a student's, who can imitate any other LMS
        found = [(rule, match) for rule, match in found if rule.lms in ("", maker)]
    if not found:
        raise ValueError("it names no student")

    def order(pair):
        rule, match = pair
        rest = len(match.groupdict().get("rest") or "")
        return rule.lms == "", rule.lms != maker, rule.free, -rest

    return _claim(*min(found, key=order))


def unwrapped(path):
    """A path without the folders that an LMS puts around everybody's."""
    parts = path.parts
    while len(parts) > 1 and AROUND.fullmatch(parts[0]):
        parts = parts[1:]
    return PurePosixPath(*parts)


@cache
def _compiled(rule, titles):
    """A rule's pattern, with the names that a repository's may begin with."""
    loose = [re.sub(r"[\W_]+", r"[-_ ]?", title) for title in titles]
    title = "|".join(sorted(loose, key=len, reverse=True)) or r"(?!)"
    return re.compile(rule.pattern.replace("TITLE", f"(?i:{title})"))


def _claim(rule, match):
    said = {name: text or "" for name, text in match.groupdict().items()}
    if not any(said.get(name, "").strip() for name in ("name", "login", "number", "anonymous")):
        raise ValueError("it names no student")
    return Claim(
        rule.lms,
        *(said.get(name, "").strip() for name in ("name", "number", "login")),
        anonymous=said.get("anonymous", ""),
        title=said.get("title", ""),
        when=_time(said.get("when"), rule.time),
        attempt=int(said.get("attempt") or 0),
        upload=int((said.get("upload") or "0")[:18]),
        late=bool(said.get("late")),
        dated=rule.dated,
        lasting=rule.lasting,
        free=rule.free,
        own=PurePosixPath(said.get("rest") or "."),
    )


def _time(text, form):
    """The time in a name; None if there is none, or no such day."""
    if not text:
        return None
    if "%p" in form:  # 900 AM is short of a digit, March is long, and no blank need stand before AM
        text = re.sub(r"(?<![\d])(\d{3}) ?([AP]M)$", r"0\1 \2", text)
        text = re.sub(r"(\d) ?([AP]M)$", r"\1 \2", text)
        text = re.sub(r"^([A-Z][a-z]{2})[a-z]*", r"\1", text)
    try:
        return datetime.datetime.strptime(text, form)
    except ValueError:
        return None
