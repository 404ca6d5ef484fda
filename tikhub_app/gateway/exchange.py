"""One call under way: its rows, its principal, its candidate; and the one place where it is closed."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

from tikhub_app.conf import settings
from tikhub_app.exceptions import GatewayError
from tikhub_app.gateway import metrics
from tikhub_app.gateway.configuration import Principal
from tikhub_app.gateway.dialects import Dialect, ParsedCall
from tikhub_app.gateway.inbound import Headers, InboundCall
from tikhub_app.gateway.ledger import AttemptRow, Finish, LedgerWriter, RequestRow
from tikhub_app.gateway.ledger.rows import attempt_finish_values, clean, request_finish_values
from tikhub_app.gateway.payloads import PayloadDraft, effective_policy
from tikhub_app.gateway.pricing import FREE_OPERATIONS, Price
from tikhub_app.gateway.snapshot import RouteView, Snapshot
from tikhub_app.models import CallStatus, Departure
from tikhub_app.models.identifiers import public_id
from tikhub_app.providers.base import StreamReader
from tikhub_app.providers.facts import FilterFinding, ReplyFacts

LONGEST_TAG = 200
MOST_TAGS = 32


@dataclass(slots=True)
class Exchange:
    """The state of one call between its begin and its finish."""

    call: InboundCall
    dialect: Dialect
    writer: LedgerWriter
    row: RequestRow
    principal: Principal | None = None
    parsed: ParsedCall | None = None
    snapshot: Snapshot | None = None
    route: RouteView | None = None
    attempt: AttemptRow | None = None
    findings: list[tuple[AttemptRow, str, FilterFinding]] = field(default_factory=list)
    #: The caller has left, and the answer is read to its end for the books alone.
    is_draining: bool = False

    @property
    def request_id(self) -> str:
        return public_id("req", self.row.id)

    @property
    def payload_policy(self) -> str:
        return effective_policy(self.principal.payload_policy) if self.principal is not None else "none"

    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.row.begun) * 1000

    def identify(self, principal: Principal) -> None:
        self.principal = principal
        self.row.key_id = principal.key_id
        self.row.key_prefix = principal.prefix
        self.row.owner_id = principal.owner_id

    def describe(self, parsed: ParsedCall) -> None:
        """Copy what the request says of itself onto the row."""
        row, headers = self.row, self.call.headers
        self.parsed = parsed
        row.asked_model = clean(parsed.model, 200)
        row.is_stream = parsed.is_stream
        end_user = headers.get("x-tikhub-end-user") or parsed.end_user
        if end_user:
            row.end_user = clean(end_user, 200)
        tags = dict(parsed.tags)
        tags.update(read_tags(headers.get("x-tikhub-tags", "")))
        if tags:
            kept = list(tags.items())[:MOST_TAGS]
            row.tags = json.dumps({clean(name, LONGEST_TAG): clean(value, LONGEST_TAG) for name, value in kept})

    def price(self, model: str) -> Price | None:
        """Price of the model that answered, else of the one that was asked of the provider."""
        if self.snapshot is None or self.route is None or self.attempt is None:
            return None
        return self.snapshot.prices.find(self.route.upstream.provider.name, model, self.attempt.upstream_model)

    def price_of(self, model: str) -> Price | None:
        """Price of another model of the same provider that worked on the answer."""
        if self.snapshot is None or self.route is None:
            return None
        return self.snapshot.prices.find(self.route.upstream.provider.name, model)

    def mark_first_byte(self, *, will_stream: bool) -> None:
        """Note when the first byte leaves for the caller, and how much of the time was our own."""
        row = self.row
        row.first_byte_ms = round(self.elapsed_ms(), 3)
        row.gateway_ms = round(max(0.0, row.first_byte_ms - row.waited_s * 1000), 3)
        if will_stream:
            row.status = CallStatus.STREAMING.value
            self.writer.first_byte(row)

    def end_attempt(
        self, status: CallStatus, *, facts: ReplyFacts | None = None, error: GatewayError | None = None
    ) -> None:
        """Close the current try: its usage, cost, findings and reason of failure."""
        attempt = self.attempt
        if attempt is None or attempt.duration_ms is not None:
            return
        attempt.status = status.value
        attempt.duration_ms = round((time.perf_counter() - attempt.begun) * 1000, 3)
        if error is not None:
            attempt.error_code, attempt.error_message = clean(error.code or "", 80), clean(error.message, 500)
        if facts is not None:
            if self.row.operation not in FREE_OPERATIONS:
                price = self.price(facts.answered_model)
                others = [(usage, self.price_of(model)) for model, usage in facts.other_models.items()]
                attempt.settle(facts, price, len(self.call.body), others)
            vendor = attempt.provider
            self.findings += [(attempt, vendor, finding) for finding in facts.findings]
            self.row.answered_model = clean(facts.answered_model, 200)
            self.row.finish_reason = clean(facts.finish_reason, 40)
            if facts.server_tool_calls:
                self.row.server_tool_calls = json.dumps(facts.server_tool_calls)

    def close(
        self,
        status: CallStatus,
        http_status: int | None,
        *,
        error: GatewayError | None = None,
        facts: ReplyFacts | None = None,
        answer: bytes = b"",
        reader: StreamReader | None = None,
        departure: Departure = Departure.STAYED,
    ) -> None:
        """Write the end of the call, once; later calls do nothing."""
        row = self.row
        if row.is_finished:
            return
        row.is_finished = True
        self.end_attempt(status, facts=facts, error=error)
        row.add_up()
        row.status = status.value
        row.http_status = http_status
        row.duration_ms = round(self.elapsed_ms(), 3)
        row.departure = departure.value
        if error is not None:
            row.error_code, row.error_message = clean(error.code or "", 80), clean(error.message, 500)
        self._write(answer, reader)
        self._count(facts)

    def _write(self, answer: bytes, reader: StreamReader | None) -> None:
        row = self.row
        if not row.attempts:
            if self.principal is not None:  # nobody's calls are counted, but not kept
                self.writer.record(row)
            return
        if not row.may_be_written:
            return
        payload = None
        if (policy := self.payload_policy) != "none":
            payload = PayloadDraft(row.id, policy, self.call.body, answer, reader)
        attempts = [attempt_finish_values(attempt) for attempt in row.attempts]
        findings = [(attempt.id, vendor, finding) for attempt, vendor, finding in self.findings]
        self.writer.finish(Finish(request_finish_values(row), attempts, payload, findings))

    def _count(self, facts: ReplyFacts | None) -> None:
        row = self.row
        price = self.price(row.answered_model)
        metrics.call_finished(
            dialect=row.dialect,
            operation=row.operation,
            status=row.status,
            http_status=row.http_status,
            provider=self.route.upstream.provider.name if self.route is not None else "",
            model=price.model if price is not None else "",
            duration_ms=row.duration_ms or 0.0,
            first_byte_ms=row.first_byte_ms,
            gateway_ms=row.gateway_ms,
            usage=facts.usage if facts is not None else None,
            cost_pico=0 if row.is_sandbox else row.cost_usd,
        )

    def error_headers(self, error: GatewayError) -> Headers:
        headers = [("content-type", "application/json"), *self.dialect.identity_headers(self.request_id)]
        headers.append(("x-should-retry", "true" if error.retryable else "false"))
        if error.retry_after_s is not None:
            headers.append(("retry-after", str(max(0, round(error.retry_after_s)))))
        return headers

    def text_limit(self) -> int:
        """Characters of a streamed answer to keep for the payload."""
        return 0 if self.payload_policy == "none" else int(settings.PAYLOAD_MAX_BYTES)


def read_tags(header: str) -> dict[str, str]:
    """``x-tikhub-tags: team=search, nightly`` as {"team": "search", "nightly": ""}."""
    tags = {}
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name:
            tags[name.strip()] = value.strip()
    return tags
