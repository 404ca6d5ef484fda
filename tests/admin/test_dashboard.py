"""The landing page: its figures by hand, its notes, and who may see it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from tests.admin.ledger_rows import request_at
from tikhub_app.models import ApiKey, CallStatus, GatewayProcess, GatewayRequest, Upstream

PAGE = "/admin/tikhub_app/dashboard/"
NOW = datetime(2026, 3, 14, 15, 30, tzinfo=UTC)


def call(number: int = 0, *, hours: int = 0, minutes: int = 0, **columns: Any) -> GatewayRequest:
    """A row of so long ago; the number chooses the model."""
    return request_at(NOW - timedelta(hours=hours, minutes=minutes), number, **columns)


@pytest.fixture
def a_day(db: None) -> ApiKey:
    """Six real calls of the last day, two of the sandbox, one too old."""
    key, _ = ApiKey.issue(name="Support")
    mine: dict[str, Any] = {"key_id": key.pk, "key_prefix": key.prefix}
    sandbox: dict[str, Any] = {"is_sandbox": True, "cost_usd": Decimal(100), "duration_ms": 1.0}
    rows = [
        call(minutes=1, **mine, cost_usd=Decimal("0.10"), duration_ms=100.0, first_byte_ms=10),
        call(minutes=2, **mine, cost_usd=Decimal("0.20"), duration_ms=200.0, first_byte_ms=20),
        call(1, hours=2, cost_usd=Decimal("0.000000000001"), duration_ms=300.0, first_byte_ms=30),
        call(1, hours=5, status=CallStatus.FAILED, cost_usd=0, duration_ms=5000.0, first_byte_ms=None,
             answered_model="", error_message="The provider is not reachable."),
        call(1, hours=6, status=CallStatus.INTERRUPTED, cost_usd=Decimal("0.05"), duration_ms=None, first_byte_ms=None),
        call(2, hours=23, minutes=29, cost_usd=Decimal("0.40"), duration_ms=400.0, first_byte_ms=40),
        call(3, minutes=3, **sandbox),
        call(3, hours=4, **sandbox, status=CallStatus.FAILED),
        call(2, hours=24, cost_usd=Decimal(7)),
    ]  # fmt: skip
    GatewayRequest.objects.bulk_create(rows)
    return key


@time_machine.travel(NOW, tick=False)
def test_its_figures_are_those_of_the_real_calls_of_the_last_day(console: Client, a_day: ApiKey) -> None:
    page = console.get(PAGE)
    day = page.context["day"]

    assert (day.calls, day.errors, day.calls_left_out) == (6, 2, 2)
    assert day.cost_usd == Decimal("0.750000000001")
    assert day.error_rate == pytest.approx(2 / 6)
    assert (day.duration.p50, day.duration.p95, day.duration.calls) == (300.0, 5000.0, 5)
    assert (day.first_byte.p50, day.first_byte.p95, day.first_byte.calls) == (20, 40, 4)
    by_hour = {hour.starts_at.hour: (hour.calls, hour.errors) for hour in day.hours if hour.calls}
    assert by_hour == {15: (2, 0), 13: (1, 0), 10: (1, 1), 9: (1, 1), 16: (1, 0)}
    assert day.starts_at == datetime(2026, 3, 13, 16, tzinfo=UTC)
    assert [(share.name, share.calls) for share in page.context["models"]] == [
        ("gpt-4o", 3), ("gpt-4o-mini", 2), ("gpt-4.1", 1),
    ]  # fmt: skip
    assert [(share.calls, name) for share, name in page.context["keys"]] == [(4, ""), (2, "Support")]
    html = page.content.decode()
    assert "$0.75" in html
    assert "without the sandbox" in html
    assert "2 calls answered by the sandbox left out" in html
    assert "The provider is not reachable." in html


@time_machine.travel(NOW, tick=False)
def test_the_sandboxs_calls_are_shown_apart(console: Client, a_day: ApiKey) -> None:
    page = console.get(f"{PAGE}?calls=sandbox")
    assert (page.context["day"].calls, page.context["day"].errors) == (2, 1)
    assert "$200" not in page.content.decode()
    # Where there are no others, they are what the page is about.
    GatewayRequest.objects.filter(is_sandbox=False).delete()
    forgotten = console.get(f"{PAGE}?calls=real").context["day"]
    assert forgotten.is_sandbox is False


def test_a_fresh_demo_shows_the_sandboxs_calls_without_being_asked(console: Client) -> None:
    request_at(timezone.now(), is_sandbox=True).save()
    day = console.get(PAGE).context["day"]
    assert (day.is_sandbox, day.calls) == (True, 1)


@time_machine.travel(NOW, tick=False)
def test_a_bar_leads_to_the_requests_it_counts(console: Client, a_day: ApiKey) -> None:
    bars = console.get(PAGE).context["bars"]
    for bar in bars:
        assert len(console.get(bar.url).context["cl"].result_list) == bar.hour.calls
    assert sum(bar.hour.calls for bar in bars) == 6
    assert max(bar.height + bar.error_height for bar in bars) == 60


def test_it_says_what_needs_attention(console: Client, settings: Any) -> None:
    def text() -> str:
        return " ".join(note.text for note in console.get(PAGE).context["notes"])

    assert "There is no upstream yet" in text()
    assert "There is no active gateway key" in text()
    settings.TIKHUB = settings.TIKHUB | {"SANDBOX": True}
    assert "Answers come from the sandbox" in text()
    settings.TIKHUB = settings.TIKHUB | {"SANDBOX": False}

    ApiKey.issue(name="one")
    now = timezone.now()
    Upstream(name="mine", provider="openai", base_url="https://api.openai.com/v1", auth_failed_at=now).save()
    request_at(now, 0, is_unpriced=True, answered_model="gpt-9").save()
    request_at(now, 1, status=CallStatus.STREAMING, process_id=404).save()
    GatewayProcess.objects.create(id=5, hostname="elsewhere", pid=1)
    request_at(now, 2, status=CallStatus.STREAMING, process_id=5).save()
    told = text()
    assert "refuses the API key of mine" in told
    assert "No price is known for gpt-9: 1 call missing" in told
    assert "1 call is still open although" in told
    assert "sandbox" not in told
    assert "No route leads to an enabled upstream" in told


def test_it_offers_only_what_the_viewer_may_do(staff: Callable[..., Client]) -> None:
    page = staff("view_gatewayrequest").get(PAGE)
    assert {note.link for note in page.context["notes"]} == {""}
    assert staff("view_apikey").get(PAGE).status_code == 403
    assert Client().get(PAGE).status_code == 302


def test_the_first_page_shows_the_figures_to_those_who_may_see_them(
    console: Client, staff: Callable[..., Client]
) -> None:
    request_at(timezone.now()).save()
    assert "tikhub-tiles" in console.get("/admin/").content.decode()
    assert "tikhub-tiles" not in staff("view_apikey").get("/admin/").content.decode()
