"""``manage.py tikhub_setup``: groups, schedules, prices, upstreams of the environment, first key. Safe to repeat."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from tikhub_app.exceptions import ConfigurationError
from tikhub_app.gateway.setup import set_up


class Command(BaseCommand):
    help = "Make what the gateway needs besides its tables. Run it after every `migrate`; it changes nothing back."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = set_up()
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database refused: {error}. Was `manage.py migrate` run?") from error
        if options["verbosity"] < 1:
            return
        for line in report.lines or ["everything is set up already"]:
            self.stdout.write(line)
