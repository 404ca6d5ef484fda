"""Fills a fresh database with a day that has something of everything. Run as ``python -m tests.browser.console_rows``
with ``DATABASE_URL`` set, before the server that shows it is started."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import django

PASSWORD = "console-tests"
CALLS = 2_400


def fill_database() -> None:
    # The caller has loaded the apps; nothing of them can be imported before.
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from tikhub_app.gateway.setup import create_usual_routes
    from tikhub_app.models import ApiKey, GatewayProcess, ModelPrice, PriceSource, Route, Upstream

    now = timezone.now()
    operator = get_user_model().objects.create_superuser("operator", "operator@example.org", PASSWORD)

    openai = Upstream(name="openai", provider="openai", base_url="https://api.openai.com/v1", last_checked_at=now)
    openai.set_credential("sk-planted-upstream-credential")
    refused = Upstream(name="openai-eu", provider="openai", base_url="https://eu.api.openai.com/v1")
    refused.set_credential("env:OPENAI_EU_API_KEY")
    refused.auth_failed_at = refused.last_error_at = now - timedelta(minutes=40)
    refused.last_error = "HTTP 401: Incorrect API key provided."
    ollama = Upstream(name="ollama", provider="openai_compatible", base_url="http://127.0.0.1:11434/v1")
    ollama.last_error, ollama.last_error_at = "Connection refused.", now - timedelta(hours=2)
    sandbox = Upstream(name="sandbox-openai", provider="openai", base_url="http://127.0.0.1:9/v1", is_sandbox=True)
    for upstream in (openai, refused, ollama, sandbox):
        upstream.save()
    create_usual_routes(openai)
    Route(pattern="llama3.2", upstream=ollama, priority=10).save()
    Route(pattern="gpt-*", upstream=sandbox, priority=1000, weight=3).save()

    shipped: dict[str, Any] = {"provider": "openai", "effective_from": date(2025, 1, 1), "source": PriceSource.SEED}
    ModelPrice(model="gpt-4o", input_usd="2.5", cache_read_usd="1.25", output_usd="10", **shipped).save()
    ModelPrice(model="gpt-4o-mini", input_usd="0.15", output_usd="0.6", **shipped).save()
    ModelPrice(provider="openai_compatible", model="llama*", input_usd=0, output_usd=0).save()

    app, _ = ApiKey.issue(name="Support assistant", owner=operator, last_used_at=now)
    batch, _ = ApiKey.issue(name="Nightly batch", allowed_models=["gpt-4o-mini", "text-embedding-*"])
    ApiKey.issue(name="Prototype", expires_at=now - timedelta(days=3))
    gone, _ = ApiKey.issue(name="Former contractor")
    gone.revoke()

    living = GatewayProcess.objects.create(id=1, hostname="gateway-1", pid=4242, heartbeat_at=now + timedelta(hours=1))
    dead = GatewayProcess.objects.create(id=2, hostname="gateway-2", pid=17, heartbeat_at=now - timedelta(hours=3))
    fill_ledger(now, openai=openai, sandbox=sandbox, keys=(app, app, batch), living=living.pk, dead=dead.pk)


def fill_ledger(now: datetime, *, openai: Any, sandbox: Any, keys: Any, living: int, dead: int) -> None:
    from tests.admin.ledger_rows import request_at
    from tikhub_app.models import (
        Attempt,
        CallStatus,
        ContentFilterResult,
        GatewayRequest,
        RequestPayload,
    )

    rows, attempts = [], []
    for number in range(CALLS):
        # Denser by day than by night, so that the chart has a shape.
        share = number / CALLS
        moment = now - timedelta(hours=23) * (1 - share - 0.08 * math.sin(share * 2 * math.pi))
        key = keys[number % len(keys)]
        columns: dict[str, Any] = {"key_id": key.pk, "key_prefix": key.prefix, "process_id": living}
        columns |= {"upstream_id": openai.pk, "upstream_name": openai.name, "is_stream": number % 3 != 0}
        columns |= {"upstream_request_id": f"req_up_{number}", "end_user": f"user-{number % 40}"}
        if number % 37 == 5:
            columns |= {
                "status": CallStatus.FAILED, "http_status": 502, "answered_model": "", "cost_usd": Decimal(0),
                "output_tokens": 0, "output_visible": 0, "error_code": "upstream_unreachable",
                "error_message": "No connection to https://api.openai.com/v1 within 5 seconds.",
            }  # fmt: skip
        elif number % 41 == 6:
            columns |= {"status": CallStatus.CLIENT_GONE, "departure": "cancelled", "cost_is_estimate": True}
        elif number % 90 == 7:
            columns |= {"asked_model": "gpt-6-preview", "answered_model": "gpt-6-preview-0701", "is_unpriced": True}
            columns["cost_usd"] = Decimal(0)
        elif number % 60 == 8:
            columns |= {"upstream_id": sandbox.pk, "upstream_name": sandbox.name, "is_sandbox": True}
        row = request_at(moment, number, **columns)
        rows.append(row)
        attempts.append(
            Attempt(
                request=row, number=1, status=row.status, upstream_name=row.upstream_name, provider="openai",
                upstream_model=row.asked_model, http_status=None if row.error_code else 200, error_code=row.error_code,
                error_message=row.error_message, cost_usd=row.cost_usd, started_at=row.started_at,
                first_byte_ms=row.first_byte_ms, duration_ms=row.duration_ms,
                price={"model": row.asked_model, "effective_from": "2025-01-01", "input_usd": "0.15"},
            )
        )  # fmt: skip
    open_row = request_at(
        now - timedelta(hours=3), CALLS, status=CallStatus.STREAMING, process_id=dead, http_status=None
    )
    open_row.duration_ms = None
    GatewayRequest.objects.bulk_create([*rows, open_row], batch_size=1_000)
    Attempt.objects.bulk_create(attempts, batch_size=1_000)
    last = rows[-1]
    prompt = {"model": last.asked_model, "messages": [{"role": "user", "content": "<script>alert('planted')</script>"}]}
    answer = {"choices": [{"message": {"role": "assistant", "content": "Good evening. " * 2_000}}]}
    RequestPayload.objects.create(
        request=last, policy="full", request_body=json.dumps(prompt), response_body=json.dumps(answer)
    )
    for category, severity in (("hate", "safe"), ("violence", "medium"), ("jailbreak", None)):
        ContentFilterResult.objects.create(
            request=last, side="prompt", category=category, severity=severity, filtered=severity == "medium",
            detected=None if severity else False, vendor="azure", raw={"filtered": severity == "medium"},
        )  # fmt: skip


if __name__ == "__main__":
    django.setup()
    fill_database()
