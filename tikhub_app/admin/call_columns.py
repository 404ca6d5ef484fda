"""Columns that requests and attempts have in common, and links to rows that may be gone."""

from __future__ import annotations

from django.contrib import admin
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tikhub_app.admin import display
from tikhub_app.models import Attempt, GatewayRequest


class CallColumns:
    """For admin classes, inlines included, whose rows are calls or tries."""

    @admin.display(description="Time")
    def shown_time(self, row: GatewayRequest | Attempt) -> SafeString | str:
        return display.moment(row.started_at)

    @admin.display(description="Status")
    def shown_status(self, row: GatewayRequest | Attempt) -> SafeString:
        return display.status_badge(row.status, row.error_message)

    @admin.display(description="Error")
    def shown_error(self, row: GatewayRequest | Attempt) -> str:
        return ": ".join(part for part in (row.error_code, row.error_message) if part) or "–"

    @admin.display(description="Tokens by kind")
    def counters(self, row: GatewayRequest | Attempt) -> str:
        counted = [f"{name.replace('_', ' ')} {value:,}" for name, value in row.usage.items() if value]
        mismatch = ["the provider's own figures do not sum to its total"] if row.usage_mismatch else []
        return "; ".join(counted + mismatch) or "–"

    @admin.display(description="Cost")
    def cost(self, row: GatewayRequest | Attempt) -> str:
        if row.is_unpriced:
            return "no price known"
        return ("≈ " if row.cost_is_estimate else "") + display.usd(row.cost_usd)

    @admin.display(description="First byte")
    def first_byte(self, row: GatewayRequest | Attempt) -> str:
        return display.milliseconds(row.first_byte_ms)

    @admin.display(description="Whole")
    def duration(self, row: GatewayRequest | Attempt) -> str:
        return display.milliseconds(row.duration_ms)


def related_link(page: str, pk: object, text: str) -> SafeString | str:
    """A link to a row's page, or its text where this site has no such page."""
    try:
        return format_html('<a href="{}">{}</a>', reverse(f"admin:{page}_change", args=[pk]), text)
    except NoReverseMatch:
        return text
