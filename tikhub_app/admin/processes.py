"""Gateway processes and their heartbeats. Read-only."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from tikhub_app.admin import display
from tikhub_app.admin.console import FactsAdmin
from tikhub_app.gateway.open_requests import open_requests
from tikhub_app.gateway.reconcile import is_dead
from tikhub_app.models import GatewayProcess


@admin.register(GatewayProcess)
class GatewayProcessAdmin(FactsAdmin[GatewayProcess]):
    list_display = ("__str__", "shown_state", "shown_heartbeat", "shown_start", "open_rows")
    fields = ("id", "hostname", "pid", "birth", "shown_state", "heartbeat_at", "started_at", "stopped_at", "open_rows")
    ordering = ("-heartbeat_at", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[GatewayProcess]:
        open_rows = (
            open_requests()
            .filter(process_id=OuterRef("pk"))
            .order_by()
            .values("process_id")
            .annotate(number=Count("*"))
            .values("number")
        )
        return super().get_queryset(request).annotate(open_requests=Coalesce(Subquery(open_rows), 0))

    @admin.display(description="State")
    def shown_state(self, process: GatewayProcess) -> SafeString:
        if process.stopped_at:
            return display.badge("Ended", "quiet")
        dead = is_dead(process, timezone.now())
        return display.badge("Dead", "bad") if dead else display.badge("Alive", "good")

    @admin.display(description="Last sign of life")
    def shown_heartbeat(self, process: GatewayProcess) -> SafeString | str:
        return display.moment(process.heartbeat_at)

    @admin.display(description="Started")
    def shown_start(self, process: GatewayProcess) -> SafeString | str:
        return display.moment(process.started_at)

    @admin.display(description="Open requests")
    def open_rows(self, process: GatewayProcess) -> int:
        return int(getattr(process, "open_requests", 0))
