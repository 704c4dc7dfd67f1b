"""The book, built once and served on this machine, and one Chromium to open it in."""

import os
import sys

import pytest
from chromium import chromium
from watching import ROOT, build_book, serving

sys.path.insert(0, str(ROOT / "book" / "_ext"))  # the book's extensions, tested as modules


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The folder of the built book."""
    return build_book(ROOT, tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def site(book):
    """The address of the served book."""
    with serving(book) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    try:
        with chromium() as browser:
            yield browser
    except FileNotFoundError as none:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(none))
