"""``manage.py tikhub_sandbox``: a fake of the upstream vendors, for trying the gateway without an account."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tikhub_app.sandbox.command_line import add_arguments, read_settings, run
from tikhub_app.sandbox.settings import ControlError


class Command(BaseCommand):
    help = (
        "Serve fake upstream vendors over HTTP: deterministic answers, faults to order, and a bill of accepted calls."
    )
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            settings = read_settings(options)
        except ControlError as error:
            raise CommandError(str(error)) from error
        run(settings, self._say)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
