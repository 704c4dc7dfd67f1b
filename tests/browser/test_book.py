"""What a reader meets: each page of the book, wide and narrow, light and dark, in Chromium."""

import re
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import pytest
import yaml
from watching import watched_page

ROOT = Path(__file__).resolve().parents[2]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"], *(c["file"] for part in TOC["parts"] for c in part["chapters"]), "search"]
PAGES = [re.sub(r"\.(md|ipynb)$", "", page) + ".html" for page in PAGES]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

# Markup that should have become something else: a formula, a directive, a fence, a role.
LEFTOVER = re.compile(r"(?<!US)\$\S[^$\n]*(?<=\S)\$|^:{3,}|`{3,}|\{[a-z]+\}|\]\(\S+\)", re.M)
SETTLE = 400  # ms; the theme makes boxes that scroll focusable after 300
PROSE = """() => { const copy = document.querySelector('main').cloneNode(true);
  copy.querySelectorAll('pre, code, .katex, script, style').forEach(e => e.remove());
  copy.style.position = 'absolute'; document.body.append(copy);
  const text = copy.innerText; copy.remove(); return text; }"""
EVERY_RULE = {"resultTypes": ["violations"], "preload": False}
COLOUR_RULES = EVERY_RULE | {"runOnly": ["color-contrast", "link-in-text-block"]}
RUN_AXE = """options => axe.run(options).then(found => found.violations.map(
  rule => `${rule.id}: ${rule.help}: ` +
    rule.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(" and ")))"""


def axe_script():
    """axe-core, the accessibility checker, as JavaScript."""
    package = files("axe_playwright_python")
    return (package / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tab(browser, site):
    with watched_page(browser, site) as page:
        yield page


@pytest.fixture(scope="module", params=PAGES)
def page(request, tab, site):
    """One page of the book, loaded once for all tests that look at it."""
    tab.troubles.clear()
    tab.set_viewport_size(WIDE)
    tab.emulate_media(color_scheme="light")
    tab.goto(site + request.param, wait_until="load")
    tab.wait_for_timeout(SETTLE)
    tab.evaluate(axe_script())
    return tab


def test_loads_cleanly_and_asks_no_other_host(page):
    assert not page.troubles, "\n".join(page.troubles)


def test_every_image_is_described(page):
    images = page.locator("img:not(.logo__image)")  # the logo is decoration beside the title
    alts = images.evaluate_all("images => images.map(i => [i.alt, i.src.slice(0, 200)])")
    bad = [src for alt, src in alts if re.search(r"^\s*$|\.(png|svg|jpe?g)$", alt)]
    assert not bad, f"images without a description: {bad}"


def test_no_markup_stands_raw(page):
    leftovers = LEFTOVER.findall(page.evaluate(PROSE))
    assert not leftovers, f"raw markup: {leftovers}"


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_is_accessible_in_light_and_dark_and_fits(page, size):
    page.set_viewport_size(size)
    page.wait_for_timeout(SETTLE)
    width = page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= size["width"], f"the page is {width} px wide"
    found = []
    for theme, options in (("light", EVERY_RULE), ("dark", COLOUR_RULES)):
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
        found += [f"{theme}: {violation}" for violation in page.evaluate(RUN_AXE, options)]
    assert not found, "\n".join(found)


def test_magnifier_does_not_cover_what_is_searched(tab, site):
    tab.goto(f"{site}search.html?q=momentum")
    field, glass = tab.locator("main .bd-search input"), tab.locator("main .bd-search i")
    padding = "e => e.getBoundingClientRect().x + parseFloat(getComputedStyle(e).paddingLeft)"
    edge = field.evaluate(padding)
    assert glass.evaluate("e => e.getBoundingClientRect().right") < edge


FOCUSED = """() => { const e = document.activeElement, style = getComputedStyle(e);
  return [e.outerHTML.slice(0, 120), style.outlineStyle, style.outlineWidth]; }"""
UNFOCUSED = """() => { const e = document.activeElement; e.blur();
  const style = getComputedStyle(e), look = [style.outlineStyle, style.outlineWidth];
  e.focus(); return look; }"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_keyboard_focus_is_seen(tab, site, theme):
    tab.set_viewport_size(WIDE)
    tab.emulate_media(color_scheme=theme)
    tab.goto(f"{site}book/03_activations.html", wait_until="load")
    seen = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        element, *outline = tab.evaluate(FOCUSED)
        assert outline == ["solid", "3px"], f"no outline on {element}"
        assert tab.evaluate(UNFOCUSED) != outline, f"the same without focus: {element}"
        seen.add(element)
    assert len(seen) > 40  # the focus moves on


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links |= {attributes[key] for key in ("href", "src") if attributes.get(key)}
        self.anchors |= {attributes[key] for key in ("id", "name") if attributes.get(key)}


def test_no_internal_link_is_dead(book):
    pages = {path.relative_to(book).as_posix(): Page(path) for path in book.rglob("*.html")}
    dead = []
    for name, page in pages.items():
        for link in page.links:
            target, anchor = urldefrag(urljoin(f"book://x/{name}", link))
            if urlparse(target).scheme != "book":
                continue
            path = unquote(urlparse(target).path).strip("/")
            missing = not (book / path).is_file()
            if missing or (path in pages and unquote(anchor) not in pages[path].anchors):
                dead.append(f"{name}: {link}")
    assert not dead, "\n".join(dead)


@pytest.fixture(scope="module")
def katex():
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    yield pytest.importorskip("katex_math")
    sys.path.remove(str(ROOT / "book" / "_ext"))


def test_formula_is_rendered_for_eye_and_screen_reader(katex):
    html = katex.render(r"\hat{x} = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}", display=True)
    assert "<math" in html
    assert 'class="katex-display"' in html


def test_bad_formula_stops_the_build_and_is_named(katex):
    from sphinx.errors import ExtensionError

    with pytest.raises(ExtensionError, match=r"book/03: KaTeX cannot .*\n.*\\frac\{1"):
        katex.render(r"\frac{1", page="book/03")
