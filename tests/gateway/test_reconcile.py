"""Closing what killed processes left open: each row once, never a row of a living process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.gateway.ledger_rows import RESERVED, closed_request, open_request, running_process, this_process
from tests.services import REPOSITORY
from tikhub_app.gateway import reconcile
from tikhub_app.gateway.process_identity import birth_marker
from tikhub_app.gateway.reconcile import ReconcileReport, close_abandoned, count_abandoned
from tikhub_app.models import Attempt, CallStatus, GatewayProcess, GatewayRequest, UsageSource

STALE = timedelta(seconds=31)


def a_dead_birth() -> tuple[int, str]:
    """Process id and birth marker of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    birth = birth_marker(child.pid)
    child.communicate(b"\n")
    return child.pid, birth


@pytest.mark.django_db
class TestWhoIsDead:
    @pytest.mark.parametrize("case", ["no row", "stopped", "silent", "born elsewhere"])
    def test_rows_of_dead_processes_are_closed(self, case: str) -> None:
        if case == "stopped":
            this_process(stopped_at=timezone.now())
        elif case == "silent":
            running_process(hostname="elsewhere", heartbeat_at=timezone.now() - STALE)
        elif case == "born elsewhere":
            pid, birth = a_dead_birth()
            running_process(pid=pid, birth=birth)
        request = open_request()

        assert count_abandoned() == 1
        assert close_abandoned() == ReconcileReport(requests=1, attempts=1)

        request.refresh_from_db()
        assert request.status == CallStatus.INTERRUPTED

    @pytest.mark.parametrize("where", ["here", "elsewhere"])
    def test_rows_of_living_processes_are_never_touched(self, where: str) -> None:
        if where == "here":
            this_process()
        else:
            running_process(hostname="elsewhere", pid=1, birth="boot:1:1")
        request = open_request(status=CallStatus.STREAMING)

        assert count_abandoned() == 0
        assert close_abandoned() == ReconcileReport()

        request.refresh_from_db()
        assert request.status == CallStatus.STREAMING
        assert Attempt.objects.get().status == CallStatus.STARTED

    def test_process_rows_go_a_week_after_their_end_and_not_before(self) -> None:
        running_process(1, hostname="elsewhere", heartbeat_at=timezone.now() - timedelta(days=6))
        running_process(2, hostname="elsewhere", heartbeat_at=timezone.now() - timedelta(days=8))

        assert close_abandoned().processes_removed == 1

        assert GatewayProcess.objects.get().pk == 1


@pytest.mark.django_db
class TestWhatIsWritten:
    def test_an_open_attempt_costs_what_was_reserved_flagged(self) -> None:
        request = open_request()
        moment = timezone.now()

        close_abandoned(moment)

        request.refresh_from_db()
        attempt = Attempt.objects.get()
        for row in (request, attempt):
            assert row.status == CallStatus.INTERRUPTED
            assert row.error_code == "process_died"
            assert row.reconciled_at == moment
            assert row.cost_usd == RESERVED
            assert row.cost_is_estimate is True
            assert row.usage_source == UsageSource.NONE
            assert row.duration_ms is None

    def test_the_cost_of_a_request_is_the_sum_over_its_attempts(self) -> None:
        request = open_request(attempts=2)
        request.attempts.filter(number=1).update(
            cost_usd=Decimal("0.000000000001"),
            usage_source=UsageSource.PROVIDER,
            input_uncached=7,
            cache_read=3,
            reasoning=5,
        )

        close_abandoned()

        request.refresh_from_db()
        assert request.cost_usd == RESERVED + Decimal("0.000000000001")
        assert (request.input_tokens, request.output_tokens, request.total_tokens) == (10, 5, 15)
        assert (request.input_uncached, request.cache_read, request.reasoning) == (7, 3, 5)
        assert request.usage_source == UsageSource.NONE
        assert request.attempts.get(number=1).status == CallStatus.FAILED

    def test_a_request_whose_attempts_are_closed_takes_over_what_they_know(self) -> None:
        request = open_request()
        request.attempts.update(
            status=CallStatus.DONE, cost_usd=Decimal("0.1"), usage_source=UsageSource.PROVIDER, input_uncached=7
        )

        assert close_abandoned() == ReconcileReport(requests=1, attempts=0)

        request.refresh_from_db()
        assert request.status == CallStatus.INTERRUPTED
        assert (request.cost_usd, request.cost_is_estimate) == (Decimal("0.1"), False)
        assert (request.usage_source, request.input_tokens) == (UsageSource.PROVIDER, 7)

    def test_a_request_that_never_tried_anybody_costs_nothing(self) -> None:
        request = open_request(attempts=0)

        assert close_abandoned() == ReconcileReport(requests=1, attempts=0)

        request.refresh_from_db()
        assert (request.cost_usd, request.cost_is_estimate) == (Decimal(0), False)

    def test_closed_rows_stay_as_they_are(self) -> None:
        request = closed_request(cost_usd=Decimal("0.1"), process_id=99)
        before = GatewayRequest.objects.values().get(pk=request.pk), Attempt.objects.values().get()

        assert close_abandoned() == ReconcileReport()

        assert (GatewayRequest.objects.values().get(pk=request.pk), Attempt.objects.values().get()) == before

    def test_a_second_run_finds_nothing(self) -> None:
        open_request()
        close_abandoned()
        before = GatewayRequest.objects.values().get()

        assert close_abandoned(timezone.now() + timedelta(minutes=1)) == ReconcileReport()
        assert GatewayRequest.objects.values().get() == before


