"""One run over one database: ``python -m tests.chaos.trial``, started by ``launch.py`` with the service's environment.

1. Migrate, ``tikhub_setup``, and two upstreams that both lead to one sandbox, so that a refused call has a second try.
2. Two web processes; callers in parallel. At even distances one process, in turn, is killed and started again: in the
   middle of its traffic, then while the database takes no rows, then in a rush of new calls. After the second kill
   ``tikhub_reconcile`` runs between living calls.
3. When everything is quiet, ``tikhub_reconcile``, and then the audit, while the last processes still live.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from tests.chaos.audit import Audit, Findings
from tests.chaos.books import OPEN, BillLine, read_ledger
from tests.chaos.callers import Callers
from tests.chaos.web import WebServer
from tests.services import REPOSITORY
from tikhub_app.sandbox.faults import DRAWN
from tikhub_app.sandbox.process import SandboxProcess

FAULT_RATE = 0.05
#: Everything that the sandbox draws by itself, and what takes the gateway's own time limits to end.
FAULTS = (*DRAWN, "no_usage", "hang", "stall_mid_stream")
#: So long the gateway waits for a provider that is silent.
PATIENCE_S = 6.0
#: A kill waits for a moment of up to this time, so that it comes at no moment in particular ...
LONGEST_AIM_S = 0.1
#: ... and for as many streams under way in the process, so that it leaves rows open: one to so many callers.
CALLERS_PER_STREAM = 8
#: Shorter than a call waits for its row.
STALL_S = 0.7
QUIET_WITHIN_S = 60.0
RECONCILE_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is asked to do."""

    calls: int
    kills: int
    parallel: int
    seed: int
    workdir: Path


class Trial:
    """One run; its processes are those that it started, each ended by its own id."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.servers = [WebServer(order.workdir / f"web-{name}.log") for name in ("a", "b")]
        self.killed: list[int] = []
        self.streams_cut = 0
        self.reconciled: list[str] = []
        self.rng = random.Random(order.seed)

    def run(self) -> dict[str, Any]:
        """The report, with its violations."""
        started = time.monotonic()
        options = ["--seed", str(self.order.seed), "--faults", str(FAULT_RATE), "--fault-set", ",".join(FAULTS)]
        with SandboxProcess(*options, "--remember", "0", bill=self.order.workdir / "bill.jsonl") as sandbox:
            prepare(sandbox.openai_url)
            callers = Callers(
                [server.port for server in self.servers],
                settings.TIKHUB["FIRST_KEY"],
                self.order.seed,
                self.order.calls,
                self.order.parallel,
            )
            try:
                asyncio.run(self._call_and_kill(callers))
                wait_until_quiet(sandbox, self.killed)
                self.reconciled.append(finish(start_reconcile()))
                received = sandbox.calls(limit=0)
                bill = [BillLine.read(line) for line in sandbox.bill()]
                findings = Audit(read_ledger(), bill, callers.notes, frozenset(self.killed)).run()
            finally:
                for server in self.servers:
                    server.stop()
        findings.violations += [*self._what_did_not_happen(findings, received), *damages_of_the_database()]
        return {
            "database": connection.vendor,
            "seconds": round(time.monotonic() - started, 1),
            "kills": len(self.killed),
            "streams under way at a kill": self.streams_cut,
            "faults": dict(sorted(received["by_fault"].items())),
            "calls at the sandbox": received["total"],
            "tikhub_reconcile": self.reconciled,
            **findings.figures,
            "violations": findings.violations,
        }

    # The run

    async def _call_and_kill(self, callers: Callers) -> None:
        for server in self.servers:
            server.start()
        for server in self.servers:
            await server.listens()
        reconciling: list[subprocess.Popen[str]] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(callers.run())
            group.create_task(self._kill(callers, reconciling))
        self.reconciled += [finish(process) for process in reconciling]

    async def _kill(self, callers: Callers, reconciling: list[subprocess.Popen[str]]) -> None:
        """Kill a process in turn, at even distances; the callers do not get past such a point without it."""
        aims = (self._aim_at_traffic, self._aim_at_waiting_rows, self._aim_at_rush)
        due = [self.order.calls * number // (self.order.kills + 1) for number in range(1, self.order.kills + 2)]
        for number in range(self.order.kills):
            await callers.hold_at(due[number])
            for server in self.servers:
                await server.listens()
            turn = number % len(self.servers)
            async with aims[number % len(aims)](callers, due[number + 1], turn):
                self.streams_cut += callers.streaming[turn]
                self.killed.append(self.servers[turn].kill())
            self.servers[turn].start()
            if number == 1:
                reconciling.append(start_reconcile())

    @asynccontextmanager
    async def _aim_at_traffic(self, callers: Callers, until: int, turn: int) -> AsyncIterator[None]:
        """The middle of ordinary traffic, with calls in all their states."""
        await callers.go_on_to(until, turn, 0)
        await asyncio.sleep(self.rng.uniform(0, LONGEST_AIM_S))
        await callers.go_on_to(until, turn, max(1, self.order.parallel // CALLERS_PER_STREAM))
        yield

    @asynccontextmanager
    async def _aim_at_waiting_rows(self, callers: Callers, until: int, turn: int) -> AsyncIterator[None]:
        """The database takes no rows for a moment, so no call may have been sent when the process dies."""
        await callers.come_to_rest()
        with stalled_database():
            await callers.go_on_to(until, turn, 0)
            await asyncio.sleep(STALL_S)
            yield

    @asynccontextmanager
    async def _aim_at_rush(self, callers: Callers, until: int, turn: int) -> AsyncIterator[None]:
        """All callers begin at once: many calls are between their row, their sending and their first byte."""
        await callers.come_to_rest()
        await callers.go_on_to(until, turn, max(1, self.order.parallel // (2 * CALLERS_PER_STREAM)))
        yield

    def _what_did_not_happen(self, findings: Findings, received: dict[str, Any]) -> list[str]:
        """A run in which nothing went wrong proves nothing."""
        figures = findings.figures
        happened = {
            "all calls were made": figures["calls"] == self.order.calls,
            "calls were done": figures["requests"].get("done", 0) > 0,
            "the sandbox failed on purpose": bool(received["by_fault"]),
            "callers left": figures["requests"].get("client_gone", 0) > 0,
            "the processes were killed": len(set(self.killed)) == self.order.kills,
            "a kill left rows to close": not self.order.kills or figures["closed by reconcile"]["requests"] > 0,
        }
        return [f"this did not happen: {what}" for what, is_so in happened.items() if not is_so]


def prepare(sandbox_url: str) -> None:
    """Tables, prices, the callers' key and the upstreams."""
    from tikhub_app.models import Route, Upstream

    call_command("migrate", interactive=False, verbosity=0)
    call_command("tikhub_setup", verbosity=0)
    for name in ("first", "second"):
        upstream = Upstream(
            name=name,
            provider="openai",
            base_url=sandbox_url,
            first_byte_timeout_s=PATIENCE_S,
            idle_timeout_s=PATIENCE_S,
        )
        upstream.set_credential("sk-chaos")
        upstream.save()
        for pattern in ("gpt-*", "o4*"):
            Route(pattern=pattern, upstream=upstream).save()
    connection.close()


