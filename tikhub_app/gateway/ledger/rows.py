"""Request and attempt rows while a call is under way: plain slots, no ORM, filled by the core."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import isfinite
from operator import attrgetter
from typing import Any
from uuid import UUID

from tikhub_app.gateway.pricing import Price
from tikhub_app.models import CallStatus, UsageSource, uuid7
from tikhub_app.models.requests import UsageCounters
from tikhub_app.providers.facts import ReplyFacts, Usage

# The characters of a token of English text, roughly; only ever used for amounts that are flagged as estimates.
CHARACTERS_PER_TOKEN = 4


def clean(text: str, limit: int) -> str:
    """Text from outside, fit for any database: cut to length, without NUL and lone surrogates."""
    cut = text[:limit]
    if cut.isascii():
        return cut.replace("\x00", "") if "\x00" in cut else cut
    return cut.replace("\x00", "").encode("utf-8", "replace").decode()


def storable(value: Any) -> Any:
    """A JSON value from outside, fit for any database's JSON type: no NUL, no lone surrogates, no NaN."""
    if isinstance(value, str):
        return clean(value, len(value))
    if isinstance(value, dict):
        return {clean(str(name), 200): storable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [storable(inner) for inner in value]
    return value if not isinstance(value, float) or isfinite(value) else None


@dataclass(slots=True)
class Counted:
    """Columns that requests and attempts share."""

    input_uncached: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    image_input: int = 0
    audio_input: int = 0
    output_visible: int = 0
    reasoning: int = 0
    audio_output: int = 0
    usage_source: str = UsageSource.NONE.value
    usage_mismatch: bool = False
    cost_usd: int = 0  # pico-dollars, as stored
    cost_is_estimate: bool = False
    is_unpriced: bool = False
    status: str = CallStatus.STARTED.value
    http_status: int | None = None
    error_code: str = ""
    error_message: str = ""
    upstream_id: int | None = None
    upstream_name: str = ""
    upstream_request_id: str = ""
    first_byte_ms: float | None = None
    duration_ms: float | None = None

    def count(self, usage: Usage, source: UsageSource) -> None:
        self.input_uncached = usage.input_uncached
        self.cache_read = usage.cache_read
        self.cache_write_5m = usage.cache_write_5m
        self.cache_write_1h = usage.cache_write_1h
        self.image_input = usage.image_input
        self.audio_input = usage.audio_input
        self.output_visible = usage.output_visible
        self.reasoning = usage.reasoning
        self.audio_output = usage.audio_output
        self.usage_source = source.value
        self.usage_mismatch = usage.is_mismatch


@dataclass(slots=True)
class AttemptRow(Counted):
    id: UUID = field(default_factory=uuid7)
    request_id: UUID | None = None
    number: int = 1
    provider: str = ""
    upstream_model: str = ""
    price: str | None = None  # JSON text
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = field(default_factory=time.perf_counter)

    def settle(
        self,
        facts: ReplyFacts | None,
        price: Price | None,
        request_bytes: int,
        others: Sequence[tuple[Usage, Price | None]] = (),
    ) -> None:
        """Usage and cost of this try. Without usage from the provider both are estimated, and flagged so.

        ``others`` is what further models used for the same answer, each at its own price.
        """
        if facts is None:
            return
        usage, source = facts.usage, UsageSource.PROVIDER
        seen = -(-facts.output_characters // CHARACTERS_PER_TOKEN)
        if usage is None:
            source = UsageSource.ESTIMATED
            usage = Usage(input_uncached=request_bytes // CHARACTERS_PER_TOKEN, output_visible=seen)
        elif facts.is_usage_provisional:
            source = UsageSource.ESTIMATED
            usage = replace(usage, output_visible=max(usage.output_visible, seen - usage.reasoning))
        self.count(usage, source)
        self._charge(usage, price)
        for used, price_of_other in others:
            self._add(used)
            self._charge(used, price_of_other)
        self.cost_is_estimate = source is not UsageSource.PROVIDER and self.cost_usd > 0

    def _add(self, usage: Usage) -> None:
        for name in UsageCounters.COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(usage, name))
        self.usage_mismatch = self.usage_mismatch or usage.is_mismatch

    def _charge(self, usage: Usage, price: Price | None) -> None:
        if price is None:
            self.is_unpriced = True
            return
        self.cost_usd += price.cost_pico(usage)
        if self.price is None:
            self.price = price.as_json
        else:  # a price snapshot of several models
            snapshot = json.loads(self.price)
            snapshot.setdefault("others", []).append(json.loads(price.as_json))
            self.price = json.dumps(snapshot)


@dataclass(slots=True)
class RequestRow(Counted):
    id: UUID = field(default_factory=uuid7)
    door: str = ""
    dialect: str = ""
    operation: str = ""
    is_stream: bool = False
    key_id: int | None = None
    key_prefix: str = ""
    owner_id: int | None = None
    asked_model: str = ""
    answered_model: str = ""
    attempts_count: int = 0
    finish_reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    server_tool_calls: str = "{}"  # JSON text
    reserved_cost_usd: int = 0  # pico-dollars
    departure: str = ""
    tags: str = "{}"  # JSON text
    end_user: str = ""
    user_agent: str = ""
    client_retry: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    gateway_ms: float | None = None
    is_sandbox: bool = False
    process_id: int = 0
    begun: float = field(default_factory=time.perf_counter)
    waited_s: float = 0.0
    is_finished: bool = False
    #: False when the ledger refused the row: nothing was sent, and there is nothing to finish.
    may_be_written: bool = True
    attempts: list[AttemptRow] = field(default_factory=list)

    def add_up(self) -> None:
        """Totals over all attempts: every try may have been billed."""
        if len(self.attempts) == 1:  # nearly every call
            (only,) = self.attempts
            self.input_uncached, self.cache_read = only.input_uncached, only.cache_read
            self.cache_write_5m, self.cache_write_1h = only.cache_write_5m, only.cache_write_1h
            self.image_input, self.audio_input = only.image_input, only.audio_input
            self.output_visible, self.reasoning = only.output_visible, only.reasoning
            self.audio_output = only.audio_output
        else:
            for name in UsageCounters.COUNTERS:
                setattr(self, name, sum(getattr(attempt, name) for attempt in self.attempts))
        self.input_tokens = (
            self.input_uncached
            + self.cache_read
            + self.cache_write_5m
            + self.cache_write_1h
            + self.image_input
            + self.audio_input
        )
        self.output_tokens = self.output_visible + self.reasoning + self.audio_output
        self.total_tokens = self.input_tokens + self.output_tokens
        self.cost_usd = sum(attempt.cost_usd for attempt in self.attempts)
        self.cost_is_estimate = any(attempt.cost_is_estimate for attempt in self.attempts)
        self.is_unpriced = any(attempt.is_unpriced for attempt in self.attempts)
        self.usage_mismatch = any(attempt.usage_mismatch for attempt in self.attempts)
        if self.attempts:
            self.usage_source = self.attempts[-1].usage_source


COUNTED_COLUMNS = (
    *UsageCounters.COUNTERS,
    "usage_source", "usage_mismatch", "cost_usd", "cost_is_estimate", "is_unpriced",
    "status", "http_status", "error_code", "error_message", "upstream_id", "upstream_name", "upstream_request_id",
    "first_byte_ms", "duration_ms",
)  # fmt: skip

REQUEST_BEGIN = (
    "id", "status", "door", "dialect", "operation", "is_stream", "key_id", "key_prefix", "owner_id", "asked_model",
    "upstream_id", "upstream_name", "attempts_count", "reserved_cost_usd", "tags", "end_user", "user_agent",
    "client_retry", "request_bytes", "started_at", "is_sandbox", "process_id",
)  # fmt: skip
REQUEST_FINISH = (
    *COUNTED_COLUMNS,
    "answered_model", "attempts_count", "finish_reason", "input_tokens", "output_tokens", "total_tokens",
    "server_tool_calls", "departure", "response_bytes", "gateway_ms", "is_sandbox",
)  # fmt: skip
ATTEMPT_BEGIN = (
    "id", "request_id", "number", "status", "upstream_id", "upstream_name", "provider", "upstream_model", "started_at",
)  # fmt: skip
ATTEMPT_FINISH = (*COUNTED_COLUMNS, "price")

Values = tuple[Any, ...]
request_begin_values = attrgetter(*REQUEST_BEGIN)
request_finish_values = attrgetter(*REQUEST_FINISH, "id")
attempt_begin_values = attrgetter(*ATTEMPT_BEGIN)
attempt_finish_values = attrgetter(*ATTEMPT_FINISH, "id")
