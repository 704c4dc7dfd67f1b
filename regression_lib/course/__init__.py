"""What the course's pages need, and nobody else: cards, quizzes, explorers.

These modules may lean on the library; nothing of the library leans on them.
"""
