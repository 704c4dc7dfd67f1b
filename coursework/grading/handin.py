"""Which of a student's files counts; and, if none can, why, in words that the student understands.

The last hand-in counts, by the time or attempt that the LMS wrote; within one, a notebook with the
right name before others, and then the newest. Nothing here says whose the files are.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from grading.source import Found, Unreadable, inside

LIMIT_OF_FILE = 64 << 20  # grading strips outputs before it applies a limit of its own
SURE = 5 << 20  # a larger notebook is looked at, not parsed: parsed, it takes many times its size
STUB = b"raise NotImplementedError()"  # as nbgrader hands it out
NOTEBOOK, DISGUISED = ".ipynb", (".ipynb.txt", ".ipynb.json")
ASK = "hand in the notebook itself, a file that ends in .ipynb"
GRADE_ID = re.compile(rb'"grade_id"\s*:\s*"([^"\\]{1,200})"')
KINDS = {
    "a PDF": ".pdf",
    "a Python script": ".py",
    "a web page": ".html .htm .mhtml",
    "a text document": ".docx .doc .odt .rtf .pages",
    "a text file": ".txt .md .tex .log",
    "a table": ".csv .xlsx .xls .ods .tsv",
    "a picture": ".png .jpg .jpeg .heic .gif .svg .bmp .webp .tiff",
    "a shortcut to a file": ".url .webloc .lnk .desktop .gdoc .gsheet .gslides .glink .gcolab .one",
    "an archive that cannot be opened here": ".rar .7z .tar .gz .tgz .xz .bz2 .zipx",
    "a zip without a notebook": ".zip",
    "a JSON file": ".json",
}
KIND = {suffix: words for words, suffixes in KINDS.items() for suffix in suffixes.split()}


@dataclass(frozen=True)
class Item:
    """A file of a student's: what the LMS says of it, and the file."""

    claim: object
    file: Found
    wrong_set: str = ""  # another problem set that its name says

    @property
    def name(self):
        return self.claim.own.name or self.file.path.name

    @property
    def turn(self):
        """Hand-ins in their order; all that came at once is of one turn."""
        when = self.claim.when
        return (when.replace(tzinfo=None).isoformat() if when else "", self.claim.attempt)


@dataclass(frozen=True)
class Picked:
    """What counts of a student's files; without a file, a problem."""

    item: Item
    file: Found | None = None
    problem: str = ""
    notes: tuple = ()


def holds(text, name):
    """Whether a problem set's name is in a text, however its words are joined: `PS1-Tensors`."""
    words = r"[\W_]*".join(map(re.escape, filter(None, re.split(r"[\W_]+", name))))
    return bool(re.search(rf"(?<![^\W\d_]){words}(?![^\W\d_])", text, re.IGNORECASE))


def pick(items, name):
    """What counts of one student's files for a problem set.

    Parameters
    ----------
    items : list of Item
        At least one.
    name : str
        The problem set.

    Returns
    -------
    Picked
    """
    turns = {}
    for item in items:
        turns.setdefault(item.turn, []).append(item)
    last = None
    for turn in sorted(turns, reverse=True):
        picked = _of_one_turn(turns[turn], name)
        if picked.file:
            later = last and f"a later hand-in could not be taken ({last.problem}); this one counts"
            return replace(picked, notes=(*picked.notes, later)) if later else picked
        last = last or picked
    return last


def _of_one_turn(items, name):
    """The first candidate that can be taken; else the reason of the best one."""
    own = [item for item in items if not item.wrong_set]
    candidates, problem = _candidates(own, name)
    notes = []
    for item, note in candidates:
        if fault := _fault(item):
            problem = problem or fault
            notes.append(f"{fault}; another file of the same hand-in counts")
            continue
        return Picked(item, item.file, notes=(*notes, *filter(None, [note])))
    return Picked(items[0], problem=problem or _why_none(items, name))


def _candidates(items, name):
    """Notebooks in the order in which they would count, each with a note; or a problem."""
    for found in (_notebooks, _disguised, _in_zips):
        rights, problem = found(items)
        if rights:
            return _in_order(rights, name)
        if problem:
            return [], problem
    return [], ""


def _notebooks(items):
    plain = [item for item in items if _visible(item) and _ends(item, NOTEBOOK)]
    return [(item, "") for item in plain], ""


def _disguised(items):
    """Browsers add an ending to what they take for text."""
    found = [item for item in items if _visible(item) and _ends(item, *DISGUISED)]
    note = "{} is a notebook under a wrong ending; it was taken as one"
    return [(i, note.format(i.name)) for i in found if not _fault(i)], ""


