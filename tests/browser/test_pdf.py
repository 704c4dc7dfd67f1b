"""The book on paper: every page in it, nothing cut, nothing folded, nothing to press."""

import re

import make_pdf
import nbformat
import pytest
from test_book import TOC
from watching import ROOT

FILES = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
CUT = """() => [...document.querySelectorAll('article :is(pre, img, table, .math-scroll)')]
  .filter(box => box.getBoundingClientRect().right > innerWidth + 1
    || box.scrollWidth > box.clientWidth + 1)
  .map(box => box.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def paper(browser, tmp_path_factory):
    """The laid out tab."""
    joined = make_pdf.join(tmp_path_factory.mktemp("paper"))
    page = make_pdf.lay_out(browser, joined.as_uri())
    yield page
    page.close()


def title(file):
    """The first heading of a chapter, in a notebook or in a page of prose."""
    path = next((ROOT / file).parent.glob(f"{(ROOT / file).name}.*"))
    if path.suffix == ".ipynb":
        text = nbformat.read(path, as_version=4).cells[0].source
    else:
        text = path.read_text(encoding="utf-8")
    return re.search(r"^# (.*)$", text, re.M)[1]


def _dense(text):
    return re.sub(r"\s", "", text)


def test_pdf_holds_every_chapter(paper, tmp_path):
    make_pdf.write(paper, tmp_path / "book.pdf")
    pdf = (tmp_path / "book.pdf").read_bytes()
    outline = b"\n".join(re.findall(rb"/Title \((.*)\)", pdf)).decode("latin-1")
    # Chromium drops the space where a heading breaks, so compare without any.
    assert not [title(file) for file in FILES if _dense(title(file)) not in _dense(outline)]
    n_pages = len(re.findall(rb"/Type /Page\b(?!s)", pdf))
    assert 100 < n_pages < 800
    assert [path.name for path in tmp_path.iterdir()] == ["book.pdf"]


def test_nothing_is_cut_at_the_edge_of_the_paper(paper):
    assert not paper.evaluate(CUT)


def test_solutions_are_open_and_controls_gone(paper):
    assert paper.locator("details").count() > 50
    assert paper.locator("details:not([open])").count() == 0
    controls = paper.locator("article :is(button, input, select)")
    assert not controls.evaluate_all("all => all.filter(each => each.checkVisibility()).length")
    assert not paper.locator("nav.bd-links").first.is_visible()


def test_links_are_blue_on_white(paper):
    colour = "link => getComputedStyle(link).color"
    assert paper.locator("article p > a.external").first.evaluate(colour) == "rgb(15, 95, 128)"
    page = "getComputedStyle(document.body).backgroundColor"
    assert paper.evaluate(page) in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
