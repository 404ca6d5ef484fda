"""The landing page of the console: the last day in figures, and what needs attention.

It is an entry of the app's section on whatever admin site the host uses. An admin page belongs to a model, so there is
one without a table, in a registry of its own (as Django's migration recorder does it): no migration, no permission of
its own. Whoever may view requests may view it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.apps.registry import Apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from tikhub_app.admin.attention import notes
from tikhub_app.admin.console import ConsoleAdmin, may
from tikhub_app.admin.ledger_filters import hour_parameter
from tikhub_app.gateway.statistics import Day, Hour, Share, last_day, latest_errors
from tikhub_app.models import ApiKey

#: The chart's own units; the picture scales.
STEP, BAR, HEIGHT = 10, 8, 60


class Dashboard(models.Model):
    """Stands for the page; there is no such table."""

    class Meta:
        apps = Apps()
        app_label = "tikhub_app"
        managed = False
        verbose_name = verbose_name_plural = "dashboard"

    def __str__(self) -> str:
        return "dashboard"


@dataclass(frozen=True)
class Bar:
    """One hour in the chart, in its units; ``y`` is the top edge."""

    hour: Hour
    x: int
    y: float
    height: float
    error_y: float
    error_height: float
    url: str


def chart(day: Day, requests_url: str) -> list[Bar]:
    """A bar an hour; errors are the upper part of it, and visible even where there is one among thousands."""
    peak = max((hour.calls for hour in day.hours), default=0) or 1
    bars = []
    for index, hour in enumerate(day.hours):
        height = max(HEIGHT * hour.calls / peak, 1.0) if hour.calls else 0.0
        errors = min(max(HEIGHT * hour.errors / peak, 1.0), height) if hour.errors else 0.0
        query = urlencode({"last": hour_parameter(hour.starts_at), "is_sandbox": int(day.is_sandbox)})
        bars.append(
            Bar(
                hour,
                x=index * STEP + (STEP - BAR) // 2,
                y=round(HEIGHT - height + errors, 2),
                height=round(height - errors, 2),
                error_y=round(HEIGHT - height, 2),
                error_height=round(errors, 2),
                url=f"{requests_url}?{query}",
            )
        )
    return bars


def may_view(request: HttpRequest) -> bool:
    return may(request, "view_gatewayrequest")


def chosen_day(choice: str) -> Day:
    """Real calls, unless the sandbox's are asked for or there are no others."""
    day = last_day(is_sandbox=choice == "sandbox")
    if not choice and not day.calls and day.calls_left_out:
        return last_day(is_sandbox=True)
    return day


def key_names(shares: list[Share]) -> Iterator[tuple[Share, str]]:
    """Top keys with their names; a key that is gone keeps its prefix."""
    keys = ApiKey.objects.in_bulk([share.key_id for share in shares if share.key_id])
    for share in shares:
        key = keys.get(share.key_id or 0)
        yield share, key.name if key else ""


def summary(request: HttpRequest) -> dict[str, Any]:
    """What the figures' template needs, on the dashboard and on the standalone service's first page."""
    day = chosen_day(request.GET.get("calls", ""))
    requests_url = reverse("admin:tikhub_app_gatewayrequest_changelist")
    return {
        "day": day,
        "notes": notes(request, day),
        "bars": chart(day, requests_url),
        "chart_width": STEP * len(day.hours),
        "chart_height": HEIGHT,
        "bar_width": BAR,
        "requests_url": requests_url,
        "dashboard_url": reverse("admin:tikhub_dashboard"),
        "now": timezone.now(),
    }


@admin.register(Dashboard)
class DashboardAdmin(ConsoleAdmin[Dashboard]):
    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.dashboard_view)
        # The first name is what the site's list of apps links to; the second is ours.
        return [
            path("", page, name="tikhub_app_dashboard_changelist"),
            path("", page, name="tikhub_dashboard"),
        ]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Dashboard | None = None) -> bool:
        return may_view(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Dashboard | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Dashboard | None = None) -> bool:
        return False

    def dashboard_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        figures = summary(request)
        day: Day = figures["day"]
        context = {
            **self.admin_site.each_context(request),
            **figures,
            "title": "Dashboard",
            "opts": self.opts,
            "media": self.media,
            "models": day.top_models(),
            "keys": list(key_names(day.top_keys())),
            "errors": latest_errors(day),
            "may_view_keys": may(request, "view_apikey"),
        }
        return TemplateResponse(request, "tikhub_app/admin/dashboard.html", context)
