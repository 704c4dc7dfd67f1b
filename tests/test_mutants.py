"""The mutation run plants what it says, one place at a time, and judges by the tests' exit code."""

import ast
import os
import sys
import time
from collections import Counter

import mutate
import pytest


def planted(source):
    """What the one statement of a module may become."""
    return [mutant.after for mutant in mutate.mutants("any", source.encode())]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", ["x = a <= b", "x = a > b"]),
        ("x = a == b", ["x = a != b"]),
        ("x = a in b", ["x = a not in b"]),
        ("x = a + b * c", ["x = (a - b * c)", "x = a + (b / c)"]),
        ("x = a and b", ["x = (a or b)", "x = a", "x = b"]),
        ("x = not a", ["x = a"]),
        ("x = 3", ["x = 4", "x = 2"]),
        ("x = 0.5", ["x = 1.5"]),
        ("x = True", ["x = False"]),
        ("x += y", ["x -= y", "pass"]),
        ("f(a, key=b)", ["pass", "f(a)"]),
        ("x = y.detach().abs()", ["x = y.detach()", "x = y.abs()"]),
        ("x = max(y)", ["x = min(y)"]),
        ("x = y.mean()", ["x = y.sum()"]),
        ("x = y.mean", []),
        ("x = y.any(0)", ["x = y.all(0)", "x = y.any(1)", "x = y.any(-1)"]),
        ("x.y = z", ["pass"]),
        ("x = a if b else c", ["x = a", "x = c"]),
        ("x = [a for a in b if c]", ["x = [a for a in b]"]),
        ("def f(x=1): return x", ["def f(x=2): return x", "def f(x=0): return x"]),
        ("raise Error('not 1 ' + b)", ["pass"]),
        ('x = f"{1 + a}"', []),  # Python 3.11 does not tell where they stand
        ("'''What it is: 1.'''", []),
        ("x: int = y", []),
    ],
)
def test_the_faults_of_a_statement(source, expected):
    found = planted(source)
    assert found[: len(expected)] == expected
    assert set(found) - set(expected) <= {"pass", "def f(x=1): return"}


@pytest.mark.parametrize("condition", ["a", "a < b", "a is b", "not a"])
def test_a_condition_is_turned_round_once(condition):
    found = planted(f"if {condition}:\n    pass")
    turned = {"a": "(not a)", "a < b": "(not a < b)", "a is b": "a is not b", "not a": "a"}
    assert f"if {turned[condition]}:" in found
    assert len(found) == (3 if condition == "a < b" else 1)


def test_a_return_value_is_left_out():
    source = b"def f(x):\n    return x.y\n"
    (mutant,) = mutate.mutants("any", source)
    assert (mutant.line, mutant.before, mutant.after) == (2, "return x.y", "return")
    assert str(mutant) == "regression_lib/any.py:2\n  - return x.y\n  + return"


def test_each_fault_is_another_module_and_stands_in_its_place():
    """Columns are counted in bytes, so a × before a number must not move it."""
    path = mutate.ROOT / "regression_lib" / "normalization.py"
    source = path.read_bytes()
    found = mutate.mutants("normalization", source)
    trees = {ast.dump(ast.parse(mutant.source)) for mutant in found}
    assert len(trees) == len(found) > 100
    assert ast.dump(ast.parse(source)) not in trees
    assert planted("x = '×' + y") == ["x = ('×' - y)"]
    assert found == mutate.mutants("normalization", source)


def child(action):
    pid = os.fork()
    if not pid:
        os.setsid()
        action()
        os._exit(0)
    return pid


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the mutation run forks")
def test_a_run_ends_with_its_code_or_after_its_time():
    assert mutate.ended(child(lambda: None), 5) == 0
    assert mutate.ended(child(lambda: os._exit(3)), 5) == 3
    start = time.monotonic()
    assert mutate.ended(child(lambda: time.sleep(60)), 0.1) == "too long"
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(("codes", "survives"), [([0, 0], True), ([0, 5], True), ([1], False)])
def test_a_fault_that_no_test_notices_survives_and_is_taken_back(
    tmp_path, monkeypatch, codes, survives
):
    (tmp_path / "regression_lib").mkdir()
    path = tmp_path / "regression_lib" / "any.py"
    path.write_bytes(b"x = 1\n")
    seen = []
    monkeypatch.setattr(mutate, "started", lambda *_: seen.append(path.read_bytes()))
    monkeypatch.setattr(mutate, "ended", lambda *_: codes[len(seen) - 1])
    mutant = mutate.mutants("any", b"x = 1\n")[0]
    limits = {("any", False): 1, ("any", True): 1}
    assert mutate.survives(tmp_path, mutant, limits) == survives
    assert seen == [b"x = 2\n"] * len(codes)
    assert path.read_bytes() == b"x = 1\n"


def test_what_is_allowed_is_still_there_and_says_why():
    for entry in mutate.allowed_faults():
        source = mutate.ROOT / "regression_lib" / f"{entry['module']}.py"
        assert entry["before"] in " ".join(source.read_text(encoding="utf-8").split())
        assert entry.keys() | {"after"} == {"module", "before", "after", "why"}
        assert entry["module"] in mutate.TESTS
        assert len(entry["why"]) > 10


def test_allowed_are_single_changes_or_all_of_a_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mutate.py", "--module", "storage"])
    monkeypatch.setattr(mutate, "LIBRARIES", [])
    monkeypatch.setattr(mutate, "run", lambda chosen, *_: [(mutant, False) for mutant in chosen])
    source = (mutate.ROOT / "regression_lib" / "storage.py").read_bytes()
    all_of_them = mutate.mutants("storage", source)
    (line, of_the_line), *_ = Counter(mutant.before for mutant in all_of_them).most_common()
    after = next(mutant.after for mutant in all_of_them if mutant.before == line)
    place = {"module": "storage", "before": line}
    for entry, count in [(place | {"after": after}, 1), (place, of_the_line)]:
        monkeypatch.setattr(mutate, "allowed_faults", lambda entry=entry: [entry])
        assert mutate.main() is False
        killed, survived, equal = map(int, capsys.readouterr().out.split()[-3:])
        assert (killed, survived, equal) == (len(all_of_them) - count, 0, count)


def test_the_sample_is_that_of_its_seed(monkeypatch, capsys):
    drawn = []

    def run(chosen, folder, workers, quick):
        drawn.append(chosen)
        return [(mutant, mutant is chosen[0]) for mutant in chosen]

    monkeypatch.setattr(mutate, "run", run)
    monkeypatch.setattr(mutate, "LIBRARIES", [])
    monkeypatch.setattr(mutate, "allowed_faults", lambda: [])
    command = ["mutate.py", "--module", "storage", "--sample", "5", "--seed"]
    for seed in ("1", "1", "2"):
        monkeypatch.setattr(sys, "argv", [*command, seed])
        assert mutate.main() is True
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 5
    out = capsys.readouterr().out
    assert out.count(str(drawn[0][0])) == 2
    assert out.split()[-4:] == ["storage", "4", "1", "0"]
