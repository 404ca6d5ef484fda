"""A sign of life of the background workers, written by a task, so that it proves that tasks are carried out.

A cluster whose worker was killed at a bad moment may go on scheduling and report itself well, and yet run nothing.
The row stands among the gateway processes under a number that no process draws; no call belongs to it.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from django.utils import timezone

from tikhub_app.gateway import process_identity
from tikhub_app.models import GatewayProcess

WORKER_NUMBER = -1
#: The reconcile task runs every minute; after three without one something is wrong.
OVERDUE = timedelta(minutes=3)


def beat() -> None:
    """Note that a task is being carried out now, and by which process."""
    GatewayProcess.objects.update_or_create(
        pk=WORKER_NUMBER,
        defaults={
            "hostname": process_identity.hostname()[:120],
            "pid": os.getpid(),
            "birth": process_identity.birth_marker(),
            "heartbeat_at": timezone.now(),
            "stopped_at": None,
        },
    )


def last_beat() -> datetime | None:
    """When a task was last carried out; None when none ever was."""
    return GatewayProcess.objects.filter(pk=WORKER_NUMBER).values_list("heartbeat_at", flat=True).first()


def is_overdue(now: datetime | None = None) -> bool:
    """Whether the workers have been silent for too long, or were never heard of."""
    beat_at = last_beat()
    return beat_at is None or beat_at < (now or timezone.now()) - OVERDUE
