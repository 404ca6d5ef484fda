"""The ledger's writer: rows that are durable before anything is sent, finished once, whatever the database does."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.test import override_settings

from tests.gateway.server import eventually
from tests.services import REPOSITORY
from tikhub_app.exceptions import ServiceUnavailable
from tikhub_app.gateway.ledger import AttemptRow, Finish, LedgerWriter, RequestRow, UpstreamMark
from tikhub_app.gateway.ledger.rows import attempt_finish_values, request_finish_values
from tikhub_app.gateway.payloads import PayloadDraft
from tikhub_app.gateway.reconcile import close_abandoned
from tikhub_app.models import (
    Attempt,
    CallStatus,
    ContentFilterResult,
    GatewayProcess,
    GatewayRequest,
    RequestPayload,
    Upstream,
)
from tikhub_app.providers.facts import FilterFinding

IMPATIENT = override_settings(TIKHUB={"LEDGER_TIMEOUT_S": 0.3})


@pytest.fixture
def ledger(transactional_db: None) -> Iterator[LedgerWriter]:
    writer = LedgerWriter()
    yield writer
    assert writer.stop(), "the ledger was not written to its end"


def a_call(ledger: LedgerWriter, **columns: Any) -> RequestRow:
    given = {"door": "asgi", "dialect": "openai_chat", "operation": "chat", "asked_model": "gpt-4o"}
    row = RequestRow(process_id=ledger.process_id, **given | columns)
    row.attempts.append(AttemptRow(request_id=row.id, provider="openai"))
    return row


async def begin(ledger: LedgerWriter, row: RequestRow) -> None:
    await ledger.begin(row, row.attempts[-1])


def finish(row: RequestRow, status: CallStatus = CallStatus.DONE, **more: Any) -> Finish:
    for each in (row, *row.attempts):
        each.status, each.duration_ms = status.value, 1.0
    return Finish(request_finish_values(row), [attempt_finish_values(attempt) for attempt in row.attempts], **more)


def status_of(row: RequestRow) -> tuple[str, ...]:
    """Status of the request and of its attempts."""
    found = GatewayRequest.objects.get(pk=row.id)
    return (found.status, *found.attempts.order_by("number").values_list("status", flat=True))


def is_open(row: RequestRow) -> bool:
    return status_of(row)[0] in ("started", "streaming")


@contextmanager
def database_away() -> Iterator[None]:
    """Nobody else can write for a while: SQLite's one write lock, or a table lock on PostgreSQL."""
    if connection.vendor == "sqlite":
        other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()
    else:
        given = connection.get_connection_params()
        names = ("dbname", "user", "password", "host", "port")
        with psycopg.connect(**{name: given[name] for name in names if given.get(name)}) as locking:
            locking.execute("LOCK TABLE tikhub_app_gatewayrequest IN ACCESS EXCLUSIVE MODE")
            yield
            locking.rollback()


def test_a_row_is_seen_by_others_before_its_begin_returns(ledger: LedgerWriter) -> None:
    row = a_call(ledger)

    async def look() -> bool:
        await begin(ledger, row)
        return await asyncio.to_thread(_exists, row.id)

    assert asyncio.run(look())
    assert status_of(row) == ("started", "started")


def _exists(identity: UUID) -> bool:
    try:
        return GatewayRequest.objects.filter(pk=identity, attempts__request_id=identity).exists()
    finally:
        connection.close()


