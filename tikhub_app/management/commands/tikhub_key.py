"""``manage.py tikhub_key``: make, list, revoke and rotate gateway keys.

A new key is printed alone on standard output, so that ``KEY=$(manage.py tikhub_key create --name ci)`` works;
everything else goes to standard error. It cannot be shown again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from tikhub_app.models import ApiKey, KeyScope, PayloadPolicy, Route
from tikhub_app.models.key_format import DISPLAY_LENGTH, digest
from tikhub_app.providers.registry import PROVIDERS

COLUMNS = ("id", "prefix", "name", "scope", "state", "owner", "models", "operations", "expires", "last used")
DURATION = re.compile(r"(?P<number>\d+)\s*(?P<unit>[smhd]?)")
LONGEST_OVERLAP = timedelta(days=366)
UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Command(BaseCommand):
    help = "Make, list, revoke and rotate gateway keys."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|list|revoke|rotate")

        create = verbs.add_parser("create", help="Make a key and print it, alone, on standard output.")
        create.add_argument("--name", required=True, help="What or who uses the key.")
        create.add_argument("--models", default="", help="Names or patterns, separated by commas; all by default.")
        create.add_argument("--operations", default="", help="Such as chat,embed; all by default.")
        create.add_argument("--scope", choices=KeyScope.values, default=KeyScope.GATEWAY.value)
        create.add_argument("--owner", help="User name of the owner.")
        create.add_argument("--expires", help="Last day, or moment, on which the key works: 2027-01-31[T12:00+01:00].")
        create.add_argument("--payload-policy", choices=PayloadPolicy.values, default=PayloadPolicy.DEFAULT.value)
        create.add_argument(
            "--value-from-env", metavar="NAME", help="Take the key from this variable (24 characters at least)."
        )

        listing = verbs.add_parser("list", help="Show all keys; never their values.")
        listing.add_argument("--json", action="store_true", dest="as_json")

        which = "First characters of the key, the whole key, or #ID as `list` shows it."
        revoke = verbs.add_parser("revoke", help="Withdraw a key; every process refuses it within a second.")
        revoke.add_argument("prefix", metavar="PREFIX", help=which)

        rotate = verbs.add_parser("rotate", help="Make a successor with the same rights and print it.")
        rotate.add_argument("prefix", metavar="PREFIX", help=which)
        rotate.add_argument("--overlap", default="24h", help="How long the old key goes on: 0, 30m, 24h, 7d.")

    def handle(self, *args: Any, **options: Any) -> None:
        verb = {"create": self.create, "list": self.show, "revoke": self.revoke, "rotate": self.rotate}
        verb[options["verb"]](options)

    def create(self, options: dict[str, Any]) -> None:
        attributes: dict[str, Any] = {
            "name": options["name"],
            "scope": options["scope"],
            "owner": _owner(options["owner"]),
            "allowed_models": self._models(options["models"]),
            "allowed_operations": self._operations(options["operations"]),
            "payload_policy": options["payload_policy"],
            "expires_at": _expiry(options["expires"]),
        }
        try:
            key, secret = ApiKey.issue(secret=_value_from(options["value_from_env"]), **attributes)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stderr.write(f"Key #{key.pk} “{key.name}” made. It is shown once:", self.style.SUCCESS)
        self.stdout.write(secret)

    def show(self, options: dict[str, Any]) -> None:
        rows = [_described(key) for key in ApiKey.objects.select_related("owner").order_by("id")]
        if options["as_json"]:
            self.stdout.write(json.dumps(rows, indent=2))
        else:
            self.stdout.write(_table(COLUMNS, rows))

    def revoke(self, options: dict[str, Any]) -> None:
        key = _find(options["prefix"])
        if key.revoke():
            self.stderr.write(f"Key #{key.pk} {key} is revoked.", self.style.SUCCESS)
        else:
            self.stderr.write(f"Key #{key.pk} {key} had been revoked before, at {key.revoked_at:%Y-%m-%d %H:%M} UTC.")

    def rotate(self, options: dict[str, Any]) -> None:
        overlap = _duration(options["overlap"])
        key = _find(options["prefix"])
        try:
            successor, secret = key.rotate(overlap)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stderr.write(
            f"Key #{key.pk} {key} ends at {key.expires_at:%Y-%m-%d %H:%M:%S} UTC. "
            f"Its successor is #{successor.pk}, shown once:",
            self.style.SUCCESS,
        )
        self.stdout.write(secret)

    def _models(self, text: str) -> list[str]:
        patterns = _words(text, "--models")
        routes = list(Route.all_rows().filter(enabled=True))
        for pattern in patterns:
            if re.search(r"\s", pattern) or pattern.count("[") != pattern.count("]"):
                raise CommandError(f"--models: “{pattern}” is not a model name or a pattern such as gpt-*.")
            # Keys are often made before the routes, so this is no error.
            if not any(route.matches(pattern) or route.pattern == pattern for route in routes):
                self.stderr.write(f"Note: no enabled route has the name or pattern “{pattern}” yet.")
        return patterns

    def _operations(self, text: str) -> list[str]:
        operations = _words(text, "--operations")
        known = {name for provider in PROVIDERS.values() for names in provider.dialects.values() for name in names}
        for operation in operations:
            if not re.fullmatch(r"[a-z]+(_[a-z]+)*", operation):
                raise CommandError(f"--operations: “{operation}” is not an operation such as chat.")
            if operation not in known:
                self.stderr.write(
                    f"Note: no provider has the operation “{operation}”; known: {', '.join(sorted(known))}."
                )
        return operations


def _words(text: str, option: str) -> list[str]:
    if not text:
        return []
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise CommandError(f"{option}: an entry is empty; separate entries by single commas.")
    return words


def _owner(name: str | None) -> AbstractBaseUser | None:
    if not name:
        return None
    users = get_user_model()
    try:
        return users._default_manager.get_by_natural_key(name)
    except users.DoesNotExist:
        raise CommandError(f"--owner: there is no user “{name}”.") from None


def _expiry(text: str | None) -> datetime | None:
    """The moment from which the key is refused; a bare date counts to its end."""
    if text is None:
        return None
    try:
        day = parse_date(text)
        moment = datetime.combine(day, time.max) if day is not None else parse_datetime(text)
    except ValueError as error:
        raise CommandError(f"--expires: {error}.") from error
    if moment is None:
        raise CommandError(f"--expires: “{text}” is not a date such as 2027-01-31 or 2027-01-31T12:00+01:00.")
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    if moment <= timezone.now():
        raise CommandError(f"--expires: {text} is past.")
    return moment


def _duration(text: str) -> timedelta:
    found = DURATION.fullmatch(text.strip())
    if found is None:
        raise CommandError(f"--overlap: “{text}” is not a duration such as 0, 30m, 24h or 7d.")
    try:
        overlap = timedelta(**{UNITS[found["unit"]]: int(found["number"])})
    except OverflowError:
        overlap = timedelta.max
    if overlap > LONGEST_OVERLAP:
        raise CommandError(f"--overlap: “{text}” is more than {LONGEST_OVERLAP.days} days.")
    return overlap


def _value_from(variable: str | None) -> str | None:
    if variable is None:
        return None
    # The operator names the variable on the command line; as an argument the value would be seen by every user.
    value = os.environ.get(variable, "")  # noqa: TID251
    if not value:
        raise CommandError(f"--value-from-env: the variable {variable} is not set.")
    return value


def _find(text: str) -> ApiKey:
    """The one key meant; keys that still work are looked at first."""
    if re.fullmatch(r"#\d+", text):
        matches = list(ApiKey.objects.filter(pk=int(text[1:])))
    else:
        matches = list(ApiKey.objects.filter(key_hash=digest(text)))
        # Compared here as well, because SQLite's own comparison takes upper and lower case for the same.
        matches = matches or [key for key in ApiKey.objects.filter(prefix__startswith=text) if _starts(key, text)]
        matches = [key for key in matches if key.revoked_at is None] or matches
    # What was typed may be a whole key.
    shown = text if len(text) <= DISPLAY_LENGTH else f"{text[:6]}…"
    if not matches:
        raise CommandError(f"No key is named by “{shown}”. `tikhub_key list` shows all.")
    if len(matches) > 1:
        named = "\n".join(f"  #{key.pk}  {key.prefix}…  {key.name}" for key in matches)
        raise CommandError(f"{len(matches)} keys start with “{shown}”; say more of it, or #ID:\n{named}")
    return matches[0]


def _starts(key: ApiKey, text: str) -> bool:
    return bool(text) and key.prefix.startswith(text)


def _described(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.pk,
        "prefix": key.prefix,
        "name": key.name,
        "scope": key.scope,
        "state": key.state,
        "owner": key.owner.get_username() if key.owner is not None else None,
        "models": key.allowed_models,
        "operations": key.allowed_operations,
        "expires": key.expires_at.isoformat(timespec="seconds") if key.expires_at else None,
        "last used": key.last_used_at.isoformat(timespec="seconds") if key.last_used_at else None,
    }


def _table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    lines = [list(columns), *([_cell(column, row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _cell(column: str, value: Any) -> str:
    if column in {"models", "operations"}:
        return ",".join(value) or "all"
    return "-" if value is None else str(value)
