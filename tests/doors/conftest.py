"""Every door on real servers, each with a database of its own, and one sandbox as their provider."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import psycopg
import pytest
from psycopg import sql

from tests.doors.furnish import secret
from tests.doors.servers import KINDS, DoorServer, Kind
from tests.services import REPOSITORY
from tikhub_app.sandbox.process import SandboxProcess

SANDBOX_KEY = "sk-sandbox-0123456789"
#: So that equal calls get equal bytes.
CLOCK = "1760000000"


@dataclass
class Site:
    """What the servers of one worker share: the sandbox, the keys, and databases to copy."""

    sandbox: SandboxProcess
    directory: Path
    template: Path
    make_postgres: Callable[[], str]
    servers: dict[str, DoorServer] = field(default_factory=dict)
    clients: dict[str, openai.OpenAI] = field(default_factory=dict)

    def make(self, kind: Kind, *options: str, **more: Any) -> DoorServer:
        """A server that is not started yet, with a fresh database."""
        directory = self.directory / f"{kind.name}-{uuid.uuid4().hex[:8]}"
        directory.mkdir()
        if kind.database == "postgres":
            url = self.make_postgres()
        else:
            shutil.copyfile(self.template, directory / "db.sqlite3")
            url = f"sqlite:///{directory / 'db.sqlite3'}"
        return DoorServer(kind, url, directory / "server.log", *options, **more)

    def shared(self, kind: Kind) -> DoorServer:
        """A server that all tests of this worker use, started by the first."""
        if kind.name not in self.servers:
            self.servers[kind.name] = self.make(kind).start()
        return self.servers[kind.name]

    def client(self, server: DoorServer) -> openai.OpenAI:
        """One for each server: most of a client's cost is in making it."""
        if server.url not in self.clients:
            self.clients[server.url] = openai.OpenAI(
                base_url=f"{server.url}/v1", api_key=secret("main"), max_retries=0, timeout=30
            )
        return self.clients[server.url]

    def stop(self) -> None:
        for client in self.clients.values():
            client.close()
        for server in self.servers.values():
            server.terminate()
        for server in self.servers.values():
            server.stop()


def furnish(database_url: str, sandbox_url: str) -> None:
    """Keys, upstreams and routes, see ``furnish.py``."""
    furnishing = subprocess.run(
        [sys.executable, "-m", "tests.doors.furnish", sandbox_url, SANDBOX_KEY],
        cwd=REPOSITORY,
        env=os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "tests.doors.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert furnishing.returncode == 0, furnishing.stderr


@pytest.fixture(scope="session")
def site(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("doors")
    template = directory / "template.sqlite3"
    shutil.copyfile(sqlite_template, template)
    with ExitStack() as stack:
        sandbox = stack.enter_context(SandboxProcess("--clock", CLOCK, "--require-key", SANDBOX_KEY))
        furnish(f"sqlite:///{template}", sandbox.openai_url)

        def make_postgres() -> str:
            # Asked for only here, so that the other servers are tested where there is no PostgreSQL.
            server: str = request.getfixturevalue("postgres_server")
            base: str = request.getfixturevalue("postgres_template")
            name = f"tikhub_doors_{uuid.uuid4().hex[:12]}"
            run = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(base))
            _run(server, run)
            stack.callback(_run, server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            url = server.rpartition("/")[0] + f"/{name}"
            furnish(url, sandbox.openai_url)
            return url

        site = Site(sandbox, directory, template, make_postgres)
        yield site
        site.stop()  # before their databases are dropped, and before their provider ends


def _run(server: str, statement: sql.Composed) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture
def sandbox(site: Site) -> SandboxProcess:
    site.sandbox.reset()
    return site.sandbox


@pytest.fixture(
    params=[pytest.param(kind, marks=pytest.mark.postgres if kind.database == "postgres" else ()) for kind in KINDS],
    ids=lambda kind: kind.name,
)
def server(request: pytest.FixtureRequest, site: Site, sandbox: SandboxProcess) -> DoorServer:
    """A door on a real server; the sandbox has forgotten what was."""
    return site.shared(request.param)


@pytest.fixture
def tag() -> str:
    """A label by which a test finds its own request in the ledger."""
    return uuid.uuid4().hex


@pytest.fixture
def client(site: Site, server: DoorServer, tag: str) -> openai.OpenAI:
    """OpenAI's own SDK, which does not try again by itself."""
    return site.client(server).with_options(default_headers={"x-tikhub-tags": f"test={tag}"})


@pytest.fixture
def headers(tag: str) -> dict[str, str]:
    """For calls by hand."""
    return {"Authorization": f"Bearer {secret('main')}", "x-tikhub-tags": f"test={tag}"}
