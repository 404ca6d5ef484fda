"""Servers for whole-path tests: one gateway process for a module, with an empty database file of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.gateway.server import GatewayServer, database_alias


@pytest.fixture(scope="module")
def stopped_gateway(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[GatewayServer]:
    """A gateway with one key; add upstreams and routes, then start it with ``with``, so that it begins with them."""
    path = tmp_path_factory.mktemp("gateway") / "db.sqlite3"
    shutil.copyfile(sqlite_template, path)
    url = f"sqlite:///{path}"
    with django_db_blocker.unblock(), database_alias(url):
        server = GatewayServer(url)
        server.add_key()
        yield server
