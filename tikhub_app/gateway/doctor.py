"""What an operator would look at one by one when something does not work, looked at in one go.

Every check yields findings: what was looked at, how it stands, and what to change. Nothing is altered, except that
a connection test notes its outcome on the upstream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.apps import apps
from django.core import checks
from django.db import DatabaseError, connections, router, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count
from django.utils import timezone

from tikhub_app.conf import settings
from tikhub_app.exceptions import ConfigurationError, GatewayError
from tikhub_app.gateway import worker_heartbeat
from tikhub_app.gateway.connection_test import test_connection
from tikhub_app.gateway.reconcile import count_abandoned
from tikhub_app.gateway.setup import SCHEDULES
from tikhub_app.models import (
    ApiKey,
    ConfigVersion,
    GatewayProcess,
    GatewayRequest,
    KeyScope,
    Route,
    Upstream,
    first_uuid_at,
)
from tikhub_app.models.encryption import ENVIRONMENT_PREFIX

#: How far clocks may be apart before heartbeats and expiries of other machines are misjudged.
CLOCK_WARNING_S = 2.0
CLOCK_ERROR_S = 10.0
LONGEST_WAIT_S = 15.0
RECENT = timedelta(days=1)
#: A schedule that is this late has nobody who looks at it.
SCHEDULE_OVERDUE = timedelta(minutes=3)
_VENDORS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    subject: str
    message: str
    advice: str = ""


Findings = Iterator[Finding]


def examine(*, offline: bool = False) -> list[Finding]:
    """Look at everything.

    :param offline: leave out what calls the providers.
    """
    findings = [finding for check in (_settings, _database, _migrations) for finding in _run(check)]
    if any(finding.subject == "migrations" and finding.level is Level.ERROR for finding in findings):
        # Everything else reads the tables.
        return findings
    for check in (
        _credentials,
        _upstreams,
        *(() if offline else (_connections,)),
        _routes,
        _keys,
        _prices,
        _schedules,
        _workers,
        _clock,
        _abandoned,
        _sandbox,
    ):
        findings += _run(check)
    return findings


def _run(check: Callable[[], Findings]) -> list[Finding]:
    try:
        return list(check())
    except DatabaseError as error:
        subject = check.__name__.strip("_")
        return [Finding(Level.ERROR, subject, f"The database refused: {error}", "See the findings above.")]


def _settings() -> Findings:
    """The system checks of the app, with those that ask the database."""
    messages = checks.run_checks(databases=[settings.DATABASE] if settings.DATABASE in connections else [])
    found = [message for message in messages if message.id and message.id.startswith("tikhub_app.")]
    for message in found:
        level = Level.ERROR if message.level >= checks.ERROR else Level.WARNING
        yield Finding(level, "settings", f"{message.msg} ({message.id})", message.hint or "")
    if not found:
        yield Finding(Level.OK, "settings", "The system checks have nothing to say.")


def _database() -> Findings:
    alias = router.db_for_write(GatewayRequest)
    connection = connections[alias]
    connection.ensure_connection()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA journal_mode")
            details = f", journal mode {cursor.fetchone()[0]}"
        else:
            details = ""
    version = ".".join(map(str, connection.get_database_version()))
    if connection.vendor in _VENDORS:
        yield Finding(Level.OK, "database", f"{_VENDORS[connection.vendor]} {version}{details}.")
    else:
        yield Finding(
            Level.ERROR,
            "database",
            f"{connection.display_name} is not supported.",
            "Use SQLite or PostgreSQL for the alias in TIKHUB['DATABASE'].",
        )


def _migrations() -> Findings:
    executor = MigrationExecutor(connections[router.db_for_write(GatewayRequest)])
    targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] in {"tikhub_app", "django_q", "auth"}]
    pending = [f"{migration.app_label}.{migration.name}" for migration, _ in executor.migration_plan(targets)]
    if pending:
        yield Finding(
            Level.ERROR,
            "migrations",
            f"{len(pending)} not applied: {', '.join(pending[:3])}.",
            "Run `manage.py migrate`.",
        )
        return
    with transaction.atomic(using=router.db_for_write(ConfigVersion)):
        ConfigVersion.bump()
        # Only to see that it could be written.
        transaction.set_rollback(True, using=router.db_for_write(ConfigVersion))
    yield Finding(Level.OK, "migrations", "All applied, and the tables can be written.")


def _credentials() -> Findings:
    opened = 0
    for upstream in Upstream.all_rows().exclude(credential=""):
        try:
            upstream.reveal_credential()
        except ConfigurationError as error:
            if upstream.credential.startswith(ENVIRONMENT_PREFIX):
                advice = "Set it where the service is started, and here as well for this check."
            else:
                advice = "Put the key that it was encrypted with back into the list, or enter the credential anew."
            level = Level.ERROR if upstream.enabled else Level.WARNING
            yield Finding(level, "credentials", f"{upstream}: {error}", advice)
        else:
            opened += 1
    yield Finding(Level.OK, "credentials", f"{opened} can be read.")


def _upstreams() -> Findings:
    enabled = list(Upstream.all_rows().filter(enabled=True))
    if not enabled:
        yield Finding(
            Level.ERROR,
            "upstreams",
            "There is none, or none is enabled.",
            "Add one in the admin, or set OPENAI_API_KEY for the standalone service and run tikhub_setup.",
        )
    for upstream in enabled:
        if upstream.auth_failed_at is not None:
            yield Finding(
                Level.WARNING,
                "upstreams",
                f"{upstream}: the provider refused the credential at {upstream.auth_failed_at:%Y-%m-%d %H:%M} UTC.",
                "Enter a credential that works.",
            )


def _connections() -> Findings:
    for upstream in Upstream.all_rows().filter(enabled=True):
        # Not saved: an answer may take minutes, but this one asks for a list.
        upstream.first_byte_timeout_s = min(upstream.first_byte_timeout_s, LONGEST_WAIT_S)
        try:
            report = test_connection(upstream)
        except (ConfigurationError, GatewayError) as error:
            yield Finding(
                Level.ERROR, "connection", f"{upstream}: {error}", "Correct the upstream's base URL or options."
            )
            continue
        if report.ok:
            yield Finding(Level.OK, "connection", f"{upstream}: {report.message}")
        else:
            advice = "Check base URL, credential and the way out of this machine."
            yield Finding(Level.ERROR, "connection", f"{upstream}: {report.message}", advice)


def _routes() -> Findings:
    routes = list(Route.all_rows().filter(enabled=True).select_related("upstream"))
    usable = [route for route in routes if route.upstream.enabled]
    for route in routes:
        if not route.upstream.enabled:
            others = any(other.pattern == route.pattern for other in usable)
            if not others:
                yield Finding(
                    Level.WARNING,
                    "routes",
                    f"{route.pattern} leads to {route.upstream} only, which is switched off.",
                    "Enable the upstream, or delete the route.",
                )
    served = {route.upstream_id for route in usable}
    for upstream in Upstream.all_rows().filter(enabled=True).exclude(pk__in=served):
        yield Finding(
            Level.WARNING, "routes", f"No enabled route leads to {upstream}.", "Add routes, or “Create usual routes”."
        )
    if usable:
        yield Finding(Level.OK, "routes", f"{len(usable)} can be used.")
    else:
        yield Finding(Level.ERROR, "routes", "No model can be called.", "Add a route to an enabled upstream.")


def _keys() -> Findings:
    active = ApiKey.objects.active().filter(scope=KeyScope.GATEWAY).count()
    if active:
        yield Finding(Level.OK, "keys", f"{active} can call models.")
    else:
        yield Finding(
            Level.WARNING, "keys", "No key can call models.", "Run `manage.py tikhub_key create --name NAME`."
        )


def _prices() -> Findings:
    recent = GatewayRequest.objects.filter(id__gte=first_uuid_at(timezone.now() - RECENT), is_sandbox=False)
    unpriced = (
        recent.filter(is_unpriced=True)
        .order_by()
        .values("answered_model", "asked_model")
        .annotate(calls=Count("pk"))
        .order_by("-calls")[:20]
    )
    for row in unpriced:
        yield Finding(
            Level.WARNING,
            "prices",
            f"{row['answered_model'] or row['asked_model']} has no price: {row['calls']} requests cost 0 in a day.",
            "Add a model price for it in the admin.",
        )
    if not unpriced:
        yield Finding(Level.OK, "prices", "Every model of the last day's requests has one.")


def _schedules() -> Findings:
    if not apps.is_installed("django_q"):
        yield Finding(
            Level.WARNING,
            "schedules",
            "django_q is not installed.",
            "Run tikhub_reconcile every minute and tikhub_prune every day by other means.",
        )
        return
    schedules = apps.get_model("django_q", "Schedule")._default_manager
    for name in SCHEDULES:
        rows = list(schedules.filter(name=name))
        if len(rows) != 1:
            wrong = "is missing" if not rows else f"exists {len(rows)} times"
            yield Finding(Level.ERROR, "schedules", f"“{name}” {wrong}.", "Run `manage.py tikhub_setup`.")
        elif rows[0].repeats == 0:
            yield Finding(Level.WARNING, "schedules", f"“{name}” is paused (repeats 0).", "Set its repeats to -1.")
        elif rows[0].next_run is not None and rows[0].next_run < timezone.now() - SCHEDULE_OVERDUE:
            yield Finding(
                Level.ERROR,
                "schedules",
                f"“{name}” has been due since {rows[0].next_run:%Y-%m-%d %H:%M} UTC.",
                "Start `manage.py qcluster`.",
            )
        else:
            yield Finding(Level.OK, "schedules", f"“{name}” is there.")


def _workers() -> Findings:
    if not apps.is_installed("django_q"):
        return
    beat_at = worker_heartbeat.last_beat()
    if not worker_heartbeat.is_overdue():
        yield Finding(Level.OK, "workers", f"The last background task ran {_ago(beat_at)}.")
    else:
        silence = "has ever run" if beat_at is None else f"has run since {beat_at:%Y-%m-%d %H:%M} UTC"
        yield Finding(
            Level.ERROR, "workers", f"No background task {silence}.", "Start, or restart, `manage.py qcluster`."
        )


def _clock() -> Findings:
    connection = connections[router.db_for_write(GatewayRequest)]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            before = timezone.now()
            cursor.execute("SELECT clock_timestamp()")
            theirs: datetime = cursor.fetchone()[0]
            ours = before + (timezone.now() - before) / 2
        apart = abs((theirs - ours).total_seconds())
        yield _clock_finding(apart, "the database server")
    newest = GatewayProcess.objects.order_by("-heartbeat_at").first()
    if newest is not None:
        ahead = (newest.heartbeat_at - timezone.now()).total_seconds()
        if ahead > CLOCK_WARNING_S:
            yield _clock_finding(ahead, newest.hostname)
    if connection.vendor == "sqlite":
        yield Finding(Level.OK, "clock", f"{timezone.now():%Y-%m-%d %H:%M:%S} UTC on this machine.")


def _clock_finding(apart_s: float, whom: str) -> Finding:
    if apart_s <= CLOCK_WARNING_S:
        return Finding(Level.OK, "clock", f"{apart_s:.1f} s apart from {whom}.")
    level = Level.WARNING if apart_s <= CLOCK_ERROR_S else Level.ERROR
    return Finding(level, "clock", f"{apart_s:.1f} s apart from {whom}.", "Synchronise both clocks (NTP).")


def _abandoned() -> Findings:
    count = count_abandoned()
    if count:
        yield Finding(
            Level.WARNING,
            "open calls",
            f"{count} belong to processes that have died.",
            "Run `manage.py tikhub_reconcile`, or start `manage.py qcluster`, which does so every minute.",
        )
    else:
        yield Finding(Level.OK, "open calls", "None belongs to a dead process.")


def _sandbox() -> Findings:
    names = list(Upstream.all_rows().filter(enabled=True, is_sandbox=True).values_list("name", flat=True))
    if settings.SANDBOX or names:
        yield Finding(
            Level.WARNING,
            "sandbox",
            f"A fake provider answers for {', '.join(names) or 'models without an account'}.",
            "In production unset TIKHUB_SANDBOX and disable its upstreams.",
        )
    else:
        yield Finding(Level.OK, "sandbox", "Off.")


def _ago(moment: datetime | None) -> str:
    return "never" if moment is None else f"{max(0, int((timezone.now() - moment).total_seconds()))} s ago"
