"""The audit must find what it is there for: a run in which everything agrees, with one thing changed in each test."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.chaos.audit import Audit, Findings
from tests.chaos.books import AttemptRow, BillLine, Ledger, PriceRow, RequestRow
from tests.chaos.callers import Behaviour, CallerNote, Outcome, read_plain, read_stream

TODAY = date(2026, 5, 4)
LIVING, KILLED = 11, 12
RATES = {
    "input_uncached": Decimal("0.15"),
    "cache_read": Decimal("0.075"),
    "output_visible": Decimal("0.60"),
    "reasoning": Decimal("0.60"),
}
PRICES = [PriceRow("openai", "gpt-4o-mini-20??-??-??", date(2024, 10, 2), RATES)]
TOKENS = {"input_uncached": 900, "cache_read": 100, "output_visible": 7}
#: (900 x 0.15 + 100 x 0.075 + 7 x 0.60) / 1,000,000
COST = Decimal("0.0001467")


def line(call: int, **changes: Any) -> BillLine:
    settled = BillLine(f"att_a{call}", "gpt-4o-mini-2024-07-18", True, "settled", "answered", None, 1000, 100, 7, 0)
    return replace(settled, **changes)


def shared(**changes: Any) -> dict[str, Any]:
    return {
        "status": "done", "http_status": 200, "usage_source": "provider", "counters": TOKENS, "cost_usd": COST,
        "cost_is_estimate": False, "is_unpriced": False, "usage_mismatch": False, "reconciled_at": None,
        "started_on": TODAY,
    } | changes  # fmt: skip


def attempt(call: int, **changes: Any) -> AttemptRow:
    identity: dict[str, Any] = {"id": f"a{call}", "request_id": f"r{call}", "number": 1, "provider": "openai"}
    return AttemptRow(**identity, **shared(**changes))


def request(call: int, process: int = LIVING, **changes: Any) -> RequestRow:
    own: dict[str, Any] = {"attempts_count": 1, "input_tokens": 1000, "output_tokens": 7, "total_tokens": 1007}
    own |= {"id": f"r{call}", "process_id": process, "call": call}
    return RequestRow(**own | shared(**changes))


def note(call: int, outcome: Outcome = Outcome.COMPLETE, **changes: Any) -> CallerNote:
    return replace(CallerNote(call, Behaviour.READ, outcome, f"req_r{call}", 200, "", (1000, 7)), **changes)


CLOSED: dict[str, Any] = {
    "status": "interrupted", "http_status": None, "usage_source": "none", "counters": {}, "cost_usd": Decimal("0.001"),
    "cost_is_estimate": True, "reconciled_at": datetime(2026, 5, 4, tzinfo=UTC),
}  # fmt: skip
NO_TOKENS: dict[str, Any] = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


class Run:
    """A run of two calls: one was answered, one was closed by tikhub_reconcile after a kill."""

    def __init__(self) -> None:
        self.bill = [line(1), line(2, outcome="client_gone")]
        self.attempts = [attempt(1), attempt(2, **CLOSED)]
        self.requests = [request(1), request(2, KILLED, **CLOSED, **NO_TOKENS)]
        self.notes = [note(1), note(2, Outcome.CONNECTION_LOST, usage=None)]

    def audit(self) -> Findings:
        ledger = Ledger(self.requests, self.attempts, PRICES, {LIVING: 101, KILLED: 102})
        return Audit(ledger, self.bill, self.notes, frozenset({102})).run()

    def only_violation(self) -> str:
        violations = self.audit().violations
        assert len(violations) == 1, violations
        return violations[0]


@pytest.fixture
def run() -> Run:
    return Run()


def test_it_finds_nothing_where_all_sides_agree(run: Run) -> None:
    findings = run.audit()

    assert findings.violations == []
    assert (findings.figures["joined"], findings.figures["lost"], findings.figures["doubled"]) == (2, 0, 0)


def test_it_finds_a_line_of_the_bill_without_an_attempt(run: Run) -> None:
    run.bill.append(line(9))

    assert "att_a9 joins no attempt" in run.only_violation()


def test_it_finds_a_call_that_was_sent_twice(run: Run) -> None:
    run.bill.append(line(2))

    assert "sent twice: 2 lines" in run.only_violation()


def test_it_finds_an_attempt_without_a_request(run: Run) -> None:
    run.requests.pop()
    run.notes.pop()

    assert "att_a2 joins no request" in run.only_violation()


def test_it_finds_a_row_that_was_left_open(run: Run) -> None:
    run.attempts[1] = replace(run.attempts[1], status="streaming", reconciled_at=None)

    assert run.only_violation() == "att_a2 was left open (streaming)"


def test_it_finds_usage_that_the_bill_does_not_have(run: Run) -> None:
    run.bill[0] = line(1, completion_tokens=8)

    counted, priced = run.audit().violations
    assert "'output_visible': 7" in counted
    assert "'output_visible': 8" in counted
    assert "0.000147300000 by price list" in priced


def test_it_finds_a_cost_that_is_wrong_by_the_last_digit(run: Run) -> None:
    wrong = COST + Decimal("0.000000000001")
    run.attempts[0] = attempt(1, cost_usd=wrong)
    run.requests[0] = request(1, cost_usd=wrong)

    assert "att_a1 costs 0.000146700001 in the ledger" in run.only_violation()


def test_it_finds_a_request_that_does_not_cost_what_its_attempts_do(run: Run) -> None:
    run.requests[0] = request(1, cost_usd=Decimal("0.0002"))

    assert "req_r1 costs 0.0002" in run.only_violation()


def test_it_finds_an_estimate_without_its_flag(run: Run) -> None:
    run.attempts[0] = attempt(1, usage_source="estimated")

    assert "without the provider's usage, and is not flagged" in run.only_violation()


def test_it_finds_a_billed_call_that_costs_nothing(run: Run) -> None:
    nothing: dict[str, Any] = {"cost_usd": Decimal(0), "counters": {}, "usage_source": "none", "status": "failed"}
    run.attempts[0] = attempt(1, **nothing)
    run.requests[0] = request(1, **nothing, **NO_TOKENS)
    run.notes[0] = note(1, Outcome.ERROR_EVENT)

    assert "is on the bill and costs nothing" in run.only_violation()


def test_it_finds_a_missing_attempt(run: Run) -> None:
    run.requests[0] = request(1, attempts_count=2)

    assert "req_r1 counts 2 attempts and has [1]" in run.only_violation()


def test_it_finds_a_row_that_was_closed_while_its_process_lived(run: Run) -> None:
    run.requests[1] = request(2, LIVING, **CLOSED, **NO_TOKENS)
    run.notes[1] = note(2, Outcome.LEFT, usage=None)

    while_it_lived, unexpected = run.audit().violations
    assert "while its process lived" in while_it_lived
    assert "call 2 (left) is interrupted" in unexpected


@pytest.mark.parametrize("outcome", [Outcome.ERROR_EVENT, Outcome.REFUSED, Outcome.CONNECTION_LOST])
def test_it_finds_a_done_row_that_its_caller_did_not_see_done(run: Run, outcome: Outcome) -> None:
    run.notes[0] = note(1, outcome, usage=None)

    assert f"call 1 ({outcome}) is done in the ledger" in run.only_violation()


def test_it_finds_an_answer_without_a_row(run: Run) -> None:
    run.notes.append(note(3))

    assert run.only_violation() == "call 3 (complete) has no request row"


def test_it_finds_a_row_that_nobody_called_for(run: Run) -> None:
    early: dict[str, Any] = {"status": "client_gone", "counters": {}, "cost_usd": Decimal(0), "attempts_count": 0}
    run.requests.append(replace(request(3, **early, **NO_TOKENS), call=0))

    assert "1 request rows are of no call, and 0 callers left" in run.only_violation()

    run.notes.append(note(3, Outcome.LEFT, request_id="", usage=None))

    assert run.audit().violations == []


def test_it_finds_a_caller_who_was_told_of_other_tokens(run: Run) -> None:
    run.notes[0] = note(1, usage=(1000, 9))

    assert "was told of (1000, 9) tokens" in run.only_violation()


def test_it_finds_a_stream_that_was_cut_without_a_word(run: Run) -> None:
    run.notes[1] = note(2, Outcome.CUT, usage=None)

    assert "without a proper end" in run.audit().violations[0]


def test_it_reads_how_a_stream_ended() -> None:
    chunk = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'

    assert read_stream(chunk + b"data: [DONE]\n\n") == (Outcome.COMPLETE, "", (3, 4))
    assert read_stream(chunk) == (Outcome.CUT, "", (3, 4))
    assert read_stream(chunk + b'data: {"error": {"code": "x"}}\n\n') == (Outcome.ERROR_EVENT, "x", None)


def test_it_reads_how_a_plain_answer_ended() -> None:
    assert read_plain(200, b'{"choices": [{}]}') == (Outcome.COMPLETE, "", None)
    assert read_plain(429, b'{"error": {"code": "slow_down"}}') == (Outcome.REFUSED, "slow_down", None)
    assert read_plain(200, b'{"choices": [{') == (Outcome.CUT, "", None)
