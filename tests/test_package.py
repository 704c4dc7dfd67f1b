"""What an index serves: a wheel with all it needs, sources without half the tests, a true page."""

import email
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import regression_lib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUILD = "import setuptools.build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"
LINKS = re.compile(r"\]\(([^)]+)\)|<(https?://[^>]+)>")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a wheel and a source package, built from a copy without the network."""
    source = tmp_path_factory.mktemp("source")
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "regression_lib", source / "regression_lib", ignore=unwanted)
    (source / "tests").mkdir()  # setuptools takes tests/test*.py into a source package by itself
    (source / "tests" / "test_one.py").touch()
    subprocess.run([sys.executable, "-c", BUILD], cwd=source, check=True, capture_output=True)
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        yield wheel


@pytest.fixture(scope="module")
def metadata(wheel):
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def files_of_the_library():
    paths = (ROOT / "regression_lib").rglob("*")
    return {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_whole_library_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert files_of_the_library() == names
    assert "regression_lib/py.typed" in names


def test_the_sources_hold_the_library_and_no_test(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files_of_the_library() <= names
    assert {"LICENSE", "pyproject.toml", "CHANGELOG.md"} <= names
    assert not [name for name in names if name.startswith("tests")]


def test_every_licence_travels_along(wheel, metadata):
    named = metadata.get_all("License-File")
    assert set(named) == set(PROJECT["license-files"])
    assert {"LICENSE", "LICENSE-PROSE.md"} <= set(named)
    for name in named:
        assert [file for file in wheel.namelist() if file.endswith(f"licenses/{name}")]
    notices = [p.name for p in (ROOT / "regression_lib/datasets").iterdir() if "NOTICE" in p.name]
    assert all(f"regression_lib/datasets/{name}" in named for name in notices)


def test_the_version_stands_in_one_place(metadata):
    assert metadata["Version"] == regression_lib.__version__
    assert "version" not in PROJECT
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == regression_lib.__version__


def test_the_page_of_an_index_has_no_relative_link(metadata):
    text = metadata.get_payload()
    assert text.startswith("# regression-lib")
    links = [first or second for first, second in LINKS.findall(text)]
    assert links
    assert not [link for link in links if not link.startswith("https://")]


def test_the_code_of_the_page_is_that_of_the_readme():
    page, readme = (
        re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        for path in (ROOT / PROJECT["readme"], ROOT / "README.md")
    )
    assert page
    assert set(page) <= set(readme)


def test_addresses_follow_the_configuration():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    address = config.get("repository", {}).get("url")
    assert PROJECT.get("urls", {}).get("Repository") == address


def test_the_named_pythons_are_those_that_are_tested():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    assert named == workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_the_command_is_that_of_the_module(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "regression-lib = regression_lib.__main__:main" in wheel.read(name).decode()


def test_the_changelog_tells_of_this_version_or_of_what_comes():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(.+?)\]", text, re.M)
    assert released[0] in ("Unreleased", regression_lib.__version__)
    kinds = re.findall(r"^### (.+)$", text, re.M)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
