"""What a first visit of a page transfers, as a server that compresses would send it.

Every page is held to its limits, once as it opens and once scrolled to its end. The table at the
end of the run adds the largest contentful paint on a processor slowed down four times; it depends
on the machine, so it is reported and never judged.
"""

import gzip
import re

import light
import pytest
from subset_icons import FONTS, ICONS
from test_book import PAGES

LIMIT, SCRIPT_LIMIT = 450, 120  # KB a page
TEXT = re.compile(r"html|css|javascript|json|svg|xml|text")
PAINT = """() => new Promise(resolve => {
  new PerformanceObserver(list => resolve(list.getEntries().at(-1).startTime))
    .observe({type: 'largest-contentful-paint', buffered: true});
  setTimeout(() => resolve(null), 2000); })"""
SCROLL = """async () => {
  for (let y = 0; y < document.body.scrollHeight; y += innerHeight) {
    scrollTo(0, y); await new Promise(done => setTimeout(done, 30)); } }"""

ALL_HERE = "() => [...document.images].every(i => i.complete || !i.checkVisibility())"


def kind(reply):
    """The column of the table that a reply counts in."""
    kinds = {"document": "html", "stylesheet": "css", "script": "script", "font": "fonts"}
    return kinds.get(reply.request.resource_type, "images")


def weight(reply):
    """Bytes of a reply's body, compressed where a server would do so."""
    body = reply.body()
    text = TEXT.search(reply.headers.get("content-type", ""))
    return len(gzip.compress(body, 6)) if text else len(body)


def summed(replies):
    """KB for each kind, in all, and the number of requests."""
    kinds = dict.fromkeys(["html", "css", "script", "fonts", "images"], 0)
    for reply in replies:
        kinds[kind(reply)] += weight(reply) / 1000
    return kinds | {"total": sum(kinds.values()), "requests": len(replies)}


@pytest.fixture(params=PAGES)
def visit(request, browser, site):
    """One page opened with an empty cache: what came at first, what after scrolling, its paint."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    slow = context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    replies = []
    page.on("requestfinished", lambda asked: replies.append(asked.response()))
    page.goto(site + request.param, wait_until="networkidle")
    paint = page.evaluate(PAINT)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    first = summed(replies)
    page.evaluate(SCROLL)
    page.wait_for_function(ALL_HERE)
    yield request.param, first, summed(replies), paint
    context.close()


def test_a_visit_stays_light(visit, record_property):
    page, first, scrolled, paint = visit
    row = {key: round(value) for key, value in first.items()}
    row |= {"scrolled": round(scrolled["total"]), "paint": paint and round(paint)}
    record_property("page weight", {"page": page.removesuffix(".html")} | row)
    assert first["script"] <= SCRIPT_LIMIT
    assert first["total"] <= LIMIT
    assert scrolled["total"] <= LIMIT, "after scrolling to the end"


def test_icons_come_cut_to_size_and_not_twice(book):
    static = book / "_static"
    for name in ("scripts/fontawesome.js", *(f"{FONTS}/{file}" for file in ICONS)):
        assert (static / name).stat().st_size < 5000, name
    assert not [*static.rglob("*.map")]


def test_pictures_have_a_size_and_wait_until_they_are_near(book):
    html = (book / "book/04_batch_normalization.html").read_text(encoding="utf-8")
    first, *others = re.findall(r"<img [^>]*_images/[^>]*>", html)
    assert len(others) > 5
    assert 'loading="lazy"' not in first
    for image in (first, *others):
        assert re.search(r' width="\d+" height="\d+"', image)
    assert all('loading="lazy"' in image for image in others)


def test_page_loads_no_more_than_it_uses(book):
    pages = {path: path.read_text(encoding="utf-8") for path in (book / "book").glob("*.html")}
    for path, html in pages.items():
        assert "searchindex.js" not in html, path.name
        assert ("sphinx-design" in html) == ('class="sd-' in html), path.name


def test_drawing_is_rounded_where_it_draws():
    svg = (
        '<path d="M 1.23456 -0.0012\\nL 7 8.500" style="stroke-width: 0.12345"/><use x="2.71828"/>'
    )
    short = '<path d="M 1.23 -0\\nL 7 8.5" style="stroke-width: 0.12345"/><use x="2.72"/>'
    assert light.shorten(svg) == short
    assert light.shorten(short) == short
