"""The book as a zip: unpacked anywhere, read from the file system, asking nobody."""

import os
import zipfile

import archive
import pytest
from watching import watched_page

PAGES = ["index", "book/intro", "book/03_activations", "book/claims", "genindex", "404"]


@pytest.fixture(scope="module")
def unpacked(book, tmp_path_factory):
    """The address of the folder that a reader's unzip makes."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(book.with_name(f"{archive.NAME}.zip")) as packed:
        packed.extractall(folder)
    assert [path.name for path in folder.iterdir()] == [archive.NAME]
    return (folder / archive.NAME).as_uri()


@pytest.fixture
def page(browser, unpacked):
    with watched_page(browser, unpacked) as page:
        yield page


@pytest.mark.parametrize("name", PAGES)
def test_opens_from_the_file_system_and_asks_nobody(page, unpacked, name):
    page.goto(f"{unpacked}/{name}.html", wait_until="load")
    page.wait_for_selector("h1:visible")
    page.evaluate("document.fonts.ready")
    assert not page.troubles, "\n".join(page.troubles)


def test_search_finds_pages_without_a_server(page, unpacked):
    page.goto(f"{unpacked}/book/intro.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("momentum")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    hits = page.locator("#search-results li a").evaluate_all("links => links.map(a => a.href)")
    assert any("04_batch_normalization" in hit for hit in hits)
    page.click("#search-results li a >> nth=0")
    page.wait_for_selector("article h1")
    assert not page.troubles, "\n".join(page.troubles)


def test_same_site_makes_the_same_bytes(tmp_path):
    pages = ["a.html", "b.html"]
    for site, order, written in [("one", pages, 1e9), ("two", pages[::-1], 1.5e9)]:
        (tmp_path / site).mkdir()
        for name in order:
            (tmp_path / site / name).write_text(name)
            os.utime(tmp_path / site / name, (written, written))
        archive.pack(tmp_path / site, tmp_path / f"{site}.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_archive_is_whole_or_not_there(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    site = tmp_path / "site"
    site.mkdir()
    (site / "page.html").write_text("page")
    monkeypatch.setattr(archive.zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space"):
        archive.pack(site, tmp_path / "site.zip")
    assert list(tmp_path.iterdir()) == [site]
