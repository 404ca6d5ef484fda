"""Every change of keys, upstreams, routes and prices raises the number, in the same transaction."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from tikhub_app.models import ApiKey, ConfigVersion, GatewayRequest, ModelPrice, Route, Upstream

pytestmark = pytest.mark.django_db


def version() -> int:
    return ConfigVersion.objects.filter(pk=1).values_list("version", flat=True).first() or 0


@pytest.fixture
def upstream() -> Upstream:
    return Upstream.objects.create(name="main", provider="openai", base_url="https://api.example/v1")


def price(model: str) -> ModelPrice:
    return ModelPrice(provider="openai", model=model, input_usd=1, output_usd=2)


CHANGES: dict[str, Callable[[Upstream], object]] = {
    "create": lambda upstream: Route.objects.create(pattern="b", upstream=upstream),
    "save": lambda upstream: upstream.save(),
    "save of one column": lambda upstream: upstream.save(update_fields=["enabled"]),
    "delete": lambda upstream: upstream.delete(),
    "queryset update": lambda upstream: Upstream.objects.update(enabled=False),
    "queryset delete": lambda upstream: Upstream.objects.all().delete(),
    "bulk create": lambda upstream: ModelPrice.objects.bulk_create([price("a"), price("b")]),
    "bulk update": lambda upstream: Upstream.objects.bulk_update([upstream], ["enabled"]),
    "get or create": lambda upstream: Route.objects.get_or_create(pattern="b", upstream=upstream),
    "update or create": lambda upstream: Upstream.objects.update_or_create(name="main", defaults={"enabled": False}),
    "related manager": lambda upstream: upstream.routes.update(enabled=False),
    "issue": lambda upstream: ApiKey.issue(name="a"),
    "revoke": lambda upstream: ApiKey.issue(name="a")[0].revoke(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_raises_the_number(upstream: Upstream, change: str) -> None:
    Route.objects.create(pattern="a", upstream=upstream)
    before = version()

    CHANGES[change](upstream)

    assert version() > before


def test_a_cascade_raises_the_number_and_takes_the_routes_along(upstream: Upstream) -> None:
    Route.objects.create(pattern="a", upstream=upstream)
    before = version()

    Upstream.objects.filter(pk=upstream.pk).delete()

    assert not Route.objects.exists()
    # One for the upstream, one for the route.
    assert version() >= before + 2


def test_a_change_that_is_rolled_back_leaves_the_number(upstream: Upstream) -> None:
    before = version()

    with transaction.atomic():
        upstream.save()
        transaction.set_rollback(True)

    assert version() == before


def test_facts_and_state_columns_leave_the_number(upstream: Upstream) -> None:
    before = version()

    upstream.mark(last_error="refused")
    ApiKey.objects.all().update_quietly(last_used_at=None)
    GatewayRequest.objects.create(door="asgi", dialect="openai_chat", operation="chat")
    Group.objects.create(name="others")

    assert version() == before
    upstream.refresh_from_db()
    assert upstream.last_error == "refused"
