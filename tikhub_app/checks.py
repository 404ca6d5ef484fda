"""System checks: what is wrong with the settings, said before the first call finds out.

Ids are ``tikhub_app.E0xx`` (errors) and ``tikhub_app.W0xx`` (warnings): 001-009 the ``TIKHUB`` setting, 010-019 the
database, 020-029 encryption, 030-039 other apps and the task queue, 040-049 addresses, 050-059 deployment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections, router
from django.urls import NoReverseMatch, reverse
from pydantic import ConfigDict, TypeAdapter, ValidationError

from tikhub_app.conf import GatewaySettings
from tikhub_app.models import GatewayRequest
from tikhub_app.models.key_format import SHORTEST_FOREIGN_KEY, is_plausible

SQLITE = "sqlite3"
#: Seconds that a writer waits for another one. Python's own default is 5.
SHORTEST_TIMEOUT_S = 5
#: A path that exists wherever the app is mounted.
GATEWAY_URL_NAME = "tikhub:healthz"
GATEWAY_PATH = "/healthz"

_POSITIVE = "must be more than 0"
#: Setting -> what its value must fulfil, and how that reads. Types are checked before.
LIMITS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "PAYLOAD_MAX_BYTES": (lambda value: value >= 0, "must not be negative"),
    "PAYLOAD_RETENTION_DAYS": (lambda value: value is None or value >= 1, "must be at least 1, or None to keep all"),
    "REQUEST_RETENTION_DAYS": (lambda value: value is None or value >= 1, "must be at least 1, or None to keep all"),
    "MAX_BODY_BYTES": (lambda value: value > 0, _POSITIVE),
    "MAX_HEADER_BYTES": (lambda value: value >= 1024, "must be at least 1024"),
    "MAX_RESPONSE_BYTES": (lambda value: value > 0, _POSITIVE),
    "MAX_EVENT_BYTES": (lambda value: value > 0, _POSITIVE),
    "MAX_ATTEMPTS": (lambda value: 1 <= value <= 100, "must be from 1 to 100"),
    "DRAIN_SECONDS": (lambda value: value >= 0, "must not be negative"),
    "LEDGER_TIMEOUT_S": (lambda value: value > 0, _POSITIVE),
    "CONFIG_POLL_S": (
        lambda value: 0 < value <= 1,
        "must be more than 0, and at most 1 for revocations to hold in 1 s",
    ),
    "CONFIG_MAX_AGE_S": (lambda value: value >= 1, "must be at least 1"),
    "PROCESS_STALE_S": (lambda value: value >= 10, "must be at least 10: heartbeats are seconds apart"),
    "PUBLIC_URL": (lambda value: not value or _is_http_url(value), "must be an http:// or https:// URL, or empty"),
    "ASGI_PREFIX": (
        lambda value: not value or (value.startswith("/") and not value.endswith("/")),
        "must start with / and not end with it, or be empty",
    ),
    "FIRST_KEY": (
        lambda value: not value or (len(value) >= SHORTEST_FOREIGN_KEY and is_plausible(value)),
        f"must have at least {SHORTEST_FOREIGN_KEY} characters (and a valid checksum where it starts with sk-tkh-)",
    ),
    "DATABASE": (lambda value: value in django_settings.DATABASES, "must be an alias in DATABASES"),
}
_DESCRIBED = {"name": str, "provider": str, "base_url": str}


def _given() -> dict[str, Any]:
    """``settings.TIKHUB`` as it stands, without the reader that raises on the first mistake."""
    given = getattr(django_settings, "TIKHUB", {})
    return dict(given) if isinstance(given, Mapping) else {}


def _value(name: str) -> Any:
    return _given().get(name, getattr(GatewaySettings(), name))


@register()
def check_settings(**_: object) -> list[CheckMessage]:
    """``TIKHUB``: names, types, ranges."""
    if not isinstance(getattr(django_settings, "TIKHUB", {}), Mapping):
        return [Error("settings.TIKHUB must be a dict.", id="tikhub_app.E001")]
    known = {item.name for item in fields(GatewaySettings)}
    given = _given()
    messages: list[CheckMessage] = [
        Error(
            f"settings.TIKHUB has the unknown name {name!r}.",
            hint=f"Known are {', '.join(sorted(known))}.",
            id="tikhub_app.E001",
        )
        for name in sorted(set(given) - known)
    ]
    hints = get_type_hints(GatewaySettings)
    for name in sorted(set(given) & known):
        messages += _check_value(name, given[name], hints[name])
    return messages


def _check_value(name: str, value: Any, hint: Any) -> Iterator[CheckMessage]:
    if isinstance(value, list):
        # Lists are accepted where the setting is a tuple.
        value = tuple(value)
    try:
        TypeAdapter(hint, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        # The value is not repeated: it may be a secret.
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]["msg"]
        yield Error(f"settings.TIKHUB[{name!r}] has a value of the wrong type: {problem}.", id="tikhub_app.E002")
        return
    if name in LIMITS and not LIMITS[name][0](value):
        yield Error(f"settings.TIKHUB[{name!r}] {LIMITS[name][1]}.", id="tikhub_app.E003")
    if name == "ENVIRONMENT_UPSTREAMS":
        for description in value:
            if any(not isinstance(description.get(key), kind) for key, kind in _DESCRIBED.items()):
                yield Error(
                    "settings.TIKHUB['ENVIRONMENT_UPSTREAMS'] has an entry without name, provider or base_url.",
                    id="tikhub_app.E002",
                )


@register()
def check_database_alias(**_: object) -> list[CheckMessage]:
    """The ledger writes to TIKHUB['DATABASE'] itself, everything else goes where the routers say."""
    alias, routed = _value("DATABASE"), router.db_for_write(GatewayRequest)
    if alias == routed:
        return []
    return [
        Error(
            f"TIKHUB['DATABASE'] is {alias!r}, but DATABASE_ROUTERS send the gateway's tables to {routed!r}.",
            hint=f"Set TIKHUB['DATABASE'] to {routed!r}, or add a router that sends the app tikhub_app to {alias!r}.",
            id="tikhub_app.E004",
        )
    ]


@register()
def check_sqlite(**_: object) -> list[CheckMessage]:
    """SQLite needs WAL, IMMEDIATE transactions and a timeout, or concurrent calls fail with "database is locked"."""
    alias = _value("DATABASE")
    database = django_settings.DATABASES.get(alias, {}) if isinstance(alias, str) else {}
    if not str(database.get("ENGINE", "")).endswith(SQLITE):
        return []
    options = database.get("OPTIONS") or {}
    messages: list[CheckMessage] = []
    if str(options.get("transaction_mode") or "").upper() not in {"IMMEDIATE", "EXCLUSIVE"}:
        messages.append(
            Error(
                f"The SQLite database {alias!r} begins transactions without the write lock.",
                hint=f"Set DATABASES[{alias!r}]['OPTIONS']['transaction_mode'] = 'IMMEDIATE'.",
                id="tikhub_app.E010",
            )
        )
    if not re.search(r"journal_mode\s*[=(]\s*['\"]?wal\b", str(options.get("init_command") or ""), re.IGNORECASE):
        messages.append(
            Error(
                f"The SQLite database {alias!r} is not asked to use write-ahead logging.",
                hint=f"Set DATABASES[{alias!r}]['OPTIONS']['init_command'] = "
                "'PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;'.",
                id="tikhub_app.E011",
            )
        )
    timeout = options.get("timeout", SHORTEST_TIMEOUT_S)
    if not isinstance(timeout, int | float) or timeout < SHORTEST_TIMEOUT_S:
        messages.append(
            Error(
                f"Writers of the SQLite database {alias!r} wait less than {SHORTEST_TIMEOUT_S} s for each other.",
                hint=f"Set DATABASES[{alias!r}]['OPTIONS']['timeout'] = 20.",
                id="tikhub_app.E012",
            )
        )
    return messages


@register(Tags.database)
def check_journal_mode(databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """What SQLite really uses: a file system without shared memory, or a database in memory, cannot have WAL."""
    alias = _value("DATABASE")
    if alias not in (databases or ()) or connections[alias].vendor != "sqlite":
        return []
    with connections[alias].cursor() as cursor:
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    if mode.lower() == "wal":
        return []
    return [
        Error(
            f"The SQLite database {alias!r} is in journal mode {mode!r}, not in WAL.",
            hint="Put it in a file on a local disk; network file systems and :memory: cannot have a write-ahead log.",
            id="tikhub_app.E013",
        )
    ]


@register()
def check_encryption_keys(**_: object) -> list[CheckMessage]:
    keys = _value("ENCRYPTION_KEYS")
    if not isinstance(keys, list | tuple):
        return []
    if not keys:
        return [
            Warning(
                "TIKHUB['ENCRYPTION_KEYS'] is empty: upstream credentials can only be env:NAME.",
                hint="Make one with: python -c 'from cryptography.fernet import Fernet; "
                "print(Fernet.generate_key().decode())'",
                id="tikhub_app.W021",
            )
        ]
    return [
        Error(
            f"TIKHUB['ENCRYPTION_KEYS'][{number}] is not a Fernet key (32 bytes in url-safe base64).",
            id="tikhub_app.E020",
        )
        for number, key in enumerate(keys)
        if not _is_fernet_key(key)
    ]


@register()
def check_apps(**_: object) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if not apps.is_installed("rest_framework"):
        messages.append(
            Error("The gateway's views need 'rest_framework' in INSTALLED_APPS.", id="tikhub_app.E030"),
        )
    if not apps.is_installed("django_q"):
        messages.append(
            Warning(
                "'django_q' is not in INSTALLED_APPS, so nothing closes what a killed process left open.",
                hint="Add it and run `manage.py qcluster`, or run tikhub_reconcile and tikhub_prune by cron.",
                id="tikhub_app.W031",
            )
        )
    return messages


@register()
def check_task_queue(**_: object) -> list[CheckMessage]:
    """A task that still runs when ``retry`` is over is handed out a second time."""
    if not apps.is_installed("django_q"):
        return []
    queue = getattr(django_settings, "Q_CLUSTER", {})
    timeout, retry = queue.get("timeout"), queue.get("retry", 60)
    if timeout and retry > timeout:
        return []
    return [
        Warning(
            f"Q_CLUSTER has retry {retry} and timeout {timeout}: a long task is started again while it runs.",
            hint="Set a timeout, and a retry that is longer, for example timeout 300 and retry 360.",
            id="tikhub_app.W032",
        )
    ]


@register(Tags.urls)
def check_asgi_prefix(**_: object) -> list[CheckMessage]:
    """The ASGI door and the URLconf must offer the gateway under the same path."""
    prefix = _value("ASGI_PREFIX")
    if not isinstance(prefix, str):
        return []
    try:
        path = reverse(GATEWAY_URL_NAME)
    except NoReverseMatch:
        # Served by the ASGI door alone.
        return []
    mounted = path.removesuffix(GATEWAY_PATH)
    if mounted == prefix:
        return []
    return [
        Error(
            f"The ASGI door is mounted at {prefix or '/'!r}, but the URLconf includes tikhub_app.urls at "
            f"{mounted or '/'!r}.",
            hint=f"Use gateway_asgi(application, prefix={mounted!r}) and TIKHUB['ASGI_PREFIX'] = {mounted!r}.",
            id="tikhub_app.E040",
        )
    ]


@register(Tags.security, deploy=True)
def check_deployment(**_: object) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if _value("SANDBOX"):
        messages.append(
            Error(
                "The sandbox is on: models without an account are answered by a fake provider.",
                hint="Unset TIKHUB_SANDBOX (TIKHUB['SANDBOX'] = False).",
                id="tikhub_app.E050",
            )
        )
    if _value("SCHEMA_PUBLIC"):
        messages.append(
            Warning(
                "Everybody can read /api/schema/ and /api/docs/.",
                hint="They hold no data; set TIKHUB['SCHEMA_PUBLIC'] = False to ask for a session or management key.",
                id="tikhub_app.W051",
            )
        )
    if _value("METRICS_PUBLIC"):
        messages.append(
            Warning(
                "Everybody can read /metrics, and with it how much the gateway is used.",
                hint="Set TIKHUB['METRICS_PUBLIC'] = False to answer loopback and management keys only.",
                id="tikhub_app.W052",
            )
        )
    return messages


def _is_fernet_key(key: object) -> bool:
    try:
        Fernet(key)  # type: ignore[arg-type]  # whatever a settings file holds
    except (ValueError, TypeError, AttributeError):
        return False
    return True


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
