"""``DATABASE_URL``: what becomes of it, and whether a database is there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from project.database import database_exists, database_settings
from project.environment import Durability, InvalidEnvironment


def parsed(url: str, durability: Durability = "process", conn_max_age_s: int = 0) -> dict[str, Any]:
    return database_settings(url, durability=durability, conn_max_age_s=conn_max_age_s)


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_sqlite_is_wal_and_immediate_and_as_durable_as_asked(
    tmp_path: Path, durability: Durability, synchronous: int
) -> None:
    settings = parsed(f"sqlite:///{tmp_path}/db.sqlite3", durability)
    assert settings["NAME"] == f"{tmp_path}/db.sqlite3"
    assert settings["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert settings["OPTIONS"]["timeout"] == 20
    with closing(sqlite3.connect(settings["NAME"])) as connection:
        connection.executescript(settings["OPTIONS"]["init_command"])
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)


def test_postgresql_keeps_its_options_and_gets_no_pool() -> None:
    settings = parsed("postgresql://me:p%40ss@db.example.com:5433/gateway?sslmode=require", conn_max_age_s=60)
    assert settings["ENGINE"] == "django.db.backends.postgresql"
    assert (settings["NAME"], settings["USER"], settings["PASSWORD"]) == ("gateway", "me", "p@ss")
    assert (settings["HOST"], settings["PORT"]) == ("db.example.com", 5433)
    assert settings["OPTIONS"] == {"sslmode": "require", "application_name": "tikhub"}
    assert (settings["CONN_MAX_AGE"], settings["CONN_HEALTH_CHECKS"]) == (60, True)


@pytest.mark.parametrize("url", ["sqlite://:memory:", "mysql://root@127.0.0.1/gateway", "planted-secret", "://"])
def test_other_databases_are_refused_without_repeating_the_url(url: str) -> None:
    with pytest.raises(InvalidEnvironment, match=r"^DATABASE_URL ") as caught:
        parsed(url)
    assert "planted-secret" not in str(caught.value)


def test_a_sqlite_database_exists_once_its_file_holds_something(tmp_path: Path, sqlite_file_url: str) -> None:
    assert not database_exists(parsed(f"sqlite:///{tmp_path}/none.sqlite3"))
    (tmp_path / "empty.sqlite3").touch()
    assert not database_exists(parsed(f"sqlite:///{tmp_path}/empty.sqlite3"))
    assert database_exists(parsed(sqlite_file_url))


@pytest.mark.postgres
def test_a_postgresql_database_exists_once_it_holds_tables(postgres_server: str, postgres_url: str) -> None:
    assert not database_exists(parsed(postgres_server))
    assert database_exists(parsed(postgres_url))
