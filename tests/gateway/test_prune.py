"""Deleting payloads and requests beyond their retention."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import Settings

from tests.gateway.ledger_rows import closed_request, open_request
from tikhub_app.gateway import prune as prune_module
from tikhub_app.gateway.prune import PruneReport, prune
from tikhub_app.models import (
    Attempt,
    CallStatus,
    ContentFilterResult,
    FilterSide,
    GatewayRequest,
    RequestPayload,
)

pytestmark = pytest.mark.django_db


def retain(settings: Settings, *, payloads: int | None, requests: int | None) -> None:
    settings.TIKHUB = {**settings.TIKHUB, "PAYLOAD_RETENTION_DAYS": payloads, "REQUEST_RETENTION_DAYS": requests}


def test_payloads_go_and_their_requests_stay(settings: Settings) -> None:
    retain(settings, payloads=30, requests=None)
    old = closed_request(age=timedelta(days=31))
    young = closed_request(age=timedelta(days=29))

    assert prune() == PruneReport(payloads=1)

    assert list(RequestPayload.objects.values_list("request_id", flat=True)) == [young.pk]
    assert set(GatewayRequest.objects.values_list("pk", flat=True)) == {old.pk, young.pk}
    assert Attempt.objects.count() == 2


def test_a_request_goes_with_everything_that_belongs_to_it(settings: Settings) -> None:
    retain(settings, payloads=30, requests=90)
    for age in (91, 89):
        request = closed_request(age=timedelta(days=age))
        ContentFilterResult.objects.create(request=request, side=FilterSide.PROMPT, category="hate", vendor="openai")

    assert prune() == PruneReport(payloads=2, requests=1)

    assert GatewayRequest.objects.get() == request
    assert Attempt.objects.get().request_id == request.pk
    assert ContentFilterResult.objects.get().request_id == request.pk
    assert not RequestPayload.objects.exists()


def test_open_rows_stay_whatever_their_age(settings: Settings) -> None:
    retain(settings, payloads=1, requests=1)
    request = open_request(at=None, status=CallStatus.STREAMING)
    long_open = closed_request(age=timedelta(days=400))
    GatewayRequest.objects.filter(pk=long_open.pk).update(status=CallStatus.STREAMING)

    assert prune() == PruneReport()

    assert set(GatewayRequest.objects.values_list("pk", flat=True)) == {request.pk, long_open.pk}
    assert RequestPayload.objects.count() == 1


def test_none_keeps_everything(settings: Settings) -> None:
    retain(settings, payloads=None, requests=None)
    closed_request(age=timedelta(days=10_000))

    assert prune() == PruneReport()
    assert prune(dry_run=True) == PruneReport()
    assert RequestPayload.objects.count() == 1


def test_a_dry_run_counts_what_a_run_deletes(settings: Settings) -> None:
    retain(settings, payloads=30, requests=60)
    for age in (10, 40, 50, 70):
        closed_request(age=timedelta(days=age))
    closed_request(age=timedelta(days=70), payload=False)

    announced = prune(dry_run=True)

    assert GatewayRequest.objects.count() == 5
    assert announced == prune() == PruneReport(payloads=3, requests=2)


def test_batches_follow_one_another_until_nothing_is_left(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_module, "BATCH", 3)
    retain(settings, payloads=5, requests=10)
    for age in (6, 6, 6, 6, 11, 11, 11, 11):
        closed_request(age=timedelta(days=age))

    assert prune() == PruneReport(payloads=8, requests=4)
    assert GatewayRequest.objects.count() == 4
