"""``/api/v1/requests/``: the ledger, for reading."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tikhub_app.api.records.filters import RequestFilter
from tikhub_app.api.records.request_serializers import (
    AttemptSerializer,
    GatewayRequestDetailSerializer,
    GatewayRequestSerializer,
    RequestPayloadSerializer,
)
from tikhub_app.api.records.viewset import RecordViewSet
from tikhub_app.api.rest import documented
from tikhub_app.conf import settings
from tikhub_app.models import GatewayRequest, RequestPayload, parse_public_id
from tikhub_app.schemas import ErrorResponse

TAGS = ["Requests"]
ERRORS = {400: ErrorResponse, 401: ErrorResponse, 403: ErrorResponse}
ROW_ERRORS = {401: ErrorResponse, 403: ErrorResponse, 404: ErrorResponse}
REQUEST_ID = OpenApiParameter("request_id", str, OpenApiParameter.PATH, description="req_ and 32 hexadecimal digits.")


class RequestViewSet(RecordViewSet):
    """Calls that passed the gateway."""

    serializer_class = GatewayRequestSerializer
    filterset_class = RequestFilter
    http_method_names = ["get", "head"]
    queryset = GatewayRequest.objects.all()
    lookup_field = "request_id"

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().using(settings.DATABASE)

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return self.authority.narrow(rows, "view_gatewayrequest")

    def get_object(self) -> GatewayRequest:
        identifier = parse_public_id("req", self.kwargs["request_id"])
        row: GatewayRequest | None = self.get_queryset().filter(pk=identifier).first() if identifier else None
        if row is None:
            raise exceptions.NotFound("There is no such request.")
        return row

    @documented(tags=TAGS, summary="List requests", responses={200: GatewayRequestSerializer(many=True), **ERRORS})
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @documented(
        tags=TAGS,
        summary="Retrieve a request",
        parameters=[REQUEST_ID],
        responses={200: GatewayRequestDetailSerializer, **ROW_ERRORS},
    )
    def retrieve(self, request: Request, request_id: str) -> Response:
        return Response(GatewayRequestDetailSerializer(self.get_object()).data)

    @documented(
        tags=TAGS,
        summary="List the attempts of a request",
        parameters=[REQUEST_ID],
        responses={200: AttemptSerializer(many=True), **ROW_ERRORS},
    )
    @action(detail=True, pagination_class=None, filterset_class=None, filter_backends=())
    def attempts(self, request: Request, request_id: str) -> Response:
        return Response(AttemptSerializer(self.get_object().attempts.all(), many=True).data)

    @documented(
        tags=TAGS,
        summary="Retrieve the payload of a request",
        description="Prompt and answer. For the owner of the key, and holders of the permission to view payloads.",
        parameters=[REQUEST_ID],
        responses={200: RequestPayloadSerializer, **ROW_ERRORS},
    )
    @action(detail=True)
    def payload(self, request: Request, request_id: str) -> Response:
        row = self.get_object()
        if not self.authority.may_read_payload(row):
            raise exceptions.PermissionDenied("You may not read payloads.", code="not_allowed")
        found = RequestPayload.objects.using(settings.DATABASE).filter(pk=row.pk).first()
        if found is None:
            raise exceptions.NotFound("No payload was kept of this request.", code="no_payload")
        return Response(RequestPayloadSerializer(found).data)
