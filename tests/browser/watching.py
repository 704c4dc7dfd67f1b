"""Build the book, serve it, and watch a page: what the browser tests share."""

import functools
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A request under way when a test goes on to another page; what is missing fails by other names.
LEFT = "net::ERR_ABORTED"


def build_book(source, output):
    """Build the book of a folder and return the folder of its pages; a warning is a failure."""
    build = "from jupyter_book.cli.main import main; main()"
    arguments = ["build", str(source), "--path-output", str(output), "-W", "-n", "--keep-going"]
    command = [sys.executable, "-c", build, *arguments, "-q"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, f"The book does not build:\n{done.stderr[-4000:]}"
    return output / "_build" / "html"


@contextmanager
def serving(folder):
    """Serve a folder on this machine; yields its address."""
    handler = functools.partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def watched_page(browser, home):
    """A browser tab that notes errors, failed requests and each request that leaves `home`."""
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.troubles = troubles = []

    def guard(route):
        if route.request.url.startswith((home, "data:", "blob:")):
            return route.continue_()
        troubles.append(f"asks another host: {route.request.url}")
        return route.abort()

    def note(worth_noting, text):
        if worth_noting:
            troubles.append(text)

    page.route("**/*", guard)
    page.on("pageerror", lambda error: note(True, f"error in a script: {error}"))
    page.on("console", lambda message: note(message.type == "error", message.text))
    page.on(
        "requestfailed", lambda asked: note(asked.failure != LEFT, f"{asked.failure}: {asked.url}")
    )
    page.on("response", lambda reply: note(reply.status >= 400, f"{reply.status}: {reply.url}"))
    yield page
    context.close()
