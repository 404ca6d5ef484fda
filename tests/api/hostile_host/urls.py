"""The app, deeper down."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("ai/", include("tikhub_app.urls"))]
