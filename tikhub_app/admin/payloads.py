"""Prompts and answers, on their request's own page only, folded away, for those with a permission of their own.

What stands in them was written by callers and models: it is escaped in the page, and the raw download is an
attachment of a type that no browser opens in place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path

from tikhub_app.admin.console import FactsAdmin, may
from tikhub_app.models import GatewayRequest, RequestPayload, parse_public_id

if TYPE_CHECKING:
    _Admin = FactsAdmin[GatewayRequest]
else:
    _Admin = object

PERMISSION = "view_requestpayload"
#: Characters of one side shown in the page; the download has all of it.
SHOWN_CHARACTERS = 20_000
SIDES = ("request", "response")


@dataclass(frozen=True)
class ShownSide:
    """One half of a payload as the page shows it."""

    side: str
    title: str
    text: str
    characters: int
    is_shortened: bool


class PayloadPages(_Admin):
    """The payload part of a request's page, and the downloads behind it."""

    change_form_template = "tikhub_app/admin/gatewayrequest_change_form.html"

    def payload_urls(self) -> list[URLPattern]:
        download = self.admin_site.admin_view(self.payload_view)
        return [path("<uuid:pk>/payload/<str:side>/", download, name="tikhub_app_gatewayrequest_payload")]

    def payload_context(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """What the template needs; nothing is read for those who may not see it."""
        if not (may(request, PERMISSION) and self.has_view_permission(request)):
            return {"payload_permitted": False}
        identifier = parse_public_id("req", object_id)
        payload = RequestPayload.objects.filter(pk=identifier).first() if identifier else None
        return {
            "payload_permitted": True,
            "payload": payload,
            "payload_sides": shown_sides(payload) if payload else (),
        }

    def payload_view(self, request: HttpRequest, pk: UUID, side: str) -> HttpResponse:
        """One half as it was kept, byte for byte."""
        if not (may(request, PERMISSION) and self.has_view_permission(request)):
            raise PermissionDenied
        payload = RequestPayload.objects.filter(pk=pk).first()
        if payload is None or side not in SIDES:
            raise Http404
        body = payload.request_body if side == "request" else payload.response_body
        download = HttpResponse(body, content_type="application/octet-stream")
        download["Content-Disposition"] = f'attachment; filename="req_{pk.hex}-{side}.json"'
        download["X-Content-Type-Options"] = "nosniff"
        download["Cache-Control"] = "no-store, private"
        return download


def shown_sides(payload: RequestPayload) -> list[ShownSide]:
    bodies = (("request", "Prompt", payload.request_body), ("response", "Answer", payload.response_body))
    return [shown_side(side, title, body) for side, title, body in bodies if body]


def shown_side(side: str, title: str, body: str) -> ShownSide:
    """Indented where it is JSON, as it stands where it is not (a cut body, for one)."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body
    is_shortened = len(text) > SHOWN_CHARACTERS
    return ShownSide(side, title, text[:SHOWN_CHARACTERS], len(body), is_shortened)