def _in_zips(items):
    """Notebooks one level down; what is in a zip within a zip stays there."""
    found, problem = [], ""
    for item in items:
        if not (_visible(item) and _ends(item, ".zip")) or item.file.is_folder:
            continue
        try:
            if item.file.fault:
                raise Unreadable(item.file.fault)
            files = inside(item.file)
        except Unreadable as reason:
            problem = f"a zip was handed in, and {reason} ({item.name}); {ASK}"
            continue
        for file in files:
            claim = replace(item.claim, own=PurePosixPath(item.claim.own, file.path))
            found.append(Item(claim, replace(file, path=item.file.path / file.path)))
    return [(i, f"it was taken out of {i.file.path.parent}") for i, _ in _notebooks(found)[0]], (
        problem
    )


def _in_order(candidates, name):
    """Right names before others, the newest first; several of which none is right are no answer."""
    right = [pair for pair in candidates if holds(pair[0].name, name)]
    if not right and len(candidates) > 1:
        names = ", ".join(sorted(item.name for item, _ in candidates)[:5])
        return [], (
            f"{len(candidates)} notebooks were handed in ({names}), and none is called "
            f"{name}.ipynb; hand in one of that name"
        )
    if len(right) > 1 and any(item.claim.free for item, _ in right):
        names = ", ".join(sorted(item.file.path.name for item, _ in right)[:5])
        return [], (
            f"{len(right)} files say that they are by this student ({names}), and each student "
            "can name a file so; leave only the right one"
        )
    if len(right) < 2:
        return right or candidates, ""
    right = sorted(right, key=lambda pair: _age(pair[0]), reverse=True)
    said = f"{len(right)} notebooks were handed in; {right[0][0].name} counts"
    return [(item, "; ".join(filter(None, [note, said]))) for item, note in right], ""


def _age(item):
    """Newer is larger; between equals the one counts in which more is written.

    The path decides last, so that each run takes the same.
    """
    return (item.file.when or 0, item.claim.upload, -_unwritten(item.file), str(item.file.path))


def _unwritten(file):
    """How many stubs nobody has filled in; students hand in the blank notebook beside their own."""
    try:
        return file.read(LIMIT_OF_FILE).count(STUB)
    except Unreadable:
        return LIMIT_OF_FILE


def _visible(item):
    parts = item.claim.own.parts or item.file.path.parts
    return not any(part.startswith((".", "__MACOSX")) for part in parts)


def _ends(item, *endings):
    return item.name.casefold().endswith(endings)


def _fault(item):
    """Why a notebook cannot be taken, or nothing."""
    file, name = item.file, item.name
    if file.fault:
        return f"{name}: {file.fault}"
    if file.is_folder:
        return f"{name} is a folder, not a notebook; {ASK}"
    if file.size == 0:
        return f"{name} is empty (0 bytes); save the notebook, and hand it in again"
    if file.size > LIMIT_OF_FILE:
        return (
            f"{name} is larger than {LIMIT_OF_FILE >> 20} MB; clear its outputs (Kernel, then "
            "Restart Kernel and Clear Outputs), save it, and hand it in again"
        )
    try:
        body = file.read(LIMIT_OF_FILE)
    except Unreadable as reason:
        return f"{name}: {reason}"
    return (
        ""
        if is_notebook(body)
        else (
            f"{name} is no notebook inside (no JSON with cells); open it in Jupyter, save it, and "
            "hand it in again"
        )
    )


def is_notebook(body):
    """Whether bytes are JSON with cells."""
    if len(body) > SURE:
        return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b'"cells"' in body
    try:
        return isinstance(json.loads(body)["cells"], list)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _why_none(items, name):
    """What was handed in instead of a notebook."""
    files = [item for item in items if not item.file.is_folder]
    if not files:
        return f"nothing was handed in: the folder is empty; {ASK}"
    if wrong := [item for item in files if item.wrong_set and _ends(item, NOTEBOOK)]:
        return (
            f"the notebook of another problem set was handed in ({wrong[0].name}); "
            f"hand in {name}.ipynb"
        )
    if hidden := [item for item in files if not _visible(item)]:
        if len(hidden) == len(files):
            return (
                f"only a file was handed in that the computer keeps for itself "
                f"({_place(hidden[0])}); {ASK}"
            )
        files = [item for item in files if item not in hidden]
    shown = sorted(files, key=lambda item: item.name)
    if len(shown) == 1 and shown[0].file.fault:
        return f"{shown[0].name}: {shown[0].file.fault}; {ASK}"
    if len(shown) == 1:
        return f"{_kind(shown[0])} was handed in ({shown[0].name}); {ASK}"
    names = ", ".join(item.name for item in shown[:5]) + (", …" if len(shown) > 5 else "")
    return f"{len(shown)} files were handed in, and no notebook is among them ({names}); {ASK}"


def _place(item):
    return "/".join((item.claim.own.parts or item.file.path.parts)[-2:])


def _kind(item):
    if item.name in ("onlinetext.html", "text.html"):
        return "only text typed into the form"
    return KIND.get(PurePosixPath(item.name.casefold()).suffix, "another file")
