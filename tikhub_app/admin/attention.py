"""What the landing page says before any figure: what is missing, what fails, and that the sandbox answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from django.db import router
from django.http import HttpRequest
from django.urls import reverse

from tikhub_app.admin import display
from tikhub_app.admin.console import may
from tikhub_app.conf import settings
from tikhub_app.gateway.reconcile import count_abandoned
from tikhub_app.gateway.snapshot import load_snapshot
from tikhub_app.gateway.statistics import Day
from tikhub_app.models import ApiKey, Route, Upstream

MOST_NAMES = 5


@dataclass(frozen=True)
class Note:
    """One sentence, and where to act on it (for those who may)."""

    tone: Literal["bad", "warn", "quiet"]
    text: str
    link: str = ""
    link_text: str = ""


def notes(request: HttpRequest, day: Day) -> list[Note]:
    """The most pressing first."""
    return [*_about_upstreams(request), *_about_dead_processes(), *_about_prices(request, day), *_first_steps(request)]


def _about_upstreams(request: HttpRequest) -> Iterator[Note]:
    upstreams = list(Upstream.all_rows().filter(enabled=True))
    if settings.SANDBOX or any(upstream.is_sandbox for upstream in upstreams):
        yield Note(
            "warn",
            "Answers come from the sandbox wherever no upstream of yours serves a model. They are made up, cost "
            "nothing and are left out of spend.",
            *_action(request, "add_upstream", "admin:tikhub_app_upstream_add", "Add your own API key"),
        )
    changelist = _action(request, "view_upstream", "admin:tikhub_app_upstream_changelist", "Upstreams")
    for upstream in upstreams:
        if upstream.auth_failed_at:
            since = display.clock(upstream.auth_failed_at)
            page = _action(request, "view_upstream", "admin:tikhub_app_upstream_change", "Look", upstream.pk)
            yield Note("bad", f"The provider refuses the API key of {upstream} (last at {since}).", *page)
    routes = load_snapshot(0, router.db_for_read(Route)).routes
    for fault in sorted({route.upstream.fault for route in routes} - {""})[:MOST_NAMES]:
        yield Note("bad", fault, *changelist)


def _about_dead_processes() -> Iterator[Note]:
    if abandoned := count_abandoned():
        calls = "1 call is" if abandoned == 1 else f"{abandoned:,} calls are"
        yield Note(
            "warn",
            f"{calls} still open although the gateway process has died. The background task “tikhub: reconcile” "
            "closes such calls within a minute or two; if it does not, run manage.py tikhub_reconcile.",
        )


def _about_prices(request: HttpRequest, day: Day) -> Iterator[Note]:
    unpriced = [] if day.is_sandbox else day.unpriced_models()
    if unpriced:
        names = ", ".join(share.name for share in unpriced[:MOST_NAMES])
        more = f" and {len(unpriced) - MOST_NAMES} more" if len(unpriced) > MOST_NAMES else ""
        calls = sum(share.calls for share in unpriced)
        text = f"No price is known for {names}{more}: {calls:,} call{'' if calls == 1 else 's'} missing from the spend."
        yield Note("warn", text, *_action(request, "add_modelprice", "admin:tikhub_app_modelprice_add", "Add a price"))


def _first_steps(request: HttpRequest) -> Iterator[Note]:
    if not Upstream.all_rows().exists():
        page = _action(request, "add_upstream", "admin:tikhub_app_upstream_add", "Add your API key")
        yield Note("warn", "There is no upstream yet, so no model can be called.", *page)
    elif not Route.all_rows().filter(enabled=True, upstream__enabled=True).exists():
        page = _action(request, "add_route", "admin:tikhub_app_route_add", "Add a route")
        yield Note("warn", "No route leads to an enabled upstream, so no model can be called.", *page)
    if not ApiKey.objects.active().exists():
        page = _action(request, "add_apikey", "admin:tikhub_app_apikey_add", "Create a key")
        yield Note("warn", "There is no active gateway key, so nobody can call.", *page)


def _action(request: HttpRequest, permission: str, page: str, words: str, *args: object) -> tuple[str, str]:
    return (reverse(page, args=args), words) if may(request, permission) else ("", "")
