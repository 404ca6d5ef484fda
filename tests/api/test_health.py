"""Health pages: one looks at nothing, the other at everything a call needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from django.utils import timezone

from tikhub_app.api import health
from tikhub_app.gateway import worker_heartbeat
from tikhub_app.gateway.configuration import store
from tikhub_app.gateway.ledger import writer
from tikhub_app.models import GatewayProcess


def test_healthz_asks_no_database() -> None:
    answer = Client().get("/healthz")  # pytest-django fails a test that queries without leave
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.fixture
def ready(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated_aliases", set())


def failed(reason_in: str) -> str:
    """Name of the one check that fails."""
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    failures = {name: check["reason"] for name, check in answer.json()["checks"].items() if not check["ok"]}
    ((name, reason),) = failures.items()
    assert reason_in in reason
    return str(name)


@pytest.mark.usefixtures("ready")
def test_readyz_passes_with_every_check_by_name() -> None:
    answer = Client().get("/readyz")
    assert answer.status_code == 200, answer.json()
    checks = answer.json()["checks"]
    assert set(checks) == {"database", "migrations", "configuration", "ledger", "workers"}
    assert checks["configuration"]["age_s"] < 5


@pytest.mark.usefixtures("ready")
def test_a_missing_migration_is_not_ready() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'tikhub_app'")
    try:
        assert failed("manage.py migrate") == "migrations"
    finally:
        restore_migrations()


def restore_migrations() -> None:
    call_command("migrate", "tikhub_app", fake=True, verbosity=0)


@pytest.mark.usefixtures("ready")
def test_a_stale_configuration_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "age_s", lambda: 61.0)
    assert failed("61 s ago") == "configuration"


@pytest.mark.usefixtures("ready")
def test_a_ledger_that_cannot_be_written_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_fault", "disk full at /secret/place")
    assert failed("cannot be written") == "ledger"
    assert "secret" not in Client().get("/readyz").content.decode()


@pytest.mark.usefixtures("ready")
def test_silent_workers_are_not_ready_once_they_have_been_heard() -> None:
    worker_heartbeat.beat()
    assert Client().get("/readyz").status_code == 200
    GatewayProcess.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=10))
    assert failed("qcluster") == "workers"


@pytest.mark.usefixtures("ready")
def test_a_database_that_does_not_answer_is_a_503_without_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Any:
        raise OperationalError('connection to server at "db.internal", user "root" failed')

    monkeypatch.setitem(health.CHECKS, "database", refuse)
    assert failed("OperationalError") == "database"
    assert "db.internal" not in Client().get("/readyz").content.decode()


def test_neither_page_opens_a_transaction_in_an_atomic_host() -> None:
    for view in (health.healthz, health.readyz):
        assert "default" in view._non_atomic_requests  # type: ignore[attr-defined]


@pytest.mark.parametrize("address", ["/healthz", "/metrics", "/api/docs/", "/api/schema/"])
def test_a_host_that_asks_for_a_login_everywhere_does_not_hide_them(address: str, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert Client().get(address).status_code == 200
