"""Closing what a killed process left open, so that every accepted call ends with a status and an amount.

A row is abandoned when its process is known to be dead: it has no process row, it ended, its heartbeat is too old, or
its birth marker no longer runs on this machine. Attempts that were still open are charged with the cost reserved for
the call, flagged as an estimate, because the provider may have answered and billed them. Any number of reconcilers may
run at once, and each row is closed by one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connections, router, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from tikhub_app.conf import settings
from tikhub_app.gateway import process_identity
from tikhub_app.gateway.open_requests import open_requests
from tikhub_app.models import (
    OPEN_STATUSES,
    Attempt,
    CallStatus,
    GatewayProcess,
    GatewayRequest,
    UsageSource,
    first_uuid_at,
)

ERROR_CODE = "process_died"
ERROR_MESSAGE = "The gateway process that held this call died before the call was over."
#: Rows closed in one transaction. Writers of live calls wait for it on SQLite, so it stays short.
BATCH = 200
#: Rows of processes that ended this long ago are deleted, once they hold nothing open.
KEEP_PROCESSES = timedelta(days=7)

INPUT_COUNTERS = (
    "input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "image_input", "audio_input",
)  # fmt: skip
OUTPUT_COUNTERS = ("output_visible", "reasoning", "audio_output")


@dataclass(slots=True)
class ReconcileReport:
    """What one run closed and removed."""

    requests: int = 0
    attempts: int = 0
    processes_removed: int = 0

    def __str__(self) -> str:
        return (
            f"{self.requests} requests and {self.attempts} attempts closed, "
            f"{self.processes_removed} rows of ended processes removed"
        )


def close_abandoned(
    now: datetime | None = None, *, orphans_since: timedelta | None = timedelta(hours=1)
) -> ReconcileReport:
    """Close request and attempt rows whose process has died.

    :param now: the moment to judge heartbeats by.
    :param orphans_since: how far back to look for open attempts of requests that are closed already, which no index
        finds; None looks at the whole table.
    """
    moment = now or timezone.now()
    report = ReconcileReport()
    dead = _dead_processes(_processes_with_open_requests(), moment)
    _close_requests(dead, moment, report)
    _close_orphaned_attempts(moment, orphans_since, report)
    report.processes_removed = _remove_old_processes(moment)
    return report


def count_abandoned(now: datetime | None = None) -> int:
    """How many open requests belong to dead processes; for the doctor."""
    dead = _dead_processes(_processes_with_open_requests(), now or timezone.now())
    return _open_requests(dead).count()


def is_dead(process: GatewayProcess, moment: datetime) -> bool:
    """Whether a process has ended, as far as can be told from here."""
    if process.stopped_at is not None:
        return True
    is_alive = process_identity.is_alive(process.hostname, process.pid, process.birth)
    if is_alive is not None:
        # Seen from its own machine. A late heartbeat of a living process means a database that was away, and its
        # calls will still be finished with their true amounts.
        return not is_alive
    return process.heartbeat_at < moment - timedelta(seconds=settings.PROCESS_STALE_S)


def _processes_with_open_requests() -> list[int]:
    return list(open_requests().order_by("process_id").values_list("process_id", flat=True).distinct())


def _dead_processes(numbers: Iterable[int], moment: datetime) -> list[int]:
    """Those of the process numbers that are dead.

    The numbers must have been read from ledger rows before this reads the process rows: a process writes its own row
    first, so a number without a row is no process that is just starting.
    """
    candidates = set(numbers)
    living = {
        process.pk for process in GatewayProcess.objects.filter(pk__in=candidates) if not is_dead(process, moment)
    }
    return sorted(candidates - living)


def _open_requests(processes: Sequence[int]) -> QuerySet[GatewayRequest]:
    return open_requests().filter(process_id__in=processes)


def _close_requests(dead: Sequence[int], moment: datetime, report: ReconcileReport) -> None:
    if not dead:
        return
    alias = router.db_for_write(GatewayRequest)
    after: UUID | None = None
    while True:
        with transaction.atomic(using=alias):
            rows = _open_requests(dead).using(alias).order_by("id")
            if after is not None:
                rows = rows.filter(id__gt=after)
            batch = list(_locked(rows, alias).values_list("id", flat=True)[:BATCH])
            if not batch:
                return
            after = batch[-1]
            report.attempts += _close_attempts_of(batch, moment, alias)
            for request_id, totals in _totals(batch, alias).items():
                report.requests += (
                    GatewayRequest.objects.using(alias)
                    .filter(id=request_id, status__in=OPEN_STATUSES)
                    .update(
                        status=CallStatus.INTERRUPTED,
                        error_code=ERROR_CODE,
                        error_message=ERROR_MESSAGE,
                        reconciled_at=moment,
                        **totals,
                    )
                )


def _close_attempts_of(requests: Sequence[UUID], moment: datetime, alias: str) -> int:
    """Close the open attempts of these requests, each at the cost that was reserved for the call."""
    reserved = GatewayRequest.objects.filter(pk=OuterRef("request_id")).values("reserved_cost_usd")[:1]
    return (
        Attempt.objects.using(alias)
        .filter(request_id__in=requests, status__in=OPEN_STATUSES)
        .update(
            status=CallStatus.INTERRUPTED,
            error_code=ERROR_CODE,
            error_message=ERROR_MESSAGE,
            reconciled_at=moment,
            cost_usd=Subquery(reserved),
            cost_is_estimate=True,
            usage_source=UsageSource.NONE,
        )
    )


def _totals(requests: Sequence[UUID], alias: str) -> dict[UUID, dict[str, Any]]:
    """Columns of each request that follow from its attempts: cost, counters, and where they come from."""
    attempts: dict[UUID, list[Attempt]] = {request_id: [] for request_id in requests}
    for attempt in Attempt.objects.using(alias).filter(request_id__in=requests).order_by("id"):
        attempts[attempt.request_id].append(attempt)
    return {request_id: _sum_of(tries) for request_id, tries in attempts.items()}


def _sum_of(attempts: Sequence[Attempt]) -> dict[str, Any]:
    counters = {name: sum(attempt.usage[name] for attempt in attempts) for name in Attempt.COUNTERS}
    input_tokens = sum(counters[name] for name in INPUT_COUNTERS)
    output_tokens = sum(counters[name] for name in OUTPUT_COUNTERS)
    return counters | {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "usage_source": attempts[-1].usage_source if attempts else UsageSource.NONE,
        "usage_mismatch": any(attempt.usage_mismatch for attempt in attempts),
        "is_unpriced": any(attempt.is_unpriced for attempt in attempts),
        "cost_usd": sum((attempt.cost_usd for attempt in attempts), Decimal(0)),
        "cost_is_estimate": any(attempt.cost_is_estimate for attempt in attempts),
        "attempts_count": len(attempts),
    }


def _close_orphaned_attempts(moment: datetime, since: timedelta | None, report: ReconcileReport) -> None:
    """Close attempts that are open although their request is closed, where the request's process is dead."""
    alias = router.db_for_write(Attempt)
    orphans = Attempt.objects.using(alias).filter(status__in=OPEN_STATUSES).exclude(request__status__in=OPEN_STATUSES)
    if since is not None:
        orphans = orphans.filter(id__gte=first_uuid_at(moment - since))
    after: UUID | None = None
    while True:
        rows = orphans.order_by("id")
        if after is not None:
            rows = rows.filter(id__gt=after)
        batch = list(rows.values_list("id", "request_id", "request__process_id")[:BATCH])
        if not batch:
            return
        after = batch[-1][0]
        dead = set(_dead_processes((process for _, _, process in batch), moment))
        requests = {request_id for _, request_id, process in batch if process in dead}
        with transaction.atomic(using=alias):
            for request in _locked(GatewayRequest.objects.using(alias).filter(id__in=requests).order_by("id"), alias):
                report.attempts += _settle_orphans_of(request, moment, alias)


