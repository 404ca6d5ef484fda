"""Gateway processes and their heartbeats, so that rows left open by a dead one can be told from rows in progress."""

from __future__ import annotations

import secrets

from django.db import models
from django.utils import timezone


class GatewayProcess(models.Model):
    """One process that writes ledger rows. Its number stands on each row it opens."""

    id = models.BigIntegerField(primary_key=True, help_text="Random number of the process.")
    hostname = models.CharField(max_length=120, help_text="Machine or container it runs on.")
    pid = models.IntegerField(help_text="Process id there.")
    birth = models.CharField(
        max_length=60,
        blank=True,
        help_text="Boot id and start time of the process, so that a reused pid is not mistaken for it.",
    )
    started_at = models.DateTimeField(default=timezone.now, help_text="When it opened its first row.")
    heartbeat_at = models.DateTimeField(default=timezone.now, db_index=True, help_text="Last sign of life.")
    stopped_at = models.DateTimeField(null=True, blank=True, help_text="When it ended in good order.")

    class Meta:
        verbose_name_plural = "gateway processes"

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid}"

    @staticmethod
    def new_number() -> int:
        return secrets.randbits(62)
