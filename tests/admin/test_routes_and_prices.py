"""Routes and prices in the console."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from tikhub_app.models import ModelPrice, PriceSource, Route, Upstream


@pytest.fixture
def upstream(db: None) -> Upstream:
    row = Upstream(name="mine", provider="openai_compatible", base_url="http://127.0.0.1:9/v1")
    row.save()
    return row


def test_priority_weight_and_switch_are_changed_in_the_list(console: Client, upstream: Upstream) -> None:
    route = Route.objects.create(pattern="gpt-*", upstream=upstream)
    console.post(
        "/admin/tikhub_app/route/",
        {
            "form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": str(route.pk), "form-0-priority": "5",
            "form-0-weight": "30", "_save": "Save",
        },
    )  # fmt: skip
    route.refresh_from_db()
    assert (route.priority, route.weight, route.enabled) == (5, 30, False)


def test_it_answers_which_route_serves_a_model(console: Client, upstream: Upstream) -> None:
    broken = Upstream.objects.create(
        name="broken", provider="openai", base_url="https://api.openai.com/v1", credential="env:NOT_SET_API_KEY"
    )
    Route.objects.create(pattern="gpt-*", upstream=upstream, priority=50)
    Route.objects.create(pattern="gpt-4o", upstream=broken, upstream_model="gpt-4o-2024-08-06", priority=50)
    Route.objects.create(pattern="gpt-4o", upstream=upstream, enabled=False, priority=1)

    page = console.get("/admin/tikhub_app/route/?serves=gpt-4o")

    order = [(route.upstream.name, route.upstream_model) for route in page.context["candidates"]]
    assert order == [("broken", "gpt-4o-2024-08-06"), ("mine", "")]
    assert "NOT_SET_API_KEY" in page.content.decode()
    assert "No enabled route" in console.get("/admin/tikhub_app/route/?serves=claude-x").content.decode()


def test_a_shipped_price_is_read_only_and_leads_to_a_row_with_a_later_date(console: Client) -> None:
    price = ModelPrice.objects.create(
        provider="openai", model="gpt-4o", effective_from=date(2025, 1, 1), input_usd=Decimal("2.5"),
        output_usd=Decimal(10), source=PriceSource.SEED,
    )  # fmt: skip
    address = f"/admin/tikhub_app/modelprice/{price.pk}/"

    page = console.get(f"{address}change/")
    assert "$2.50" in page.content.decode()
    assert 'name="input_usd"' not in page.content.decode()
    assert console.post(f"{address}change/", {"input_usd": "0"}).status_code == 403
    assert console.post(f"{address}delete/", {"post": "yes"}).status_code == 403

    successor = page.context["successor_url"]
    given = {name: values[0] for name, values in parse_qs(urlsplit(successor).query).items()}
    assert given == {"provider": "openai", "model": "gpt-4o", "input_usd": "2.5", "output_usd": "10"}
    assert 'value="2.5"' in console.get(successor).content.decode()
    console.post(urlsplit(successor).path, given | {"input_usd": "1.75", "effective_from": "2026-02-01"})
    own = ModelPrice.objects.get(effective_from=date(2026, 2, 1))
    assert (own.input_usd, own.source) == (Decimal("1.75"), PriceSource.OPERATOR)
    assert 'value="1.75"' in console.get(f"/admin/tikhub_app/modelprice/{own.pk}/change/").content.decode()


def test_a_price_below_zero_is_refused(console: Client) -> None:
    values = {"provider": "openai", "model": "x", "effective_from": "2026-02-01", "input_usd": "-1", "output_usd": "1"}
    assert console.post("/admin/tikhub_app/modelprice/add/", values).status_code == 200
    assert not ModelPrice.objects.exists()
