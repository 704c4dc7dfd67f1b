"""What one line in `_config.yml` brings, the repository's address, and what is there without."""

import re
import shutil
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import public_address
import pytest
from subset_icons import ICONS
from test_book import EVERY_RULE, PAGES, RUN_AXE, Page, axe_script
from watching import ROOT, build_book, serving, watched_page

REPOSITORY, ADDRESS = "https://github.com/Some-One/a-book", "https://some-one.github.io/a-book/"
CHAPTER, PROSE = "book/03_activations", "book/claims"
CHECK_BUTTONS = RUN_AXE.replace("run(options)", "run('.article-header-buttons', options)")
CANONICAL = re.compile(r'<link rel="canonical" href="([^"]+)"')


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """The pages of the book, built with the line in its configuration."""
    source = tmp_path_factory.mktemp("public")
    for name in ("book", "regression_lib"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("_toc.yml", "pyproject.toml", "requirements.txt", "requirements-torch.txt"):
        shutil.copy(ROOT / name, source)
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    line = f"repository: {{url: {REPOSITORY}}}\n"
    config = re.sub(r"(?m)^repository:.*\n", "", config)
    (source / "_config.yml").write_text(config + line, encoding="utf-8")
    return build_book(source, source)


def links(folder, page):
    return Page(folder / f"{page}.html").links


def test_chapter_can_be_launched_edited_and_commented(public):
    found = links(public, CHAPTER)
    path = "main/book/03_activations.ipynb"
    assert f"https://colab.research.google.com/github/Some-One/a-book/blob/{path}" in found
    binder = "https://mybinder.org/v2/gh/Some-One/a-book"
    assert f"{binder}/main?urlpath=lab/tree/book/03_activations.ipynb" in found
    assert {REPOSITORY, f"{REPOSITORY}/edit/{path}"} <= found
    assert any(link.startswith(f"{REPOSITORY}/issues/new?") for link in found)


def test_page_without_code_is_edited_and_not_launched(public):
    found = links(public, PROSE)
    assert f"{REPOSITORY}/edit/main/book/claims.md" in found
    assert not [link for link in found if "colab" in link or "mybinder" in link]


def test_every_page_has_one_address_and_stands_in_the_site_map(public):
    addresses = []
    for page in set(PAGES) - {"search.html"}:
        html = (public / page).read_text(encoding="utf-8")
        assert CANONICAL.findall(html) == [ADDRESS + page]
        assert f'property="og:image" content="{ADDRESS}_static/card.png"' in html
        addresses.append(ADDRESS + page)
    tree = ElementTree.parse(public / "sitemap.xml")
    assert sorted(loc.text for loc in tree.findall(".//{*}loc")) == sorted(addresses)
    assert f'href="{ADDRESS}index.html"' in (public / "404.html").read_text(encoding="utf-8")


def test_without_the_line_there_is_none_of_it(book):
    for page in (CHAPTER, PROSE):
        html = (book / f"{page}.html").read_text(encoding="utf-8")
        assert not re.search("colab|mybinder|/issues/|/edit/|canonical|og:image", html)
    assert not (book / "sitemap.xml").exists()


def test_notebook_can_be_downloaded_and_code_copied(browser, site, book):
    download = next(link for link in links(book, CHAPTER) if link.endswith(".ipynb"))
    saved = (book / "book" / download).resolve()
    assert saved.read_bytes() == (ROOT / f"{CHAPTER}.ipynb").read_bytes()
    with watched_page(browser, site) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"{site}{CHAPTER}.html")
        page.locator("button.copybtn").first.click()
        cell = page.locator("div.cell_input pre").first.inner_text()
        assert page.evaluate("navigator.clipboard.readText()").strip() == cell.strip()


def test_buttons_ask_nobody_and_are_accessible(browser, public):
    with serving(public) as address, watched_page(browser, address) as page:
        page.goto(f"{address}{CHAPTER}.html", wait_until="load")
        page.evaluate(axe_script())
        for label in ("launch", "source", "download"):
            page.click(f".dropdown-{label}-buttons > button")
            page.wait_for_selector(f".dropdown-{label}-buttons .dropdown-menu.show")
            assert not page.evaluate(RUN_AXE, EVERY_RULE)
        assert not page.troubles, "\n".join(page.troubles)


def test_every_icon_is_in_the_cut_fonts(public):
    drawn = {icon for icons in ICONS.values() for icon in icons.split()}
    for path in public.rglob("*.html"):
        classes = re.findall(r'class="(fa[srb]? fa-[^"]+|fa-[^"]+)"', path.read_text("utf-8"))
        icons = set(re.findall(r"fa-([\w-]+)", " ".join(classes)))
        assert icons - {"solid", "brands", "lg", "fw"} <= drawn, path.name


@pytest.mark.parametrize("url", ["https://github.com/Ann/x", "https://github.com/Ann/x.git/"])
def test_pages_address_follows_from_the_repository(url):
    assert public_address.pages_address(url) == "https://ann.github.io/x/"


def test_the_environment_names_the_repository_for_one_build(monkeypatch):
    monkeypatch.setenv("REPOSITORY_URL", REPOSITORY)
    config = SimpleNamespace(html_theme_options={"repository_url": ""}, html_baseurl="")
    public_address.add_address(None, config)
    assert config.html_theme_options["repository_url"] == REPOSITORY
    assert config.html_theme_options["use_repository_button"]
    assert config.html_baseurl == ADDRESS
