"""The standalone service as a subprocess (uvicorn with the ASGI door), and its tables seen from the test.

The tables are reached through a database alias of their own, so that rows can be made and read with the models while
the server runs; pytest-django's guard is lifted for it by the fixtures that start a server.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import dj_database_url
from django.db import connections

from tests.services import REPOSITORY, find_free_port
from tikhub_app.models import (
    OPEN_STATUSES,
    ApiKey,
    Attempt,
    ContentFilterResult,
    GatewayRequest,
    ModelPrice,
    RequestPayload,
    Route,
    Upstream,
    key_format,
)

ALIAS = "gateway_under_test"
SECRET = "tests-of-the-gateway-key-0001"
T = TypeVar("T")


@contextmanager
def database_alias(url: str) -> Iterator[str]:
    """A database known to Django under ``ALIAS`` for a while."""
    parsed: dict[str, Any] = dict(dj_database_url.parse(url))
    options: dict[str, Any] = {}
    if parsed["ENGINE"].endswith("sqlite3"):
        options = {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"}
    connections.databases[ALIAS] = {**connections.databases["default"], **parsed, "OPTIONS": options}
    try:
        yield ALIAS
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.databases[ALIAS]


class GatewayServer:
    """One server process over the database of the alias; ``with`` starts and stops it."""

    def __init__(self, database_url: str, **environment: str) -> None:
        self._port = find_free_port()
        self._environment = os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        self._environment |= environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI's SDK."""
        return f"{self.url}/v1"

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self._port)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "uvicorn", "project.asgi:application", "--port", str(self._port)]
        self._process = subprocess.Popen(
            [*command, "--log-level", "warning", "--no-access-log"], cwd=REPOSITORY, env=self._environment
        )
        eventually(self._listens, within_s=30)
        return self

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the server ended at its start"
        try:
            socket.create_connection(self.address, timeout=1).close()
        except OSError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # The tables.

    def add_key(self, secret: str = SECRET, **columns: Any) -> ApiKey:
        given = {"name": "tests", "prefix": secret[:6], "key_hash": key_format.digest(secret)}
        key = ApiKey(**given | columns)
        key.save(using=ALIAS)
        return key

    def add_upstream(self, name: str, base_url: str, *, provider: str = "openai", **columns: Any) -> Upstream:
        given = {"connect_timeout_s": 2.0, "first_byte_timeout_s": 20.0, "idle_timeout_s": 20.0}
        upstream = Upstream(name=name, provider=provider, base_url=base_url, **given | columns)
        upstream.set_credential("sk-upstream-secret")
        upstream.save(using=ALIAS)
        return upstream

    def add_route(self, pattern: str, upstream: Upstream, **columns: Any) -> Route:
        route = Route(pattern=pattern, upstream=upstream, **columns)
        route.save(using=ALIAS)
        return route

    def add_price(self, **columns: Any) -> ModelPrice:
        price = ModelPrice(**columns)
        price.save(using=ALIAS)
        return price

    def call(self, request_id: str) -> Call:
        """The finished row of a call by the ``x-request-id`` of its answer, and all that hangs on it."""
        identity = UUID(request_id.removeprefix("req_"))

        def find() -> GatewayRequest | None:
            return GatewayRequest.objects.using(ALIAS).filter(pk=identity).exclude(status__in=OPEN_STATUSES).first()

        return Call(eventually(find, within_s=10))

    def calls(self) -> list[Call]:
        """Every call, once all of them are finished; in the order of their begin."""
        rows = GatewayRequest.objects.using(ALIAS).order_by("id")
        eventually(lambda: not rows.filter(status__in=OPEN_STATUSES).exists(), within_s=10)
        return [Call(row) for row in rows]


class Call:
    """A request row with its attempts, filter results and payload."""

    def __init__(self, row: GatewayRequest) -> None:
        self.row = row
        self.attempts = list(Attempt.objects.using(ALIAS).filter(request_id=row.pk).order_by("number"))
        self.filters = list(ContentFilterResult.objects.using(ALIAS).filter(request_id=row.pk).order_by("id"))
        self.payload = RequestPayload.objects.using(ALIAS).filter(request_id=row.pk).first()


def eventually(find: Callable[[], T | None], *, within_s: float) -> T:
    """The first truthy answer, asked for again and again."""
    deadline = time.monotonic() + within_s
    while not (found := find()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found
