"""Tags and filters of the console's templates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template
from django.utils.safestring import SafeString

from tikhub_app.admin import display

register = template.Library()


@register.inclusion_tag("tikhub_app/admin/index_summary.html", takes_context=True)
def tikhub_summary(context: template.Context) -> dict[str, Any]:
    """The last day in figures, for an admin site's first page; nothing for those who may not view requests."""
    # Imported here: template engines import this module in hosts without Django's admin, too.
    from tikhub_app.admin.dashboard import may_view, summary

    request = context["request"]
    return summary(request) if may_view(request) else {"day": None}


@register.filter
def usd(amount: Decimal | None) -> str:
    return display.usd(amount)


@register.filter
def milliseconds(value: float | None) -> str:
    return display.milliseconds(value)


@register.filter
def thousands(value: int) -> str:
    return display.count(value)


@register.filter
def percent(value: float) -> str:
    """A share of one as a percentage, with a decimal place where it matters."""
    hundredths = value * 100
    return f"{hundredths:.0f} %" if hundredths >= 10 or not hundredths else f"{hundredths:.2g} %"


@register.filter
def call_status(status: str) -> SafeString:
    return display.status_badge(status)
