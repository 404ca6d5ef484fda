"""Everything that the app serves. A host mounts it where it likes: ``path("ai/", include("tikhub_app.urls"))``."""

from __future__ import annotations

from django.apps import apps
from django.urls import URLPattern, URLResolver, include, path

from tikhub_app.api.docs import docs
from tikhub_app.api.gateway_urls import gateway_urlpatterns
from tikhub_app.api.health import healthz, readyz
from tikhub_app.api.metrics import metrics
from tikhub_app.api.records.urls import urlpatterns as record_urlpatterns
from tikhub_app.api.schema import SchemaView

app_name = "tikhub"

#: What the OpenAPI document describes.
documented_urlpatterns: list[URLPattern | URLResolver] = [
    *gateway_urlpatterns,
    path("api/v1/", include(record_urlpatterns)),
]

urlpatterns: list[URLPattern | URLResolver] = [
    *documented_urlpatterns,
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
]

# A host decides by its INSTALLED_APPS whether it serves the document, and the pages that show it.
if apps.is_installed("drf_spectacular"):
    urlpatterns.append(
        path("api/schema/", SchemaView.as_view(documented_urlpatterns=documented_urlpatterns), name="schema")
    )
    if apps.is_installed("drf_spectacular_sidecar"):
        urlpatterns.append(path("api/docs/", docs, name="docs"))
