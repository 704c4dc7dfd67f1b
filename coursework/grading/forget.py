"""Delete a student: what they handed in, what came of it, and their rows in the gradebook."""

import shutil

from nbgrader.api import Gradebook, MissingEntry

FOLDERS = ("submitted", "autograded", "feedback")


def forget(course, student):
    """Delete all that the course keeps of a student; yields what it was.

    Reports name them until they are written anew.

    Raises
    ------
    ValueError
        If nothing is kept of somebody of that name.
    """
    # Found among what is there, since joined to a path a name like ".." would be another folder.
    places = [place for folder in FOLDERS for place in course.root.glob(f"{folder}/*")]
    places = [place for place in places if place.name == student]
    rows = _rows(course, student)
    if not places and not rows:
        known = sorted(path.name for path in course.root.glob("submitted/*"))
        raise ValueError(f"nothing is kept of {student!r}; there are {', '.join(known) or 'none'}")
    if rows:
        with Gradebook(course.db_url) as gradebook:
            gradebook.remove_student(student)
        yield "removed from the gradebook"
    for place in places:
        shutil.rmtree(place)
        yield f"{place.parent.name}/{student} deleted"


def _rows(course, student):
    if not (course.root / "gradebook.db").is_file():
        return False
    with Gradebook(course.db_url) as gradebook:
        try:
            gradebook.find_student(student)
        except MissingEntry:
            return False
    return True
