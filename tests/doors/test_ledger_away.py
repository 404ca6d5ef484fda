"""A ledger that cannot be written: the call is refused, and nothing has been sent."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import openai
import psycopg
import pytest

from tests.doors.ledger import REQUESTS
from tests.doors.servers import DoorServer
from tests.doors.test_answers import MESSAGES
from tikhub_app.sandbox.process import SandboxProcess


@contextlib.contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Nobody else can write requests."""
    if database_url.startswith("sqlite:///"):
        path = database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")
    else:
        with psycopg.connect(database_url) as connection:
            connection.execute(f"LOCK TABLE {REQUESTS} IN ACCESS EXCLUSIVE MODE")
            yield
            connection.rollback()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_nothing_is_sent_when_the_ledger_cannot_be_written(
    server: DoorServer, sandbox: SandboxProcess, client: openai.OpenAI, tag: str, stream: bool
) -> None:
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, extra_headers={"x-tikhub-tags": "before"})
    with locked(server.ledger.url), pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=stream)
    assert (raised.value.status_code, raised.value.code) == (503, "ledger_unavailable")
    assert raised.value.response.headers["retry-after"] == "1"
    assert raised.value.response.headers["x-should-retry"] == "true"
    assert sandbox.calls()["total"] == 1
    # It goes on by itself once the lock is gone.
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, extra_headers={"x-tikhub-tags": f"2-{tag}"})
    assert server.ledger.finished(f"2-{tag}")["status"] == "done"
    assert sandbox.calls()["total"] == 2
    # A row that was under way to the database may have got there late; it says that nothing came of it.
    for row in server.ledger.find(f'"test": "{tag}"'):
        assert (row["status"], row["error_code"], row["cost_usd"]) == ("failed", "ledger_unavailable", 0)
