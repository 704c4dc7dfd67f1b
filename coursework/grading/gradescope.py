"""Who is behind each folder of a Gradescope export, which names students in one file alone."""

import datetime
from dataclasses import replace

import yaml

from grading import lms
from grading.source import Unreadable

METADATA, LIMIT = "submission_metadata.yml", 64 << 20
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # outputs of all tests are in it, too


def read(found):
    """{key of a folder's claim: a claim for each of its students}, of a source's files.

    A group hands in once, and each of its members gets it. Only the file beside the folders
    counts: one of this name within a folder is a student's.

    Raises
    ------
    ValueError
        If there is such a file, and it cannot be read: its folders would be nobody's.
    """
    for file in found:
        if lms.unwrapped(file.path).parts == (METADATA,):
            return {
                ("Gradescope", str(folder).rpartition("_")[2]): _claims(about)
                for folder, about in _content(file).items()
                if _claims(about)
            }
    return {}


def _content(file):
    try:
        if file.fault:
            raise Unreadable(file.fault)
        content = yaml.load(file.read(LIMIT), Loader=LOADER)
    except (Unreadable, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{file.path} cannot be read: {error}; export it anew") from None
    return content if isinstance(content, dict) else {}


def _claims(about):
    """Of each student in a group; names may have a colon before them, as Ruby writes them."""
    when, found = _get(about, "created_at"), []
    if isinstance(when, str):
        try:
            when = datetime.datetime.fromisoformat(when)
        except ValueError:
            when = None
    students = _get(about, "submitters")
    for student in students if isinstance(students, list) else ():
        name, sid, email = (str(_get(student, key) or "") for key in ("name", "sid", "email"))
        claim = lms.Claim("Gradescope", name, sid or email, email=email, dated=False)
        if name or claim.number:
            moment = when if isinstance(when, datetime.datetime) else None
            found.append(replace(claim, when=moment))
    return found


def _get(mapping, key):
    if not isinstance(mapping, dict):
        return None
    return mapping.get(f":{key}", mapping.get(key))
