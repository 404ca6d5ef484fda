"""What providers' content filters said. Read-only."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tikhub_app.admin import display
from tikhub_app.admin.console import FactsAdmin
from tikhub_app.models import ContentFilterResult

SEVERITY_TONES: dict[str, display.Tone] = {"safe": "good", "low": "quiet", "medium": "warn", "high": "bad"}


@admin.register(ContentFilterResult)
class ContentFilterResultAdmin(FactsAdmin[ContentFilterResult]):
    list_display = (
        "shown_time", "side", "category", "shown_severity", "shown_filtered", "shown_detected", "vendor",
        "shown_request",
    )  # fmt: skip
    list_filter = ("side", "severity", "filtered")
    search_fields = ("=category",)
    search_help_text = "A category, exactly: hate, self_harm, sexual, violence, jailbreak, …"
    ordering = ("-id",)
    fields = (
        "created_at", "shown_request", "choice_index", "side", "category", "shown_severity", "filtered", "detected",
        "vendor", "shown_raw",
    )  # fmt: skip

    @admin.display(description="Time")
    def shown_time(self, row: ContentFilterResult) -> SafeString | str:
        return display.moment(row.created_at)

    @admin.display(description="Severity")
    def shown_severity(self, row: ContentFilterResult) -> SafeString | str:
        if not row.severity:
            return "not said"
        return display.badge(row.get_severity_display() or row.severity, SEVERITY_TONES.get(row.severity, "quiet"))

    @admin.display(description="Withheld")
    def shown_filtered(self, row: ContentFilterResult) -> str:
        return said(row.filtered)

    @admin.display(description="Recognised")
    def shown_detected(self, row: ContentFilterResult) -> str:
        return said(row.detected)

    @admin.display(description="Request")
    def shown_request(self, row: ContentFilterResult) -> SafeString:
        url = reverse("admin:tikhub_app_gatewayrequest_change", args=[row.request_id])
        return format_html('<a href="{}" title="req_{}">…{}</a>', url, row.request_id.hex, row.request_id.hex[-6:])

    @admin.display(description="The vendor's own words")
    def shown_raw(self, row: ContentFilterResult) -> SafeString | str:
        return display.pretty_json(row.raw)


def said(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "not said"}[value]
