"""Of which problem set, and whose, each file of a source is.

Where an LMS names the assignment, or the source is named after one, or only one is asked for, that
decides: then a notebook of another problem set is a mistake of its student's, and said to be one.
Folders without an LMS hold several problem sets; there a file's place and name say which.
"""

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from grading import gradescope, lms
from grading.handin import Item, holds

STAMP = "timestamp.txt"
SILENT = {STAMP, gradescope.METADATA, "index.html", "desktop.ini", "Thumbs.db"}


class Sorting:
    """Sorts the files of a source.

    Parameters
    ----------
    known : collection of str
        All problem sets of the course.
    names : list of str
        Those that are asked for.
    source : Path
    roster : Roster or None
    """

    def __init__(self, known, names, source, roster):
        self.known, self.names, self.roster = {*known, *names}, names, roster
        source = Path(source).resolve()
        title = source.name if source.is_dir() else source.stem
        slug = title.removesuffix("-submissions")  # as `gh classroom clone` names a folder
        self.titles = tuple(sorted({*self.known, slug} if slug != title else self.known))
        titled = self.set_in(title)
        only = names[0] if len(names) == 1 and not titled else None
        self.default = titled if titled in names else only
        self.left, self.people, self.several, self.maker = {}, {}, False, ""
        self.elsewhere = set()  # who handed in another problem set, in folders without an LMS

    def sort(self, found):
        """{(problem set, key of the student): items}; what is nobody's stands in `left`."""
        self.people = gradescope.read(found)
        full = {parent for file in found for parent in file.path.parents}
        alone = [path.name for file in found if len((path := lms.unwrapped(file.path)).parts) == 1]
        self.maker = lms.maker_of(alone, self.titles)
        claims = []
        for file in found:
            if not _is_silent(file, full):
                try:
                    claims.append((file, *self._claim(file)))
                except ValueError as reason:
                    self._leave(file, str(reason))
        self.several = len({claim.title for _, claim, _ in claims if claim.title}) > 1
        sorted_ones, unnamed = {}, []
        for file, claim, of_folder in claims:
            try:
                name, items = self._items(file, claim, of_folder)
            except ValueError as reason:
                self._leave(file, str(reason))
                continue
            for item in items:
                if name:
                    sorted_ones.setdefault((name, item.claim.key), []).append(item)
                else:
                    unnamed.append(item)
        return self._with_defaults(sorted_ones, unnamed)

    def _with_defaults(self, sorted_ones, unnamed):
        """What says no problem set belongs to the one that is meant, if one is."""
        settled = {key for _, key in sorted_ones}
        for item in unnamed:
            key, plain = item.claim.key, not item.claim.lms
            if self.default and not (plain and key in self.elsewhere) and not self._other(item):
                sorted_ones.setdefault((self.default, key), []).append(item)
            elif key not in settled:
                self._leave(
                    item.file, f"its name says none of {', '.join(self.names)}; ask for one alone"
                )
        return sorted_ones

    def _other(self, item):
        """Whether an LMS names several assignments, and this is of none that we know."""
        return bool(item.claim.title) and self.several

    def _leave(self, file, reason):
        if not file.is_folder:
            self.left[str(file.path)] = reason

    def _claim(self, file):
        """Whose a file is, and the problem set whose folder it lies in."""
        if file.fault.endswith("out of the source"):
            raise ValueError(file.fault)
        path, of_folder = lms.unwrapped(file.path), None
        if len(path.parts) > 1 and path.parts[0] in self.known:
            of_folder, path = path.parts[0], PurePosixPath(*path.parts[1:])
        if file.is_folder:
            claim = lms.read(path / "any", self.titles)
            claim = replace(claim, own=claim.own.parent)
        else:
            claim = lms.read(path, self.titles, self.maker)
        return claim, of_folder

    def _items(self, file, claim, of_folder):
        """The problem set that names say, if any, and the file, once for each of its students."""
        if not claim.lms:
            name, claim = self._plain(file, claim, of_folder)
            wrong = ""
            if claim is None:
                return None, []
        else:
            own = self._set_of_own(claim)
            name = self.set_in(claim.title) or of_folder or (None if self.default else own)
            wrong = own if own and own != (name or self.default) else ""
        if name and name not in self.names:
            if not claim.lms:
                self.elsewhere.add(claim.key)
            if not _is_notebook(file):
                return None, []
            raise ValueError(f"it is of {name}, not of {' or '.join(self.names)}")
        owners = self.people.get(claim.key, [claim])
        return name, [Item(replace(owner, own=claim.own), file, wrong) for owner in owners]

    def _plain(self, file, claim, of_folder):
        """Without an LMS: a student's folder, or a file that is called after the student."""
        if not file.is_folder and claim.own == PurePosixPath():
            return self._alone(file, claim, of_folder)
        folders = claim.own.parts if file.is_folder else claim.own.parts[:-1]
        inner = [part for part in folders if part not in self.known]
        hidden = any(part.startswith(".") for part in claim.own.parts)
        if inner and not hidden and not (self.roster and self.roster.find(claim.name)):
            if file.is_folder or not _is_notebook(file):
                return None, None
            raise ValueError("it lies too deep to say whose it is, and of which problem set")
        return of_folder or self._set_of_own(claim), claim

    def _alone(self, file, claim, of_folder):
        """`alice_tiny.ipynb`, `alice.ipynb`; and `alice_tiny.pdf`, but not any other PDF."""
        stem = re.sub(r"\.(ipynb(\.(txt|json))?|[^.]{1,8})$", "", file.path.name, flags=re.I)
        name = self.set_in(stem)
        if name:
            loose = re.sub(r"[\W_]+", r"[\\W_]+", name)
            stem, found = re.subn(rf"[-_ ]+{loose}([-_ ]*\(?\d+\)?)?$", "", stem, flags=re.I)
            if not found or self.set_in(stem):
                raise ValueError("it names no student")
        known = self.roster is not None and self.roster.find(stem)
        if not (name or of_folder or known or _is_notebook(file)):
            raise ValueError("it is no notebook, and its name does not say whose it is")
        return of_folder or name, replace(claim, name=stem)

    def _set_of_own(self, claim):
        """The problem set that the student's own folders and name say."""
        for part in claim.own.parts[:-1]:
            if part in self.known:
                return part
        return self.set_in(claim.own.name)

    def set_in(self, text):
        """The problem set whose name is in a text, the longest of several; or None."""
        return max((name for name in self.known if holds(text, name)), key=len, default=None)


def _is_silent(file, full):
    """What is no hand-in at all: an LMS's own files, hidden ones, folders with something in."""
    path = lms.unwrapped(file.path)
    hidden = path.parts and path.parts[0].startswith((".", "__MACOSX")) and path.parts[0] != ".."
    if hidden or not path.parts:
        return True
    if file.is_folder:
        return file.path in full or bool(lms.AROUND.fullmatch(path.name))
    return path.name in SILENT and len(path.parts) == 1


def _is_notebook(file):
    return ".ipynb" in file.path.name.casefold()
