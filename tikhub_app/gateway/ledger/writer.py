"""The one thread per process that commits ledger rows, many calls to a transaction (group commit).

A call waits for its rows before anything is sent upstream; while one transaction commits, the rows of other calls
gather for the next. What calls write at their end waits for nobody: it is gathered for 50 ms and written together.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from tikhub_app.conf import settings
from tikhub_app.exceptions import ServiceUnavailable
from tikhub_app.gateway.ledger.batches import Batch, Begin, Finish, UpstreamMark
from tikhub_app.gateway.ledger.rows import (
    AttemptRow,
    RequestRow,
    attempt_begin_values,
    request_begin_values,
    request_finish_values,
)
from tikhub_app.gateway.ledger.statements import Statements
from tikhub_app.gateway.process_identity import birth_marker, hostname
from tikhub_app.models import CallStatus, GatewayProcess

logger = logging.getLogger(__name__)

RIDE_ALONG_S = 0.05
HEARTBEAT_S = 5.0
FLUSH_S = 10.0
MOST_ROWS_PER_COMMIT = 2_000
MOST_WAITING_RECORDS = 10_000
#: After a commit the thread looks for more every RIDE_ALONG_S, so that finishes need not wake it.
BUSY_S = 1.0
CHECKPOINT_PAGES = 8_000


class LedgerWriter:
    """Thread-safe; started by the first call, started anew after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Statements | None = None
        self._reset()

    def _reset(self) -> None:
        self._condition = threading.Condition()
        self._begins: deque[Begin] = deque()
        self._rest = Batch()
        self._gathered: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Begin]] = WeakKeyDictionary()
        self._rest_due = math.inf
        self._sleeps_long = False
        self._prepared: Any = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._is_writing = False
        self._committed_at = 0.0
        self._fault = ""
        self.process_id = GatewayProcess.new_number()

    def forget_parent(self) -> None:
        """Begin anew in a forked child: the thread and whatever waits for it belong to the parent."""
        self._lock = threading.Lock()
        self._made = None
        self._reset()

    # Called from event loops. None of these waits for the database.

    async def begin(self, request: RequestRow | None, attempt: AttemptRow) -> None:
        """Return when the rows are durable.

        :raises ServiceUnavailable: they were not within LEDGER_TIMEOUT_S; nothing may be sent upstream.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        rows = request_begin_values(request) if request is not None else None
        begin = Begin(rows, attempt_begin_values(attempt), loop, waiter)
        self._gather(begin, loop)
        # Cheaper than asyncio.timeout, on the one path where every call passes.
        timer = loop.call_later(settings.LEDGER_TIMEOUT_S, _give_up, waiter)
        try:
            await waiter
        except BaseException as error:
            # Also when the caller leaves: a row that is written after all is closed by the finish that follows.
            begin.is_abandoned = True
            if request is not None:
                request.may_be_written = begin.is_taken
            if isinstance(error, (TimeoutError, DatabaseError)):
                raise ServiceUnavailable(
                    "The gateway cannot write its ledger at the moment; nothing was sent.",
                    code="ledger_unavailable",
                    retry_after_s=1,
                ) from error
            raise
        finally:
            timer.cancel()

    async def flush(self) -> None:
        """Return when everything that was put before is durable; at the latest after LEDGER_TIMEOUT_S."""
        if not (self._is_writing or self.queue_length):
            return
        loop = asyncio.get_running_loop()
        # Batches are committed in order, so a begin without rows returns after all that went before it.
        begin = Begin(None, None, loop, loop.create_future())
        self._rest_due = 0.0
        self._put(begin)
        assert begin.waiter is not None
        try:
            async with asyncio.timeout(settings.LEDGER_TIMEOUT_S):
                await begin.waiter
        except (TimeoutError, DatabaseError):
            begin.is_abandoned = True

    def record(self, request: RequestRow) -> None:
        """Write a row for a call that was refused before any attempt; nobody waits for it.

        While the database is away these rows have a bound, or refused calls would fill the memory.
        """
        if len(self._begins) >= MOST_WAITING_RECORDS:
            return
        final, request.status = request.status, CallStatus.STARTED.value  # a finish takes open rows only
        begin = Begin(request_begin_values(request), None)
        request.status = final
        self._put(begin)
        self.finish(Finish(request_finish_values(request), []))

    def first_byte(self, request: RequestRow) -> None:
        with self._condition:
            self._rest.first_bytes.append(("streaming", request.first_byte_ms, request.id))
            self._rest_grew()

    def finish(self, finish: Finish) -> None:
        self._ensure_thread()
        with self._condition:
            self._rest.finishes.append(finish)
            self._rest_grew()

    def key_used(self, key_id: int) -> None:
        with self._condition:
            self._rest.keys_used[key_id] = datetime.now(UTC)
            self._rest_grew()

    def mark_upstream(self, mark: UpstreamMark) -> None:
        self._ensure_thread()
        with self._condition:
            self._rest.marks.append(mark)
            self._rest_grew()

    def _rest_grew(self) -> None:
        """What nobody waits for wakes the thread only where it would otherwise sleep on; else it looks by itself."""
        if self._rest_due == math.inf:
            self._rest_due = time.monotonic() + RIDE_ALONG_S
        if self._sleeps_long:
            self._sleeps_long = False
            self._condition.notify()

    def _gather(self, begin: Begin, loop: asyncio.AbstractEventLoop) -> None:
        """Hand over all begins of one turn of the loop together: fewer wake-ups, larger transactions."""
        gathered = self._gathered.get(loop)
        if gathered is None:
            gathered = self._gathered[loop] = []
        if not gathered:
            loop.call_soon(self._hand_over, gathered)
        gathered.append(begin)

    def _hand_over(self, gathered: list[Begin]) -> None:
        self._ensure_thread()
        with self._condition:
            if not self._begins:
                self._condition.notify()
            self._begins.extend(gathered)
        gathered.clear()

    def _put(self, begin: Begin) -> None:
        self._ensure_thread()
        with self._condition:
            self._begins.append(begin)
            if len(self._begins) == 1:
                self._condition.notify()

    def _ensure_thread(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._stopping = False
                self._thread = threading.Thread(target=self._run, name="tikhub-ledger", daemon=True)
                self._thread.start()

    # State, for readiness and metrics.

    @property
    def queue_length(self) -> int:
        return len(self._begins) + len(self._rest.finishes)

    @property
    def fault(self) -> str:
        """Why the last commit failed; empty when it did not."""
        return self._fault

    def stop(self, timeout_s: float = FLUSH_S) -> bool:
        """Write what is left and end the thread; False when the database did not take it in time."""
        thread = self._thread
        if thread is None:
            return True
        with self._condition:
            self._stopping = True
            self._condition.notify()
        thread.join(timeout_s)
        return not thread.is_alive()

    # The thread.

    def _run(self) -> None:
        connection = connections[settings.DATABASE]
        heartbeat_at = 0.0
        pause = 0.1
        left = Batch()
        try:
            while True:
                if not left:
                    left = self._take(max(0.0, heartbeat_at + HEARTBEAT_S - time.monotonic()))
                try:
                    if time.monotonic() >= heartbeat_at + HEARTBEAT_S:
                        self._beat()
                        heartbeat_at = time.monotonic()
                    if left:
                        self._commit(connection, left)
                        left = Batch()
                    self._is_writing = False
                    self._fault, pause = "", 0.1
                except Exception as error:  # noqa: BLE001  # the thread's outermost edge; recorded, and rows go on
                    self._fault = type(error).__name__
                    left = self._after_failure(connection, left, error)
                    if left or heartbeat_at == 0.0:
                        time.sleep(pause)
                        pause = min(pause * 2, 1.0)
                if self._stopping and not left and not self._begins and not self._rest:
                    self._say_goodbye()
                    return
        finally:
            connection.close()

    def _take(self, idle_s: float) -> Batch:
        """Wait for something to write: begins at once, the rest when it is due.

        A begin that waited for the rest would write twice the pages, and each finish alone as many again; gathered for
        RIDE_ALONG_S, finishes of consecutive rows share theirs.
        """
        with self._condition:
            if not self._begins and not self._stopping:
                now = time.monotonic()
                if self._rest:
                    self._condition.wait(max(0.0, self._rest_due - now))
                elif now - self._committed_at < BUSY_S:
                    self._condition.wait(RIDE_ALONG_S)
                else:
                    self._sleeps_long = True
                    self._condition.wait(idle_s)
                    self._sleeps_long = False
            self._is_writing = True
            batch = Batch()
            if self._stopping or time.monotonic() >= self._rest_due:
                batch, self._rest = self._rest, batch
                self._rest_due = math.inf
            while self._begins and len(batch.begins) < MOST_ROWS_PER_COMMIT:
                begin = self._begins.popleft()
                # Marked before the look, as the caller abandons before it looks: no row is written that nobody closes.
                begin.is_taken = True
                if not begin.is_abandoned:
                    batch.begins.append(begin)
        return batch

    @contextmanager
    def _transaction(self, connection: Any) -> Iterator[Any]:
        """A cursor inside one transaction, past Django's query logging (which would keep payloads in memory)."""
        connection.ensure_connection()
        raw = connection.connection
        if connection.vendor == "sqlite":
            cursor = raw.cursor()
            if self._prepared is not raw:
                self._prepare(cursor)
                self._prepared = raw
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if raw.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
            finally:
                cursor.close()
        else:
            import psycopg

            # A plain cursor binds on the server and pipelines executemany; Django's own may bind on the client.
            with raw.transaction(), psycopg.Cursor(raw) as cursor:
                yield cursor

    @staticmethod
    def _prepare(cursor: Any) -> None:
        """Settings of this thread's own SQLite connection, whatever the host chose for the others.

        In WAL mode NORMAL loses nothing when processes die; FULL also waits for the disk. Checkpoints wait for the disk
        in either, and with pages of the default thousand they would come every few dozen calls.
        """
        cursor.execute(f"PRAGMA synchronous={'FULL' if settings.DURABILITY == 'power' else 'NORMAL'}")
        cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")

    def _commit(self, connection: Any, batch: Batch) -> None:
        statements = self._statements(connection)
        with connection.wrap_database_errors, self._transaction(connection) as cursor:
            batch.write(cursor, statements)
        self._committed_at = time.monotonic()
        self._release(batch.begins, None)

    def _statements(self, connection: Any) -> Statements:
        if self._made is None or self._made.connection is not connection:
            self._made = Statements(connection)
        return self._made

    @staticmethod
    def _release(begins: list[Begin], error: Exception | None) -> None:
        """Wake the calls that wait, with one hop to each event loop."""
        loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for begin in begins:
            if begin.loop is not None and begin.waiter is not None:
                loops.setdefault(begin.loop, []).append(begin.waiter)
        for loop, waiters in loops.items():
            try:
                loop.call_soon_threadsafe(_settle, waiters, error)
            except RuntimeError:  # the loop was closed meanwhile; nobody waits any more
                continue

    def _after_failure(self, connection: Any, batch: Batch, error: Exception) -> Batch:
        """What to try again: everything while the database is away; without the offender when a row is at fault."""
        logger.error("The ledger could not be written: %s", type(error).__name__)
        if isinstance(error, (OperationalError, InterfaceError)):
            connection.close()
            batch.begins = [begin for begin in batch.begins if not begin.is_abandoned]
            return batch
        return self._commit_singly(connection, batch)

    def _commit_singly(self, connection: Any, batch: Batch) -> Batch:
        """Row by row, so that only the offender is lost; returns what is left when the database goes away meanwhile."""
        parts = deque(batch.singly())
        while parts:
            part = parts.popleft()
            try:
                self._commit(connection, part)
            except (OperationalError, InterfaceError):
                connection.close()
                return Batch.joined([part, *parts])
            except Exception as fault:  # noqa: BLE001  # whatever the driver raises for a value; recorded
                logger.error("One ledger row was refused by the database: %s", type(fault).__name__)
                self._release(part.begins, DatabaseError(type(fault).__name__))
                # Amounts matter more than texts: close the call without what came from outside in any form.
                parts.extendleft(
                    Batch(finishes=[Finish(finish.request, finish.attempts)])
                    for finish in part.finishes
                    if finish.payload is not None or finish.findings
                )
        return Batch()

    # This process's own row, by which others tell whether it lives.

    def _beat(self) -> None:
        now = datetime.now(UTC)
        rows = GatewayProcess.objects.using(settings.DATABASE)
        if not rows.filter(pk=self.process_id).update(heartbeat_at=now, stopped_at=None):
            rows.create(
                id=self.process_id,
                hostname=hostname(),
                pid=os.getpid(),
                birth=birth_marker(),
                started_at=now,
                heartbeat_at=now,
            )

    def _say_goodbye(self) -> None:
        try:
            GatewayProcess.objects.using(settings.DATABASE).filter(pk=self.process_id).update(
                stopped_at=datetime.now(UTC)
            )
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The end of this process could not be noted: %s", type(error).__name__)


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _settle(waiters: list[asyncio.Future[None]], error: Exception | None) -> None:
    for waiter in waiters:
        if not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)


writer = LedgerWriter()
atexit.register(writer.stop)
# A child must not write under its parent's number: its rows would look alive for as long as the parent lives.
os.register_at_fork(after_in_child=writer.forget_parent)


def writer_state() -> dict[str, Any]:
    """For readiness: what waits, and why the last commit failed (empty: it did not)."""
    return {"queue_length": writer.queue_length, "fault": writer.fault}
