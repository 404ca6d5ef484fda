from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from tikhub_app.api.gateway_urls import gateway_urlpatterns


def own(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"path": request.path})


urlpatterns = [
    path("own/", own),
    path("ai/", include("tikhub_app.urls")),
    # The Django door beside the ASGI door, in the same process.
    path("aside/", include((gateway_urlpatterns, "tikhub"), namespace="aside")),
]
