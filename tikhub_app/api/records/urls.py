"""Addresses of the management REST, relative to ``/api/v1/``."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from tikhub_app.api.records.key_views import KeyViewSet
from tikhub_app.api.records.request_views import RequestViewSet

_router = SimpleRouter(trailing_slash=True)
_router.register("keys", KeyViewSet, basename="key")
_router.register("requests", RequestViewSet, basename="request")

urlpatterns = _router.urls
