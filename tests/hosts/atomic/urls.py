from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import include, path


def own(request: HttpRequest) -> JsonResponse:
    """A view of the host's own, which tells whether its habit is on."""
    return JsonResponse({"in_transaction": connection.in_atomic_block})


urlpatterns = [path("own/", own), path("", include("tikhub_app.urls"))]
