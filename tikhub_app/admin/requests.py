"""Requests: one row per call of a caller. Read-only, in the order of their time-ordered ids.

A list shows the columns that were copied onto the row (key prefix, upstream name) and follows no relation; payloads
are read on a request's own page only (``payloads.py``).
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tikhub_app.admin import display
from tikhub_app.admin.attempts import AttemptInline
from tikhub_app.admin.call_columns import CallColumns, related_link
from tikhub_app.admin.console import FactsAdmin, FactsInline
from tikhub_app.admin.ledger_filters import (
    DialectFilter,
    OperationFilter,
    SandboxFilter,
    StreamFilter,
    TimeWindowFilter,
    UpstreamNameFilter,
)
from tikhub_app.admin.payloads import PayloadPages
from tikhub_app.models import Attempt, ContentFilterResult, GatewayRequest, parse_public_id


class FilterResultInline(FactsInline):
    model = ContentFilterResult
    ordering = ("id",)
    fields = readonly_fields = ("side", "choice_index", "category", "severity", "detected", "filtered", "vendor")
    verbose_name_plural = "Content filter"


@admin.register(GatewayRequest)
class GatewayRequestAdmin(CallColumns, PayloadPages, FactsAdmin[GatewayRequest]):
    list_display = (
        "shown_time", "shown_state", "shown_prefix", "shown_models", "upstream_in_list", "tokens", "cost", "timing",
        "shown_id",
    )  # fmt: skip
    list_display_links = ("shown_time", "shown_id")
    list_filter = (
        TimeWindowFilter, "status", UpstreamNameFilter, SandboxFilter, StreamFilter, OperationFilter, DialectFilter,
    )  # fmt: skip
    ordering = ("-id",)
    search_fields = ("end_user",)  # what is searched stands in get_search_results
    search_help_text = "A whole req_… or att_… id, the provider's own id of a call, or an end user, exactly as given."
    inlines = (AttemptInline, FilterResultInline)
    fieldsets = (
        (None, {"fields": ("request_id", "shown_state", "shown_error", "started_at", "models_in_words", "remarks")}),
        (
            "Caller",
            {
                "fields": (
                    ("shown_key", "shown_owner"),
                    ("end_user", "tags"),
                    ("user_agent", "client_retry"),
                    "departure",
                )
            },
        ),
        (
            "Call",
            {
                "fields": (
                    ("door", "dialect", "operation", "is_stream"),
                    ("shown_upstream", "upstream_request_id", "attempts_count"),
                    ("http_status", "finish_reason"),
                    ("request_bytes", "response_bytes"),
                )
            },
        ),
        (
            "Tokens and cost",
            {"fields": ("tokens", "counters", ("usage_source", "server_tool_calls"), ("cost", "shown_reserved"))},
        ),
        ("Time", {"fields": (("first_byte", "duration", "gateway_time"), ("process_id", "reconciled_at"))}),
    )

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> GatewayRequest | None:
        """By UUID, and by ``req_…`` as callers know it."""
        identifier = parse_public_id("req", object_id)
        return self.get_queryset(request).filter(pk=identifier).first() if identifier else None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[GatewayRequest], search_term: str
    ) -> tuple[QuerySet[GatewayRequest], bool]:
        """Exact matches only: anything else would read a ledger of millions from end to end."""
        term = search_term.strip()
        if not term:
            return queryset, False
        identifier = parse_public_id("req", term) or parse_public_id("att", term)
        if identifier is not None:
            of_attempt = Attempt.objects.filter(pk=identifier).values_list("request_id", flat=True)
            return queryset.filter(pk__in=[identifier, *of_attempt]), False
        return queryset.filter(Q(end_user=term) | Q(upstream_request_id=term)), False

    def get_urls(self) -> list[URLPattern]:
        return [*self.payload_urls(), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = (extra_context or {}) | self.payload_context(request, object_id)
        return super().change_view(request, object_id, form_url, context)

    # Columns

    @admin.display(description="Status")
    def shown_state(self, row: GatewayRequest) -> SafeString:
        http = f" {row.http_status}" if row.http_status and row.http_status >= 400 else ""
        sandbox = display.badge("Sandbox", "warn", "Answered by the sandbox") if row.is_sandbox else ""
        return format_html("{}{} {}", self.shown_status(row), http, sandbox)

    @admin.display(description="Key")
    def shown_prefix(self, row: GatewayRequest) -> SafeString | str:
        return display.key_prefix(row.key_prefix)

    @admin.display(description="Model")
    def shown_models(self, row: GatewayRequest) -> SafeString | str:
        return display.models(row.asked_model, row.answered_model)

    @admin.display(description="Upstream")
    def upstream_in_list(self, row: GatewayRequest) -> str:
        return row.upstream_name or "–"

    @admin.display(description="First byte / whole")
    def timing(self, row: GatewayRequest) -> str:
        return f"{self.first_byte(row)} / {self.duration(row)}"

    @admin.display(description="Model asked and answered")
    def models_in_words(self, row: GatewayRequest) -> str:
        return (
            row.asked_model
            if row.answered_model == row.asked_model
            else f"{row.asked_model} → {row.answered_model or 'no answer'}"
        )

    @admin.display(description="Tokens in / out")
    def tokens(self, row: GatewayRequest) -> str:
        return f"{display.count(row.input_tokens)} / {display.count(row.output_tokens)}"

    @admin.display(description="Reserved")
    def shown_reserved(self, row: GatewayRequest) -> str:
        return display.usd(row.reserved_cost_usd)

    @admin.display(description="The gateway's own time")
    def gateway_time(self, row: GatewayRequest) -> str:
        return display.milliseconds(row.gateway_ms)

    @admin.display(description="Id")
    def shown_id(self, row: GatewayRequest) -> SafeString:
        return display.code(f"…{row.id.hex[-6:]}", row.request_id)

    @admin.display(description="Remarks")
    def remarks(self, row: GatewayRequest) -> str:
        known = (
            (row.is_sandbox, "answered by the sandbox, left out of spend"),
            (row.is_unpriced, "no price is known for the model that answered"),
            (row.cost_is_estimate, "the cost is an estimate"),
            (row.reconciled_at, "closed afterwards, because its process had died"),
        )
        return "; ".join(words for applies, words in known if applies) or "none"

    # Relations may dangle: a link where there is a number, the copied name as its text

    @admin.display(description="Key")
    def shown_key(self, row: GatewayRequest) -> SafeString | str:
        return related_link("tikhub_app_apikey", row.key_id, f"{row.key_prefix}…") if row.key_id else "none"

    @admin.display(description="Owner")
    def shown_owner(self, row: GatewayRequest) -> SafeString | str:
        owner = GatewayRequest._meta.get_field("owner").related_model
        if row.owner_id is None or not isinstance(owner, type):
            return "none"
        name = f"{owner._meta.app_label}_{owner._meta.model_name}"
        return related_link(name, row.owner_id, f"user {row.owner_id}")

    @admin.display(description="Upstream")
    def shown_upstream(self, row: GatewayRequest) -> SafeString | str:
        return related_link("tikhub_app_upstream", row.upstream_id, row.upstream_name) if row.upstream_id else "none"
