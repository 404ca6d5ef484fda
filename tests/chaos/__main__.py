"""``make chaos``: the trial on SQLite and on PostgreSQL, a fresh database each, and a report of both.

Ends with 1 when anything does not agree; the files of the run, and its PostgreSQL database, are kept then.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from tests.chaos.launch import run_trial
from tests.services import IN_CI, find_postgres

MOST_VIOLATIONS_SHOWN = 40


class Kept(Exception):
    """Leaves the database's context without removing the database."""


@contextmanager
def fresh_postgres(server: str) -> Iterator[str]:
    """URL of a new database, dropped afterwards unless the block raises."""
    name = f"tikhub_chaos_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    except BaseException:
        print(f"The PostgreSQL database {name} is kept.", file=sys.stderr)
        raise
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def show(report: dict[str, Any]) -> None:
    """The report, a line for each figure."""
    violations: list[str] = report["violations"]
    print()
    for name, value in report.items():
        if name == "violations":
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key} {figure}" for key, figure in value.items()) or "none"
        elif isinstance(value, list):
            value = "; ".join(value)
        print(f"{name:>32}  {value}")
    print(f"{'violations':>32}  {len(violations)}")
    for violation in violations[:MOST_VIOLATIONS_SHOWN]:
        print(f"  - {violation}")
    if len(violations) > MOST_VIOLATIONS_SHOWN:
        print(f"  ... and {len(violations) - MOST_VIOLATIONS_SHOWN} more, in report.json")
    print(flush=True)


def run_on(database: str, workdir: Path, numbers: dict[str, int]) -> bool:
    """Whether everything agreed; the working directory is kept where it did not."""
    if database == "sqlite":
        report = run_trial(f"sqlite:///{workdir / 'db.sqlite3'}", workdir, **numbers)
    else:
        server = find_postgres()
        if server is None:
            print("PostgreSQL was not found, so nothing is tried on it.", file=sys.stderr)
            return not IN_CI
        try:
            with fresh_postgres(server) as url:
                report = run_trial(url, workdir, **numbers)
                if report["violations"]:
                    raise Kept
        except Kept:
            pass
    show(report)
    if report["violations"]:
        print(f"The files of this run are kept in {workdir}", file=sys.stderr)
        return False
    shutil.rmtree(workdir)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--calls", type=int, default=3_000, help="calls on each database (%(default)s)")
    parser.add_argument("--kills", type=int, default=3, help="web processes killed meanwhile (%(default)s)")
    parser.add_argument("--parallel", type=int, default=64, help="callers at once (%(default)s)")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1, help="decides calls, callers and faults (%(default)s)")
    given = vars(parser.parse_args())
    database: str = given.pop("database")
    names = ("sqlite", "postgres") if database == "both" else (database,)
    directory = Path(tempfile.mkdtemp(prefix="tikhub-chaos-"))
    agreed = [run_on(name, directory / name, given) for name in names]
    if all(agreed):
        shutil.rmtree(directory)
    return int(not all(agreed))


if __name__ == "__main__":
    sys.exit(main())
