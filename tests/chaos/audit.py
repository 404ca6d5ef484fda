"""Whether bill, ledger and callers agree, row by row. Everything that does not is one sentence in ``violations``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.chaos.books import (
    COUNTERS,
    OPEN,
    OUTPUT_COUNTERS,
    AttemptRow,
    BillLine,
    Ledger,
    LedgerRow,
    RequestRow,
    cost_of,
)
from tests.chaos.callers import Behaviour, CallerNote, Outcome

ATTEMPT_PREFIX = "att_"
REQUEST_PREFIX = "req_"
#: The gateway says itself that it could not write the row, so there is none.
UNWRITTEN = "ledger_unavailable"


@dataclass(slots=True)
class Findings:
    """What disagrees, and the figures of the report."""

    violations: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


class Audit:
    """One comparison of the three sides after a run.

    :param killed: process ids of the web processes that were killed.
    """

    def __init__(
        self, ledger: Ledger, bill: Sequence[BillLine], notes: Sequence[CallerNote], killed: frozenset[int]
    ) -> None:
        self.ledger, self.bill, self.notes = ledger, bill, notes
        self.requests = {row.id: row for row in ledger.requests}
        self.attempts = {row.id: row for row in ledger.attempts}
        self.attempts_of: dict[str, list[AttemptRow]] = defaultdict(list)
        for attempt in ledger.attempts:
            self.attempts_of[attempt.request_id].append(attempt)
        self.lines_of: dict[str, list[BillLine]] = defaultdict(list)
        self.lost: list[BillLine] = []
        for line in bill:
            identity = (line.client_request_id or "").removeprefix(ATTEMPT_PREFIX)
            if identity in self.attempts:
                self.lines_of[identity].append(line)
            else:
                self.lost.append(line)
        self._died = {number for number, pid in ledger.pids.items() if pid in killed}

    def run(self) -> Findings:
        checks = (
            self._join_bill, self._close_rows, self._price_attempts, self._add_up_requests, self._reconcile,
            self._hear_callers,
        )  # fmt: skip
        return Findings([violation for check in checks for violation in check()], self._figures())

    def has_died(self, request: RequestRow) -> bool:
        """Whether the process that held the call was killed, maybe before it had made a row of its own."""
        return request.process_id in self._died or request.process_id not in self.ledger.pids

    # The bill

    def _join_bill(self) -> Iterator[str]:
        for line in self.lost:
            yield f"lost: the bill's line {line.client_request_id} joins no attempt"
        for identity, lines in self.lines_of.items():
            if len(lines) > 1:
                yield f"sent twice: {len(lines)} lines of the bill are {ATTEMPT_PREFIX}{identity}"
        for line in self.bill:
            if line.state != "settled":
                yield f"the bill's line {line.client_request_id} was not settled when the run was over"
        for attempt in self.ledger.attempts:
            if attempt.request_id not in self.requests:
                yield f"{ATTEMPT_PREFIX}{attempt.id} joins no request"

    # The ledger by itself

    def _close_rows(self) -> Iterator[str]:
        for name, row in self._rows():
            if row.status in OPEN:
                yield f"{name} was left open ({row.status})"

    def _rows(self) -> Iterator[tuple[str, LedgerRow]]:
        yield from ((REQUEST_PREFIX + row.id, row) for row in self.ledger.requests)
        yield from ((ATTEMPT_PREFIX + row.id, row) for row in self.ledger.attempts)

    def _add_up_requests(self) -> Iterator[str]:
        for request in self.ledger.requests:
            name = REQUEST_PREFIX + request.id
            attempts = self.attempts_of[request.id]
            if [attempt.number for attempt in attempts] != list(range(1, request.attempts_count + 1)):
                yield f"{name} counts {request.attempts_count} attempts and has {[row.number for row in attempts]}"
            cost = sum((attempt.cost_usd for attempt in attempts), Decimal(0))
            if cost != request.cost_usd:
                yield f"{name} costs {request.cost_usd}, its attempts {cost}"
            for flag in ("cost_is_estimate", "is_unpriced", "usage_mismatch"):
                if getattr(request, flag) != any(getattr(attempt, flag) for attempt in attempts):
                    yield f"{name} and its attempts do not agree about {flag}"
            sums = {counter: sum(row.counters.get(counter, 0) for row in attempts) for counter in COUNTERS}
            tokens_in = sum(tokens for counter, tokens in sums.items() if counter not in OUTPUT_COUNTERS)
            tokens_out = sum(tokens for counter, tokens in sums.items() if counter in OUTPUT_COUNTERS)
            if dict(request.counters) != {counter: tokens for counter, tokens in sums.items() if tokens}:
                yield f"{name} counts {dict(request.counters)}, its attempts {sums}"
            totals = (request.input_tokens, request.output_tokens, request.total_tokens)
            if totals != (tokens_in, tokens_out, tokens_in + tokens_out):
                yield f"{name} has totals {totals}, its attempts {tokens_in} in and {tokens_out} out"
            done = [attempt.number for attempt in attempts if attempt.status == "done"]
            if done != ([len(attempts)] if request.status == "done" else []):
                yield f"{name} is {request.status}, and of its {len(attempts)} attempts {done} are done"

    # Money

    def _price_attempts(self) -> Iterator[str]:
        for attempt in self.ledger.attempts:
            name = ATTEMPT_PREFIX + attempt.id
            lines = self.lines_of.get(attempt.id, [])
            is_counted = attempt.usage_source == "provider"
            if is_counted and len(lines) != 1:
                yield f"{name} has the provider's usage and {len(lines)} lines on the bill"
            elif is_counted:
                yield from self._price_counted(name, attempt, lines[0])
            elif attempt.cost_usd and not attempt.cost_is_estimate:
                yield f"{name} costs {attempt.cost_usd} without the provider's usage, and is not flagged"
            elif attempt.status == "done" and not attempt.cost_is_estimate:
                yield f"{name} is done without the provider's usage, and is not flagged"
            elif lines and not attempt.cost_usd and not self._was_refused(attempt):
                yield f"{name} ({attempt.status}, {lines[0].fault}) is on the bill and costs nothing in the ledger"
            if attempt.is_unpriced or attempt.usage_mismatch:
                yield f"{name} is unpriced, or its usage does not add up"

    def _price_counted(self, name: str, attempt: AttemptRow, line: BillLine) -> Iterator[str]:
        if dict(attempt.counters) != line.counters:
            yield f"{name} counts {dict(attempt.counters)}, the bill {line.counters}"
        cost = cost_of(line, attempt.provider, attempt.started_on, self.ledger.prices)
        if attempt.cost_usd != cost:
            yield f"{name} costs {attempt.cost_usd} in the ledger, {cost} by price list and bill"
        if attempt.cost_is_estimate:
            yield f"{name} has the provider's usage and is flagged as an estimate"

    @staticmethod
    def _was_refused(attempt: AttemptRow) -> bool:
        """The provider answered with an error status: whatever it did before that, it says that it charges nothing."""
        return attempt.http_status is not None and attempt.http_status >= 400

    # What died

    def _reconcile(self) -> Iterator[str]:
        for name, row in self._rows():
            if row.reconciled_at is None:
                continue
            if row.status != "interrupted":
                yield f"{name} was closed by tikhub_reconcile and is {row.status}"
            if not row.cost_is_estimate or not row.cost_usd:
                yield f"{name} was closed by tikhub_reconcile at {row.cost_usd}, flagged: {row.cost_is_estimate}"
        for request in self.ledger.requests:
            if request.reconciled_at is not None and not self.has_died(request):
                yield f"{REQUEST_PREFIX}{request.id} was closed by tikhub_reconcile while its process lived"

    # The callers

    def _hear_callers(self) -> Iterator[str]:
        rows_of: dict[int, list[RequestRow]] = defaultdict(list)
        for request in self.ledger.requests:
            rows_of[request.call].append(request)
        # Who left before the body was read has a row that cannot know its call, and never an attempt.
        unnamed = rows_of.pop(0, [])
        early = [note for note in self.notes if note.outcome is Outcome.LEFT and note.number not in rows_of]
        if len(unnamed) > len(early):
            yield f"{len(unnamed)} request rows are of no call, and {len(early)} callers left without a row of theirs"
        for request in unnamed:
            if request.status != "client_gone" or self.attempts_of[request.id]:
                yield f"{REQUEST_PREFIX}{request.id} ({request.status}) is of no call"
        for note in self.notes:
            rows = rows_of.pop(note.number, [])
            if len(rows) > 1:
                yield f"call {note.number} has {len(rows)} request rows"
            yield from self._hear(note, rows[0] if rows else None)
        for number, rows in rows_of.items():
            yield f"{len(rows)} request rows are of call {number}, which nobody made"

    def _hear(self, note: CallerNote, request: RequestRow | None) -> Iterator[str]:
        name = f"call {note.number} ({note.outcome})"
        if note.outcome in (Outcome.CUT, Outcome.HUNG):
            yield f"{name}: the caller was left without a proper end, request {note.request_id}"
        if request is None:
            # A caller without an answer may have been too early, or too late.
            if note.outcome not in (Outcome.LEFT, Outcome.CONNECTION_LOST) and note.error_code != UNWRITTEN:
                yield f"{name} has no request row"
            elif note.request_id and note.error_code != UNWRITTEN:
                yield f"{name} was answered as {note.request_id}, which has no row"
            return
        if note.request_id and note.request_id != REQUEST_PREFIX + request.id:
            yield f"{name} was answered as {note.request_id} and is {REQUEST_PREFIX}{request.id} in the ledger"
        if request.status not in self._expected(note, request):
            yield f"{name} is {request.status} in the ledger, {REQUEST_PREFIX}{request.id}"
        if (
            note.usage is not None
            and request.status == "done"
            and request.usage_source == "provider"
            and request.attempts_count == 1
            and note.usage != (request.input_tokens, request.output_tokens)
        ):
            yield f"{name} was told of {note.usage} tokens, {REQUEST_PREFIX}{request.id} has others"

    def _expected(self, note: CallerNote, request: RequestRow) -> set[str]:
        """Statuses that the ledger may have for what the caller saw.

        The end of a call is written up to 50 ms after its answer, so a call that was answered by a process just before
        its death is closed as interrupted; nothing else may differ.
        """
        died = {"interrupted"} if self.has_died(request) and request.reconciled_at is not None else set()
        match note.outcome:
            case Outcome.COMPLETE:
                return {"done"} | died
            case Outcome.REFUSED | Outcome.ERROR_EVENT:
                return {"failed"} | died
            case Outcome.CONNECTION_LOST if self.has_died(request):
                # Written to its end, and then killed with the answer still in the socket.
                return {"done", "failed"} | died
            case Outcome.LEFT:
                return {"client_gone", "done", "failed"} | died
        return set()

    # Figures

    def _figures(self) -> dict[str, Any]:
        counted = [
            row
            for row in self.ledger.attempts
            if row.usage_source == "provider" and len(self.lines_of.get(row.id, [])) == 1
        ]
        flagged = [row for row in self.ledger.attempts if row.cost_is_estimate]
        closed = [row for row in self.ledger.requests if row.reconciled_at is not None]
        complete = {note.number for note in self.notes if note.outcome is Outcome.COMPLETE}
        return {
            "calls": len(self.notes),
            "callers saw": _count(note.outcome.value for note in self.notes),
            "callers who left": sum(note.behaviour is not Behaviour.READ for note in self.notes),
            "requests": _count(row.status for row in self.ledger.requests),
            "attempts": _count(row.status for row in self.ledger.attempts),
            "requests with a second attempt": sum(row.attempts_count > 1 for row in self.ledger.requests),
            "bill lines": len(self.bill),
            "joined": sum(len(lines) == 1 for lines in self.lines_of.values()),
            "lost": len(self.lost),
            "doubled": sum(len(lines) - 1 for lines in self.lines_of.values()),
            "faults on the bill": _count(line.fault for line in self.bill if line.fault),
            "closed by reconcile": {
                "requests": len(closed),
                "attempts": sum(row.reconciled_at is not None for row in self.ledger.attempts),
                "of them answered in full just before the kill": sum(row.call in complete for row in closed),
            },
            "usd with the provider's usage": {
                "attempts": len(counted),
                "ledger": str(sum((row.cost_usd for row in counted), Decimal(0))),
                "bill": str(self._billed(counted)),
            },
            "usd flagged as estimates": {
                "attempts": len(flagged),
                "ledger": str(sum((row.cost_usd for row in flagged), Decimal(0))),
                "bill": str(self._billed(flagged)),
            },
            "billed but refused, at no cost": sum(
                bool(self.lines_of.get(row.id)) and not row.cost_usd and self._was_refused(row)
                for row in self.ledger.attempts
            ),
        }

    def _billed(self, attempts: Sequence[AttemptRow]) -> Decimal:
        return sum(
            (
                cost_of(line, attempt.provider, attempt.started_on, self.ledger.prices)
                for attempt in attempts
                for line in self.lines_of.get(attempt.id, [])
            ),
            Decimal(0),
        )


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())
