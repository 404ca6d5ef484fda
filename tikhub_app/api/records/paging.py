"""Pages by cursor over ids: rows that arrive meanwhile neither repeat nor hide any."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Field
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

LARGEST_INTEGER = 2**63 - 1


class IdCursorPagination(CursorPagination):
    """Newest first. ``next`` and ``previous`` are whole addresses, or null."""

    ordering = "-id"
    cursor_query_param = "cursor"
    cursor_query_description = "From `next` or `previous` of another page."
    page_size = 50
    page_size_query_param = "page_size"
    page_size_query_description = "Rows per page, 1 to 200; 50 unless given."
    max_page_size = 200
    template = None  # there is no HTML form
    _id_field: Field[Any, Any]

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        self._id_field = queryset.model._meta.pk
        return super().paginate_queryset(queryset, request, view)

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get(self.page_size_query_param, "")
        if not text:
            return self.page_size
        # Long digit strings are refused by int() itself, with ValueError too.
        size = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if not 1 <= size <= self.max_page_size:
            raise ValidationError({"page_size": f"Give a whole number from 1 to {self.max_page_size}."})
        return size

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
            if cursor is not None and cursor.position is not None:
                position = self._id_field.to_python(cursor.position)
                if isinstance(position, int) and not 0 <= position <= LARGEST_INTEGER:
                    raise ValidationError({"cursor": "This is no cursor of ours."})
        except (NotFound, DjangoValidationError) as error:
            raise ValidationError({"cursor": "This is no cursor of ours."}) from error
        return cursor

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        return parameters

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "The page of older rows."},
                "previous": {**link, "description": "The page of newer rows."},
                "results": schema,
            },
        }
