"""Open requests are found without reading the ledger."""

from __future__ import annotations

import pytest
from django.db.models import Count
from django.utils import timezone

from tests.admin.ledger_rows import request_at
from tikhub_app.gateway.open_requests import open_requests
from tikhub_app.models import CallStatus, GatewayRequest

pytestmark = pytest.mark.django_db


def test_they_are_those_whose_status_is_not_final() -> None:
    now = timezone.now()
    rows = [request_at(now, number, status=status) for number, status in enumerate(CallStatus)]
    GatewayRequest.objects.bulk_create(rows)
    assert {row.status for row in open_requests()} == {CallStatus.STARTED, CallStatus.STREAMING}


@pytest.mark.sqlite
def test_sqlite_reads_the_partial_index_and_nothing_else() -> None:
    for query in (
        open_requests().order_by("process_id").values("process_id").distinct(),
        open_requests().filter(process_id__in=[1, 2]).order_by("id"),
        open_requests().order_by().values("process_id").annotate(number=Count("*")),
    ):
        assert "USING INDEX tikhub_request_open" in query.explain()
