"""Filters of the ledger's lists that cost no look at the ledger: their choices come from elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from tikhub_app.models import Upstream, first_uuid_at
from tikhub_app.providers.registry import PROVIDERS

WINDOWS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
HOUR_FORMAT = "%Y-%m-%dT%HZ"


class TimeWindowFilter(admin.SimpleListFilter):
    """Rows since a moment: a range of the time-ordered primary key, so it needs no index of its own."""

    title = "time"
    parameter_name = "last"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        choices = [(window, f"Last {window}") for window in WINDOWS]
        asked = request.GET.get(self.parameter_name, "")
        if (hour := parse_hour(asked)) is not None:  # a bar of the dashboard's chart leads here
            choices.append((asked, f"Hour from {timezone.localtime(hour):%d %b %H:%M}"))
        return choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value() or ""
        if window := WINDOWS.get(asked):
            return queryset.filter(id__gte=first_uuid_at(timezone.now() - window))
        if (hour := parse_hour(asked)) is not None:
            return queryset.filter(id__gte=first_uuid_at(hour), id__lt=first_uuid_at(hour + timedelta(hours=1)))
        return queryset


def hour_parameter(hour: datetime) -> str:
    """The filter's value for one clock hour of UTC."""
    return f"{hour.astimezone(UTC):{HOUR_FORMAT}}"


def parse_hour(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, HOUR_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


class _KnownValuesFilter(admin.SimpleListFilter):
    """Exact match on a column. Django's own filter would read the whole table for its distinct values."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class _YesNoFilter(admin.SimpleListFilter):
    """A boolean column in words of its own."""

    words: tuple[str, str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(zip("01", self.words, strict=True))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value()
        return queryset.filter(**{str(self.parameter_name): asked == "1"}) if asked in ("0", "1") else queryset


class SandboxFilter(_YesNoFilter):
    title = "who answered"
    parameter_name = "is_sandbox"
    words = ("A provider", "The sandbox")


class StreamFilter(_YesNoFilter):
    title = "way of answering"
    parameter_name = "is_stream"
    words = ("At once", "Streamed")


class DialectFilter(_KnownValuesFilter):
    title = "dialect"
    parameter_name = "dialect"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = {dialect for provider in PROVIDERS.values() for dialect in provider.dialects}
        return [(name, name) for name in sorted(known)]


class OperationFilter(_KnownValuesFilter):
    title = "operation"
    parameter_name = "operation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        tables = (provider.dialects.values() for provider in PROVIDERS.values())
        known = {name for table in tables for operations in table for name in operations}
        return [(name, name) for name in sorted(known)]


class UpstreamNameFilter(_KnownValuesFilter):
    title = "upstream"
    parameter_name = "upstream_name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = Upstream.all_rows().order_by("name").values_list("name", flat=True)
        return [(name, name) for name in names[:100]]
