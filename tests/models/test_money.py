"""Amounts in US dollars: exact in rows, comparisons and sums, on every database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.serializers import deserialize, serialize
from django.db.models import Sum
from hypothesis import given
from hypothesis import strategies as st

from tikhub_app.models import GatewayRequest, ModelPrice, UsdField
from tikhub_app.models.money import from_pico, to_pico

amounts = st.decimals(min_value=Decimal("-9000000"), max_value=Decimal("9000000"), places=12)


@given(amount=amounts)
def test_twelve_decimal_places_survive(amount: Decimal) -> None:
    assert from_pico(to_pico(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "pico"),
    [("0.0000000000005", 0), ("0.0000000000015", 2), ("0.0000000000025", 2), ("-0.0000000000015", -2)],
)
def test_halves_are_rounded_to_even(amount: str, pico: int) -> None:
    assert to_pico(Decimal(amount)) == pico


@pytest.mark.django_db
def test_sums_in_the_database_are_exact() -> None:
    for _ in range(10):
        GatewayRequest.objects.create(cost_usd=Decimal("0.1"), door="asgi", dialect="openai_chat", operation="chat")
    GatewayRequest.objects.create(cost_usd=Decimal("0.000000000001"), door="asgi", dialect="x", operation="chat")

    sums: dict[str, Any] = GatewayRequest.objects.aggregate(total=Sum("cost_usd"))

    assert str(sums["total"]) == "1.000000000001"
    assert GatewayRequest.objects.filter(cost_usd__gte="0.1").count() == 10


@pytest.mark.django_db
def test_empty_rates_stay_empty_and_fixtures_keep_amounts() -> None:
    ModelPrice.objects.create(provider="p", model="m", input_usd=Decimal("2.5"), output_usd="10")
    stored = list(ModelPrice.objects.values_list("input_usd", "cache_read_usd", "output_usd"))
    assert stored == [(Decimal("2.5"), None, Decimal(10))]

    written = serialize("json", ModelPrice.objects.all())
    ModelPrice.objects.all().delete()
    for restored in deserialize("json", written):
        restored.save()

    assert list(ModelPrice.objects.values_list("input_usd", "cache_read_usd", "output_usd")) == stored


def test_what_is_no_amount_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="“a lot” is not an amount"):
        UsdField().to_python("a lot")


def test_forms_show_dollars_not_pico_dollars() -> None:
    field = ModelPrice._meta.get_field("cache_read_usd").formfield()

    assert field.clean("0.000000000001") == Decimal("1E-12")
    assert field.clean("") is None
