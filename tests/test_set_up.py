"""Set-up goes on where it stopped, brings no CUDA by surprise, and says what is in its way."""

import ast
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import set_up
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
TORCH = "2.13.0"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of three files in a path with a space, and a pip that notes what it is asked."""
    root = tmp_path / "my course"
    root.mkdir()
    (root / "requirements-torch.txt").write_text(f"# why\ntorch=={TORCH}\n")
    (root / "requirements.txt").write_text("pip>=1 \\\n    --hash=sha256:00\n    # via nobody\n")
    (root / "pyproject.toml").write_text(
        '[build-system]\n[project]\nname = "x"\n[tool.setuptools]\n[tool.ruff]\n'
    )
    monkeypatch.setattr(set_up, "ROOT", root)
    for name in ("TORCH", "WHEELHOUSE", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def asked(course, monkeypatch):
    """What pip was asked; a test sets which requests fail."""
    calls = []

    def pip(python, *arguments, quiet=False):
        calls.append(" ".join(arguments))
        return not any(word in calls[-1] for word in pip.fails)

    pip.fails, pip.calls = [], calls
    monkeypatch.setattr(set_up, "pip", pip)
    monkeypatch.setattr(set_up.platform, "system", lambda: "Linux")
    monkeypatch.setattr(set_up, "reachable", lambda address: True)
    return pip


def found(torch=True, build="cpu", pins=(), project=True):
    missing = {"requirements-torch.txt": [] if torch else ["torch"], "requirements.txt": [*pins]}
    return {"missing": missing, "build": build if torch else None, "project": project}


def install(monkeypatch, course, state, choice=None, links=()):
    monkeypatch.setattr(set_up, "look", lambda python: state)
    set_up.install("python", course / ".ready", choice, list(links))


# Before pip


def test_an_old_python_is_named(capsys):
    with pytest.raises(set_up.Trouble, match=r"Python 3\.9.*needs 3\.11.*make PYTHON="):
        set_up.check_python((3, 9, 1))


def test_an_old_python_can_read_as_far_as_that():
    text = (ROOT / "tools" / "set_up.py").read_text(encoding="utf-8")
    # An import of what is newer must stand inside a function.
    ast.parse(text, feature_version=(3, 7))
    assert not re.search(r"^(?:from importlib import metadata|import tomllib)", text, re.M)


@pytest.mark.skipif(not shutil.which("make"), reason="needs make, which Windows lacks")
def test_make_names_a_missing_python(tmp_path):
    for name in ("Makefile", "requirements.txt", "requirements-torch.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/set_up.py").touch()
    command = ["make", ".venv/.ready", "PYTHON=no-such-python"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode
    assert "There is no no-such-python here. Install Python 3.11 or newer" in done.stdout


def test_a_python_without_ensurepip_is_told_what_to_install(course, monkeypatch, capsys):
    monkeypatch.setattr(set_up.util, "find_spec", lambda name: None)
    assert set_up.main([]) == 1
    assert "sudo apt install python3-venv" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(course, monkeypatch, capsys):
    def refuse(path, **_options):
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(set_up.Path, "mkdir", refuse)
    assert set_up.main([]) == 1
    said = capsys.readouterr().err
    assert "Read-only file system" in said
    assert "Copy the course" in said


def test_a_half_made_environment_is_made_anew(course, capfd):
    folder = course / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (folder / "left over").touch()
    assert not set_up.works(set_up.python_of(folder))  # "No module named pip", for ever
    python = set_up.make_environment(folder)
    assert set_up.works(python)
    assert not (folder / "left over").exists()
    assert "half there" in capfd.readouterr().out
    set_up.make_environment(folder)  # a whole one stays
    assert "made anew" not in capfd.readouterr().out


def test_an_environment_whose_python_is_gone_does_not_work(tmp_path):
    assert not set_up.works(tmp_path / "python")


# What is missing


def test_pins_are_read_without_hashes_comments_and_options(tmp_path):
    file = tmp_path / "pins.txt"
    file.write_text(
        "# made by\n-e .\nzict==3.0.0 \\\n    --hash=sha256:1\n    # via x\n"
        "b==1 ; sys_platform == 'win32' \\\n    --hash=sha256:2\nc>=2  # why\n"
    )
    assert set_up.pins(file) == ["zict==3.0.0", "b==1 ; sys_platform == 'win32'", "c>=2"]


def test_installed_versions_are_compared_and_not_times():
    lines = ["pytest>=1", "pytest<1", "no-such-package==1", "nor-this==1 ; python_version < '3'"]
    assert list(set_up.unmet(lines)) == ["pytest<1", "no-such-package==1"]


def test_a_label_such_as_cpu_satisfies_the_pin(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: f"{TORCH}+cpu")
    assert not list(set_up.unmet([f"torch=={TORCH}"]))
    assert list(set_up.unmet(["torch==2.12.0"]))


def test_what_an_interrupted_pip_left_is_forgotten(tmp_path):
    for name, files in (("torn", ()), ("whole", ("INSTALLER", "RECORD"))):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
        for file in files:
            (folder / file).write_text("pip\n")
    set_up.mend(list(metadata.distributions(path=[str(tmp_path)])))
    assert [path.name for path in tmp_path.iterdir()] == ["whole-1.0.dist-info"]


def test_the_survey_speaks_of_this_environment():
    survey = set_up.look(sys.executable)
    assert set(survey["missing"]) == {"requirements-torch.txt", "requirements.txt"}
    assert survey["project"]


# PyTorch


def test_pip_finds_a_build_for_the_cpu_by_itself(asked):
    set_up.get_torch("python", None, [], ["install"])
    trial, real = asked.calls
    assert "--dry-run" in trial
    assert real == f"install --no-deps torch=={TORCH}+cpu"  # and nobody was asked for an index


def test_else_it_comes_from_the_index_of_pytorch(asked):
    asked.fails = ["--dry-run"]
    set_up.get_torch("python", None, [], ["install"])
    index = "--index-url https://download.pytorch.org/whl/cpu"
    assert asked.calls[1:] == [f"install {index} --no-deps torch=={TORCH}+cpu"]


@pytest.mark.parametrize("answers", [True, False])
def test_where_that_fails_plain_pip_goes_on_and_one_line_says_so(
    asked, monkeypatch, capsys, answers
):
    monkeypatch.setattr(set_up, "reachable", lambda address: answers)
    asked.fails = ["--dry-run", "--index-url"]
    set_up.get_torch("python", None, [], ["install"])
    assert asked.calls[-1] == f"install torch=={TORCH}"
    assert capsys.readouterr().out.splitlines()[-1].endswith("that may bring CUDA")


def test_an_index_that_does_not_answer_is_not_waited_for(monkeypatch):
    def hang(*_arguments, **_options):
        time.sleep(5)
        raise OSError("no answer")

    monkeypatch.setattr(set_up.urllib.request, "urlopen", hang)
    start = time.monotonic()
    assert not set_up.reachable("http://localhost", patience=0.1)
    assert time.monotonic() - start < 2


def test_cuda_is_one_word(asked):
    set_up.get_torch("python", "cuda", [], ["install"])
    assert asked.calls == [f"install torch==={TORCH}"]  # "===" leaves "+cpu" out


def test_any_index_of_pytorch_can_be_named(asked):
    set_up.get_torch("python", "https://example.org/cu1", [], ["install"])
    assert asked.calls == [f"install --index-url https://example.org/cu1 --no-deps torch=={TORCH}"]


def test_mac_and_windows_ask_for_the_plain_build(asked, monkeypatch):
    monkeypatch.setattr(set_up.platform, "system", lambda: "Windows")
    set_up.get_torch("python", None, [], ["install"])
    assert asked.calls == [f"install torch=={TORCH}"]


def test_no_pytorch_is_no_success(asked):
    asked.fails = ["torch"]
    with pytest.raises(set_up.Trouble, match=r"could not get PyTorch.*goes on from here"):
        set_up.get_torch("python", None, [], ["install"])


# The whole


def test_a_finished_set_up_asks_nothing(asked, course, monkeypatch):
    install(monkeypatch, course, found(project=False))
    assert [call.split()[-1] for call in asked.calls] == ["."]
    asked.calls.clear()
    install(monkeypatch, course, found())
    assert not asked.calls


def test_a_pull_that_touches_pyproject_needs_no_network(asked, course, monkeypatch):
    install(monkeypatch, course, found())
    asked.calls.clear()
    about = course / "pyproject.toml"
    about.write_text(about.read_text() + "line-length = 1\n")  # of ruff: no concern of the package
    install(monkeypatch, course, found())
    assert not asked.calls
    about.write_text(about.read_text().replace('"x"', '"y"'))
    install(monkeypatch, course, found())
    assert asked.calls == ["install --no-deps --no-build-isolation --editable ."]


def test_only_what_is_missing_is_installed_pytorch_first(asked, course, monkeypatch):
    install(monkeypatch, course, found(torch=False, pins=["numpy==2"]))
    assert asked.calls[-2:] == [
        "install --requirement requirements.txt",
        "install --no-deps --no-build-isolation --editable .",
    ]
    assert f"torch=={TORCH}+cpu" in asked.calls[-3]


def test_an_interrupted_set_up_is_not_ready(asked, course, monkeypatch):
    asked.fails = ["requirements.txt"]
    with pytest.raises(set_up.Trouble, match="goes on from here"):
        install(monkeypatch, course, found(pins=["numpy==2"]))
    assert not (course / ".ready").exists()


def test_the_keyboard_ends_it_without_a_traceback(course, monkeypatch, capsys):
    def interrupted(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(set_up, "make_environment", interrupted)
    assert set_up.main([]) == 130
    assert "goes on from here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("build", "choice", "exchanged"),
    [
        ("cuda", None, False),  # what is there is kept
        ("cuda", "cuda", False),
        ("cuda", "cpu", True),
        ("cpu", "cuda", True),
    ],
)
def test_a_build_is_exchanged_only_where_asked(
    asked, course, monkeypatch, build, choice, exchanged
):
    install(monkeypatch, course, found(build=build), choice)
    torch = [call for call in asked.calls if "torch" in call]
    assert bool(torch) is exchanged
    assert not torch or "--force-reinstall" in torch[-1]


def test_a_named_index_is_asked_once(asked, course, monkeypatch):
    install(monkeypatch, course, found(torch=False), "https://example.org/cu1")
    asked.calls.clear()
    install(monkeypatch, course, found(build="cuda"), "https://example.org/cu1")
    assert not asked.calls


def test_a_wheelhouse_is_the_only_source(asked, course, monkeypatch):
    links = ["--no-index", "--find-links", "/a wheelhouse"]
    install(monkeypatch, course, found(torch=False, pins=["numpy==2"]), links=links)
    assert len(asked.calls) == 4
    assert all("--no-index --find-links /a wheelhouse" in call for call in asked.calls)
    asked.calls.clear()
    asked.fails = ["+cpu"]  # a Mac's, or one with CUDA: PyTorch's index is not asked
    install(monkeypatch, course, found(torch=False), links=links)
    assert asked.calls[1] == f"install {' '.join(links)} torch=={TORCH}"


def test_an_empty_wheelhouse_is_named(course, capsys):
    assert set_up.main(["--wheelhouse", str(course)]) == 1
    assert "make wheelhouse" in capsys.readouterr().err


def test_make_hands_its_variables_on(course, monkeypatch):
    monkeypatch.setenv("TORCH", "cuda")
    monkeypatch.setenv("WHEELHOUSE", "wheels")
    options = set_up.options_of([])
    assert (options.torch, options.wheelhouse) == ("cuda", "wheels")
    assert "export TORCH WHEELHOUSE" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_filling_a_wheelhouse_takes_wheels_alone(asked, course, capsys):
    set_up.fill_wheelhouse("python", course / "wheels", None)
    assert asked.calls[1].startswith(f"download --dest {course / 'wheels'}")
    assert "--only-binary :all:" in asked.calls[2]
    assert "WHEELHOUSE=wheels" in capsys.readouterr().out


# The pins themselves


def test_every_pin_has_hashes_and_none_brings_cuda():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", text, flags=re.IGNORECASE)
    named = [block for block in blocks if not block.startswith("#")]
    assert len(named) > 150
    assert not [block for block in named if "--hash=sha256:" not in block]
    accelerators = re.findall(r"(?m)^(?:torch|triton|nvidia-\S+|cuda-\S+)==", text)
    assert not accelerators, "name them in pyproject.toml, [tool.uv.pip] no-emit-package"


def test_the_pins_name_no_address_and_no_path_of_a_machine():
    for name in ("requirements.txt", "requirements-torch.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"://|--index|--find-links|/(?:home|root|work|tmp|opt|Users)/", text)


def test_the_pins_cover_every_system_and_python():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for system, package in (("win32", "colorama"), ("darwin", "appnope")):
        assert re.search(rf"^{package}==.*'{system}'", text, re.M)
    about = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'python-version = "3.11"' in about
    assert "universal = true" in about


def test_every_declared_requirement_is_pinned_within_its_range():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = list(about["dependencies"])
    for extra in about["optional-dependencies"].values():
        declared += extra
    lines = [*set_up.pins(ROOT / "requirements.txt"), *set_up.pins(ROOT / "requirements-torch.txt")]
    pinned = {Requirement(line).name: Requirement(line) for line in lines}
    for line in declared:
        wanted = Requirement(line)
        if wanted.name != "regression-lib":
            (pin,) = pinned[wanted.name].specifier
            assert wanted.specifier.contains(pin.version), "run make lock"


def test_the_note_of_a_complete_set_up_is_read_back(tmp_path):
    ready = tmp_path / ".ready"
    assert set_up.done_before(ready) == {}
    for text in ("", "[1]", "0"):  # what earlier versions wrote, or half a note
        ready.write_text(text)
        assert set_up.done_before(ready) == {}
    ready.write_text(json.dumps({"project": "a"}))
    assert set_up.done_before(ready) == {"project": "a"}