def _settle_orphans_of(request: GatewayRequest, moment: datetime, alias: str) -> int:
    """Give a closed request's open attempts the part of its cost that no other attempt accounts for.

    Where the request itself never learned its usage, they cost what had been reserved, as if it had been open.
    """
    closed = 0
    attempts = list(Attempt.objects.using(alias).filter(request_id=request.pk).order_by("id"))
    accounted = sum((attempt.cost_usd for attempt in attempts if attempt.status not in OPEN_STATUSES), Decimal(0))
    for attempt in attempts:
        if attempt.status not in OPEN_STATUSES:
            continue
        if request.usage_source == UsageSource.NONE:
            cost = request.reserved_cost_usd
        else:
            cost = max(request.cost_usd - accounted, Decimal(0))
        accounted += cost
        closed += (
            Attempt.objects.using(alias)
            .filter(pk=attempt.pk, status__in=OPEN_STATUSES)
            .update(
                status=CallStatus.INTERRUPTED,
                error_code=ERROR_CODE,
                error_message=ERROR_MESSAGE,
                reconciled_at=moment,
                cost_usd=cost,
                cost_is_estimate=True,
                usage_source=UsageSource.NONE,
            )
        )
    if closed and accounted != request.cost_usd:
        GatewayRequest.objects.using(alias).filter(pk=request.pk).update(
            cost_usd=accounted, cost_is_estimate=True, reconciled_at=moment
        )
    return closed


def _remove_old_processes(moment: datetime) -> int:
    old = GatewayProcess.objects.filter(heartbeat_at__lt=moment - KEEP_PROCESSES)
    busy = _processes_with_open_requests() if old.exists() else []
    removed, _ = old.exclude(pk__in=busy).delete()
    return removed


def _locked(rows: QuerySet[GatewayRequest], alias: str) -> QuerySet[GatewayRequest]:
    """The rows, locked for this transaction; those that another reconciler is closing are passed over."""
    return rows.select_for_update(skip_locked=connections[alias].features.has_select_for_update_skip_locked)
