"""Rows of the ledger as a process leaves them behind, for tests of what is done to them later."""

from __future__ import annotations

import os
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone

from tikhub_app.gateway.process_identity import birth_marker, hostname
from tikhub_app.models import Attempt, CallStatus, GatewayProcess, GatewayRequest, RequestPayload, first_uuid_at

RESERVED = Decimal("0.25")


def running_process(number: int = 1, **columns: Any) -> GatewayProcess:
    """A process row as this process would write it for itself."""
    given = {"hostname": hostname(), "pid": 0, "birth": "", "heartbeat_at": timezone.now()} | columns
    return GatewayProcess.objects.create(pk=number, **given)


def this_process(number: int = 1, **columns: Any) -> GatewayProcess:
    """A row whose birth marker is that of the running test, so that it is alive beyond doubt."""
    return running_process(number, pid=os.getpid(), birth=birth_marker(), **columns)


def open_request(process: int = 1, *, attempts: int = 1, at: datetime | None = None, **columns: Any) -> GatewayRequest:
    """A call that was begun and never finished, with its tries: all but the last one failed."""
    moment = at or timezone.now()
    request = GatewayRequest.objects.create(
        **{
            "id": _id_at(moment),
            "started_at": moment,
            "door": "asgi",
            "dialect": "openai_chat",
            "operation": "chat",
            "asked_model": "gpt-4o",
            "reserved_cost_usd": RESERVED,
            "process_id": process,
            "attempts_count": attempts,
        }
        | columns
    )
    Attempt.objects.bulk_create(
        Attempt(
            id=_id_at(moment + timedelta(milliseconds=number)),
            request=request,
            number=number,
            status=CallStatus.STARTED if number == attempts else CallStatus.FAILED,
            started_at=moment,
        )
        for number in range(1, attempts + 1)
    )
    return request


def _id_at(moment: datetime) -> UUID:
    """An id of that time; those that a process makes only ever rise."""
    return UUID(int=first_uuid_at(moment).int | secrets.randbits(62))


def closed_request(*, age: timedelta = timedelta(0), payload: bool = True, **columns: Any) -> GatewayRequest:
    """A call that is over, as old as asked for, with one try and a payload."""
    at = timezone.now() - age
    given: dict[str, Any] = {"status": CallStatus.DONE, "http_status": 200} | columns
    request = open_request(at=at, **given)
    Attempt.objects.filter(request=request).update(status=CallStatus.DONE)
    if payload:
        RequestPayload.objects.create(request=request, policy="full", request_body="{}", created_at=at)
    return request
