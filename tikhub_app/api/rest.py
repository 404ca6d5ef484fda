"""What all our DRF views have in common: nothing of a host's ``REST_FRAMEWORK`` settings reaches them.

DRF reads its defaults when a view class is made and its exception handler on every error; each of them is named here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import IO, Any, TypeVar

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error
from rest_framework.settings import api_settings
from rest_framework.views import APIView, set_rollback

from tikhub_app.schemas import ErrorDetail, ErrorResponse

MAX_BODY_BYTES = 1024 * 1024

_TYPES = {
    status.HTTP_401_UNAUTHORIZED: "authentication_error",
    status.HTTP_403_FORBIDDEN: "permission_error",
}


class PlainJSONRenderer(JSONRenderer):
    """UTF-8, compact, no NaN."""

    compact = True
    ensure_ascii = False
    strict = True


class BodyTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body is larger than {MAX_BODY_BYTES} bytes."
    default_code = "request_too_large"


class BoundedJSONParser(JSONParser):
    """JSON in UTF-8 of bounded size; everything else that a body can be is a 400 or 413."""

    strict = True

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> Any:  # JSON of any kind; the serializer says what it must be
        body = stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        try:
            return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        except RecursionError as error:
            raise exceptions.ParseError("The JSON is nested too deeply.", code="invalid_json") from error
        except ValueError as error:
            raise exceptions.ParseError("The body is not valid JSON.", code="invalid_json") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class FirstRenderer(DefaultContentNegotiation):
    """One form of answer whatever ``Accept`` or ``?format=`` say; never 406."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def documented(**description: Any) -> Callable[[MethodT], MethodT]:
    """``extend_schema`` that builds on drf-spectacular's schema class even where the host has set another one."""

    def decorate(method: MethodT) -> MethodT:
        kwargs = {"schema": AutoSchema, **getattr(method, "kwargs", {})}
        method.kwargs = kwargs  # type: ignore[attr-defined]  # where extend_schema looks for the class to build on
        described: MethodT = extend_schema(**description)(method)
        return described

    return decorate


class PinnedViewMixin(APIView):
    """Base of our views; subclasses set authentication and permissions."""

    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[Any] = ()
    renderer_classes: Sequence[type[BaseRenderer]] = (PlainJSONRenderer,)
    parser_classes: Sequence[type[BaseParser]] = (BoundedJSONParser,)
    throttle_classes = ()
    content_negotiation_class: type[BaseContentNegotiation] = FirstRenderer
    metadata_class = None
    versioning_class = None
    schema: Any = AutoSchema()

    def get_format_suffix(self, **kwargs: Any) -> None:
        return None

    def get_exception_handler(self) -> Any:
        return handle_exception

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def handle_exception(error: Exception, context: Any) -> Response | None:
    """One error form for all of the API; None (a 500 that Django reports) for what is our own fault."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, DjangoPermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, DjangoValidationError):
        error = exceptions.ValidationError(as_serializer_error(error))
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, exceptions.ValidationError):
        body = _describe_fields(error)
    else:
        body = ErrorDetail(message=str(error.detail), type=_type(error.status_code), param=None, code=_code(error))
    return Response(ErrorResponse(error=body).to_wire(), status=error.status_code, headers=headers)


def _type(status_code: int) -> str:
    return _TYPES.get(status_code, "invalid_request_error" if status_code < 500 else "server_error")


def _code(error: exceptions.APIException) -> str:
    code = error.get_codes()
    return code if isinstance(code, str) else error.default_code


def _describe_fields(error: exceptions.ValidationError) -> ErrorDetail:
    fields: dict[str, list[str]] = {}
    codes: list[str] = []
    _flatten(error.detail, "", fields, codes)
    name, messages = next(iter(fields.items()))
    message = f"{name}: {messages[0]}" if name else messages[0]
    named = {name: messages for name, messages in fields.items() if name}
    detail = ErrorDetail(message=message, type=_type(error.status_code), param=name or None, code=codes[0])
    return detail.model_copy(update={"fields": named}) if named else detail


def _flatten(detail: Any, name: str, fields: dict[str, list[str]], codes: list[str]) -> None:
    """Messages by dotted name; an error of the whole body has the name ""."""
    if isinstance(detail, dict):
        for key, value in detail.items():
            inner = "" if key in ("__all__", "non_field_errors", api_settings.NON_FIELD_ERRORS_KEY) else str(key)
            _flatten(value, ".".join(part for part in (name, inner) if part), fields, codes)
    elif isinstance(detail, list):
        for number, value in enumerate(detail):
            is_message = isinstance(value, str)
            _flatten(value, name if is_message else f"{name}.{number}", fields, codes)
    else:
        fields.setdefault(name, []).append(str(detail))
        codes.append(getattr(detail, "code", None) or "invalid")
