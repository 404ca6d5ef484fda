"""``manage.py tikhub_doctor``: look at the whole installation and say what to change."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tikhub_app.exceptions import ConfigurationError
from tikhub_app.gateway.doctor import Finding, Level, examine

WIDTH = 100


class Command(BaseCommand):
    help = "Look at settings, database, upstreams, routes, workers and clocks, and say what to change."
    # The report says better what the checks would stop at.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--offline", action="store_true", help="Do not call the providers.")
        parser.add_argument("--json", action="store_true", dest="as_json", help="Print the findings as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            findings = examine(offline=options["offline"])
        except ConfigurationError as error:
            raise CommandError(f"The settings cannot be read: {error}") from error
        if options["as_json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2))
        else:
            for finding in findings:
                self._write(finding)
        counts = Counter(finding.level for finding in findings)
        summary = f"{counts[Level.ERROR]} errors, {counts[Level.WARNING]} warnings"
        if counts[Level.ERROR]:
            raise CommandError(summary)
        self.stderr.write(summary, self.style.SUCCESS)

    def _write(self, finding: Finding) -> None:
        style = {Level.OK: self.style.SUCCESS, Level.WARNING: self.style.WARNING, Level.ERROR: self.style.ERROR}
        margin = " " * 22
        text = textwrap.fill(finding.message, WIDTH, initial_indent=margin, subsequent_indent=margin).lstrip()
        self.stdout.write(f"{style[finding.level](finding.level.ljust(8))} {finding.subject:<12} {text}")
        if finding.advice:
            arrow = margin + "→ "
            self.stdout.write(
                textwrap.fill(finding.advice, WIDTH, initial_indent=arrow, subsequent_indent=margin + "  ")
            )
