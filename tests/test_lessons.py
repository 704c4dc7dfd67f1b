"""A lesson holds code that a learner could have written; what proves stands in the evidence."""

import ast
import re
from statistics import median

import nbformat
import pytest
from test_notebooks import BOOK, EVIDENCE, LESSONS, NOT_PROSE, code_cells, lines_of, markdown, tags

MAX_LINES, MEDIAN_LINES, MAX_IMPORTS, DEEPEST = 10, 5, 6, 2
WORDS = (1_500, 3_000)
BLOCKS = (ast.For, ast.While, ast.With, ast.If, ast.FunctionDef, ast.ClassDef, ast.Try)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
PARTS = (
    "**You will be able to**",
    "**You need**",
    "**Running time**",
    "## Summary",
    "## Check yourself",
    "## Exercises",
    "## Sources",
)
TAUGHT = {"rl", "torch", "nn", "torch.nn", "torch.optim"}


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request):
    return read(request.param)


@pytest.fixture(params=EVIDENCE, ids=lambda path: path.stem)
def evidence(request):
    return read(request.param)


def trees(notebook):
    return [(cell, ast.parse(cell.source)) for cell in code_cells(notebook)]


def test_cells_are_a_few_lines(lesson):
    lengths = [lines_of(cell) for cell in code_cells(lesson)]
    assert max(lengths) <= MAX_LINES
    assert median(lengths) <= MEDIAN_LINES


def test_the_page_begins_with_few_imports(lesson):
    imports = [
        node
        for _, tree in trees(lesson)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert len(imports) <= MAX_IMPORTS


def depth(node, inside=0):
    inside += isinstance(node, BLOCKS)
    return max([inside, *(depth(child, inside) for child in ast.iter_child_nodes(node))])


def test_the_code_is_plain(lesson):
    for cell, tree in trees(lesson):
        assert depth(tree) <= DEEPEST, f"blocks within blocks within blocks:\n{cell.source}"
        for node in ast.walk(tree):
            assert not isinstance(node, (ast.Lambda, ast.NamedExpr)), cell.source
            if isinstance(node, COMPREHENSIONS):
                inner = [n for n in ast.walk(node) if isinstance(n, COMPREHENSIONS)]
                assert len(inner) == len(node.generators) == 1, f"one loop at a time: {cell.source}"
        assert ";" not in re.sub(r"\"[^\"]*\"|'[^']*'|#.*", "", cell.source), cell.source


def test_nothing_is_proven_here(lesson):
    for cell in code_cells(lesson):
        called = {
            ast.unparse(node.func).rpartition(".")[2]
            for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Call)
        }
        assert not called & {"claim", "spread", "compare", "describe"}, cell.source


def test_names_are_introduced_before_they_are_used(lesson):
    """What is called of PyTorch and of the library stands in the text before, as code."""
    told = ""
    for cell in lesson.cells:
        if cell.cell_type == "markdown":
            told += cell.source
        elif "install" not in tags(cell):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) in TAUGHT:
                    name = re.compile(rf"`[^`]*\b{node.attr}\b[^`]*`")
                    assert name.search(told), f"{ast.unparse(node)} in\n{cell.source}"


def test_a_picture_or_an_explorer_stands_on_the_first_screen(lesson):
    cells = [cell for cell in lesson.cells if "install" not in tags(cell)][:5]
    shown = [key for c in cells for o in c.get("outputs", []) for key in o.get("data", {})]
    assert any(key.startswith("image/") or "widget-view" in key for key in shown)


def test_parts_and_length(lesson):
    text = "\n".join(markdown(lesson))
    for part in PARTS:
        assert part in text, part
    prose = NOT_PROSE.sub("", text).partition("## Exercises")[0]
    assert WORDS[0] <= len(prose.split()) <= WORDS[1]
    sections = re.findall(r"^## .+?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    taught = [s for s in sections if not s.startswith(PARTS[3:])]
    assert len(taught) >= 4
    for section in taught:
        assert "**Predict.**" in section, section.partition("\n")[0]
    figures = [c for c in code_cells(lesson) if "mystnb" in c.metadata]
    assert len(figures) >= len(prose.split()) / 400


def test_an_answer_does_not_stand_right_below_its_question(lesson):
    """After *Predict* comes the cell that runs, not the next paragraph's answer."""
    for cell in lesson.cells:
        if cell.cell_type == "markdown" and "**Predict.**" in cell.source:
            after = cell.source.partition("**Predict.**")[2].strip()
            assert "\n\n" not in re.sub(r"\n\n(?=[-*\d])", "\n", after), after


def test_formulas_are_displayed(lesson):
    assert len(re.findall(r"\$\$.+?\$\$", "\n".join(markdown(lesson)), re.DOTALL)) >= 2


def test_a_section_of_evidence_says_how_it_measures(evidence):
    """Each card stands in a section whose text names the claim's protocol."""
    text, open_section = {}, None
    for cell in evidence.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"^(?=## )", cell.source, flags=re.MULTILINE):
                if part.startswith("## "):
                    open_section = part.partition("\n")[0]
                    text[open_section] = ""
                if open_section:
                    text[open_section] += part
        elif "claim(" in cell.source:
            assert "**Protocol.**" in text[open_section], open_section


def test_each_card_of_the_evidence_is_told_apart(evidence):
    for cell in code_cells(evidence):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("claim"):
                assert {word.arg for word in node.keywords} & {"key", "post"}, cell.source


def terms():
    """Of each term of the glossary, the chapter that defines it."""
    lines = (BOOK / "glossary.md").read_text(encoding="utf-8").splitlines()
    pattern = re.compile(
        r"- \*\*(?P<term>[^*(]+?)(?: \(.*?\))?\*\* .*\((?P<chapter>\d\d_\w+)\.ipynb#"
    )
    found = [pattern.match(line) for line in lines]
    return {match["term"]: match["chapter"] for match in found if match}


def first_use(term, text):
    """Where a term stands first, in one or several; None where it does not."""
    words = r"[\s-]".join(map(re.escape, re.split(r"[\s-]", term)))
    found = re.search(rf"(?<![\w-]){words}(?:s|es)?(?![\w-])", text, re.IGNORECASE)
    return found and found.start()


def test_no_term_is_used_before_it_is_defined():
    """In the lessons that are written in the new form, from the first one on."""
    known, wrong = terms(), []
    assert len(known) > 40
    for path in LESSONS:
        taught = "\n\n".join(markdown(read(path))[1:])  # what the opening promises comes later
        prose = NOT_PROSE.sub("", taught).partition("## Check yourself")[0]
        prose = re.sub(r"^#.*$", "", prose, flags=re.MULTILINE)  # a heading names what follows
        for term, chapter in known.items():
            use = first_use(term, prose)
            if use is None or chapter < path.stem:
                continue
            bold = first_use(term, re.sub(r"\*\*(.+?)\*\*|.", bold_alone, prose, flags=re.DOTALL))
            if chapter > path.stem or bold is None or use < bold - 2:
                wrong.append(f"{path.stem}: {term!r} in “…{prose[max(0, use - 40) : use + 30]}…”")
    assert not wrong, "\n".join(wrong)


def bold_alone(match):
    """The bold words where they stand, and blanks elsewhere."""
    return match[0] if match[1] else " "
