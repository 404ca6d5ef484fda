"""Ledger rows for the console's tests, with ids of chosen moments. Deterministic: the n-th row is always the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tikhub_app.models import ApiKey, CallStatus, GatewayRequest, Upstream, first_uuid_at

MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "text-embedding-3-small")


def id_at(moment: datetime, number: int) -> UUID:
    """An id of that millisecond; the number keeps ids of one moment apart."""
    return UUID(int=first_uuid_at(moment).int + number)


def request_at(moment: datetime, number: int = 0, **columns: Any) -> GatewayRequest:
    """An unsaved row of a call that went well, unless the columns say otherwise."""
    values: dict[str, Any] = {
        "id": id_at(moment, number),
        "started_at": moment,
        "status": CallStatus.DONE,
        "door": "asgi",
        "dialect": "openai_chat",
        "operation": "chat",
        "asked_model": MODELS[number % len(MODELS)],
        "answered_model": MODELS[number % len(MODELS)],
        "http_status": 200,
        "first_byte_ms": 100.0 + number % 400,
        "duration_ms": 500.0 + number % 2000,
        "gateway_ms": 1.2,
        "input_tokens": 900,
        "input_uncached": 900,
        "output_tokens": 120,
        "output_visible": 120,
        "total_tokens": 1020,
        "usage_source": "provider",
        "cost_usd": Decimal("0.000207"),
        "attempts_count": 1,
    }
    return GatewayRequest(**(values | columns))


def fill(
    count: int, *, now: datetime, over: timedelta, key: ApiKey | None = None, upstream: Upstream | None = None
) -> None:
    """So many rows spread evenly over the time before now; every fiftieth failed, every hundredth from the sandbox."""
    rows = (
        request_at(
            now - over + over * number / count,
            number,
            **(
                {"status": CallStatus.FAILED, "http_status": 502, "error_code": "upstream_unreachable",
                 "error_message": "No connection to the provider.", "answered_model": "", "cost_usd": Decimal(0)}
                if number % 50 == 7
                else {}
            ),
            key_id=key.pk if key else None,
            key_prefix=key.prefix if key else "",
            upstream_id=upstream.pk if upstream else None,
            upstream_name=upstream.name if upstream else "",
            is_sandbox=number % 100 == 3,
        )
        for number in range(count)
    )  # fmt: skip
    GatewayRequest.objects.bulk_create(rows, batch_size=2_000)
