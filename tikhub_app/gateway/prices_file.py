"""The price lists that are shipped with the app: ``tikhub_app/prices/<provider>.json``.

Each file says what it covers, when it was collected and, on every row, from where. The figures are a starting point:
an operator's own rows are never overwritten, and a corrected figure is shipped as a new row with a later date.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.resources import files

RATES = (
    "input_usd",
    "cache_read_usd",
    "cache_write_5m_usd",
    "cache_write_1h_usd",
    "image_input_usd",
    "audio_input_usd",
    "output_usd",
    "reasoning_usd",
    "audio_output_usd",
)


@dataclass(frozen=True, slots=True)
class ShippedPrice:
    """One row of a file. Rates are US dollars for one million tokens; those not given are left empty."""

    provider: str
    model: str
    effective_from: date
    rates: dict[str, Decimal]
    source: str


def shipped_prices() -> list[ShippedPrice]:
    """All rows of all files.

    :raises ValueError: a file is malformed; figures must be strings, because JSON numbers are binary floats.
    """
    folder = files("tikhub_app") / "prices"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))
    return [price for name in names for price in _read(name, (folder / name).read_text(encoding="utf-8"))]


def _read(name: str, text: str) -> list[ShippedPrice]:
    document = json.loads(text)
    provider: str = document["provider"]
    if name != f"{provider}.json":
        raise ValueError(f"prices/{name} is about {provider!r}")
    prices = []
    for row in document["prices"]:
        unknown = set(row) - {"model", "effective_from", "source", *RATES}
        if unknown:
            raise ValueError(f"prices/{name}: {row.get('model')} has unknown fields {sorted(unknown)}")
        figures = {field: row[field] for field in RATES if field in row}
        if not all(isinstance(figure, str) for figure in figures.values()):
            raise ValueError(f"prices/{name}: the figures of {row.get('model')} must be strings")
        prices.append(
            ShippedPrice(
                provider=provider,
                model=row["model"],
                effective_from=date.fromisoformat(row["effective_from"]),
                rates={field: Decimal(figure) for field, figure in figures.items()},
                source=row["source"],
            )
        )
    return prices
