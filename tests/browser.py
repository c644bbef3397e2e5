"""The built book on a local address, and a browser to look at it with."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def build() -> Path:
    """Build the committed book with warnings as errors; return where its pages are."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(ROOT / "book")]
    flags = ["--warningiserror", "--nitpick", "--keep-going", "--all", "--quiet"]
    built = subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return HTML


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Build the book, and serve it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=build())) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser for the tests of a file; other files could run no event loop beside it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    assert program, f"no browser: none of {', '.join(names)} is installed (Debian: apt-get install chromium)"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()
