"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import regression_lib

FOUND = pkgutil.walk_packages(regression_lib.__path__, "regression_lib.")
MODULES = [m.name for m in FOUND if not m.name.endswith("__main__")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    modules = (importlib.import_module(name) for name in MODULES)
    assert sum(bool(test.examples) for m in modules for test in finder.find(m)) >= 3
