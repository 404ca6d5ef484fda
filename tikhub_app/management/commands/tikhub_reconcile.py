"""``manage.py tikhub_reconcile``: close the requests and attempts that dead processes left open."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from tikhub_app.gateway.reconcile import close_abandoned


class Command(BaseCommand):
    help = "Close the requests and attempts that dead processes left open, at the cost reserved for them, flagged."

    def handle(self, *args: Any, **options: Any) -> None:
        report = close_abandoned(orphans_since=None)
        if options["verbosity"] >= 1:
            self.stdout.write(str(report))