def wait_until_quiet(sandbox: SandboxProcess, killed: Sequence[int]) -> None:
    """Return once the sandbox answers nobody and only killed processes have open rows; at the latest after a minute."""
    from tikhub_app.models import GatewayProcess, GatewayRequest

    deadline = time.monotonic() + QUIET_WITHIN_S
    while time.monotonic() < deadline:
        living = GatewayProcess.objects.exclude(pid__in=killed).values("id")
        if not sandbox.calls(limit=0)["open"] and not GatewayRequest.objects.filter(
            status__in=OPEN, process_id__in=living
        ):
            return
        time.sleep(0.2)


@contextmanager
def stalled_database() -> Iterator[None]:
    """Nobody else can write ledger rows, but everybody can read."""
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=20, isolation_level=None)) as file:
            file.execute("BEGIN IMMEDIATE")
            yield
            file.execute("ROLLBACK")
    else:
        with psycopg.connect(os.environ["DATABASE_URL"]) as server:
            server.execute("LOCK TABLE tikhub_app_gatewayrequest, tikhub_app_attempt IN EXCLUSIVE MODE")
            yield
            server.rollback()


def start_reconcile() -> subprocess.Popen[str]:
    command = [sys.executable, "manage.py", "tikhub_reconcile"]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def finish(reconciling: subprocess.Popen[str]) -> str:
    """What ``tikhub_reconcile`` says it has done.

    :raises RuntimeError: it failed.
    """
    try:
        printed, _ = reconciling.communicate(timeout=RECONCILE_WITHIN_S)
    except subprocess.TimeoutExpired:
        reconciling.kill()
        reconciling.communicate()
        raise
    if reconciling.returncode != 0:
        raise RuntimeError("tikhub_reconcile failed; the reason stands above")
    return printed.strip()


def damages_of_the_database() -> list[str]:
    """What SQLite finds wrong with its own file; PostgreSQL's server was not killed."""
    if connection.vendor != "sqlite":
        return []
    with closing(sqlite3.connect(settings.DATABASES["default"]["NAME"])) as file:
        said = [str(row[0]) for row in file.execute("PRAGMA integrity_check")]
    return [] if said == ["ok"] else [f"SQLite: {line}" for line in said]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.trial", description=__doc__)
    for name in ("calls", "kills", "parallel", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    order = Order(**vars(parser.parse_args()))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    report = Trial(order).run()
    (order.workdir / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False))
    return int(bool(report["violations"]))


if __name__ == "__main__":
    sys.exit(main())