@pytest.mark.django_db
class TestOrphanedAttempts:
    """Attempts that are open although their request is closed."""

    def test_the_attempt_gets_the_part_of_the_cost_that_is_not_accounted_for(self) -> None:
        request = open_request(
            attempts=2, status=CallStatus.DONE, cost_usd=Decimal("0.3"), usage_source=UsageSource.PROVIDER
        )
        request.attempts.filter(number=1).update(cost_usd=Decimal("0.1"))

        assert close_abandoned() == ReconcileReport(attempts=1)

        request.refresh_from_db()
        assert (request.status, request.cost_usd, request.reconciled_at) == (CallStatus.DONE, Decimal("0.3"), None)
        healed = request.attempts.get(number=2)
        assert (healed.status, healed.cost_usd) == (CallStatus.INTERRUPTED, Decimal("0.2"))
        assert healed.cost_is_estimate is True

    def test_where_the_request_knows_no_usage_the_reserve_is_charged_on_both(self) -> None:
        request = open_request(status=CallStatus.FAILED)

        assert close_abandoned().attempts == 1

        request.refresh_from_db()
        assert (request.cost_usd, request.cost_is_estimate) == (RESERVED, True)
        assert request.reconciled_at is not None
        assert request.attempts.get().cost_usd == RESERVED

    def test_those_of_living_processes_are_left_alone(self) -> None:
        this_process()
        open_request(status=CallStatus.DONE)

        assert close_abandoned() == ReconcileReport()

    def test_the_minutely_run_looks_back_an_hour_and_a_full_run_at_everything(self) -> None:
        open_request(status=CallStatus.DONE, at=timezone.now() - timedelta(hours=2))

        assert close_abandoned().attempts == 0
        assert close_abandoned(orphans_since=None).attempts == 1


@pytest.mark.django_db
def test_many_rows_are_closed_in_batches(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(reconcile, "BATCH", 10)
    for _ in range(25):
        open_request(attempts=2)

    # Each request is one UPDATE; each batch has a handful of statements of its own.
    with django_assert_max_num_queries(25 + 3 * 6 + 6):
        report = close_abandoned()

    assert (report.requests, report.attempts) == (25, 25)


FILL = """
import django; django.setup()
from django.db import transaction
from tests.gateway.ledger_rows import open_request
with transaction.atomic():
    for _ in range(600):
        open_request(process=7)
"""
RECONCILE = """
import dataclasses, json, sys, django; django.setup()
from tikhub_app.gateway import reconcile
reconcile.BATCH = 20
sys.stdin.readline()
print(json.dumps(dataclasses.asdict(reconcile.close_abandoned())))
"""
TOTAL = """
import django; django.setup()
from django.db.models import Count, Sum
from tikhub_app.models import Attempt, GatewayRequest
for model in (GatewayRequest, Attempt):
    for row in model.objects.order_by().values("status").annotate(rows=Count("pk"), cost=Sum("cost_usd")):
        print(row["status"], row["rows"], row["cost"])
"""


def test_simultaneous_reconcilers_close_each_row_exactly_once(database_url: str) -> None:
    environment = os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}

    def start(script: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def output(process: subprocess.Popen[str]) -> str:
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        return printed

    output(start(FILL))
    reconcilers = [start(RECONCILE) for _ in range(3)]
    for process in reconcilers:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    reports = [json.loads(output(process)) for process in reconcilers]

    assert sum(report["requests"] for report in reports) == 600
    assert sum(report["attempts"] for report in reports) == 600
    assert output(start(TOTAL)).splitlines() == ["interrupted 600 150.000000000000"] * 2
