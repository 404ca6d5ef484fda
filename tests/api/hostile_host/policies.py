"""What the host wants of its own views."""

from __future__ import annotations

from typing import Any

from rest_framework import authentication, exceptions, negotiation, pagination, permissions, renderers, throttling


class Refuse(permissions.BasePermission):
    def has_permission(self, request: Any, view: Any) -> bool:
        return False


class AlwaysThrottled(throttling.BaseThrottle):
    def allow_request(self, request: Any, view: Any) -> bool:
        return False


class NobodyComesIn(authentication.BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        raise exceptions.AuthenticationFailed("the host's")


class NeverAcceptable(negotiation.DefaultContentNegotiation):
    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        raise exceptions.NotAcceptable


class Shouting(renderers.BaseRenderer):
    media_type, format = "text/plain", "txt"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return b"THE HOST'S"


class HostPages(pagination.PageNumberPagination):
    page_size = 1


def swallow(error: Exception, context: Any) -> Any:
    raise RuntimeError("the host's exception handler was called")


def inspector(**_: Any) -> Any:
    raise RuntimeError("the host's hook was called")
