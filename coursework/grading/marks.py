"""What the gradebook holds of a problem set, of everybody at once: few queries, not a thousand."""

from dataclasses import dataclass, field

from nbgrader.api import BaseCell, Comment, Grade, Gradebook, GradeCell, SubmittedNotebook


@dataclass
class Mark:
    """What one question earned somebody; no points yet, if a person is still to read it."""

    points: float | None
    worth: float
    waiting: bool
    comment: str = ""


@dataclass
class Marks:
    """What one student has got for a problem set."""

    questions: dict = field(default_factory=dict)  # by grade id, in the order of the notebook
    comments: dict = field(default_factory=dict)  # on cells that earn nothing by themselves
    penalty: float = 0.0
    hours_late: float = 0.0

    @property
    def score(self):
        return sum(mark.points or 0 for mark in self.questions.values()) - self.penalty

    @property
    def max_score(self):
        return sum(mark.worth for mark in self.questions.values())

    @property
    def waiting(self):
        return any(mark.waiting for mark in self.questions.values())


def marks_of(course, assignment):
    """`Marks` by student, of all whom the gradebook knows for this problem set."""
    order = list(assignment.kinds)
    with Gradebook(course.db_url) as gradebook:
        found = {}
        for submission in gradebook.assignment_submissions(assignment.name):
            late = submission.total_seconds_late / 3600
            found[submission.student_id] = Marks(hours_late=late)
        notebooks = _notebooks(gradebook, assignment.name)
        for notebook, student in notebooks:
            found[student].penalty += notebook.late_submission_penalty or 0
        students = {notebook.id: student for notebook, student in notebooks}
        for grade, cell in _grades(gradebook, students):
            mark = Mark(_points(grade), cell.max_score, bool(grade.needs_manual_grade))
            found[students[grade.notebook_id]].questions[cell.name] = mark
        for comment, name in _comments(gradebook, students):
            marks = found[students[comment.notebook_id]]
            if name in marks.questions:
                marks.questions[name].comment = comment.comment or ""
            elif comment.comment:
                marks.comments[name] = comment.comment
    for marks in found.values():
        known = sorted(marks.questions, key=lambda n: order.index(n) if n in order else len(order))
        marks.questions = {name: marks.questions[name] for name in known}
    return found


def _notebooks(gradebook, name):
    return [
        (notebook, submission.student_id)
        for submission in gradebook.assignment_submissions(name)
        for notebook in submission.notebooks
    ]


def _grades(gradebook, students):
    query = gradebook.db.query(Grade, GradeCell).join(GradeCell, Grade.cell_id == GradeCell.id)
    join = SubmittedNotebook.id == Grade.notebook_id
    return [pair for pair in query.join(SubmittedNotebook, join) if pair[0].notebook_id in students]


def _comments(gradebook, students):
    join = Comment.cell_id == BaseCell.id
    query = gradebook.db.query(Comment, BaseCell.name).join(BaseCell, join)
    return [pair for pair in query if pair[0].notebook_id in students]


def _points(grade):
    """As nbgrader counts them: a person's points before a test's, and extra credit on top."""
    given = grade.manual_score if grade.manual_score is not None else grade.auto_score
    return None if given is None else given + (grade.extra_credit or 0)
