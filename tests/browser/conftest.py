"""A console with a day's rows behind it, and a page that fails its test when something goes wrong in it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request

from tests.browser.console_rows import PASSWORD
from tests.services import REPOSITORY


@pytest.fixture(scope="session")
def base_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the standalone service, served by uvicorn from a database of its own; addresses of pages are relative
    to it."""
    directory = tmp_path_factory.mktemp("console")
    shutil.copyfile(sqlite_template, directory / "db.sqlite3")
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{directory}/db.sqlite3",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    filling = subprocess.run(
        [sys.executable, "-m", "tests.browser.console_rows"],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert filling.returncode == 0, filling.stderr
    with socket.socket() as listener, (directory / "server.log").open("w") as log:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "project.asgi:application", "--fd", str(listener.fileno())],
            cwd=REPOSITORY, env=environment, pass_fds=[listener.fileno()], stdout=log, stderr=log,
        )  # fmt: skip
        try:
            wait_for(f"{url}/admin/login/", server, directory / "server.log")
            yield url
        finally:
            server.terminate()
            server.wait(timeout=20)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path, timeout_s: float = 40) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=10).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the console did not start:\n{log.read_text()[-3000:]}")


@dataclass
class Watched:
    """What the pages of one test asked for and complained about."""

    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob", "about") and address.hostname not in ("127.0.0.1", "localhost"):
            self.foreign.append(request.url)

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@pytest.fixture
def console(page: Page) -> Iterator[Page]:
    """A page at the console's first page, logged in. Requests elsewhere and errors of scripts fail the test."""
    watched = Watched()
    page.on("request", watched.on_request)
    page.on("console", watched.on_console)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.goto("/admin/")
    page.fill("#id_username", "operator")
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    page.wait_for_selector("#user-tools")
    yield page
    assert watched.foreign == []
    assert watched.complaints == []
