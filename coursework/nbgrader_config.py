"""The course as nbgrader sees it: formgrader, Validate and `nbgrader` run from this folder.

Grade with `make grade`: `nbgrader autograde` would run students' code with your own rights.
"""

from pathlib import Path

c = get_config()  # noqa: F821 - nbgrader provides it
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
