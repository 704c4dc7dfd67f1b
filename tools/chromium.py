"""The Chromium that draws the book's cards, prints it and tests it: the reader's own, if any."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NO_BROWSER = (
    "No Chromium found. Install one (apt install chromium, or "
    "python -m playwright install chromium) or name it in the environment variable CHROMIUM."
)


def find_chromium(playwright):
    """The reader's own Chromium, else the one that Playwright installed, else None."""
    own = [
        os.environ.get("CHROMIUM"),
        *map(shutil.which, NAMES),
        playwright.chromium.executable_path,
    ]
    return next((path for path in own if path and Path(path).exists()), None)


@contextmanager
def chromium():
    """A running Chromium, as Playwright's `Browser`; without one `FileNotFoundError` says so."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = find_chromium(playwright)
        if path is None:
            raise FileNotFoundError(NO_BROWSER)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
