"""What stands around the course: workflows, and files that must not fall behind the pins."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = [*WORKFLOWS, *sorted((ROOT / ".github" / "actions").rglob("action.yml"))]
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))


def jobs(name):
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["jobs"]


def pin(name, file="requirements.txt"):
    text = (ROOT / file).read_text(encoding="utf-8")
    return re.search(rf"^{name}==([\w.]+)", text, re.M)[1]


@pytest.mark.parametrize("path", ACTIONS, ids=lambda path: path.parent.name + "/" + path.name)
def test_foreign_actions_are_pinned_by_digest(path):
    for used in re.findall(r"uses: (.+)$", path.read_text(encoding="utf-8"), re.M):
        assert used.startswith("./") or PINNED.fullmatch(used), used


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_alone_and_ends(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert "uses" in job or job["timeout-minutes"] <= 300, name


def test_nothing_is_published_that_failed():
    publish = jobs("publish")
    assert publish["test"]["uses"] == "./.github/workflows/test.yml"
    assert publish["build"]["needs"] == "test"
    assert publish["deploy"]["needs"] == "build"
    commands = [step.get("run") for step in jobs("test")["lint"]["steps"]]
    assert {"make lint", "make types"} <= set(commands)


def test_a_published_book_learns_its_address_from_the_repository():
    build = jobs("publish")["build"]
    assert "github.repository" in build["env"]["REPOSITORY_URL"]
    commands = [step.get("run") for step in build["steps"]]
    assert commands.index("make install-cells") < commands.index("make book")


def test_three_systems_and_three_pythons_are_tried():
    matrix = jobs("test")["test"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == ["3.11", "3.12", "3.13"]


def test_the_week_brings_what_a_push_does_not():
    weekly = jobs("weekly")
    assert set(weekly) == {"pinned", "newest", "data", "mutants", "links", "plain-sphinx"}
    assert weekly["plain-sphinx"]["continue-on-error"]


@pytest.mark.parametrize("path", [*ACTIONS, ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
def test_every_named_target_of_make_exists(path):
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:run: |`|^)make ([a-z-]+)", text, re.M))
    assert named <= TARGETS


def test_every_target_says_what_it_does():
    phony = set(" ".join(re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.M)).split()) - {"asked"}
    described = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.M))
    assert phony == described


def test_no_recipe_breaks_on_a_path_with_a_space():
    assert "CURDIR" not in MAKEFILE  # every path in it counts from the folder of the Makefile


def test_binder_takes_the_pinned_pytorch_for_the_cpu():
    text = (ROOT / ".binder" / "requirements.txt").read_text(encoding="utf-8")
    assert f"torch=={pin('torch', 'requirements-torch.txt')}+cpu" in text.splitlines()
    runtime = (ROOT / ".binder" / "runtime.txt").read_text(encoding="utf-8")
    assert runtime.strip() == "python-3.11"


def test_the_container_sets_up_as_everybody_does():
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    about = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.M))
    assert "tools/set_up.py" in about["onCreateCommand"]


def test_the_hooks_use_the_pinned_linter():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"\[(ruff[^\]]*)\]", text)) == {f"ruff=={pin('ruff')}"}


def test_no_file_has_the_line_ends_of_windows():
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git, or no checkout")
    assert not [line for line in listed.splitlines() if re.match(r"i/(?:crlf|mixed)", line)]


def test_the_benchmarks_use_the_same_pytorch():
    pinned = pin("torch", "requirements-torch.txt")
    assert pin("torch", "benchmarks/requirements.txt") == pinned


def test_templates_of_issues_are_forms():
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    for path in set(folder.glob("*.yml")) - {folder / "config.yml"}:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form)
        ids = [field["id"] for field in form["body"] if "id" in field]
        assert ids
        assert len(ids) == len(set(ids))
