"""What the course's pages need, and nobody else: cards, quizzes, explorers.

These modules may lean on the library; nothing of the library leans on them.
"""

import lazy_loader

SUBMODULES = ["bends", "flows", "pictures"]
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=SUBMODULES)
