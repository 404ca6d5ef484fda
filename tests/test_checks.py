"""System checks: each mistake has its id, and a good configuration none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.checks import CheckMessage, run_checks
from django.db import connection
from django.test import override_settings
from django.urls import include, path
from pytest_django import Settings

from tikhub_app import checks

WAL = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
GOOD_OPTIONS = {"transaction_mode": "IMMEDIATE", "init_command": WAL, "timeout": 20}

# A host that mounts the app below a path of its own.
urlpatterns = [path("ai/", include("tikhub_app.urls"))]


def ids(messages: list[CheckMessage]) -> list[str]:
    return [str(message.id).removeprefix("tikhub_app.") for message in messages]


def given(settings: Settings, **values: Any) -> None:
    settings.TIKHUB = {**settings.TIKHUB, **values}


def given_database(monkeypatch: pytest.MonkeyPatch, database: dict[str, Any]) -> None:
    # Django's own DATABASES cannot be replaced while connections are open.
    monkeypatch.setattr(checks, "django_settings", SimpleNamespace(DATABASES={"default": database}))


def test_the_service_as_shipped_has_nothing_to_say() -> None:
    assert [message for message in run_checks() if str(message.id).startswith("tikhub_app.")] == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MAX_BODY_BYTE", 1, "E001"),
        ("MAX_BODY_BYTES", "64MB", "E002"),
        ("MAX_BODY_BYTES", True, "E002"),
        ("MAX_BODY_BYTES", 1.5, "E002"),
        ("SANDBOX", "0", "E002"),
        ("DURABILITY", "best", "E002"),
        ("ENCRYPTION_KEYS", "one-string", "E002"),
        ("ENVIRONMENT_UPSTREAMS", [{"name": "a"}], "E002"),
        ("MAX_BODY_BYTES", 0, "E003"),
        ("MAX_ATTEMPTS", 0, "E003"),
        ("REQUEST_RETENTION_DAYS", 0, "E003"),
        ("CONFIG_POLL_S", 2, "E003"),
        ("PUBLIC_URL", "gateway.example", "E003"),
        ("ASGI_PREFIX", "ai/", "E003"),
        ("FIRST_KEY", "planted", "E003"),
        ("DATABASE", "nowhere", "E003"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(settings: Settings, name: str, value: Any, expected: str) -> None:
    given(settings, **{name: value})

    (message,) = checks.check_settings()

    assert ids([message]) == [expected]
    assert name in message.msg
    assert "planted" not in message.msg


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DRAIN_SECONDS", 5),
        ("REQUEST_RETENTION_DAYS", None),
        ("ENCRYPTION_KEYS", []),
        ("ASGI_PREFIX", ""),
        ("ASGI_PREFIX", "/ai"),
        ("ASGI_PREFIX", None),
        ("FIRST_KEY", "chosen-by-the-operator-1"),
        ("PUBLIC_URL", "https://gateway.example"),
    ],
)
def test_right_values_are_accepted(settings: Settings, name: str, value: Any) -> None:
    given(settings, **{name: value})

    assert checks.check_settings() == []


def test_a_setting_that_is_no_dict_is_one_error(settings: Settings) -> None:
    settings.TIKHUB = ["SANDBOX"]

    assert ids(checks.check_settings()) == ["E001"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"transaction_mode": None}, ["E010"]),
        ({"transaction_mode": "DEFERRED"}, ["E010"]),
        ({"init_command": None}, ["E011"]),
        ({"init_command": "PRAGMA journal_mode=DELETE"}, ["E011"]),
        ({"init_command": "pragma journal_mode = 'wal'"}, []),
        ({"timeout": 1}, ["E012"]),
        ({"transaction_mode": None, "init_command": "", "timeout": 0}, ["E010", "E011", "E012"]),
    ],
)
def test_sqlite_must_be_set_up_for_several_writers(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], expected: list[str]
) -> None:
    given_database(monkeypatch, {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": GOOD_OPTIONS | changes})

    assert ids(checks.check_sqlite()) == expected


def test_postgresql_needs_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given_database(monkeypatch, {"ENGINE": "django.db.backends.postgresql"})

    assert checks.check_sqlite() == []


@pytest.mark.sqlite
@pytest.mark.django_db(transaction=True)
def test_the_journal_mode_is_asked_of_the_database_only_where_databases_are_checked() -> None:
    assert checks.check_journal_mode(databases=["default"]) == []
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode=DELETE")
    try:
        assert checks.check_journal_mode(databases=None) == []
        assert ids(checks.check_journal_mode(databases=["default"])) == ["E013"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")


class ToAnotherDatabase:
    def db_for_write(self, model: object, **hints: object) -> str:
        return "facts"


def test_routers_and_ledger_must_agree_on_the_database(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [ToAnotherDatabase()]

    assert ids(checks.check_database_alias()) == ["E004"]
    given(settings, DATABASE="facts")
    assert checks.check_database_alias() == []


def test_encryption_keys_must_be_fernet_keys(settings: Settings) -> None:
    given(settings, ENCRYPTION_KEYS=[Fernet.generate_key().decode(), "planted", 7])
    messages = checks.check_encryption_keys()
    assert ids(messages) == ["E020", "E020"]
    assert "[1]" in messages[0].msg
    assert "planted" not in messages[0].msg

    given(settings, ENCRYPTION_KEYS=[])
    assert ids(checks.check_encryption_keys()) == ["W021"]


def test_missing_apps_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "is_installed", lambda name: False)

    assert ids(checks.check_apps()) == ["E030", "W031"]
    assert checks.check_task_queue() == []


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        ({"timeout": 300, "retry": 360}, []),
        ({"timeout": 300, "retry": 300}, ["W032"]),
        ({"timeout": 90}, ["W032"]),
        ({"retry": 360}, ["W032"]),
    ],
)
def test_tasks_must_not_be_handed_out_while_they_run(
    settings: Settings, queue: dict[str, int], expected: list[str]
) -> None:
    settings.Q_CLUSTER = queue

    assert ids(checks.check_task_queue()) == expected


@pytest.mark.parametrize(("prefix", "expected"), [(None, []), ("/ai", []), ("", ["E040"]), ("/other", ["E040"])])
def test_both_doors_must_be_mounted_at_the_same_path(
    settings: Settings, prefix: str | None, expected: list[str]
) -> None:
    given(settings, ASGI_PREFIX=prefix)

    with override_settings(ROOT_URLCONF=__name__):
        assert ids(checks.check_asgi_prefix()) == expected


def test_the_asgi_door_may_be_the_only_one(settings: Settings) -> None:
    given(settings, ASGI_PREFIX="/ai")

    with override_settings(ROOT_URLCONF="django.contrib.auth.urls"):
        assert checks.check_asgi_prefix() == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"SANDBOX": False, "SCHEMA_PUBLIC": False, "METRICS_PUBLIC": False}, []),
        ({"SANDBOX": True, "SCHEMA_PUBLIC": False, "METRICS_PUBLIC": False}, ["E050"]),
        ({"SANDBOX": False, "SCHEMA_PUBLIC": True, "METRICS_PUBLIC": True}, ["W051", "W052"]),
    ],
)
def test_a_deployment_has_no_sandbox(settings: Settings, values: dict[str, bool], expected: list[str]) -> None:
    given(settings, **values)

    assert ids(checks.check_deployment()) == expected
    found = ids([message for message in run_checks(include_deployment_checks=True) if "tikhub_app" in str(message.id)])
    assert set(expected) <= set(found)
    assert not set(expected) & set(ids(run_checks()))
