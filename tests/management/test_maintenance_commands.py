"""``tikhub_setup``, ``tikhub_reconcile``, ``tikhub_prune`` and the background tasks beside them."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone
from django.utils.module_loading import import_string
from pytest_django import Settings

from tests.gateway.ledger_rows import closed_request, open_request
from tikhub_app import tasks
from tikhub_app.gateway import worker_heartbeat
from tikhub_app.gateway.setup import SCHEDULES
from tikhub_app.models import CallStatus, GatewayRequest, RequestPayload

pytestmark = pytest.mark.django_db


def run(command: str, *arguments: str, verbosity: int = 1) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out, verbosity=verbosity)
    return out.getvalue()


def test_setup_says_what_it_did_and_that_there_was_nothing_left_to_do() -> None:
    first, second, third = run("tikhub_setup"), run("tikhub_setup"), run("tikhub_setup", verbosity=0)

    assert "schedule “tikhub: reconcile” made" in first
    assert second == "everything is set up already\n"
    assert third == ""


def test_setup_with_a_setting_that_cannot_be_used_is_a_clear_error(settings: Settings) -> None:
    settings.TIKHUB = {**settings.TIKHUB, "FIRST_KEY": "short"}

    with pytest.raises(CommandError, match="FIRST_KEY"):
        run("tikhub_setup")


def test_setup_before_migrate_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("no such table: tikhub_app_configversion")

    monkeypatch.setattr("tikhub_app.gateway.setup._make_groups", refuse)

    with pytest.raises(CommandError, match=r"no such table.*migrate"):
        run("tikhub_setup")


def test_reconcile_closes_and_counts() -> None:
    open_request()

    assert run("tikhub_reconcile").startswith("1 requests and 1 attempts closed")
    assert GatewayRequest.objects.get().status == CallStatus.INTERRUPTED


def test_prune_can_be_tried_first() -> None:
    closed_request(age=timedelta(days=31))

    assert run("tikhub_prune", "--dry-run") == "1 payloads and 0 requests would be deleted\n"
    assert RequestPayload.objects.count() == 1
    assert run("tikhub_prune") == "1 payloads and 0 requests deleted\n"
    assert not RequestPayload.objects.exists()


def test_every_schedule_names_a_task_that_exists() -> None:
    for columns in SCHEDULES.values():
        assert callable(import_string(columns["func"]))


def test_tasks_may_run_twice_and_leave_a_sign_of_life() -> None:
    assert worker_heartbeat.is_overdue()
    open_request()
    closed_request(age=timedelta(days=31))

    assert tasks.reconcile().startswith("1 requests and 1 attempts closed")
    assert tasks.reconcile().startswith("0 requests and 0 attempts closed")
    assert tasks.prune().startswith("1 payloads and 0 requests deleted")
    assert tasks.prune().startswith("0 payloads and 0 requests deleted")

    assert not worker_heartbeat.is_overdue()
    assert worker_heartbeat.is_overdue(timezone.now() + timedelta(minutes=4))
