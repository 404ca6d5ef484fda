"""What a call costs: dated prices, exact arithmetic in pico-dollars (see ``models/money.py``)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase

from tikhub_app.models import ModelPrice
from tikhub_app.models.money import to_pico
from tikhub_app.models.routes import WILDCARDS
from tikhub_app.providers.facts import Usage

#: What providers answer without charge, in every dialect.
FREE_OPERATIONS = frozenset({"count_tokens"})

PER = 1_000_000
MOST_REMEMBERED_MODELS = 2_048


@dataclass(frozen=True, slots=True)
class Price:
    """One price row with its fallbacks resolved; rates in pico-dollars for one million tokens."""

    provider: str
    model: str
    effective_from: date
    input_uncached: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    image_input: int
    audio_input: int
    output_visible: int
    reasoning: int
    audio_output: int
    #: The price as it is copied onto each attempt.
    as_json: str

    @classmethod
    def of(cls, row: ModelPrice) -> Price:
        def rate(*candidates: Decimal | None) -> int:
            return to_pico(next(value for value in candidates if value is not None))

        rates = {
            "input_uncached": rate(row.input_usd),
            "cache_read": rate(row.cache_read_usd, row.input_usd),
            "cache_write_5m": rate(row.cache_write_5m_usd, row.input_usd),
            "cache_write_1h": rate(row.cache_write_1h_usd, row.cache_write_5m_usd, row.input_usd),
            "image_input": rate(row.image_input_usd, row.input_usd),
            "audio_input": rate(row.audio_input_usd, row.input_usd),
            "output_visible": rate(row.output_usd),
            "reasoning": rate(row.reasoning_usd, row.output_usd),
            "audio_output": rate(row.audio_output_usd, row.output_usd),
        }
        snapshot = {
            "provider": row.provider,
            "model": row.model,
            "effective_from": row.effective_from.isoformat(),
            "usd_per_million": {
                name: format(Decimal(value).scaleb(-12).normalize(), "f") for name, value in rates.items()
            },
        }
        return cls(row.provider, row.model, row.effective_from, **rates, as_json=json.dumps(snapshot))

    def cost_pico(self, usage: Usage) -> int:
        """Cost of one answer in pico-dollars, rounded once, half to even."""
        total = (
            usage.input_uncached * self.input_uncached
            + usage.cache_read * self.cache_read
            + usage.cache_write_5m * self.cache_write_5m
            + usage.cache_write_1h * self.cache_write_1h
            + usage.image_input * self.image_input
            + usage.audio_input * self.audio_input
            + usage.output_visible * self.output_visible
            + usage.reasoning * self.reasoning
            + usage.audio_output * self.audio_output
        )
        quotient, rest = divmod(total, PER)
        return quotient + (1 if rest * 2 > PER or (rest * 2 == PER and quotient % 2) else 0)


class PriceBook:
    """All prices; rows must come newest first."""

    def __init__(self, rows: Iterable[ModelPrice]) -> None:
        self._prices = [Price.of(row) for row in rows]
        self._found: dict[tuple[str, str, date], Price | None] = {}

    def find(self, provider: str, *models: str) -> Price | None:
        """The price in force today (UTC) of the first of the names that has one.

        Exact rows win over patterns, longer patterns over shorter, later dates over earlier.
        """
        today = datetime.now(UTC).date()
        for model in models:
            key = (provider, model, today)
            if key in self._found:
                price = self._found[key]
            else:
                price = self._search(provider, model, today)
                if len(self._found) >= MOST_REMEMBERED_MODELS:
                    self._found.clear()
                self._found[key] = price
            if price is not None:
                return price
        return None

    def _search(self, provider: str, model: str, today: date) -> Price | None:
        if not model:
            return None
        best: Price | None = None
        best_rank = (-1, -1)
        for price in self._prices:
            if price.provider != provider or price.effective_from > today:
                continue
            is_pattern = not WILDCARDS.isdisjoint(price.model)
            if fnmatchcase(model, price.model) if is_pattern else model == price.model:
                rank = (0 if is_pattern else 1, len(price.model))
                if rank > best_rank:
                    best, best_rank = price, rank
        return best

    def named_models(self) -> set[str]:
        return {price.model for price in self._prices if WILDCARDS.isdisjoint(price.model)}
