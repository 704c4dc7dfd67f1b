"""From what came out of the sandbox to points: the checks run here, on plain data only."""

import contextlib
import io
import threading
from dataclasses import dataclass, replace

from grading.contract import from_plain, split

LONGEST = 4000  # characters of what a check says; an answer may stand in it
ONE_AT_A_TIME = threading.Lock()  # a check may seed PyTorch's global generator


class BadCheck(ValueError):
    """The problem set has a mistake; the message says where."""


@dataclass(frozen=True)
class Verdict:
    """What one graded cell earned, and the words that go with it."""

    points: float
    hint: str = ""
    said: str = ""
    seconds: float = 0.0


def records_of(result):
    """The first record of each cell that came to its end, by grade id."""
    records = {}
    for record in result["records"]:
        if isinstance(record.get("id"), str) and "seconds" in record:
            records.setdefault(record["id"], record)
    return records


def judge(assignment, result):
    """A `Verdict` for each graded code cell, by grade id.

    Parameters
    ----------
    assignment : Assignment
    result : dict
        What `Jail.run` returned.

    Raises
    ------
    BadCheck
        If the problem set itself has a mistake, outside of what a student answers.
    """
    with ONE_AT_A_TIME:
        return _judged(assignment, records_of(result), _reason(result))


def _reason(result):
    for record in result["records"]:
        if isinstance(record.get("broken"), str):
            return f"the sandbox could not run it: {record['broken'][-300:]}"
    ended = result.get("ended")
    return f"the submission {ended}" if ended else "the submission ended its own process"


def _judged(assignment, records, reason):
    trusted, verdicts, before = {"__name__": "check"}, {}, ""
    for cell in assignment.notebook.cells:
        kind = assignment.kind(cell)
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "a locked cell")
        if kind == "locked":
            _run_own(cell.source, trusted, name)
        elif kind == "solution" and (error := records.get(name, {}).get("error")) is not None:
            before = f"; before it, {name} ended with {_in_words(error)}"
        elif kind == "test":
            parts, worth = split(cell.source), cell.metadata.nbgrader.points
            verdict = _verdict(records.get(name), parts, trusted, worth, reason, name)
            # A test that finds no function says little; what went wrong stands further up.
            missed = verdict.hint.startswith("NameError")
            verdicts[name] = replace(verdict, hint=verdict.hint + before) if missed else verdict
    return verdicts


def _run_own(code, space, name):
    """The instructor's part of a cell; no answer is in it, so it fails for all or for none."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, name, "exec"), space)
    except Exception as error:
        raise BadCheck(f"{name} does not run by itself: {type(error).__name__}: {error}") from error


def _verdict(record, parts, trusted, worth, reason, name):
    if record is None:
        return Verdict(0, f"not reached: {reason}")
    seconds = _seconds(record["seconds"])
    if (error := record.get("error")) is not None:
        return Verdict(0, _in_words(error), seconds=seconds)
    try:
        given = record.get("answers")
        answers = {name: from_plain(given[name]) for name in parts.names}
    except (ValueError, KeyError, TypeError):
        return Verdict(0, "its answers are no plain data", seconds=seconds)
    said, space = io.StringIO(), dict(trusted)
    _run_own(parts.setup, space, name)
    space.update(answers)
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(parts.check, name, "exec"), space)
        points, hint = worth, ""
    except AssertionError as error:
        points, hint = 0, str(error) or "the check failed"
    except Exception as error:  # an answer of another form than the check can use
        points, hint = 0, f"the check cannot use this answer: {type(error).__name__}: {error}"
    return Verdict(points, hint[:LONGEST], said.getvalue()[:LONGEST], seconds)


def _seconds(value):
    """The time that a cell says it took, if it is one."""
    return float(value) if type(value) in (int, float) and 0 <= value < 1e6 else 0.0


def _in_words(error):
    """The error of a student's cell; it comes from their process, so it may be anything."""
    match error:
        case {"name": str(name), "message": str(message), **others}:
            match others.get("lines"):
                case [*_, str(line)]:
                    return f"{name[:80]}: {message[:1500]} ({line[:200]})"
            return f"{name[:80]}: {message[:1500]}"
    return "the cell ended with an error"
