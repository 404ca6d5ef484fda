"""What the ledger's thread is handed: begins, finishes and marks, gathered into batches of one transaction each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tikhub_app.gateway.ledger.rows import Values, clean, storable
from tikhub_app.gateway.ledger.statements import Statements
from tikhub_app.gateway.payloads import PayloadDraft
from tikhub_app.providers.facts import FilterFinding


@dataclass(slots=True)
class Begin:
    """Rows that must be durable before the upstream is called, and who waits for them."""

    request: Values | None
    attempt: Values | None
    loop: asyncio.AbstractEventLoop | None = None
    waiter: asyncio.Future[None] | None = None
    is_abandoned: bool = False
    #: The thread has it in hand: it may yet be written, abandoned or not.
    is_taken: bool = False


@dataclass(slots=True)
class UpstreamMark:
    """What a call learned about an account: refused (with the reason), or fine again (empty reason)."""

    upstream_id: int
    error: str
    is_auth: bool = False


@dataclass(slots=True)
class Finish:
    """Everything that is written when a call is over."""

    request: Values
    attempts: list[Values]
    payload: PayloadDraft | None = None
    findings: list[tuple[Any, str, FilterFinding]] = field(default_factory=list)  # attempt id, vendor, finding


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    begins: list[Begin] = field(default_factory=list)
    finishes: list[Finish] = field(default_factory=list)
    first_bytes: list[Values] = field(default_factory=list)
    keys_used: dict[int, datetime] = field(default_factory=dict)
    marks: list[UpstreamMark] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.begins or self.finishes or self.first_bytes or self.keys_used or self.marks)

    def write(self, cursor: Any, statements: Statements) -> None:
        """Run the statements for all of it, inside the transaction of the cursor."""
        now = datetime.now(UTC)
        statements.insert_request.run(cursor, [begin.request for begin in self.begins if begin.request is not None])
        statements.insert_attempt.run(cursor, [begin.attempt for begin in self.begins if begin.attempt is not None])
        if self.first_bytes:
            over = {finish.request[-1] for finish in self.finishes}
            statements.first_byte.run(cursor, [row for row in self.first_bytes if row[-1] not in over])
        finishes = self.finishes
        if finishes:
            statements.finish_attempt.run(cursor, [row for finish in finishes for row in finish.attempts])
            statements.finish_request.run(cursor, [finish.request for finish in finishes])
            drafts = [finish.payload for finish in finishes if finish.payload is not None]
            statements.insert_payload.run(cursor, [(*draft.columns(), now) for draft in drafts])
            statements.insert_finding.run(
                cursor,
                [
                    (finish.request[-1], attempt_id, *finding_columns(vendor, finding), now)
                    for finish in finishes
                    for attempt_id, vendor, finding in finish.findings
                ],
            )
        statements.key_used.run(cursor, [(used_at, key_id) for key_id, used_at in self.keys_used.items()])
        for mark in self.marks:
            if mark.error and mark.is_auth:
                statements.mark_upstream.run(cursor, [(now, mark.error[:300], now, mark.upstream_id)])
            elif mark.error:
                statements.note_error.run(cursor, [(mark.error[:300], now, mark.upstream_id)])
            else:
                statements.clear_upstream.run(cursor, [(None, mark.upstream_id)])

    def singly(self) -> Iterator[Batch]:
        """The same as batches of one, in an order that keeps begins before finishes."""
        for begin in self.begins:
            yield Batch(begins=[begin])
        for row in self.first_bytes:
            yield Batch(first_bytes=[row])
        for finish in self.finishes:
            yield Batch(finishes=[finish])
        for key_id, used_at in self.keys_used.items():
            yield Batch(keys_used={key_id: used_at})
        for mark in self.marks:
            yield Batch(marks=[mark])

    @classmethod
    def joined(cls, parts: Iterable[Batch]) -> Batch:
        """One batch of several, without the begins that nobody waits for any more."""
        batch = cls()
        for part in parts:
            batch.begins += [begin for begin in part.begins if not begin.is_abandoned]
            batch.first_bytes += part.first_bytes
            batch.finishes += part.finishes
            batch.keys_used |= part.keys_used
            batch.marks += part.marks
        return batch


def finding_columns(vendor: str, finding: FilterFinding) -> tuple[Any, ...]:
    return (
        finding.choice_index,
        finding.side,
        clean(finding.category, 60),
        finding.filtered,
        finding.detected,
        finding.severity,
        vendor,
        json.dumps(storable(finding.raw)),
    )
