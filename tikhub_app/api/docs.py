"""The documentation at ``/api/docs/``: Swagger UI from our own server, nothing from elsewhere."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework.exceptions import APIException

from tikhub_app.api.atomicity import never_atomic
from tikhub_app.api.records.authority import find_management_key, presents_key
from tikhub_app.conf import settings


@never_atomic
@login_not_required
@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """For everybody, or with SCHEMA_PUBLIC=False for staff and management keys."""
    if not may_see(request):
        return render(request, "tikhub_app/api_docs_refused.html", status=403)
    response = render(request, "tikhub_app/api_docs.html")
    response.headers["Cache-Control"] = "no-store"
    return response


def may_see(request: HttpRequest) -> bool:
    if settings.SCHEMA_PUBLIC:
        return True
    if presents_key(request):
        try:
            find_management_key(request)
        except APIException:
            return False
        return True
    user = getattr(request, "user", None)
    return bool(getattr(user, "is_active", False) and getattr(user, "is_staff", False))
