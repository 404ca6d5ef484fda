"""``/api/v1/keys/``: make, show, change, rotate and revoke gateway keys."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from rest_framework import exceptions, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tikhub_app.api.records.filters import KeyFilter
from tikhub_app.api.records.key_serializers import (
    ApiKeySerializer,
    IssuedApiKeySerializer,
    NewApiKeySerializer,
    RotationSerializer,
)
from tikhub_app.api.records.viewset import RecordViewSet
from tikhub_app.api.rest import documented
from tikhub_app.conf import settings
from tikhub_app.models import ApiKey
from tikhub_app.schemas import ErrorResponse

TAGS = ["API keys"]
ERRORS = {400: ErrorResponse, 401: ErrorResponse, 403: ErrorResponse}
ROW_ERRORS = {**ERRORS, 404: ErrorResponse}


class KeyNotActive(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "key_not_active"


class KeyViewSet(RecordViewSet):
    """Gateway keys. The secret of a key is in ``key`` of the answer that makes it, and nowhere else."""

    serializer_class = ApiKeySerializer
    filterset_class = KeyFilter
    http_method_names = ["get", "post", "patch", "head"]
    queryset = ApiKey.objects.select_related("owner")

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().using(settings.DATABASE)

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return self.authority.narrow(rows, "view_apikey")

    def get_object(self) -> ApiKey:
        text = self.kwargs["pk"]
        is_id = text.isascii() and text.isdigit() and len(text) < 19
        key: ApiKey | None = self.get_queryset().filter(pk=int(text)).first() if is_id else None
        if key is None:
            raise exceptions.NotFound("There is no such key.")
        return key

    @documented(tags=TAGS, summary="List API keys", responses={200: ApiKeySerializer(many=True), **ERRORS})
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @documented(tags=TAGS, summary="Retrieve an API key", responses={200: ApiKeySerializer, **ROW_ERRORS})
    def retrieve(self, request: Request, pk: str) -> Response:
        return self.show(self.get_object())

    @documented(
        tags=TAGS,
        summary="Create an API key",
        description="The secret is in `key` of this one answer. Needs the permission to add keys.",
        request=NewApiKeySerializer,
        responses={201: IssuedApiKeySerializer, **ERRORS},
    )
    def create(self, request: Request) -> Response:
        if not self.authority.holds("add_apikey"):
            raise exceptions.PermissionDenied("You may not make keys.", code="not_allowed")
        serializer = NewApiKeySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self._issued(*serializer.issue(self.authority))

    @documented(
        tags=TAGS,
        summary="Change an API key",
        description="Changes name, expiry, allowed models and operations or payload policy.",
        responses={200: ApiKeySerializer, **ROW_ERRORS},
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        key = self.get_object()
        if not self.authority.may_change(key):
            raise exceptions.PermissionDenied("You may not change this key.", code="not_allowed")
        serializer = self.get_serializer(key, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(serializer.data)

    @documented(
        tags=TAGS,
        summary="Revoke an API key",
        description="The key is refused everywhere within one second. Revoking it again changes nothing.",
        request=None,
        responses={200: ApiKeySerializer, **ROW_ERRORS},
    )
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        key = self._withdrawable()
        key.revoke()
        return self.show(key)

    @documented(
        tags=TAGS,
        summary="Rotate an API key",
        description="Makes a successor with the same rights; the old key ends after the overlap. The successor's "
        "secret is in `key` of this one answer.",
        request=RotationSerializer,
        responses={201: IssuedApiKeySerializer, **ROW_ERRORS, 409: ErrorResponse},
    )
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        key = self._withdrawable()
        serializer = RotationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        if key.state != "active":
            raise KeyNotActive(f"A key that is {key.state} cannot be rotated; make a new one.")
        try:
            return self._issued(*key.rotate(serializer.overlap))
        except DjangoValidationError as error:  # it expired in this moment
            raise KeyNotActive(" ".join(error.messages)) from error

    def _withdrawable(self) -> ApiKey:
        key = self.get_object()
        if not self.authority.may_withdraw(key):
            raise exceptions.PermissionDenied("You may not revoke or rotate this key.", code="not_allowed")
        return key

    def _issued(self, key: ApiKey, secret: str) -> Response:
        answer = IssuedApiKeySerializer(key, context={"secret": secret})
        return Response(answer.data, status=status.HTTP_201_CREATED)
