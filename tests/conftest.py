"""What every test may ask for: databases, Redis, Chromium, recordings and free ports, each found or started here.

A service that is not there means a skip, except where ``CI`` is set: there it is an error, so that nothing is left
out in silence.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings
from psycopg import sql

from tests.services import (
    CHROMIUM_ARGUMENTS,
    IN_CI,
    REPOSITORY,
    find_chromium,
    find_free_port,
    find_postgres,
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put browser tests last, and on PostgreSQL keep only what talks to the database from this process."""
    # Playwright leaves its event loop running in the main thread, where later asynchronous tests could not start one.
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    left_out = [item for item in items if item.get_closest_marker("live") and not config.option.markexpr]
    if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
        left_out += [item for item in items if item.get_closest_marker("sqlite") or not _uses_this_database(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _uses_this_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(item.get_closest_marker("django_db") or fixtures & {"db", "transactional_db"})


def missing(what: str) -> NoReturn:
    """Skip the test for want of a service, or fail it where all of them have to be there."""
    if IN_CI:
        pytest.fail(f"{what} is needed where CI is set", pytrace=False)
    pytest.skip(f"{what} was not found")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on. Bind port 0 yourself where you can."""
    return find_free_port()


# Databases for services that a test starts. Tests in this process use pytest-django's fixtures.


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, made once per worker and copied for each test."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    _migrate(f"sqlite:///{path}")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        # Back to one file without a log beside it; whoever opens a copy switches to WAL again.
        connection.execute("PRAGMA journal_mode=DELETE")
    return path


@pytest.fixture
def sqlite_file_url(sqlite_template: Path, tmp_path: Path) -> str:
    """``DATABASE_URL`` of a fresh, migrated SQLite database."""
    path = tmp_path / "db.sqlite3"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """URL of a PostgreSQL server's maintenance database, where this user may create databases."""
    return find_postgres() or missing("PostgreSQL (TEST_POSTGRES_URL)")


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """Name of a migrated PostgreSQL database, made once per worker and cloned for each test."""
    name = f"tikhub_template_{uuid.uuid4().hex[:12]}"
    _run_sql(postgres_server, "CREATE DATABASE {}", name)
    try:
        _migrate(_with_database(postgres_server, name))
        yield name
    finally:
        _run_sql(postgres_server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """``DATABASE_URL`` of a fresh, migrated PostgreSQL database, dropped after the test."""
    name = f"tikhub_test_{uuid.uuid4().hex[:12]}"
    _run_sql(postgres_server, "CREATE DATABASE {} TEMPLATE {}", name, postgres_template)
    yield _with_database(postgres_server, name)
    _run_sql(postgres_server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database on SQLite and then on PostgreSQL."""
    url: str = request.getfixturevalue("sqlite_file_url" if request.param == "sqlite" else "postgres_url")
    return url


def _migrate(url: str) -> None:
    migrating = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0", "--skip-checks"],
        cwd=REPOSITORY,
        env=os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert migrating.returncode == 0, migrating.stderr


def _run_sql(server: str, statement: str, *names: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _with_database(server: str, name: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


# Other services


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server of this worker's own, empty at the start and kept nowhere."""
    program = shutil.which("redis-server") or missing("redis-server")
    port = find_free_port()
    server = subprocess.Popen(
        [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"],
        cwd=tmp_path_factory.mktemp("redis"),
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for_port(port, server)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=10)


def _wait_for_port(port: int, process: subprocess.Popen[Any], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"{process.args!r} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"nothing listens on port {port} after {timeout_s} s")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The machine's own Chromium (TEST_CHROMIUM names another)."""
    return find_chromium() or missing("Chromium (TEST_CHROMIUM)")


@pytest.fixture(scope="session")
def browser_type_launch_args(chromium_path: str) -> dict[str, Any]:
    """How pytest-playwright starts its ``browser``: Playwright's own build cannot be downloaded everywhere."""
    return {"executable_path": chromium_path, "headless": True, "args": CHROMIUM_ARGUMENTS}


@pytest.fixture(scope="session")
def recordings_dir() -> Path:
    """Recorded provider traffic, kept beside the repository (TIKHUB_RECORDINGS names another place)."""
    named = os.environ.get("TIKHUB_RECORDINGS")
    path = Path(named) if named else REPOSITORY.parent / "shared" / "recordings"
    if not path.is_dir():
        # The public repository is tested without them; where somebody names a place, it has to be there.
        if named:
            pytest.fail(f"TIKHUB_RECORDINGS: {path} is not a directory", pytrace=False)
        pytest.skip(f"no recordings in {path}")
    return path
