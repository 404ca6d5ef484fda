"""Who reads the metrics, and that they are the Prometheus text format."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from tikhub_app.gateway import metrics
from tikhub_app.models import ApiKey

REMOTE: dict[str, Any] = {"REMOTE_ADDR": "203.0.113.9"}


def test_loopback_reads_them_as_prometheus_does() -> None:
    metrics.calls.reset()
    metrics.call_started()
    metrics.call_finished(
        dialect="openai_chat", operation="chat", status="done", http_status=200, provider="openai", duration_ms=10.0
    )
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    families = {family.name: family for family in text_string_to_metric_families(answer.content.decode())}
    assert {
        "tikhub_requests", "tikhub_requests_in_flight", "tikhub_request_duration_seconds", "tikhub_tokens",
        "tikhub_cost_usd", "tikhub_ledger_queue", "tikhub_ledger_writable",
    } <= set(families)  # fmt: skip
    (total,) = families["tikhub_requests"].samples
    assert (total.value, total.labels["provider"]) == (1, "openai")
    metrics.calls.reset()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_these_are_loopback(address: str) -> None:
    assert Client().get("/metrics", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize(
    "address", ["203.0.113.9", "10.0.0.1", "", "localhost", "127.0.0.1, 10.0.0.1", "::ffff:10.0.0.1"]
)
def test_these_are_not(address: str) -> None:
    assert Client().get("/metrics", REMOTE_ADDR=address).status_code == 401


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_a_request_through_a_proxy_on_this_machine_is_not_loopback(header: str) -> None:
    assert Client().get("/metrics", headers={header: "127.0.0.1"}).status_code == 401


@pytest.mark.django_db
def test_elsewhere_a_management_key_is_needed(manage_key: str) -> None:
    def status(secret: str) -> int:
        return Client().get("/metrics", headers={"authorization": f"Bearer {secret}"}, **REMOTE).status_code

    assert status(manage_key) == 200
    assert status(ApiKey.issue(name="calls")[1]) == 403
    assert status("sk-tkh-wrong") == 401


def test_a_setting_opens_them(settings: Any) -> None:
    settings.TIKHUB = {**settings.TIKHUB, "METRICS_PUBLIC": True}
    assert Client().get("/metrics", **REMOTE).status_code == 200
