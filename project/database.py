"""``DATABASES`` of the standalone service: SQLite in ``var/`` by default, PostgreSQL by ``DATABASE_URL``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from project.environment import Durability, InvalidEnvironment

SQLITE = "django.db.backends.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"


def database_settings(url: str, *, durability: Durability, conn_max_age_s: int) -> dict[str, Any]:
    """The entry of ``DATABASES`` for a database URL; raises InvalidEnvironment for what the gateway cannot use."""
    try:
        parsed: dict[str, Any] = dict(
            dj_database_url.parse(url, conn_max_age=conn_max_age_s, conn_health_checks=conn_max_age_s > 0)
        )
    except ValueError as error:
        # The URL may hold a password, so it is not repeated here.
        raise InvalidEnvironment("DATABASE_URL is not a valid database URL") from error
    options = parsed.setdefault("OPTIONS", {})
    if parsed["ENGINE"] == SQLITE:
        if parsed["NAME"] == ":memory:":
            raise InvalidEnvironment("DATABASE_URL must name a file: several processes share the database")
        parsed["NAME"] = str(Path(parsed["NAME"]).resolve())
        # WAL lets readers go on while one process writes; IMMEDIATE takes the write lock at BEGIN, where SQLite waits
        # for it, instead of failing at once when a reading transaction wants to write.
        # https://docs.djangoproject.com/en/5.2/ref/databases/#sqlite-notes
        synchronous = "FULL" if durability == "power" else "NORMAL"
        options.setdefault("timeout", 20)
        options.setdefault("transaction_mode", "IMMEDIATE")
        options.setdefault("init_command", f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};")
    elif parsed["ENGINE"] == POSTGRESQL:
        options.setdefault("application_name", "tikhub")
    else:
        raise InvalidEnvironment("DATABASE_URL must start with sqlite:/// or postgresql://")
    return parsed


def database_exists(settings: dict[str, Any]) -> bool:
    """Whether the gateway's tables may already stand in this database. Asked only when a secret is missing."""
    if settings["ENGINE"] == SQLITE:
        file = Path(settings["NAME"])
        return file.exists() and file.stat().st_size > 0
    import psycopg  # only the PostgreSQL service needs it, and only here

    options = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}
    try:
        with psycopg.connect(
            host=settings["HOST"],
            port=settings["PORT"] or None,
            dbname=settings["NAME"],
            user=settings["USER"] or None,
            password=settings["PASSWORD"] or None,
            **{"connect_timeout": 10} | options,
        ) as connection:
            row = connection.execute("SELECT to_regclass('django_migrations')").fetchone()
    except psycopg.OperationalError as error:
        raise ImproperlyConfigured(f"DATABASE_URL cannot be reached: {str(error).strip()}") from error
    return row is not None and row[0] is not None
