"""Entry points of django-q2. Each calls one verb of the gateway and may run twice, or beside itself.

Their paths stand in schedule rows of running installations, so they keep their names. Hosts without a cluster call
``tikhub_reconcile`` and ``tikhub_prune`` instead.
"""

from __future__ import annotations

from tikhub_app.gateway import prune as pruning
from tikhub_app.gateway import reconcile as reconciling
from tikhub_app.gateway import worker_heartbeat


def reconcile() -> str:
    """Each minute: close what dead processes left open."""
    worker_heartbeat.beat()
    return str(reconciling.close_abandoned())


def prune() -> str:
    """Each day: delete what has been kept long enough, and look for open attempts however old."""
    worker_heartbeat.beat()
    closed = reconciling.close_abandoned(orphans_since=None)
    return f"{pruning.prune()} deleted; {closed}"
