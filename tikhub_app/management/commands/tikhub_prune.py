"""``manage.py tikhub_prune``: delete payloads and requests beyond their retention."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tikhub_app.gateway.prune import prune


class Command(BaseCommand):
    help = (
        "Delete payloads older than TIKHUB['PAYLOAD_RETENTION_DAYS'] and requests older than "
        "TIKHUB['REQUEST_RETENTION_DAYS']. Open calls are left alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Count what would be deleted, delete nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        report = prune(dry_run=options["dry_run"])
        if options["verbosity"] >= 1:
            self.stdout.write(f"{report} {'would be deleted' if options['dry_run'] else 'deleted'}")
