"""From what came out of the sandbox to points: the checks run here, on plain data only.

Each runs in a process with limits (see bounded.py), and each answer stands alone: whatever Python
can raise while one is looked at, the others get what they deserve.
"""

import contextlib
import io
import os
from dataclasses import asdict, dataclass, field, replace

from grading.assignment import MISSING, grade_id
from grading.bounded import Exceeded, Failed, each
from grading.contract import from_plain, split

LONGEST = 4000  # characters of what a check says; an answer may stand in it
DEEPEST = 40  # lists and dicts within each other, of what a sandbox sends


class BadCheck(ValueError):
    """The problem set has a mistake; the message says where."""


@dataclass(frozen=True)
class Part:
    """What a named check earned."""

    name: str
    points: float
    worth: float
    hint: str = ""


@dataclass(frozen=True)
class Verdict:
    """What one graded cell earned, and the words that go with it."""

    points: float
    hint: str = ""
    said: str = ""
    seconds: float = 0.0
    parts: list[Part] = field(default_factory=list)

    def as_dict(self):
        return asdict(self)


def records_of(result):
    """The first record of each cell that came to its end, by id."""
    records = {}
    for record in result["records"]:
        if isinstance(record.get("id"), str) and "seconds" in record:
            records.setdefault(record["id"], record)
    return records


def judge(assignment, result, **limits):
    """A `Verdict` for each graded code cell, by grade id.

    Parameters
    ----------
    assignment : Assignment
    result : dict
        What `Jail.run` returned.
    **limits
        Of the process that checks, see `bounded.each`.

    Raises
    ------
    BadCheck
        If the problem set itself has a mistake, outside of what a student answers.
    """
    light = replace(assignment, files={})  # checks read files from the folder that they run in
    result = _cut(result)
    names = [name for name, kind in assignment.kinds.items() if kind == "test"]
    verdicts = {}
    while len(verdicts) < len(names):
        try:
            for name, verdict in each(judged, light, result, set(verdicts), **limits):
                verdicts[name] = verdict
        except Exceeded as reason:
            stuck = next(name for name in names if name not in verdicts)
            verdicts[stuck] = Verdict(0, f"the check cannot use this answer: {reason}")
    return {name: verdicts[name] for name in names}


def _cut(value, depth=0):
    """A result in which nothing is nested so deep that it cannot be sent; no answer is."""
    if not isinstance(value, (dict, list)):
        return value
    if depth > DEEPEST:
        return {"too": "deep"}
    if isinstance(value, dict):
        return {key: _cut(item, depth + 1) for key, item in value.items()}
    return [_cut(item, depth + 1) for item in value]


def prove(assignment, **limits):
    """Raise `BadCheck` if a part of the instructor's does not run, before anybody is graded."""
    light = replace(assignment, files={})
    try:
        for _ in each(judged, light, {"records": []}, set(), True, **limits):
            pass
    except (Exceeded, Failed) as reason:
        raise BadCheck(
            f"{assignment.name}: its locked cells and the set-up of its tests do not run by "
            f"themselves: {reason}; what they may take stands in grading.toml (check_seconds, "
            "check_megabytes)"
        ) from None


def judged(assignment, result, known, dry=False):
    """The name and `Verdict` of each graded cell whose name is not known yet, one by one."""
    os.chdir(assignment.folder)  # where a check finds its files; this is a child process
    records, reason = records_of(result), _reason(result)
    trusted, before = {"__name__": "check"}, ""
    for cell in assignment.notebook.cells:
        kind, name = assignment.kind(cell), grade_id(cell) or "a locked cell"
        if kind == "locked":
            _run_own(cell.source, trusted, name)
        elif kind == "test" and name not in known:
            parts, worth = split(cell.source), cell.metadata.nbgrader.points
            if dry:
                _run_own(parts.setup, dict(trusted), name)
            verdict = _verdict(records.get(name), parts, trusted, worth, reason, name)
            # A test that finds no function says little; what went wrong stands further up.
            missed = verdict.hint.startswith("NameError")
            yield name, replace(verdict, hint=verdict.hint + before) if missed else verdict
        before = _latest_error(records, name, kind) or before


