"""What stands around a page: words for search engines and links, footer, 404, citation, labels."""

import ast
import re
import tomllib
from html.parser import HTMLParser

import labels
import page_frame
import pytest
import yaml
from PIL import Image
from test_book import PAGES
from watching import ROOT, watched_page

import regression_lib

META = re.compile(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"')
WORD = re.compile(r"[^\W\d_]{2,}")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTENSIONS = sorted((ROOT / "book" / "_ext").glob("*.py"))
TEMPLATES = sorted((ROOT / "book" / "_templates").glob("*.html"))


@pytest.mark.parametrize("name", PAGES)
def test_page_describes_itself_to_search_engines_and_cards(book, name):
    meta = dict(META.findall((book / name).read_text(encoding="utf-8")))
    assert meta["og:title"]
    assert 30 <= len(meta["description"]) <= page_frame.LONGEST + 2
    assert meta["og:description"] == meta["description"]
    assert meta["og:type"] == ("website" if name == "book/intro.html" else "article")
    assert meta["twitter:card"] == "summary"  # without an address there is no picture to name


def test_description_is_the_first_paragraph(book):
    html = (book / "book/07_visualisation.html").read_text(encoding="utf-8")
    assert dict(META.findall(html))["description"].startswith("A training that takes an hour says")


@pytest.mark.parametrize(("name", "size"), [("card", (1200, 630)), ("touch-icon", (180, 180))])
def test_picture_has_the_size_that_others_expect(book, name, size):
    with Image.open(book / "_static" / f"{name}.png") as picture:
        assert (picture.format, picture.size) == ("PNG", size)


def test_every_page_says_what_its_outputs_were_verified_with(book):
    pins = (ROOT / "requirements-torch.txt").read_text(encoding="utf-8")
    torch = re.search(r"^torch==(.*)$", pins, re.M)[1]
    for name in PAGES:
        line = re.search(r'<p class="verified">(.*)</p>', (book / name).read_text("utf-8"))[1]
        assert f"PyTorch {torch}" in line
        assert f"regression_lib {regression_lib.__version__}" in line


def test_python_of_the_footer_is_one_that_the_tests_run_on():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    named = re.search(r"Python ([\d.]+)", page_frame.verified_versions())[1]
    assert named in tested


def test_lost_page_stands_alone_in_light_and_dark(browser, book):
    lost = (book / "404.html").as_uri()
    with watched_page(browser, lost) as page:
        seen = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.goto(lost)
            seen.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(seen) == 2
        assert page.locator("a").get_attribute("href") == "index.html"
        assert page.title().startswith(page.inner_text("h1"))
        assert not page.troubles


def test_citation_names_this_version_and_where_it_comes_from():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == regression_lib.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["title"] == config["title"]
    assert citation["authors"] == [{"name": config["author"]}]
    (post,) = citation["references"]
    assert post["title"] in (ROOT / "book/references.md").read_text(encoding="utf-8")


class Words(HTMLParser):
    """The words that a template or a piece of HTML shows by itself, or tells a screen reader."""

    SPOKEN = ("aria-label", "alt", "title", "placeholder")

    def __init__(self, html):
        super().__init__()
        self.found, self.hidden = [], False
        self.feed(re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", html, flags=re.DOTALL))
        self.close()

    def handle_starttag(self, tag, attributes):
        self.hidden = tag in ("script", "style", "kbd")
        said = [value for name, value in attributes if name in self.SPOKEN]
        self.found += [value for value in said if WORD.search(value or "")]

    def handle_endtag(self, tag):
        self.hidden = False

    def handle_data(self, data):
        if WORD.search(data) and not self.hidden:
            self.found.append(data.strip())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_has_no_words_of_its_own(path):
    assert not Words(path.read_text(encoding="utf-8")).found


class Texts(ast.NodeVisitor):
    """The texts in a program, less docstrings, patterns and the messages of errors."""

    def __init__(self, path):
        self.found = []
        self.visit(ast.parse(path.read_text(encoding="utf-8")))

    def visit_Expr(self, node):
        if not isinstance(node.value, ast.Constant):  # a docstring is one
            self.generic_visit(node)

    def visit_Raise(self, node):
        """Whoever writes the book reads it, not whoever reads the page."""

    def visit_Call(self, node):
        if not ast.unparse(node.func).startswith("re."):
            self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            self.found.append(node.value)

    def visit_JoinedStr(self, node):
        pieces = [p.value if isinstance(p, ast.Constant) else "{{ }}" for p in node.values]
        self.found.append("".join(pieces))


@pytest.mark.parametrize("path", EXTENSIONS, ids=lambda path: path.name)
def test_extension_puts_no_words_of_its_own_into_a_page(path):
    texts = Texts(path).found
    assert not [words for text in texts if "<" in text for words in Words(text).found]
    assert not [text for text in texts if re.fullmatch(r"[A-Z][a-z]+( [a-z]+)+[.!?]?", text)]


def test_a_word_baked_in_would_be_found(tmp_path):
    source = tmp_path / "extension.py"
    source.write_text('"""Not this."""\nbox = f\'<b title="Note {k}">\'\nadd("Link to this")\n')
    assert Texts(source).found == ['<b title="Note {{ }}">', "Link to this"]
    assert Words('<b title="Note {{ }}">{{ fine }}<i>Said</i>').found == ["Note ", "Said"]


def test_language_without_labels_is_named():
    with pytest.raises(labels.ExtensionError, match="xx"):
        labels.load("xx")
