"""People, keys and ledger rows for tests of the management side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from tikhub_app.gateway.configuration import store
from tikhub_app.models import (
    ApiKey,
    Attempt,
    ContentFilterResult,
    GatewayRequest,
    KeyScope,
    RequestPayload,
    first_uuid_at,
)

MORNING = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    def make(name: str, *permissions: str, **attributes: Any) -> User:
        user = User.objects.create_user(name, password="secret", **attributes)
        for codename in permissions:
            user.user_permissions.add(Permission.objects.get(content_type__app_label="tikhub_app", codename=codename))
        return user

    return make


@pytest.fixture
def admin(make_user: Callable[..., User]) -> User:
    return make_user("admin", is_superuser=True, is_staff=True)


@pytest.fixture
def manage_key(db: None) -> str:
    """The secret of a manage key without owner, which may do everything."""
    return ApiKey.issue(name="operations", scope=KeyScope.MANAGE)[1]


@pytest.fixture
def client() -> APIClient:
    return APIClient()


@pytest.fixture
def manager(manage_key: str) -> APIClient:
    return with_key(manage_key)


def with_key(secret: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def as_user(user: User) -> APIClient:
    client = APIClient()
    client.force_login(user)
    return client


@pytest.fixture
def make_request(db: None) -> Callable[..., GatewayRequest]:
    """A finished call; ``minute`` counts from :data:`MORNING`, and the id follows the time as the ledger's do."""

    def make(minute: int = 0, **attributes: Any) -> GatewayRequest:
        started_at = MORNING + timedelta(minutes=minute)
        values: dict[str, Any] = {
            "id": first_uuid_at(started_at), "started_at": started_at, "door": "asgi", "dialect": "openai_chat",
            "operation": "chat", "asked_model": "gpt-4o-mini", "answered_model": "gpt-4o-mini-2024-07-18",
            "status": "done", "http_status": 200, "upstream_name": "main", "attempts_count": 1, "input_tokens": 30,
            "output_tokens": 12, "total_tokens": 42, "input_uncached": 25, "cache_read": 5, "output_visible": 12,
            "usage_source": "provider", "cost_usd": Decimal("0.000011325000"), "first_byte_ms": 210.5,
            "duration_ms": 900.0, "tags": {"team": "a"}, "end_user": "u1",
        }  # fmt: skip
        return GatewayRequest.objects.create(**{**values, **attributes})

    return make


@pytest.fixture
def full_request(make_request: Callable[..., GatewayRequest]) -> GatewayRequest:
    """A call with two attempts, a filter result and a payload."""
    row = make_request(attempts_count=2)
    add_relations(row)
    return row


def add_relations(row: GatewayRequest) -> None:
    Attempt.objects.create(
        request=row, number=1, status="failed", upstream_name="main", provider="openai", http_status=500
    )
    last = Attempt.objects.create(
        request=row, number=2, status="done", upstream_name="spare", provider="openai", http_status=200,
        cost_usd=Decimal("0.000011325000"), price={"model": "gpt-4o-mini"},
    )  # fmt: skip
    ContentFilterResult.objects.create(
        request=row, attempt=last, side="completion", choice_index=0, category="hate", filtered=False, severity="safe",
        vendor="azure", raw={"filtered": False, "severity": "safe"},
    )  # fmt: skip
    RequestPayload.objects.create(
        request=row, policy="full", request_body='{"model": "gpt-4o-mini"}', response_body="{}"
    )


@pytest.fixture(autouse=True)
def _stop_configuration() -> Iterator[None]:
    """The poller's thread must not outlive the test that started it."""
    yield
    store.stop()
