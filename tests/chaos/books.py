"""Two of the sides that have to agree, as plain values: the ledger's rows and the sandbox's bill.

Amounts are Decimal US dollars; identifiers are the 32 hex digits of a row's UUID.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fnmatch import fnmatchcase
from typing import Any

COUNTERS = (
    "input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "image_input", "audio_input",
    "output_visible", "reasoning", "audio_output",
)  # fmt: skip
OUTPUT_COUNTERS = frozenset(("output_visible", "reasoning", "audio_output"))
OPEN = frozenset(("started", "streaming"))
QUANTUM = Decimal("0.000000000001")


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What request and attempt rows have in common."""

    id: str
    status: str
    http_status: int | None
    usage_source: str
    counters: Mapping[str, int]
    cost_usd: Decimal
    cost_is_estimate: bool
    is_unpriced: bool
    usage_mismatch: bool
    reconciled_at: datetime | None
    started_on: date


@dataclass(frozen=True, slots=True)
class RequestRow(LedgerRow):
    attempts_count: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    process_id: int
    #: Number of the call, which its caller gave as a tag; 0 without one.
    call: int


@dataclass(frozen=True, slots=True)
class AttemptRow(LedgerRow):
    request_id: str
    number: int
    provider: str


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A row of the price list; rates in US dollars for one million tokens, by counter."""

    provider: str
    model: str
    effective_from: date
    rates: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Ledger:
    requests: Sequence[RequestRow]
    attempts: Sequence[AttemptRow]
    prices: Sequence[PriceRow]
    #: Process id of each gateway process that has a row of its own, by its number.
    pids: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class BillLine:
    """One call that the sandbox accepted, with its final amounts."""

    client_request_id: str | None
    model: str
    stream: bool
    state: str
    outcome: str | None
    fault: str | None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int

    @classmethod
    def read(cls, line: Mapping[str, Any]) -> BillLine:
        return cls(**{name: line[name] for name in cls.__dataclass_fields__})

    @property
    def counters(self) -> dict[str, int]:
        """The line's tokens as the ledger's disjoint counters; those that are zero are left out."""
        counted = {
            "input_uncached": self.prompt_tokens - self.cached_tokens,
            "cache_read": self.cached_tokens,
            "output_visible": self.completion_tokens - self.reasoning_tokens,
            "reasoning": self.reasoning_tokens,
        }
        return {name: tokens for name, tokens in counted.items() if tokens}


def cost_of(line: BillLine, provider: str, on: date, prices: Sequence[PriceRow]) -> Decimal:
    """What the line costs by the price list: the tokens times their rates, rounded once, half to even.

    :raises LookupError: the list has no price for the model.
    """
    known = [row for row in prices if row.provider == provider and row.effective_from <= on]
    matching = [row for row in known if row.model == line.model] or sorted(
        (row for row in known if fnmatchcase(line.model, row.model)), key=lambda row: -len(row.model)
    )
    if not matching:
        raise LookupError(f"no price for {provider} {line.model}")
    name = matching[0].model
    price = max((row for row in matching if row.model == name), key=lambda row: row.effective_from)
    total = sum((tokens * price.rates[counter] for counter, tokens in line.counters.items()), Decimal(0))
    return (total / 1_000_000).quantize(QUANTUM, ROUND_HALF_EVEN)


def read_ledger() -> Ledger:
    """Every row of the ledger in Django's default database."""
    from tikhub_app.models import Attempt, GatewayProcess, GatewayRequest, ModelPrice

    def shared(row: GatewayRequest | Attempt) -> dict[str, Any]:
        return {
            "id": row.pk.hex,
            "status": row.status,
            "http_status": row.http_status,
            "usage_source": row.usage_source,
            "counters": {name: getattr(row, name) for name in COUNTERS if getattr(row, name)},
            "cost_usd": row.cost_usd,
            "cost_is_estimate": row.cost_is_estimate,
            "is_unpriced": row.is_unpriced,
            "usage_mismatch": row.usage_mismatch,
            "reconciled_at": row.reconciled_at,
            "started_on": row.started_at.date(),
        }

    return Ledger(
        requests=[
            RequestRow(
                **shared(row),
                attempts_count=row.attempts_count,
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
                total_tokens=row.total_tokens,
                process_id=row.process_id,
                call=int(row.tags.get("call", 0)),
            )
            for row in GatewayRequest.objects.order_by("id")
        ],
        attempts=[
            AttemptRow(**shared(row), request_id=row.request_id.hex, number=row.number, provider=row.provider)
            for row in Attempt.objects.order_by("id")
        ],
        prices=[
            PriceRow(
                row.provider,
                row.model,
                row.effective_from,
                {
                    "input_uncached": row.input_usd,
                    "cache_read": row.input_usd if row.cache_read_usd is None else row.cache_read_usd,
                    "output_visible": row.output_usd,
                    "reasoning": row.output_usd if row.reasoning_usd is None else row.reasoning_usd,
                },
            )
            for row in ModelPrice.all_rows()
        ],
        pids=dict(GatewayProcess.objects.values_list("id", "pid")),
    )
