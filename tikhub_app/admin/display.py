"""How values look in the console: states in colour and in words, amounts, durations, times."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tikhub_app.models import CallStatus
from tikhub_app.models.key_format import PREFIX as KEY_PREFIX

Tone = Literal["good", "busy", "warn", "bad", "quiet"]

CALL_TONES: dict[str, Tone] = {
    CallStatus.STARTED: "busy",
    CallStatus.STREAMING: "busy",
    CallStatus.DONE: "good",
    CallStatus.FAILED: "bad",
    CallStatus.CLIENT_GONE: "warn",
    CallStatus.INTERRUPTED: "bad",
}


def badge(words: str, tone: Tone, title: str = "") -> SafeString:
    """A state: its words, and a colour that says the same."""
    return format_html('<span class="tikhub-badge tikhub-{}" title="{}">{}</span>', tone, title, words)


def status_badge(status: str, title: str = "") -> SafeString:
    label = str(CallStatus(status).label) if status in CallStatus.values else status
    return badge(label, CALL_TONES.get(status, "quiet"), title)


def code(text: str, title: str = "") -> SafeString:
    return format_html('<code class="tikhub-code" title="{}">{}</code>', title, text)


def key_prefix(prefix: str) -> SafeString | str:
    """The part of a key's prefix that tells it from others."""
    return code(f"{prefix.removeprefix(KEY_PREFIX)}…", prefix) if prefix else "–"


def names(values: list[str], nothing: str) -> SafeString | str:
    """A list of names on one line; the whole list is in the tooltip."""
    if not values:
        return nothing
    shown = ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")
    return format_html('<span title="{}">{}</span>', ", ".join(values), shown)


def plain_decimal(amount: Decimal) -> str:
    """Without exponent and without trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def usd(amount: Decimal | None) -> str:
    """US dollars with as many decimal places as a reader needs: cents for large amounts, four digits for small."""
    if amount is None:
        return "–"
    if not amount:
        return "$0"
    if abs(amount) >= 1:
        return f"${amount:,.2f}"
    places = min(max(3 - amount.adjusted(), 4), 12)
    return f"${plain_decimal(round(amount, places))}"


def rate(amount: Decimal | None) -> str:
    """A price for a million tokens: cents, and more places only where it has them."""
    if amount is None:
        return "–"
    text = plain_decimal(amount)
    whole, _, places = text.partition(".")
    return f"${whole}.{places.ljust(2, '0')}"


def milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.1f} ms"
    if value < 1000:
        return f"{value:.0f} ms"
    if value < 100_000:
        return f"{value / 1000:.1f} s"
    return f"{value / 60_000:.0f} min"


def count(value: int) -> str:
    return f"{value:,}"


def clock(value: datetime, *, seconds: bool = False) -> str:
    """A moment in the console's time zone, as short as it stays clear: of today only the time."""
    local, today = timezone.localtime(value), timezone.localdate()
    if local.date() == today:
        return formats.date_format(local, "H:i:s" if seconds else "H:i")
    return formats.date_format(local, "j M H:i" if local.year == today.year else "j M Y H:i")


def moment(value: datetime | None, nothing: str = "–", *, seconds: bool = True) -> SafeString | str:
    """The same as an element, with all of the moment in its tooltip."""
    if value is None:
        return nothing
    whole = f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S %Z}"
    return format_html(
        '<time class="tikhub-time" datetime="{}" title="{}">{}</time>',
        value.isoformat(),
        whole,
        clock(value, seconds=seconds),
    )


def models(asked: str, answered: str) -> SafeString:
    """The model asked for, and the one that answered where it has another name."""
    if answered and answered != asked:
        return format_html('{} <span class="quiet">→ {}</span>', asked, answered)
    return format_html("{}", asked)


def pretty_json(value: Any) -> SafeString | str:
    if value is None:
        return "none"
    return format_html('<pre class="tikhub-json">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))
