"""``manage.py tikhub_rotate_credentials``: encrypt stored credentials anew, under the newest key.

To change keys: put the new one first in ``TIKHUB["ENCRYPTION_KEYS"]``, restart, run this, then take the old one out.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import router, transaction

from tikhub_app.exceptions import ConfigurationError
from tikhub_app.models import Upstream
from tikhub_app.models.encryption import ENVIRONMENT_PREFIX


class Command(BaseCommand):
    help = "Encrypt all stored upstream credentials with the first of TIKHUB['ENCRYPTION_KEYS']; all of them or none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only try whether every credential can be opened.")

    def handle(self, *args: Any, **options: Any) -> None:
        renewed = references = 0
        with transaction.atomic(using=router.db_for_write(Upstream)):
            for upstream in Upstream.all_rows().select_for_update().exclude(credential=""):
                if upstream.credential.startswith(ENVIRONMENT_PREFIX):
                    references += 1
                    continue
                try:
                    changed = upstream.reseal_credential()
                except ConfigurationError as error:
                    raise CommandError(f"{upstream.name}: {error} Nothing was changed.") from error
                if changed:
                    renewed += 1
                    if not options["dry_run"]:
                        upstream.save(update_fields=["credential"])
        self.stdout.write(
            f"{renewed} credentials {'can be' if options['dry_run'] else 'were'} encrypted with the newest key; "
            f"{references} are read from the environment and stay as they are"
        )
