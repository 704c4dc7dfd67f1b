"""A course on a temporary disk; without a sandbox these tests are skipped, on CI they fail."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tiny
from grading.course import Course
from grading.jail import NoSandbox, refuse_where_it_cannot_work


@pytest.fixture(scope="session")
def sandbox():
    try:
        refuse_where_it_cannot_work()
    except NoSandbox as reason:
        strict = os.environ.get("CI") and sys.platform.startswith("linux")
        (pytest.fail if strict else pytest.skip)(str(reason))


@pytest.fixture(scope="module")
def course(tmp_path_factory, sandbox):
    root = tmp_path_factory.mktemp("course")
    tiny.write_source(root)
    return Course(root)
