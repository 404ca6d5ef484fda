"""Base of the management viewsets."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from tikhub_app.api.records.authority import AUTHENTICATION, Authority, IsKnown
from tikhub_app.api.records.filters import KnownFiltersBackend
from tikhub_app.api.records.paging import IdCursorPagination
from tikhub_app.api.rest import PinnedViewMixin


class RecordViewSet(PinnedViewMixin, ListModelMixin, GenericViewSet[Any]):
    """Lists and shows rows; subclasses say which are visible, and add verbs."""

    authentication_classes = AUTHENTICATION
    permission_classes = (IsKnown,)
    pagination_class = IdCursorPagination
    filter_backends = (KnownFiltersBackend,)
    lookup_value_regex = "[^/]+"  # what is no id gets the same JSON 404 as an id that is not there

    @property
    def authority(self) -> Authority:
        return Authority.of(self.request)

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):  # the schema generator looks at the model only
            return super().get_queryset().none()
        return self.narrow(super().get_queryset())

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows that the caller may see."""
        raise NotImplementedError

    def show(self, row: Any) -> Response:
        return Response(self.get_serializer(row).data)
