"""Serializer fields and bases whose form does not depend on a host's settings."""

from __future__ import annotations

from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.db import models
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import ISO_8601, serializers


class TimeField(serializers.DateTimeField):
    """ISO 8601; in UTC wherever the host keeps aware times."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"format": ISO_8601, "input_formats": [ISO_8601], **kwargs})

    def default_timezone(self) -> tzinfo | None:
        return UTC if django_settings.USE_TZ else None


@extend_schema_field(
    {
        "type": "string",
        "pattern": r"^-?\d+(\.\d+)?$",
        "examples": ["0.000123450000"],
        "description": "US dollars, exact.",
    }
)
class UsdStringField(serializers.Field[Any, Any, Any, Any]):
    """An exact amount as text, because a JSON number would be read as a float."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"read_only": True, **kwargs})

    def to_representation(self, value: Any) -> str:
        return format(Decimal(value), "f")


@extend_schema_field({"type": "object", "additionalProperties": True})
class ObjectField(serializers.JSONField):
    """A JSON object that is only shown."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"read_only": True, **kwargs})


@extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
class OptionalObjectField(ObjectField):
    """The same, or null."""


@extend_schema_field({})
class AnyField(ObjectField):
    """JSON of any kind."""


@extend_schema_field(OpenApiTypes.STR)
class OwnerField(serializers.Field[Any, Any, Any, Any]):
    """A user by the name they log in with."""

    default_error_messages = {"unknown": "There is no active user of that name."}

    def to_internal_value(self, data: Any) -> Any:
        # With its validators: a NUL must not get as far as PostgreSQL.
        name = serializers.CharField().run_validation(data)
        user_model = get_user_model()
        user = user_model._default_manager.filter(**{user_model.USERNAME_FIELD: name}).first()
        if user is None or not user.is_active:
            self.fail("unknown")
        return user

    def to_representation(self, value: Any) -> str:
        return str(value.get_username())


class RowSerializer(serializers.ModelSerializer[Any]):
    """A row as it is shown. Fields that are not known, or cannot be set, are refused and not passed over."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: TimeField,
    }

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = {
                name: ["This field cannot be set here." if name in self.fields else "There is no such field."]
                for name in data
                if name not in self.fields or self.fields[name].read_only
            }
            if unknown:
                raise serializers.ValidationError(unknown, code="unknown_field")
        return super().to_internal_value(data)