def _reason(result):
    for record in result["records"]:
        if isinstance(record.get("broken"), str):
            return f"the sandbox could not run it: {record['broken'][-300:]}"
    ended = result.get("ended") or "ended its own process"
    begun = [record.get("start") for record in result["records"]]
    where = next((name for name in reversed(begun) if isinstance(name, str)), "")
    return f"the submission {ended}" + (f"; that was in {_place(where)}" if where else "")


def _place(name):
    """A cell in words: the name of ours, or below which of ours a student added it."""
    above, added, _ = name.rpartition(" + ")
    return f"a cell that was added below {above or 'nothing'}" if added else name


def _latest_error(records, name, kind):
    """The error of a student's cell: a solution, or one that was added below this cell."""
    found = ""
    for known, record in records.items():
        own = known.startswith(f"{name} + ")
        if (own or (known == name and kind == "solution")) and record.get("error") is not None:
            found = f"; before it, {_place(known)} ended with {_in_words(record['error'])}"
    return found


def _run_own(code, space, name):
    """The instructor's part of a cell; no answer is in it, so it fails for all or for none."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, name, "exec"), space)
    except Exception as error:
        raise BadCheck(f"{name} does not run by itself: {type(error).__name__}: {error}") from error


def _verdict(record, parts, trusted, worth, reason, name):
    if record is None:
        return _nothing(parts, f"not reached: {reason}")
    seconds = _seconds(record["seconds"])
    if (error := record.get("error")) is not None:
        return _nothing(parts, _in_words(error), seconds)
    try:
        given = record.get("answers")
        answers = {name: from_plain(given[name]) for name in parts.names}
    except (ValueError, KeyError, TypeError):
        return _nothing(parts, "its answers are no plain data", seconds)
    said, space = io.StringIO(), dict(trusted)
    _run_own(parts.setup, space, name)
    space.update(answers)
    found = [_part(check, space, worth, said) for check in parts.checks]
    hints = [f"{part.name}: {part.hint}" if part.name else part.hint for part in found if part.hint]
    words, named = "; ".join(hints)[:LONGEST], [part for part in found if part.name]
    points = sum(part.points for part in found)
    return Verdict(points, words, said.getvalue()[:LONGEST], seconds, named)


def _nothing(parts, hint, seconds=0.0):
    named = [Part(check.name, 0, check.points, hint) for check in parts.checks if check.name]
    return Verdict(0, hint, seconds=seconds, parts=named)


def _part(check, space, worth, said):
    """One check, whatever it raises."""
    worth = worth if check.points is None else check.points
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(check.code, check.name or "check", "exec"), space)
    except AssertionError as error:
        return Part(check.name, 0, worth, _message(error)[:LONGEST] or "the check failed")
    except BaseException as error:  # an answer of another form than the check can use
        words = f"{type(error).__name__}: {_message(error)}"
        return Part(check.name, 0, worth, f"the check cannot use this answer: {words}"[:LONGEST])
    return Part(check.name, worth, worth)


def _message(error):
    """Its words, which may be an answer's, of which nothing is certain."""
    try:
        return str(error)
    except BaseException as worse:
        return f"a message that cannot be shown ({type(worse).__name__})"


def _seconds(value):
    """The time that a cell says it took, if it is one."""
    return float(value) if type(value) in (int, float) and 0 <= value < 1e6 else 0.0


def _in_words(error):
    """The error of a student's cell; it comes from their process, so it may be anything."""
    match error:
        case {"name": "NotImplementedError", "message": str(message)} if message in ("", MISSING):
            return message or "NotImplementedError: this is not written yet"
        case {"name": str(name), "message": str(message), "lines": [*_, str(line)]}:
            place = line[:200].removesuffix(", in <module>")
            return f"{name[:80]}: {message[:1500]} ({place})"
        case {"name": str(name), "message": str(message)}:
            return f"{name[:80]}: {message[:1500]}"
    return "the cell ended with an error"
