"""Requests that are not over, found by the partial index that holds only them.

SQLite uses a partial index only where it can read in the statement itself that the rows wanted are among the index's;
with the statuses as parameters it reads the whole ledger (0.9 s instead of 0.1 ms at a million rows).
"""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, QuerySet, Value

from tikhub_app.models import OPEN_STATUSES, GatewayRequest


class WrittenStatus(Value):
    """A status of ours written into the statement. Not for values from anywhere else."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return f"'{self.value}'", ()


def open_requests() -> QuerySet[GatewayRequest]:
    """All requests in progress, and those that a dead process left so."""
    statuses = [WrittenStatus(str(status), output_field=CharField()) for status in OPEN_STATUSES]
    return GatewayRequest.objects.filter(status__in=statuses)
