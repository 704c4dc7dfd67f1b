"""Plant small faults in the library, one at a time, and list those that no test notices.

    python tools/mutate.py --module training --sample 40 --seed 1

A fault changes one place of a module: another operator, a constant one off, a condition turned
round, a statement or an option left out. The module's tests run on a copy of the tree, never on
the tree itself. What they let pass is a survivor: a test is missing, or nothing has changed; then
the line goes into mutants.toml beside this file, with the reason.
"""

import argparse
import ast
import contextlib
import copy
import importlib
import importlib.util
import itertools
import os
import queue
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ALLOWED = Path(__file__).with_name("mutants.toml")
# The tests of each module, those that find most first. All run in one go, so their fixtures do.
TESTS = {
    "network": "network shortcut losses dropout ensemble files tables embedding seeds edges",
    "training": "training backprop losses dropout history optimizers ensemble seeds files edges",
    "backprop": "backprop dropout losses",
    "shortcut": "shortcut losses",
    "losses": "losses",
    "dropout": "dropout backprop",
    "rows": "training tables estimator edges",
    "ensemble": "ensemble files seeds edges",
    "estimator": "estimator ridge tables seeds edges memory",
    "normalization": "normalization ensemble",
    "storage": "files network training",
    "tuning": "tuning studies tables edges",
    "studies": "studies tuning",
    "intervals": "intervals",
    "ridge": "ridge",
    "seen": "card",
    "card": "card keeping",
    "keeping": "keeping",
    "export": "export",
}
# What starts processes or takes long comes second, and only for what has survived the rest.
SLOW = (
    "scikit_learns_own or killed or sigint or process or cluster or memory or damaged or terminal "
    "or nothing_may_be_written or at_the_same_time or read_only_folder or another_folder"
)
LIBRARIES = ["torch", "sklearn.utils.estimator_checks", "optuna", "hypothesis", "pytest", "pandas"]

ORDERS = Lt, LtE, Gt, GtE = ast.Lt, ast.LtE, ast.Gt, ast.GtE
COMPARED = {Lt: (LtE, Gt), LtE: (Lt, GtE), Gt: (GtE, Lt), GtE: (Gt, LtE)}
COMPARED |= {ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,)}
COMPARED |= {ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,)}
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
COMPUTED |= {ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult}
COMPUTED |= {ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr}
NAMES = "min max, any all, argmin argmax, idxmin idxmax, floor ceil, zeros ones, sum mean"
OTHER = dict(pair.split() for pair in NAMES.split(", "))
OTHER |= {b: a for a, b in OTHER.items()}


class Mutant(NamedTuple):
    module: str
    line: int
    source: bytes
    before: str
    after: str

    def __str__(self):
        place = f"regression_lib/{self.module}.py:{self.line}"
        return f"{place}\n  - {self.before}\n  + {self.after}"


# ------------------------------------------------------------------------------ the faults


def changed(node, **fields):
    """A copy of a node with other fields."""
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def replaced(items, i, *new):
    return [*items[:i], *new, *items[i + 1 :]]


def expressions(node):
    """What may stand in the place of an expression."""
    match node:
        case ast.Compare():
            for i, op in enumerate(node.ops):
                for other in COMPARED[type(op)]:
                    yield changed(node, ops=replaced(node.ops, i, other()))
        case ast.BinOp() if type(node.op) in COMPUTED:
            yield changed(node, op=COMPUTED[type(node.op)]())
        case ast.BoolOp():
            yield changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
            yield from node.values
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield ast.Constant(node.value + 1)
            yield from [ast.Constant(node.value - 1)] if isinstance(node.value, int) else ()
        case ast.IfExp():
            yield node.body
            yield node.orelse
        case ast.Call():
            yield from calls(node)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            for i, part in enumerate(node.generators):
                if part.ifs:
                    every = changed(part, ifs=[])
                    yield changed(node, generators=replaced(node.generators, i, every))


