"""What goes back to the LMS: tables of grades, and a zip of feedback."""


def write(course, name, rows, roster=None):
    """Write `moodle.csv`, `canvas.csv`, `questions.csv` and `feedback.zip` to the set's reports.

    Returns
    -------
    list of Path
        What was written; an LMS of which nobody has a number gets no table.
    """
    raise NotImplementedError
