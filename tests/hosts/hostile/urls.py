from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Own(APIView):
    """A view of the host's own, which shows what its settings do."""

    def get(self, request: Request) -> Response:
        return Response("never reached")


def ready(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ready")


ready.login_required = False  # type: ignore[attr-defined]  # what login_not_required sets

urlpatterns = [path("own/", Own.as_view()), path("ready/", ready), path("", include("tikhub_app.urls"))]
