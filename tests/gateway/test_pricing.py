"""What a call costs: exact, from the price in force today, with the row's fallbacks."""

from __future__ import annotations

import json
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from tikhub_app.gateway.pricing import Price, PriceBook
from tikhub_app.models import ModelPrice
from tikhub_app.models.money import from_pico
from tikhub_app.models.requests import UsageCounters
from tikhub_app.providers.facts import Usage


def a_price(model: str = "gpt-4o", day: str = "2025-01-01", **rates: str) -> ModelPrice:
    given: dict[str, Any] = {"input_usd": Decimal("2.5"), "output_usd": Decimal(10)}
    given |= {f"{name}_usd": Decimal(rate) for name, rate in rates.items()}
    return ModelPrice(provider="openai", model=model, effective_from=date.fromisoformat(day), **given)


def test_each_counter_has_its_rate() -> None:
    price = Price.of(
        a_price(
            input="1",
            cache_read="2",
            cache_write_5m="3",
            cache_write_1h="4",
            image_input="5",
            audio_input="6",
            output="7",
            reasoning="8",
            audio_output="9",
        )
    )
    usage = Usage(10, 200, 3_000, 40_000, 500_000, 6_000_000, 70, 800, 9_000)
    expected = (10 + 400 + 9_000 + 160_000 + 2_500_000 + 36_000_000 + 490 + 6_400 + 81_000) / Decimal(1_000_000)
    assert from_pico(price.cost_pico(usage)) == expected


def test_rates_that_are_not_given_fall_back() -> None:
    bare = Price.of(a_price())
    assert [getattr(bare, name) for name in UsageCounters.COUNTERS] == [2_500_000_000_000] * 6 + [
        10_000_000_000_000
    ] * 3
    written = Price.of(a_price(cache_write_5m="3.125"))
    assert written.cache_write_1h == 3_125_000_000_000
    free = Price.of(a_price(cache_read="0"))
    assert free.cache_read == 0


@pytest.mark.parametrize(
    ("rate", "tokens", "pico"),
    [
        ("0.000000500000", 1, 0),  # half a pico-dollar goes to the even neighbour: 0,
        ("0.000000500000", 3, 2),  # 1.5 to 2,
        ("0.000000500000", 5, 2),  # 2.5 to 2,
        ("0.000000500001", 1, 1),
        ("0.000000499999", 1, 0),
        ("0.000001", 1, 1),
    ],
)
def test_the_sum_is_rounded_once_half_to_even(rate: str, tokens: int, pico: int) -> None:
    assert Price.of(a_price(input=rate)).cost_pico(Usage(input_uncached=tokens)) == pico


RATES = st.decimals(min_value=0, max_value=1000, places=12)
TOKENS = st.integers(0, 10**8)


@settings(deadline=None)  # times are not asserted here
@given(rates=st.tuples(RATES, RATES, RATES), tokens=st.tuples(TOKENS, TOKENS, TOKENS))
def test_the_cost_is_what_decimal_arithmetic_says(rates: tuple[Decimal, ...], tokens: tuple[int, ...]) -> None:
    row = ModelPrice(
        provider="openai",
        model="m",
        effective_from=date(2025, 1, 1),
        input_usd=rates[0],
        cache_read_usd=rates[1],
        output_usd=rates[2],
    )
    usage = Usage(input_uncached=tokens[0], cache_read=tokens[1], output_visible=tokens[2])
    exact = sum((rate * count for rate, count in zip(rates, tokens, strict=True)), Decimal(0)) / 1_000_000
    expected = exact.quantize(Decimal("1e-12"), ROUND_HALF_EVEN)
    assert from_pico(Price.of(row).cost_pico(usage)) == expected


def test_the_snapshot_on_the_row_says_every_rate_and_where_it_is_from() -> None:
    assert json.loads(Price.of(a_price(cache_read="1.25", day="2025-02-03")).as_json) == {
        "provider": "openai",
        "model": "gpt-4o",
        "effective_from": "2025-02-03",
        "usd_per_million": {
            "input_uncached": "2.5",
            "cache_read": "1.25",
            "cache_write_5m": "2.5",
            "cache_write_1h": "2.5",
            "image_input": "2.5",
            "audio_input": "2.5",
            "output_visible": "10",
            "reasoning": "10",
            "audio_output": "10",
        },
    }


def a_book(*rows: ModelPrice) -> PriceBook:
    return PriceBook(sorted(rows, key=lambda row: row.effective_from, reverse=True))


def found(book: PriceBook, *models: str, provider: str = "openai") -> str | None:
    price = book.find(provider, *models)
    return f"{price.model} {price.effective_from}" if price is not None else None


def test_exact_rows_win_over_patterns_and_long_patterns_over_short_ones() -> None:
    book = a_book(a_price("gpt-*"), a_price("gpt-4o-2024-*", "2025-06-01"), a_price("gpt-4o", "2024-01-01"))
    assert found(book, "gpt-4o") == "gpt-4o 2024-01-01"
    assert found(book, "gpt-4o-2024-08-06") == "gpt-4o-2024-* 2025-06-01"
    assert found(book, "gpt-3.5-turbo") == "gpt-* 2025-01-01"
    assert found(book, "o3") is None
    assert found(book, "gpt-4o", provider="azure") is None


def test_the_first_name_that_has_a_price_counts() -> None:
    book = a_book(a_price("gpt-4o-2024-08-06"), a_price("gpt-4o"))
    assert found(book, "gpt-4o-2024-08-06", "gpt-4o") == "gpt-4o-2024-08-06 2025-01-01"
    assert found(book, "gpt-4o-2024-11-20", "gpt-4o") == "gpt-4o 2025-01-01"
    assert found(book, "", "") is None


def test_a_price_holds_from_its_day_on_in_utc() -> None:
    book = a_book(a_price(day="2025-01-01"), a_price(day="2025-06-01"), a_price(day="2026-01-01"))
    for moment, day in {
        "2024-12-31T23:59:59Z": None,
        "2025-01-01T00:00:00Z": "gpt-4o 2025-01-01",
        "2025-05-31T23:59:59Z": "gpt-4o 2025-01-01",
        "2025-06-01T00:00:00Z": "gpt-4o 2025-06-01",
        "2027-01-01T00:00:00Z": "gpt-4o 2026-01-01",
    }.items():
        with time_machine.travel(moment, tick=False):
            assert found(book, "gpt-4o") == day


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tikhub_app.gateway.pricing.MOST_REMEMBERED_MODELS", 10)
    book = a_book(a_price("gpt-*"))
    for number in range(100):
        assert found(book, f"gpt-{number}", f"other-{number}") == "gpt-* 2025-01-01"
    assert len(book._found) <= 10
