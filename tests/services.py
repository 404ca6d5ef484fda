"""Where tests find the services of this machine: PostgreSQL, Chromium, free ports."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from urllib.parse import quote

import psycopg

REPOSITORY = Path(__file__).resolve().parent.parent

#: Where CI is set, a service that is missing is an error and never a skip.
IN_CI = bool(os.environ.get("CI"))

#: Where a PostgreSQL server is looked for; the first that lets us in is used.
POSTGRES_CANDIDATES = (
    os.environ.get("TEST_POSTGRES_URL", ""),
    "postgresql://postgres@127.0.0.1:5432/postgres",
    f"postgresql://{quote('/var/run/postgresql', safe='')}/postgres",
)

CHROMIUM_NAMES = (os.environ.get("TEST_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def find_postgres() -> str | None:
    """URL of a maintenance database whose user may create others, or None."""
    for candidate in filter(None, POSTGRES_CANDIDATES):
        try:
            psycopg.connect(candidate, connect_timeout=3).close()
        except psycopg.OperationalError:
            continue
        return candidate
    return None


def find_chromium() -> str | None:
    """Path of an installed Chromium, or None."""
    return next((path for name in filter(None, CHROMIUM_NAMES) if (path := shutil.which(name))), None)


def find_free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
