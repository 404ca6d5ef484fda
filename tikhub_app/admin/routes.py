"""Routes: priority, weight and switch in the list itself, and an answer to "which route serves this model?"."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import router
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from tikhub_app.admin import display
from tikhub_app.admin.console import ConsoleAdmin
from tikhub_app.gateway.snapshot import load_snapshot
from tikhub_app.models import Route

QUESTION = "serves"


@admin.register(Route)
class RouteAdmin(ConsoleAdmin[Route]):
    change_list_template = "tikhub_app/admin/route_change_list.html"
    list_display = ("shown_pattern", "upstream", "shown_upstream_model", "priority", "weight", "enabled")
    list_editable = ("priority", "weight", "enabled")
    list_select_related = ("upstream",)
    list_filter = ("upstream", "enabled")
    search_fields = ("pattern", "upstream_model", "upstream__name")
    fields = ("pattern", "upstream", "upstream_model", "priority", "weight", "enabled")
    ordering = ("priority", "pattern", "id")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # The list takes every other parameter for a filter and would refuse this one.
        parameters = request.GET.copy()
        asked = "".join(parameters.pop(QUESTION, [])[:1]).strip()[:200]
        request.GET = parameters  # type: ignore[assignment]
        context: dict[str, Any] = {"asked_model": asked, "question": QUESTION}
        if asked and self.has_view_or_change_permission(request):
            # The gateway's own view and order, faults included.
            context["candidates"] = load_snapshot(0, router.db_for_read(Route)).routes_for(asked)
        return super().changelist_view(request, (extra_context or {}) | context)

    @admin.display(description="Model or pattern", ordering="pattern")
    def shown_pattern(self, route: Route) -> SafeString:
        return display.code(route.pattern)

    @admin.display(description="Sent as", ordering="upstream_model")
    def shown_upstream_model(self, route: Route) -> str:
        return route.upstream_model or "same name"
