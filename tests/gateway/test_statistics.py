"""Figures over the ledger: what is kept in memory, and what bounds them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.admin.ledger_rows import request_at
from tikhub_app.gateway import statistics
from tikhub_app.gateway.statistics import forget_hours, last_day
from tikhub_app.models import CallStatus, GatewayRequest

NOW = datetime(2026, 3, 14, 15, 30, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_hours_kept() -> Iterator[None]:
    forget_hours()
    yield
    forget_hours()


def queries_of_a_look(now: datetime = NOW) -> int:
    with CaptureQueriesContext(connection) as captured:
        last_day(now)
    return len(captured)


def test_an_hour_that_is_over_is_read_once() -> None:
    request_at(NOW - timedelta(hours=3)).save()
    assert queries_of_a_look() == 24 + 1  # the hours, and the latencies
    assert queries_of_a_look() == 1 + 1
    # One minute into the next hour, rows of the last one may still become visible; three minutes into it, not.
    assert queries_of_a_look(NOW + timedelta(minutes=31)) == 2 + 1
    assert queries_of_a_look(NOW + timedelta(minutes=33)) == 2 + 1
    assert queries_of_a_look(NOW + timedelta(minutes=33)) == 1 + 1


def test_an_hour_with_a_call_still_open_is_read_again() -> None:
    row = request_at(NOW - timedelta(hours=3), status=CallStatus.STREAMING, cost_usd=Decimal(0))
    row.save()
    assert last_day(NOW).cost_usd == 0
    GatewayRequest.objects.update(status=CallStatus.DONE, cost_usd=Decimal("0.25"))
    assert last_day(NOW).cost_usd == Decimal("0.25")
    assert queries_of_a_look() == 1 + 1


def test_invented_model_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_GROUPS_PER_HOUR", 2)
    names = ["real", "real", "real", "other-real", "other-real", "made-up-1", "made-up-2"]
    moment = NOW - timedelta(hours=1)
    GatewayRequest.objects.bulk_create(
        request_at(moment, number, asked_model=name, answered_model="", cost_usd=Decimal("0.01"))
        for number, name in enumerate(names)
    )
    day = last_day(NOW)
    assert [(share.name, share.calls, share.cost_usd) for share in day.top_models()] == [
        ("real", 3, Decimal("0.03")), ("other models", 2, Decimal("0.02")), ("other-real", 2, Decimal("0.02")),
    ]  # fmt: skip
    assert day.calls == 7


def test_nothing_yet_is_no_error() -> None:
    day = last_day(NOW)
    assert (day.calls, day.error_rate, day.cost_usd, day.duration.p50) == (0, 0.0, Decimal(0), None)
    assert len(day.hours) == 24
