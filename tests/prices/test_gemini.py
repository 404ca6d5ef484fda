"""The shipped prices of Gemini: which row a model's name finds, and what an answer comes to."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
import time_machine

from tikhub_app.gateway.prices_file import shipped_prices
from tikhub_app.gateway.pricing import PriceBook
from tikhub_app.models import ModelPrice
from tikhub_app.models.money import from_pico
from tikhub_app.providers.facts import Usage
from tikhub_app.providers.registry import get_provider


@pytest.fixture(scope="module")
def book() -> PriceBook:
    rows = [
        ModelPrice(provider=price.provider, model=price.model, effective_from=price.effective_from, **price.rates)
        for price in shipped_prices()
        if price.provider == "gemini"
    ]
    return PriceBook(sorted(rows, key=lambda row: row.effective_from, reverse=True))


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini-2.5-flash-lite-preview-09-2025", "gemini-2.5-flash-lite-preview*"),
        ("gemini-2.5-flash-image", "gemini-2.5-flash-image*"),
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-3-pro-preview", "gemini-3-pro-preview*"),
        ("gemini-3-flash-preview", "gemini-3-flash-preview*"),
        ("gemini-3.1-flash-lite", "gemini-3.1-flash-lite"),
        ("gemini-3.5-flash", "gemini-3.5-flash"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash-[0-9]*"),
        # Speech has a price of its own that we do not know: better none than a wrong one.
        ("gemini-2.5-pro-preview-tts", None),
        ("gemini-2.5-flash-preview-tts", None),
    ],
)
def test_a_models_name_finds_its_row(book: PriceBook, model: str, row: str | None) -> None:
    with time_machine.travel("2026-11-22"):
        found = book.find("gemini", model)
    assert (found.model if found is not None else None) == row
    assert model.startswith("gemini-")
    assert get_provider("gemini").model_patterns == ("gemini-*",)


def test_thoughts_and_sounds_and_the_cache_have_their_own_rates(book: PriceBook) -> None:
    price = book.find("gemini", "gemini-2.5-flash")
    assert price is not None
    usage = Usage(input_uncached=1_000_000, cache_read=1_000_000, audio_input=1_000_000, image_input=1_000_000)
    assert from_pico(price.cost_pico(usage)) == Decimal("0.3") + Decimal("0.03") + Decimal("1") + Decimal("0.3")
    assert from_pico(price.cost_pico(Usage(output_visible=1_000_000, reasoning=1_000_000))) == Decimal("5")


def test_a_picture_costs_what_google_says_it_does(book: PriceBook) -> None:
    """ "$0.039 per image": 1290 tokens at 30 dollars a million; thinking is priced as text."""
    price = book.find("gemini", "gemini-2.5-flash-image")
    assert price is not None
    assert from_pico(price.cost_pico(Usage(output_visible=1290))) == Decimal("0.0387")
    assert price.reasoning < price.output_visible


def test_an_introductory_price_ends(book: PriceBook) -> None:
    with time_machine.travel("2026-12-31"):
        first = book.find("gemini", "gemini-3.6-flash")
    with time_machine.travel("2027-01-01"):
        second = book.find("gemini", "gemini-3.6-flash")
    assert first is not None
    assert second is not None
    assert second.effective_from == date(2027, 1, 1)
    assert second.output_visible == 2 * first.output_visible
