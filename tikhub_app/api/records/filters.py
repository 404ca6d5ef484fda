"""What lists can be narrowed by. A name or value that is not understood is a 400, never a longer list."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from tikhub_app.models import ApiKey, CallStatus, GatewayRequest, KeyScope, first_uuid_at, parse_public_id

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LARGEST_COUNT = 2**31 - 1
LARGEST_ID = 2**63 - 1


class KnownFiltersBackend(filters.DjangoFilterBackend):
    """Refuses parameters that the list does not have: a misspelt filter would show everything."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        paginator = view.paginator
        # DRF's usual ?format= is let through: there is one form only.
        known = {*view.filterset_class.base_filters, paginator.cursor_query_param, paginator.page_size_query_param}
        unknown = set(request.query_params) - known - {"format"}
        if unknown:
            raise ValidationError(
                {
                    name: f"There is no such parameter; there are {', '.join(sorted(known))}."
                    for name in sorted(unknown)
                },
                code="unknown_parameter",
            )
        narrowed: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return narrowed


class RequestIdField(forms.CharField):
    def clean(self, value: Any) -> UUID | None:
        text = super().clean(value)
        if not text:
            return None
        found = parse_public_id("req", text)
        if found is None:
            raise forms.ValidationError("This is no request id (req_ and 32 hexadecimal digits).", code="invalid")
        return found


@extend_schema_field(OpenApiTypes.STR)
class RequestIdFilter(filters.Filter):
    field_class = RequestIdField


@extend_schema_field({"type": "integer", "minimum": 0, "maximum": LARGEST_COUNT})
class WholeNumberFilter(filters.Filter):
    """A whole number that the column can hold."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"min_value": 0, "max_value": LARGEST_COUNT, **kwargs})


@extend_schema_field(OpenApiTypes.BOOL)
class FlagFilter(filters.TypedChoiceFilter):
    """true or false; anything else is refused, where django-filter's own would pass it over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        choices = (("true", "true"), ("false", "false"))
        super().__init__(*args, **{"choices": choices, "coerce": lambda text: text == "true", **kwargs})


class RequestFilter(filters.FilterSet):
    """Requests by what their rows say."""

    request_id = RequestIdFilter(field_name="id")
    dialect = filters.CharFilter()
    operation = filters.CharFilter()
    asked_model = filters.CharFilter()
    answered_model = filters.CharFilter()
    status = filters.ChoiceFilter(choices=CallStatus.choices)
    http_status = WholeNumberFilter()
    upstream = filters.CharFilter(field_name="upstream_name", help_text="Name of the account.")
    attempts = WholeNumberFilter(field_name="attempts_count")
    input_tokens = WholeNumberFilter()
    key = WholeNumberFilter(field_name="key_id", max_value=LARGEST_ID, help_text="Id of the key.")
    is_sandbox = FlagFilter()
    started_after = filters.IsoDateTimeFilter(method="filter_started_after", help_text="At this moment or later.")
    started_before = filters.IsoDateTimeFilter(method="filter_started_before", help_text="Before this moment.")

    class Meta:
        model = GatewayRequest
        fields: list[str] = []

    # Ids are ordered by time, so a range of time is a range of the primary key and needs no index of its own.

    def filter_started_after(self, rows: QuerySet[Any], name: str, value: datetime) -> QuerySet[Any]:
        return rows.filter(id__gte=_first_id(value))

    def filter_started_before(self, rows: QuerySet[Any], name: str, value: datetime) -> QuerySet[Any]:
        return rows.filter(id__lt=_first_id(value))


def _first_id(moment: datetime) -> UUID:
    aware = moment if timezone.is_aware(moment) else timezone.make_aware(moment)
    return first_uuid_at(max(aware, EPOCH))


class KeyFilter(filters.FilterSet):
    """Keys by what their rows say."""

    name = filters.CharFilter()
    prefix = filters.CharFilter()
    scope = filters.ChoiceFilter(choices=KeyScope.choices)
    owner = filters.CharFilter(method="filter_owner", help_text="Login name of the owner.")
    state = filters.ChoiceFilter(
        choices=[(state, state) for state in ("active", "expired", "revoked")], method="filter_state"
    )

    class Meta:
        model = ApiKey
        fields: list[str] = []

    def filter_owner(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        owner_model: type[Model] = rows.model._meta.get_field("owner").related_model
        return rows.filter(**{f"owner__{owner_model.USERNAME_FIELD}": value})  # type: ignore[attr-defined]

    def filter_state(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        if value == "revoked":
            return rows.exclude(revoked_at=None)
        past = Q(expires_at__lte=timezone.now())
        return rows.filter(past, revoked_at=None) if value == "expired" else rows.filter(revoked_at=None).exclude(past)
