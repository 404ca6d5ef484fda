"""``/healthz``: the process is up. ``/readyz``: it can take calls, with every check by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from tikhub_app.api.atomicity import never_atomic
from tikhub_app.conf import settings
from tikhub_app.gateway import worker_heartbeat
from tikhub_app.gateway.configuration import store
from tikhub_app.gateway.ledger import writer_state


class NotReady(Exception):
    """Why a check failed, in words that may be shown to anybody."""


@never_atomic
@login_not_required
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers; looks at nothing else."""
    return _answer({"status": "ok"}, 200)


@never_atomic
@login_not_required
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when all checks pass, else 503."""
    checks = {name: _run(check) for name, check in CHECKS.items()}
    is_ready = all(check["ok"] for check in checks.values())
    return _answer({"status": "ready" if is_ready else "not ready", "checks": checks}, 200 if is_ready else 503)


def _answer(body: dict[str, Any], status: int) -> JsonResponse:
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store"})


def _run(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"ok": True, **check()}
    except NotReady as error:
        return {"ok": False, "reason": str(error)}
    except (DatabaseError, InterfaceError) as error:
        # The message may name hosts and users; its class says enough to everybody.
        return {"ok": False, "reason": f"The database does not answer ({type(error).__name__})."}


def check_database() -> dict[str, Any]:
    with connections[settings.DATABASE].cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return {}


_migrated_aliases: set[str] = set()


def check_migrations() -> dict[str, Any]:
    """Whether all migrations of ours are applied; once they are, they stay so while this process runs."""
    alias = settings.DATABASE
    if alias not in _migrated_aliases:
        executor = MigrationExecutor(connections[alias])
        ours = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "tikhub_app"]
        missing = executor.migration_plan(ours)
        if missing:
            raise NotReady(f"{len(missing)} migrations are not applied; run manage.py migrate.")
        _migrated_aliases.add(alias)
    return {}


def check_configuration() -> dict[str, Any]:
    """Whether this process's view of keys, upstreams and routes is fresh; starts its poller where it has none."""
    age_s = store.age_s()
    if age_s is None or age_s > settings.CONFIG_MAX_AGE_S:
        store.ensure_started()
        age_s = store.age_s()
    if age_s is None:
        raise NotReady("The configuration has not been read yet.")
    if age_s > settings.CONFIG_MAX_AGE_S:
        raise NotReady(f"The configuration was read {age_s:.0f} s ago.")
    return {"age_s": round(age_s, 3)}


def check_ledger() -> dict[str, Any]:
    """Whether rows can be written, as far as the writer has seen."""
    state = writer_state()
    if state["fault"]:
        raise NotReady("The ledger cannot be written.")
    return {"queue_length": state["queue_length"]}


def check_workers() -> dict[str, Any]:
    """Whether background tasks are carried out. A site that never had workers is not held up by that."""
    beat_at = worker_heartbeat.last_beat()
    if beat_at is not None and worker_heartbeat.is_overdue():
        raise NotReady(f"No background task was carried out since {beat_at:%Y-%m-%d %H:%M} UTC; is qcluster running?")
    return {"last_beat_at": beat_at.isoformat() if beat_at is not None else None}


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "database": check_database,
    "migrations": check_migrations,
    "configuration": check_configuration,
    "ledger": check_ledger,
    "workers": check_workers,
}
