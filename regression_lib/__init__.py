"""Deep regression with PyTorch: the small library that the course builds, one idea a module.

On the ground floor stands what people keep; what the course's pages alone need stands one floor
up, in `regression_lib.course`. The public names of both are listed in `__init__.pyi`, and each
is loaded when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