def calls(node):
    """What may stand in the place of a call: another function, fewer options, or none."""
    match node.func:
        case ast.Name(id=name) if name in OTHER:
            yield changed(node, func=ast.Name(OTHER[name]))
        case ast.Attribute(attr=name) if name in OTHER:
            yield changed(node, func=changed(node.func, attr=OTHER[name]))
        case ast.Attribute(attr=name) if not (node.args or node.keywords):
            if name not in ("items", "keys", "values"):
                yield node.func.value  # x.detach() → x
    for i in range(len(node.keywords)):
        yield changed(node, keywords=replaced(node.keywords, i))


def statements(node):
    """Pairs of a statement, or its condition, and what may stand in its place."""
    match node:
        case ast.If(test=ast.Compare(ops=[op]) | ast.UnaryOp(op=op)) if type(op) not in ORDERS:
            pass  # turned round as an expression
        case ast.If() | ast.While():
            yield node.test, ast.UnaryOp(ast.Not(), node.test)
        case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
            yield node, ast.Return(None)
        case ast.AugAssign() if type(node.op) in COMPUTED:
            yield node, changed(node, op=COMPUTED[type(node.op)]())
            yield node, ast.Pass()
        case ast.Expr(value=ast.Constant()):
            pass  # a docstring
        case ast.Expr() | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            yield node, ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield node, ast.Pass()


def changes(node):
    """Pairs of a node and what may stand in its place, in the order of the source."""
    yield from statements(node)
    yield from ((node, new) for new in expressions(node))
    if isinstance(node, (ast.Raise, ast.JoinedStr)):
        return  # words; and inside an f-string Python 3.11 tells no places
    for name, field in ast.iter_fields(node):
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.AST) and name not in ("annotation", "returns", "ctx"):
                yield from changes(child)


def mutants(module, source):
    """All faults of a module, each with the whole source in which it stands."""
    starts = [0, *itertools.accumulate(map(len, source.splitlines(keepends=True)))]
    right, found = ast.dump(ast.parse(source)), {}
    for old, new in changes(ast.parse(source)):
        begin = starts[old.lineno - 1] + old.col_offset  # both count bytes
        end = starts[old.end_lineno - 1] + old.end_col_offset
        text = ast.unparse(new)
        text = f"({text})" if isinstance(new, (ast.BinOp, ast.BoolOp, ast.UnaryOp)) else text
        whole = source[:begin] + text.encode() + source[end:]
        first, last = starts[old.lineno - 1], starts[old.end_lineno]
        before, after = source[first:last], whole[first : last + len(whole) - len(source)]
        words = (" ".join(part.decode().split()) for part in (before, after))
        found.setdefault(ast.dump(ast.parse(whole)), Mutant(module, old.lineno, whole, *words))
    return [mutant for meaning, mutant in found.items() if meaning != right]


# ------------------------------------------------------------------------------ the runs