def test_calls_that_begin_together_share_a_few_commits(ledger: LedgerWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = LedgerWriter._commit

    def counted(self: LedgerWriter, database: Any, batch: Any) -> None:
        sizes.append(len(batch.begins))
        real(self, database, batch)

    monkeypatch.setattr(LedgerWriter, "_commit", counted)

    async def together() -> None:
        await asyncio.gather(*(begin(ledger, a_call(ledger)) for _ in range(100)))

    asyncio.run(together())
    assert sum(sizes) == 100 == GatewayRequest.objects.count() == Attempt.objects.count()
    assert len(sizes) <= 10


def too_long(ledger: LedgerWriter, other: RequestRow) -> RequestRow:
    return a_call(ledger, asked_model="x" * 10_000)


def unbindable(ledger: LedgerWriter, other: RequestRow) -> RequestRow:
    return a_call(ledger, asked_model="\ud83d")


def twice_the_same(ledger: LedgerWriter, other: RequestRow) -> RequestRow:
    return a_call(ledger, id=other.id)


@pytest.mark.parametrize("poison", [too_long, unbindable, twice_the_same])
def test_a_row_that_the_database_refuses_does_not_lose_its_neighbours(
    ledger: LedgerWriter, poison: Callable[[LedgerWriter, RequestRow], RequestRow]
) -> None:
    other = a_call(ledger)
    finished = finish(other)
    rows = [a_call(ledger) for _ in range(10)]
    rows.insert(5, poison(ledger, other))

    async def together() -> list[Any]:
        await begin(ledger, other)
        ledger.finish(finished)
        return await asyncio.gather(*(begin(ledger, row) for row in rows), return_exceptions=True)

    # SQLite takes text of any length.
    is_refused = not (poison is too_long and connection.vendor == "sqlite")
    outcomes = asyncio.run(together())
    assert [isinstance(outcome, ServiceUnavailable) for outcome in outcomes] == [False] * 5 + [is_refused] + [False] * 5
    assert GatewayRequest.objects.count() == 12 - is_refused
    eventually(lambda: status_of(other) == ("done", "done"), within_s=5)
    asyncio.run(begin(ledger, a_call(ledger)))


@pytest.mark.parametrize("what", ["finding", "payload"])
def test_what_cannot_be_kept_of_an_answer_does_not_keep_its_call_open(ledger: LedgerWriter, what: str) -> None:
    rows = [a_call(ledger) for _ in range(3)]

    async def together() -> None:
        await asyncio.gather(*(begin(ledger, row) for row in rows))

    asyncio.run(together())
    for number, row in enumerate(rows):
        index = -1 if number == 1 and what == "finding" else 0
        body: Any = object() if number == 1 and what == "payload" else b"{}"
        payload = PayloadDraft(row.id, "full", b"{}", body) if body == b"{}" else _Unreadable(row.id, "full", b"{}")
        found = FilterFinding("completion", "hate", index, raw={"text": "\x00 \ud83d", "at": float("nan")})
        row.cost_usd = 7
        ledger.finish(finish(row, payload=payload, findings=[(row.attempts[0].id, "openai", found)]))
    for row in rows:
        eventually(lambda row=row: status_of(row) == ("done", "done"), within_s=5)  # type: ignore[misc]
    eventually(lambda: ContentFilterResult.objects.count() == 2, within_s=5)
    assert {kept.request_id for kept in ContentFilterResult.objects.all()} == {rows[0].id, rows[2].id}
    assert {kept.request_id for kept in RequestPayload.objects.all()} == {rows[0].id, rows[2].id}
    assert ContentFilterResult.objects.all()[0].raw == {"text": " ?", "at": None}


class _Unreadable(PayloadDraft):
    def columns(self) -> Any:
        raise RuntimeError("a defect while the payload is made")


@IMPATIENT
def test_while_the_database_is_away_nothing_begins_and_afterwards_all_is_well(ledger: LedgerWriter) -> None:
    asyncio.run(begin(ledger, a_call(ledger)))
    taken, waiting = a_call(ledger), a_call(ledger)

    async def one_by_one() -> None:
        for row in (taken, waiting):
            with pytest.raises(ServiceUnavailable) as caught:
                await begin(ledger, row)
            assert (caught.value.code, caught.value.http_status) == ("ledger_unavailable", 503)

    with database_away():
        began = time.monotonic()
        asyncio.run(one_by_one())
        assert time.monotonic() - began < 2
        # The first may have been on its way into the database and is closed by its finish; the second was not.
        assert (taken.may_be_written, waiting.may_be_written) == (True, False)
        ledger.finish(finish(taken, CallStatus.FAILED))
    asyncio.run(begin(ledger, last := a_call(ledger)))
    assert status_of(last) == ("started", "started")
    eventually(lambda: ledger.fault == "" and ledger.queue_length == 0, within_s=5)
    assert not GatewayRequest.objects.filter(pk=waiting.id).exists()
    eventually(lambda: not GatewayRequest.objects.filter(pk=taken.id, status="started").exists(), within_s=5)


def test_a_begin_that_is_cancelled_leaves_no_open_row(ledger: LedgerWriter) -> None:
    asyncio.run(begin(ledger, a_call(ledger)))
    row = a_call(ledger)

    async def leave() -> None:
        waiting = asyncio.create_task(begin(ledger, row))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with database_away():
        asyncio.run(leave())
        assert row.may_be_written
        ledger.finish(finish(row, CallStatus.CLIENT_GONE))
    eventually(lambda: GatewayRequest.objects.filter(pk=row.id).exists(), within_s=25)
    eventually(lambda: status_of(row) == ("client_gone", "client_gone"), within_s=5)


def test_a_call_is_finished_once_and_the_first_word_stands(ledger: LedgerWriter) -> None:
    row = a_call(ledger)
    asyncio.run(begin(ledger, row))
    row.cost_usd = row.attempts[0].cost_usd = 123
    ledger.finish(finish(row))
    eventually(lambda: not is_open(row), within_s=5)
    before = GatewayRequest.objects.values().get(), Attempt.objects.values().get()

    row.cost_usd = row.attempts[0].cost_usd = 999
    ledger.first_byte(row)
    ledger.finish(finish(row, CallStatus.FAILED))
    asyncio.run(begin(ledger, a_call(ledger)))  # whatever came before has been written with it

    assert (GatewayRequest.objects.values().get(pk=row.id), Attempt.objects.values().get(request=row.id)) == before


def test_what_reconcile_has_closed_stays_closed(ledger: LedgerWriter) -> None:
    row = a_call(ledger)
    asyncio.run(begin(ledger, row))
    GatewayProcess.objects.update(hostname="elsewhere", heartbeat_at="2020-01-01T00:00:00Z")
    close_abandoned()
    assert status_of(row) == ("interrupted", "interrupted")

    ledger.finish(finish(row))
    asyncio.run(begin(ledger, a_call(ledger)))

    assert status_of(row) == ("interrupted", "interrupted")


def test_a_second_try_is_a_second_attempt_of_the_same_call(ledger: LedgerWriter) -> None:
    row = a_call(ledger)

    async def twice() -> None:
        await begin(ledger, row)
        row.attempts.append(AttemptRow(request_id=row.id, number=2))
        await ledger.begin(None, row.attempts[1])

    asyncio.run(twice())
    assert status_of(row) == ("started", "started", "started")
    ledger.finish(finish(row))
    eventually(lambda: status_of(row) == ("done", "done", "done"), within_s=5)


def test_the_first_byte_turns_a_call_into_a_stream(ledger: LedgerWriter) -> None:
    row = a_call(ledger)
    asyncio.run(begin(ledger, row))
    row.first_byte_ms = 12.5
    ledger.first_byte(row)
    streaming = GatewayRequest.objects.filter(pk=row.id, status="streaming", first_byte_ms=12.5)
    eventually(streaming.exists, within_s=5)


def test_a_refused_call_is_one_finished_row(ledger: LedgerWriter) -> None:
    row = RequestRow(process_id=ledger.process_id, asked_model="gpt-4o", status="failed", http_status=404)
    ledger.record(row)
    eventually(lambda: GatewayRequest.objects.filter(pk=row.id, status="failed", http_status=404).exists(), within_s=5)
    assert not Attempt.objects.exists()


def test_the_state_of_an_account_is_kept_apart_from_its_other_troubles(ledger: LedgerWriter) -> None:
    upstream = Upstream.objects.create(name="one", provider="openai", base_url="https://api.openai.com/v1")
    ledger.mark_upstream(UpstreamMark(upstream.pk, "refused", is_auth=True))
    ledger.mark_upstream(UpstreamMark(upstream.pk, "x" * 1_000))
    assert ledger.stop()
    upstream.refresh_from_db()
    assert upstream.auth_failed_at is not None
    assert upstream.last_error == "x" * 300
    ledger.mark_upstream(UpstreamMark(upstream.pk, ""))
    assert ledger.stop()
    upstream.refresh_from_db()
    assert upstream.auth_failed_at is None


def test_a_process_says_goodbye_and_takes_it_back_when_it_goes_on(ledger: LedgerWriter) -> None:
    asyncio.run(begin(ledger, a_call(ledger)))
    assert ledger.stop()
    mine = GatewayProcess.objects.get(pk=ledger.process_id)
    assert (mine.pid, mine.stopped_at is None) == (os.getpid(), False)
    asyncio.run(begin(ledger, a_call(ledger)))
    mine.refresh_from_db()
    assert mine.stopped_at is None


PRELUDE = """
import asyncio, os, sys
import django; django.setup()
from tikhub_app.gateway.ledger import AttemptRow, Finish, RequestRow, writer
from tikhub_app.gateway.ledger.rows import attempt_finish_values, request_finish_values
from tikhub_app.models import GatewayProcess, GatewayRequest

def begin():
    row = RequestRow(asked_model="gpt-4o", process_id=writer.process_id)
    row.attempts.append(AttemptRow(request_id=row.id))
    asyncio.run(writer.begin(row, row.attempts[0]))
    return row

def finish(row):
    row.status = row.attempts[0].status = "done"
    writer.finish(Finish(request_finish_values(row), [attempt_finish_values(row.attempts[0])]))
"""
FORK = """
begin()
child = os.fork()
if child == 0:
    begin()
    sys.exit(0)  # as a worker ends: with its exit handlers, and what they still have to write
_, status = os.waitpid(child, 0)
assert status == 0, status
begin()
"""
EXIT = """
for _ in range(50):
    finish(begin())
"""

CALLS = "SELECT status, process_id FROM tikhub_app_gatewayrequest ORDER BY id"
PROCESSES = "SELECT id, pid, stopped_at IS NOT NULL FROM tikhub_app_gatewayprocess"


def select(database_url: str, query: str) -> list[tuple[Any, ...]]:
    if database_url.startswith("sqlite:///"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as database:
            return database.execute(query).fetchall()
    with psycopg.connect(database_url) as server:
        return server.execute(query).fetchall()


def run(script: str, database_url: str) -> None:
    environment = os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-c", PRELUDE + script]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_forked_child_writes_under_its_own_name_with_its_own_thread(database_url: str) -> None:
    run(FORK, database_url)
    (first, parent), (second, child), (third, parent_again) = select(database_url, CALLS)
    assert (first, second, third) == ("started",) * 3
    assert parent == parent_again != child
    processes = {number: (pid, bool(is_stopped)) for number, pid, is_stopped in select(database_url, PROCESSES)}
    assert set(processes) == {parent, child}
    assert processes[parent][0] != processes[child][0]
    assert all(is_stopped for _, is_stopped in processes.values())


def test_what_is_finished_is_written_before_the_interpreter_ends(database_url: str) -> None:
    run(EXIT, database_url)
    assert [status for status, _ in select(database_url, CALLS)] == ["done"] * 50
    assert [bool(is_stopped) for *_, is_stopped in select(database_url, PROCESSES)] == [True]
