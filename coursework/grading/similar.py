"""Which notebooks have much code in common, side by side; it says nothing about why.

Code is taken as its tokens: comments are gone, names that a student chose are all alike, those of
libraries stay. What stood in the released notebook is taken away, and what many share counts
little. The rest is compared by runs of tokens (Schleimer, Wilkerson and Aiken, 2003, "Winnowing:
local algorithms for document fingerprinting"; here all runs are kept, since notebooks are short).
"""

import builtins
import io
import keyword
import tokenize
from collections import Counter
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import sparse
from tqdm import tqdm

from grading import bounded
from grading.assignment import Assignment, grade_id
from grading.course import write_whole
from grading.pages import environment
from grading.release import release
from grading.submission import NotGraded, read

RUN = 12  # tokens; a shorter run is shared by chance
LEAST_SHARED, LEAST_RUNS, MOST_PAIRS = 0.5, 20, 60
MOST_CODE = 200_000  # characters; all runs of all notebooks are in memory at the same time
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
SILENT |= {tokenize.INDENT, tokenize.DEDENT}
KNOWN = {*keyword.kwlist, *dir(builtins)}
MODEL = "the model solution"


@dataclass(frozen=True)
class Code:
    """All code of one notebook, and the lines on which each run of tokens stands."""

    lines: tuple
    runs: dict  # run: the lines that it spans


def fingerprint(cells):
    """The `Code` of some cells; one that is no Python counts up to where it stops being any."""
    words, above, runs = [], 0, {}
    for cell in cells:
        words += [(word, line + above) for word, line in _tokens(cell)]
        above += cell.count("\n") + 1
    for k in range(len(words) - RUN + 1):
        part = words[k : k + RUN]
        run = " ".join(word for word, _ in part)
        runs.setdefault(run, set()).update(line for _, line in part)
    return Code(tuple("\n".join(cells).split("\n")), runs)


def _tokens(code):
    """(token, line), in which chosen names, numbers and texts are all alike."""
    before = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type in SILENT:
                continue
            word = token.string
            if token.type == tokenize.NAME and before != "." and word not in KNOWN:
                word = "name"
            elif token.type in (tokenize.NUMBER, tokenize.STRING):
                word = "value"
            yield word, token.start[0] - 1
            before = token.string
    except (tokenize.TokenError, SyntaxError):
        return


def of_submission(path, assignment, released):
    """In a child process: the `Code` of what a student wrote."""
    found = read(path, assignment, released)
    cells = []
    for name, kind in assignment.kinds.items():
        if kind == "solution" and name in found.code:
            cells.append(f"# {name}\n{found.code[name]}")
        cells += [own.source for own in found.added.get(name, []) if own.is_code]
    if (size := sum(map(len, cells))) > MOST_CODE:
        raise NotGraded(f"it has {size:,} characters of code; {MOST_CODE:,} are compared")
    return fingerprint(cells)


def compare(codes, known):
    """(share, one, other) of each pair with much in common, most first.

    Parameters
    ----------
    codes : dict
        `Code` by student.
    known : collection of str
        Runs that stood in the released notebook.

    Returns
    -------
    list of (float, str, str)
        The share is of the shorter notebook's own runs, rare ones counting more.
    """
    own = {who: code.runs.keys() - known for who, code in codes.items()}
    names = [who for who, runs in own.items() if len(runs) >= LEAST_RUNS]
    counts = Counter(run for who in names for run in own[who])
    place = {run: k for k, run in enumerate(counts)}
    if len(names) < 2:
        return []
    weights = np.log((len(names) + 1) / np.array(list(counts.values())))
    rows = [k for k, who in enumerate(names) for _ in own[who]]
    columns = [place[run] for who in names for run in own[who]]
    shape = (len(names), len(place))
    table = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape)
    common = (table.multiply(weights) @ table.T).toarray()
    whole = np.diag(common)
    pairs = [
        (common[a, b] / min(whole[a], whole[b]), names[a], names[b])
        for a, b in combinations(range(len(names)), 2)
    ]
    pairs = [pair for pair in pairs if pair[0] >= LEAST_SHARED]
    return sorted(pairs, key=lambda pair: (-pair[0], *pair[1:]))[:MOST_PAIRS]


def write(course, name):
    """Write `similar.html` to the reports of a problem set; where it lies."""
    assignment, stencil = Assignment.load(course.root, name), release(course, name)
    released = {grade_id(cell): cell.source for cell in stencil.cells if grade_id(cell)}
    known = fingerprint([c.source for c in stencil.cells if c.cell_type == "code"]).runs.keys()
    solved = [c for c in assignment.notebook.cells if assignment.kind(c) == "solution"]
    codes = {MODEL: fingerprint([f"# {grade_id(cell)}\n{cell.source}" for cell in solved])}
    light, left, limits = replace(assignment, files={}), {}, course.settings.check_limits(name)
    # Else each child process would load what this module needs, which takes a second.
    bounded.CONTEXT.set_forkserver_preload(["grading.warm", "grading.similar"])
    paths = sorted(course.root.glob(f"submitted/*/{name}/{name}.ipynb"))
    for path in tqdm(paths, desc=f"{name}: reading"):
        student = path.parent.parent.name
        try:
            codes[student] = bounded.call(of_submission, path, light, released, **limits)
        except (ValueError, bounded.Exceeded, bounded.Failed) as reason:
            left[student] = str(reason)
    pairs = [_shown(pair, codes, known) for pair in compare(codes, known)]
    target = course.reports(name) / "similar.html"
    template = environment().get_template("similar.html")
    count = len(codes) - 1
    write_whole(target, template.render(title=name, pairs=pairs, count=count, left=left))
    return target


def _shown(pair, codes, known):
    """A pair as the template shows it: two columns of lines, each shared or not."""
    share, one, other = pair
    both = (codes[one].runs.keys() & codes[other].runs.keys()) - known
    columns = []
    for who in (one, other):
        marked = set().union(*(codes[who].runs[run] for run in both))
        lines = [(line, k in marked) for k, line in enumerate(codes[who].lines)]
        columns.append({"who": who, "lines": lines})
    return {"share": share, "columns": columns}
