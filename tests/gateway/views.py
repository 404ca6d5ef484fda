"""Routes, accounts and callers as the gateway holds them in memory, made without a database."""

from __future__ import annotations

from typing import Any

from tikhub_app.gateway.configuration import Principal
from tikhub_app.gateway.pricing import PriceBook
from tikhub_app.gateway.snapshot import RouteView, Snapshot, UpstreamView
from tikhub_app.models.routes import WILDCARDS
from tikhub_app.providers.base import Account
from tikhub_app.providers.registry import get_provider


def an_upstream(number: int = 1, **fields: Any) -> UpstreamView:
    given: dict[str, Any] = {
        "provider": get_provider("openai"),
        "account": Account("http://127.0.0.1:9/v1", "sk-1"),
        "is_sandbox": False,
    }
    return UpstreamView(upstream_id=number, name=f"upstream-{number}", **given | fields)


def a_route(pattern: str, upstream: UpstreamView | None = None, **fields: Any) -> RouteView:
    given: dict[str, Any] = {"upstream_model": "", "priority": 100, "weight": 1} | fields
    return RouteView(pattern, not WILDCARDS.isdisjoint(pattern), upstream or an_upstream(), **given)


def a_snapshot(*routes: RouteView) -> Snapshot:
    return Snapshot(1, routes, PriceBook([]))


def a_principal(**fields: Any) -> Principal:
    given: dict[str, Any] = {
        "key_id": 1,
        "prefix": "sk-tkh-abc",
        "owner_id": None,
        "scope": "gateway",
        "allowed_models": (),
        "allowed_operations": frozenset(),
        "payload_policy": "default",
        "expires_at": None,
        "is_revoked": False,
    }
    return Principal(**given | fields)
