"""The OpenAPI 3.1 document at ``/api/schema/``: our paths only, whatever else the host documents and how."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, URLResolver
from django.utils import translation
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer, OpenApiYamlRenderer2
from drf_spectacular.settings import SPECTACULAR_DEFAULTS, patched_settings
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from tikhub_app import __version__
from tikhub_app.api.gateway_schema import SECURITY_SCHEMES
from tikhub_app.api.guides import DESCRIPTION
from tikhub_app.api.records.authority import AUTHENTICATION, Authority
from tikhub_app.api.rest import PinnedViewMixin, PlainJSONRenderer
from tikhub_app.conf import settings

SCHEMA_SETTINGS: dict[str, Any] = {
    # The host's own SPECTACULAR_SETTINGS are set aside while our document is made.
    **{
        name: value
        for name, value in SPECTACULAR_DEFAULTS.items()
        if not name.startswith("SERVE_") and name != "DEFAULT_GENERATOR_CLASS"
    },
    "TITLE": "TikHub AI Gateway",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.1",
    "DESCRIPTION": DESCRIPTION,
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # Splitting would rename ChatCompletionRequest.
    "COMPONENT_SPLIT_REQUEST": False,
    "ENFORCE_NON_BLANK_FIELDS": True,
    "APPEND_COMPONENTS": {"securitySchemes": SECURITY_SCHEMES},
    "TAGS": [
        {"name": "OpenAI", "description": "In the form of OpenAI's API."},
        {"name": "Claude", "description": "In the form of Anthropic's API."},
        {"name": "Gemini", "description": "In the form of Google's API."},
        {"name": "Models and tokens", "description": "What the providers' own SDKs ask beside."},
        {"name": "API keys", "description": "Management: who may call."},
        {"name": "Requests", "description": "Management: what was called."},
    ],
    # Choices stay with their field: the usual hook would also tear apart the enumerations of the wire schemas.
    "POSTPROCESSING_HOOKS": ["tikhub_app.api.schema.tidy"],
}


class ManagementKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How a management key stands in the document."""

    target_class = "tikhub_app.api.records.authority.ManagementKeyAuthentication"
    name = "managementKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A key of scope manage."}


def tidy(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Takes out drf-spectacular's inner marks and gives every answer a description."""
    _drop_marks(result)
    for operations in result["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                answer["description"] = answer.get("description") or HTTPStatus(int(status)).phrase
    return result


def _drop_marks(node: Any) -> None:
    if isinstance(node, dict):
        node.pop("x-spec-enum-id", None)
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _drop_marks(inner)


_lock = threading.Lock()
_documents: dict[int, dict[str, Any]] = {}
#: YAML takes a second of CPU to write, so what was rendered is kept; a site has one mount point, or a few.
_rendered: dict[tuple[int, str, str], str | bytes] = {}
MOST_RENDERED = 16


def build_document(patterns: Sequence[URLPattern | URLResolver]) -> dict[str, Any]:
    """The document of these paths, without ``servers``; made once per process.

    drf-spectacular's settings are global and patched meanwhile, so this must not run twice at a time.
    """
    with _lock:
        document = _documents.get(id(patterns))
        if document is None:
            with patched_settings(SCHEMA_SETTINGS), translation.override(None):
                document = _generate(patterns)
            _documents[id(patterns)] = document
        return document


def _generate(patterns: Sequence[URLPattern | URLResolver]) -> dict[str, Any]:
    generator: Any = SchemaGenerator(patterns=list(patterns))  # type: ignore[no-untyped-call]
    document: dict[str, Any] = generator.get_schema(request=None, public=True)
    return document


class SchemaNegotiation(BaseContentNegotiation):
    """JSON unless ``?format=yaml`` or an ``Accept`` that names YAML; never 406."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        wanted = request.query_params.get("format", "")
        accepted = [part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
        for renderer in renderers:
            if wanted == renderer.format or (not wanted and renderer.media_type in accepted):
                return renderer, renderer.media_type
        return renderers[0], renderers[0].media_type


class MaySeeSchema(BasePermission):
    """Everybody, or with SCHEMA_PUBLIC=False staff and management keys."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if settings.SCHEMA_PUBLIC:
            return True
        authority = Authority.of(request)
        return authority.key is not None or bool(getattr(authority.user, "is_staff", False))


class SchemaView(PinnedViewMixin):
    """The document, with the address at which it was asked for as its server."""

    authentication_classes = AUTHENTICATION
    permission_classes = (MaySeeSchema,)
    content_negotiation_class = SchemaNegotiation
    renderer_classes = (OpenApiJsonRenderer2, OpenApiYamlRenderer2, OpenApiYamlRenderer)
    schema = None  # it does not describe itself
    documented_urlpatterns: Sequence[URLPattern | URLResolver] = ()

    def get_authenticators(self) -> list[Any]:
        # A key that is wrong here must not keep anybody from a public document.
        return [] if settings.SCHEMA_PUBLIC else super().get_authenticators()

    def get(self, request: Request) -> HttpResponse:
        mounted_at = request.path.removesuffix("api/schema/").rstrip("/")
        renderer = request.accepted_renderer
        key = (id(self.documented_urlpatterns), mounted_at, renderer.media_type)
        if key not in _rendered:
            document = {**build_document(self.documented_urlpatterns), "servers": [{"url": mounted_at or "/"}]}
            if len(_rendered) >= MOST_RENDERED:
                _rendered.clear()
            _rendered[key] = renderer.render(document, renderer_context={})
        return HttpResponse(_rendered[key], content_type=renderer.media_type)

    def handle_exception(self, exc: Exception) -> Response:
        self.request.accepted_renderer = PlainJSONRenderer()
        self.request.accepted_media_type = PlainJSONRenderer.media_type
        return super().handle_exception(exc)
