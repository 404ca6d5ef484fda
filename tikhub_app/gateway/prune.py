"""Deleting what has been kept long enough: payloads first, whole requests later, both by setting.

Ids of requests rise with time, so "older than" is a range of ids and each batch is found by the primary key. Calls that
are still open are left alone, whatever their age; ``reconcile`` closes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from tikhub_app.conf import settings
from tikhub_app.models import (
    OPEN_STATUSES,
    Attempt,
    ContentFilterResult,
    GatewayRequest,
    RequestPayload,
    first_uuid_at,
)

#: Requests handled in one transaction. Writers of live calls wait for it on SQLite, so it stays short.
BATCH = 500


@dataclass(slots=True)
class PruneReport:
    """How many rows went, or would go. Payloads include those that go with their request."""

    payloads: int = 0
    requests: int = 0

    def __str__(self) -> str:
        return f"{self.payloads} payloads and {self.requests} requests"


def prune(now: datetime | None = None, *, dry_run: bool = False) -> PruneReport:
    """Delete payloads and requests beyond their retention; a retention of None keeps them.

    A request goes together with its attempts, content-filter results and payload.
    """
    moment = now or timezone.now()
    requests_before = _limit(moment, settings.REQUEST_RETENTION_DAYS)
    payloads_before = _limit(moment, settings.PAYLOAD_RETENTION_DAYS)
    report = PruneReport()
    if dry_run:
        if requests_before is not None:
            report.requests = _closed_requests(requests_before).count()
        limits = [limit for limit in (requests_before, payloads_before) if limit is not None]
        report.payloads = _payloads(max(limits)).count() if limits else 0
        return report
    if requests_before is not None:
        while _prune_requests(requests_before, report):
            pass
    if payloads_before is not None:
        while _prune_payloads(payloads_before, report):
            pass
    return report


def _limit(moment: datetime, days: int | None) -> UUID | None:
    return None if days is None else first_uuid_at(moment - timedelta(days=days))


def _closed_requests(limit: UUID) -> QuerySet[GatewayRequest]:
    alias = router.db_for_write(GatewayRequest)
    return GatewayRequest.objects.using(alias).filter(id__lt=limit).exclude(status__in=OPEN_STATUSES)


def _payloads(limit: UUID) -> QuerySet[RequestPayload]:
    """Found by their own primary key: most old requests have lost theirs on an earlier day."""
    alias = router.db_for_write(GatewayRequest)
    return RequestPayload.objects.using(alias).filter(request_id__lt=limit).exclude(request__status__in=OPEN_STATUSES)


def _prune_requests(limit: UUID, report: PruneReport) -> bool:
    """Delete one batch; False when there was nothing left."""
    rows = _closed_requests(limit)
    with transaction.atomic(using=rows.db):
        batch = list(rows.order_by("id").values_list("id", flat=True)[:BATCH])
        if not batch:
            return False
        report.payloads += _delete(RequestPayload.objects.filter(request_id__in=batch), rows.db)
        _delete(ContentFilterResult.objects.filter(request_id__in=batch), rows.db)
        _delete(Attempt.objects.filter(request_id__in=batch), rows.db)
        report.requests += _delete(GatewayRequest.objects.filter(id__in=batch), rows.db)
    return True


def _prune_payloads(limit: UUID, report: PruneReport) -> bool:
    """Delete one batch; False when there was nothing left."""
    rows = _payloads(limit)
    with transaction.atomic(using=rows.db):
        batch = list(rows.order_by("request_id").values_list("request_id", flat=True)[:BATCH])
        if not batch:
            return False
        report.payloads += _delete(RequestPayload.objects.filter(request_id__in=batch), rows.db)
    return True


def _delete(rows: QuerySet[Any, Any], alias: str) -> int:
    """DELETE without loading the rows first, as ``delete()`` does where any model has a signal receiver."""
    return rows.using(alias)._raw_delete(alias)
