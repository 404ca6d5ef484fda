"""Attempts: each try at an upstream, on its request's page and in a list of its own. Read-only."""

from __future__ import annotations

from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from tikhub_app.admin import display
from tikhub_app.admin.call_columns import CallColumns, related_link
from tikhub_app.admin.console import FactsAdmin, FactsInline
from tikhub_app.admin.ledger_filters import TimeWindowFilter, UpstreamNameFilter
from tikhub_app.models import Attempt, parse_public_id, public_id


class AttemptInline(CallColumns, FactsInline):
    model = Attempt
    ordering = ("id",)
    fields = readonly_fields = (
        "shown_status", "upstream_name", "upstream_model", "http_status", "shown_error", "cost", "first_byte",
        "duration",
    )  # fmt: skip
    show_change_link = True
    verbose_name_plural = "Attempts, in order"


@admin.register(Attempt)
class AttemptAdmin(CallColumns, FactsAdmin[Attempt]):
    list_display = (
        "shown_time", "shown_status", "upstream_name", "upstream_model", "http_status", "shown_error", "duration",
        "shown_id",
    )  # fmt: skip
    list_display_links = ("shown_time", "shown_id")
    list_filter = (TimeWindowFilter, "status", UpstreamNameFilter)
    ordering = ("-id",)
    search_fields = ("upstream_request_id",)  # what is searched stands in get_search_results
    search_help_text = "A whole att_… or req_… id, or the provider's own id of a call."
    fieldsets = (
        (None, {"fields": ("attempt_id", "shown_request", "shown_status", "shown_error", "started_at", "number")}),
        ("Upstream", {"fields": ("upstream_name", "provider", "upstream_model", "upstream_request_id", "http_status")}),
        ("Tokens and cost", {"fields": ("counters", "usage_source", "cost", "shown_price")}),
        ("Time", {"fields": ("first_byte", "duration", "reconciled_at")}),
    )

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Attempt | None:
        """By UUID, and by ``att_…`` as providers know it."""
        identifier = parse_public_id("att", object_id)
        return self.get_queryset(request).filter(pk=identifier).first() if identifier else None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Attempt], search_term: str
    ) -> tuple[QuerySet[Attempt], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        identifier: UUID | None = parse_public_id("att", term) or parse_public_id("req", term)
        if identifier is not None:
            return queryset.filter(Q(pk=identifier) | Q(request_id=identifier)), False
        return queryset.filter(upstream_request_id=term), False

    @admin.display(description="Price used")
    def shown_price(self, row: Attempt) -> SafeString | str:
        return display.pretty_json(row.price)

    @admin.display(description="Id")
    def shown_id(self, row: Attempt) -> SafeString:
        return display.code(f"…{row.id.hex[-6:]}", row.attempt_id)

    @admin.display(description="Request")
    def shown_request(self, row: Attempt) -> SafeString | str:
        return related_link("tikhub_app_gatewayrequest", row.request_id, public_id("req", row.request_id))
