"""From what came out of the sandbox to points: the checks run here, on plain data only."""

import contextlib
import io
import threading
from dataclasses import dataclass

from grading.contract import from_plain, split

ONE_AT_A_TIME = threading.Lock()  # a check may seed PyTorch's global generator


@dataclass(frozen=True)
class Verdict:
    """What one graded cell earned, and the words that go with it."""

    points: float
    hint: str = ""
    said: str = ""
    seconds: float = 0.0


def judge(assignment, result):
    """A `Verdict` for each graded code cell, by grade id.

    Parameters
    ----------
    assignment : Assignment
    result : dict
        What `Jail.run` returned.
    """
    records = {}
    for record in result["records"]:
        if isinstance(record.get("id"), str) and "seconds" in record:
            records.setdefault(record["id"], record)
    with ONE_AT_A_TIME:
        return _judged(assignment, records, _reason(result))


def _reason(result):
    for record in result["records"]:
        if isinstance(record.get("broken"), str):
            return f"the sandbox could not run it: {record['broken'][-300:]}"
    ended = result.get("ended")
    return f"the submission {ended}" if ended else "the submission ended its own process"


def _judged(assignment, records, reason):
    trusted, verdicts = {"__name__": "check"}, {}
    for cell in assignment.notebook.cells:
        kind = assignment.kind(cell)
        if kind == "locked":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, "locked cell", "exec"), trusted)
        elif kind == "test":
            name, worth = cell.metadata.nbgrader.grade_id, cell.metadata.nbgrader.points
            verdicts[name] = _verdict(records.get(name), split(cell.source), trusted, worth, reason)
    return verdicts


def _verdict(record, parts, trusted, worth, reason):
    if record is None:
        return Verdict(0, f"not reached: {reason}")
    seconds = record["seconds"] if isinstance(record["seconds"], (int, float)) else 0.0
    if (error := record.get("error")) is not None:
        return Verdict(0, _in_words(error), seconds=seconds)
    try:
        given = record.get("answers")
        answers = {name: from_plain(given[name]) for name in parts.names}
    except (ValueError, KeyError, TypeError, RecursionError):
        return Verdict(0, "its answers are no plain data", seconds=seconds)
    said, space = io.StringIO(), dict(trusted)
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(parts.setup, "set-up", "exec"), space)
            space.update(answers)
            exec(compile(parts.check, "check", "exec"), space)
    except AssertionError as error:
        return Verdict(0, str(error) or "the check failed", said.getvalue(), seconds)
    except Exception as error:  # an answer of another form than the check can use
        words = f"the check cannot use this answer: {type(error).__name__}: {error}"
        return Verdict(0, words[:500], said.getvalue(), seconds)
    return Verdict(worth, "", said.getvalue(), seconds)


def _in_words(error):
    if not isinstance(error, dict):
        return "the cell ended with an error"
    lines = error.get("lines") if isinstance(error.get("lines"), list) else []
    place = f" ({lines[-1]})" if lines and isinstance(lines[-1], str) else ""
    return f"{error.get('name')}: {error.get('message')}"[:1500] + place
