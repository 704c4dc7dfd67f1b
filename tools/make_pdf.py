"""The whole book as one PDF, `make pdf`: Sphinx joins the pages, Chromium prints them.

The PDF shows what a page shows, for paper: solutions unfolded, controls gone, light colours.
Chinese terms need a font that has them on the machine that prints.
"""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from chromium import chromium

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "_build" / "deep-regression-with-pytorch.pdf"
STYLE = Path(__file__).with_name("make_pdf.css")
FOOTER = """<div style="font: 8px sans-serif; text-align: center; width: 100%">
  <span class="pageNumber"></span></div>"""
PAPER = {
    "format": "A4",
    "margin": {"top": "18mm", "bottom": "20mm", "left": "18mm", "right": "18mm"},
    "print_background": True,
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": FOOTER,
    "outline": True,
    "tagged": True,
}
PRINTABLE = {"width": 658, "height": 979}  # A4 less its margins, in CSS pixels
LABELS = ROOT / "book" / "_ext" / "labels" / "en.toml"
FOR_PAPER = """words => {
  for (const folded of document.querySelectorAll('details')) {
    folded.removeAttribute('name');  // parts of one name are never open together
    folded.open = true;
  }
  const explorers = 'script[type="application/vnd.jupyter.widget-view+json"]';
  for (const view of document.querySelectorAll(explorers)) {
    const note = document.createElement('p');
    note.className = 'only-on-screen';
    note.textContent = words;
    view.replaceWith(note);
  }
  return document.fonts.ready.then(() => true); }"""


def join(output):
    """Build the book as a single page under `output` and return its path."""
    build = "from jupyter_book.cli.main import main; main()"
    arguments = ["build", ROOT, "--builder", "singlehtml", "--path-output", output]
    command = [sys.executable, "-c", build, *arguments, "-W", "-n", "--keep-going", "-q"]
    subprocess.run(command, check=True, cwd=ROOT)
    folder = Path(output, "_build", "singlehtml")
    page = folder / "book.html"
    # Sphinx leaves the page in a folder, with addresses as seen from the one above.
    shutil.copy(folder / "book" / "intro.html", page)
    return page


def lay_out(browser, address):
    """Open the joined page as it goes on paper; a tab of the browser."""
    page = browser.new_page(color_scheme="light", viewport=PRINTABLE)
    page.goto(address, wait_until="networkidle")
    page.emulate_media(media="print", color_scheme="light")
    page.add_style_tag(path=STYLE)
    words = tomllib.loads(LABELS.read_text(encoding="utf-8"))
    page.evaluate(FOR_PAPER, words["on_screen"])
    return page


def write(page, target):
    """Print a tab to the PDF `target`, whole or not at all."""
    part = target.with_suffix(".part")
    part.write_bytes(page.pdf(**PAPER))
    part.replace(target)


def main():
    joined = join(ROOT)
    with chromium() as browser:
        write(lay_out(browser, joined.as_uri()), TARGET)
    print(f"The book is printed: {TARGET.as_uri()}")


if __name__ == "__main__":
    sys.exit(main())
