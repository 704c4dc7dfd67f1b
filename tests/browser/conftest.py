"""Build the book once, serve it on this machine, open it in one Chromium."""

import functools
import os
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The folder of the built book; a warning of the build is a failure."""
    output = tmp_path_factory.mktemp("book")
    build = "from jupyter_book.cli.main import main; main()"
    arguments = ["build", str(ROOT), "--path-output", str(output), "-W", "-n", "--keep-going", "-q"]
    command = [sys.executable, "-c", build, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, f"The book does not build:\n{done.stderr[-4000:]}"
    return output / "_build" / "html"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def site(book):
    """The address of the served book."""
    handler = functools.partial(Quiet, directory=book)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def find_chromium(playwright):
    """The reader's own Chromium, else the one that Playwright installed, else None."""
    own = [
        os.environ.get("CHROMIUM"),
        *map(shutil.which, NAMES),
        playwright.chromium.executable_path,
    ]
    return next((path for path in own if path and Path(path).exists()), None)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = find_chromium(playwright)
        if path is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_BROWSER)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
