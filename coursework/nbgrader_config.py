"""The course as nbgrader sees it: formgrader, Validate and `nbgrader` run from this folder.

Grade with `make grade`. nbgrader's own autograder, and the button for it in the formgrader, would
run students' code with your rights; here they run nothing and say so.
"""

from pathlib import Path

from nbgrader.preprocessors import NbGraderPreprocessor

c = get_config()  # noqa: F821 - nbgrader provides it
c.CourseDirectory.root = str(Path(__file__).resolve().parent)


class Refuse(NbGraderPreprocessor):
    """Stands where nbgrader would execute a notebook."""

    def preprocess(self, nb, resources):
        raise RuntimeError("Grade with `make grade`, which runs students' code in a sandbox.")


c.Autograde.autograde_preprocessors = [Refuse]