def copied(to):
    """What the tests need, in a folder of its own."""
    for name in ("regression_lib", "tests", "tools"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", to)
    for name in ("book", "coursework", "Makefile", "README.md"):
        (to / name).symlink_to(ROOT / name)
    return to


def started(tree, module, slow):
    """A forked process that runs the module's tests on a copy; its libraries are loaded already."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        os.setsid()  # so that it can be ended together with what its tests have started
        output = os.open(tree / "output.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(output, 1), os.dup2(output, 2)
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree)
        sys.path[:0] = [str(tree), str(tree / "tools")]
        importlib.invalidate_caches()
        if importlib.util.find_spec("regression_lib").origin.startswith(str(tree)):
            code = sys.modules["pytest"].main(arguments(tree, module, slow))
    finally:
        os._exit(code)


def arguments(tree, module, slow):
    files = [tree / "tests" / f"test_{name}.py" for name in TESTS[module].split()]
    plain = ["-o", "addopts=", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    chosen = ["-k", SLOW if slow else f"not ({SLOW})", "--hypothesis-seed=0", "-p", "no:nbval"]
    return [*plain, *chosen, *(str(file) for file in files if file.exists())]


def ended(pid, limit):
    """The process's exit code, once it has one; "too long" after so many seconds."""
    deadline = time.monotonic() + limit
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done and time.monotonic() < deadline:
            time.sleep(0.02)
            continue
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # it leads a group of its own
        return os.waitstatus_to_exitcode(status) if done else os.waitpid(pid, 0) and "too long"


def survives(tree, mutant, limits):
    """Whether the tests let a fault pass in this copy, which is left without it."""
    path = tree / "regression_lib" / f"{mutant.module}.py"
    right = path.read_bytes()
    path.write_bytes(mutant.source)
    try:
        for slow in (False, True):
            limit = limits.get((mutant.module, slow))
            code = ended(started(tree, mutant.module, slow), limit) if limit else 0
            if code == 99:
                raise RuntimeError((tree / "output.txt").read_text())
            if code not in (0, 5):  # 5: no such tests
                return False
        return True
    finally:
        path.write_bytes(right)


def baseline(tree, modules, quick):
    """The seconds that each module's tests may take; without a fault they must pass."""
    limits = {}
    for module, slow in itertools.product(modules, (False,) if quick else (False, True)):
        start = time.monotonic()
        code = ended(started(tree, module, slow), 600)
        if code not in (0, 5):
            words = (tree / "output.txt").read_text()
            raise SystemExit(f"the tests of {module} fail without a fault: {code}\n{words}")
        limits[module, slow] = 20 + 4 * (time.monotonic() - start)
    return limits


def run(chosen, folder, workers, quick):
    """Pairs of a mutant and whether it survives, as they become known."""
    trees = [copied(Path(folder) / str(k)) for k in range(workers)]
    limits = baseline(trees[0], sorted({mutant.module for mutant in chosen}), quick)
    print("The tests pass without a fault.", flush=True)
    free = queue.SimpleQueue()
    for tree in trees:
        free.put(tree)

    def one(mutant):
        tree = free.get()
        try:
            return mutant, survives(tree, mutant, limits)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(one, chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", action="append", choices=TESTS, help="by default all")
    parser.add_argument("--sample", type=int, help="so many faults, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--quick", action="store_true", help="without the tests that take long")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    found = []
    for module in options.module or TESTS:
        found += mutants(module, (ROOT / "regression_lib" / f"{module}.py").read_bytes())
    if options.sample and options.sample < len(found):
        picked = random.Random(options.seed).sample(range(len(found)), options.sample)
        found = [found[i] for i in sorted(picked)]
    allowed = {(e["module"], e["before"], e.get("after")) for e in allowed_faults()}
    named = [{(m.module, m.before, m.after), (m.module, m.before, None)} for m in found]
    equal = [mutant for mutant, names in zip(found, named, strict=True) if names & allowed]
    os.environ["OMP_NUM_THREADS"] = "1"  # as many workers as cores are at work
    for name in LIBRARIES:
        importlib.import_module(name)
    counts, survivors = Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        left = [mutant for mutant in found if mutant not in equal]
        for mutant, survived in run(left, folder, options.workers, options.quick):
            counts[mutant.module, survived] += 1
            if survived:
                survivors.append(mutant)
                print(mutant, flush=True)
    print(f"{'module':15}{'killed':>8}{'survived':>10}{'equivalent':>12}")
    for module in options.module or TESTS:
        same = sum(mutant.module == module for mutant in equal)
        print(f"{module:15}{counts[module, False]:8}{counts[module, True]:10}{same:12}")
    return bool(survivors)


def allowed_faults():
    return tomllib.loads(ALLOWED.read_text(encoding="utf-8")).get("equivalent", [])


if __name__ == "__main__":
    sys.exit(main())
