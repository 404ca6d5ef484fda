"""``tikhub_key``: what it prints where, what it accepts, what it finds."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.services import REPOSITORY
from tikhub_app.models import ApiKey
from tikhub_app.models.key_format import digest, is_plausible

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[str, str]:
    """Standard output and standard error of the command."""
    out, err = io.StringIO(), io.StringIO()
    call_command("tikhub_key", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_new_key_stands_alone_on_standard_output() -> None:
    out, err = run("create", "--name", "ci")

    secret = out.strip()
    assert out == f"{secret}\n"
    assert is_plausible(secret)
    assert ApiKey.objects.get(key_hash=digest(secret)).name == "ci"
    assert secret not in err


def test_every_right_can_be_given() -> None:
    owner = get_user_model().objects.create_user("ann")
    run(
        "create", "--name", "ci", "--models", "gpt-*, claude-*", "--operations", "chat,embed", "--scope", "manage",
        "--owner", "ann", "--expires", "2099-01-31", "--payload-policy", "none",
    )  # fmt: skip

    key = ApiKey.objects.get()
    assert key.allowed_models == ["gpt-*", "claude-*"]
    assert key.allowed_operations == ["chat", "embed"]
    assert (key.scope, key.owner, key.payload_policy) == ("manage", owner, "none")
    assert key.expires_at == datetime(2099, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)


def test_an_exact_moment_of_expiry_keeps_its_offset() -> None:
    run("create", "--name", "ci", "--expires", "2099-01-31T12:00+02:00")

    assert ApiKey.objects.get().expires_at == datetime(2099, 1, 31, 10, tzinfo=UTC)


def test_the_value_can_come_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOSEN", "chosen-by-the-operator-1")

    out, _ = run("create", "--name", "ci", "--value-from-env", "CHOSEN")

    assert out == "chosen-by-the-operator-1\n"
    assert ApiKey.objects.get().key_hash == digest("chosen-by-the-operator-1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--owner", "nobody"), "no user “nobody”"),
        (("--models", "gpt-*,,o3"), "an entry is empty"),
        (("--models", "gpt 4"), "“gpt 4” is not a model name"),
        (("--operations", "Chat!"), "“Chat!” is not an operation"),
        (("--expires", "soon"), "“soon” is not a date"),
        (("--expires", "2099-02-31"), "--expires: "),
        (("--expires", "2001-01-01"), "is past"),
        (("--value-from-env", "NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE is not set"),
        (("--scope", "root"), "invalid choice"),
    ],
)
def test_a_mistake_is_named_and_makes_no_key(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run("create", "--name", "ci", *arguments)

    assert not ApiKey.objects.exists()


def test_a_chosen_value_that_exists_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOSEN", "chosen-by-the-operator-1")
    run("create", "--name", "a", "--value-from-env", "CHOSEN")

    with pytest.raises(CommandError, match="already exists"):
        run("create", "--name", "b", "--value-from-env", "CHOSEN")


def test_the_list_shows_state_and_never_a_secret() -> None:
    key, secret = ApiKey.issue(name="ci", allowed_models=["gpt-*"])
    revoked, _ = ApiKey.issue(name="old")
    revoked.revoke()

    table, _ = run("list")
    rows = json.loads(run("list", "--json")[0])

    assert secret not in table
    assert key.key_hash not in table
    assert [(row["name"], row["state"], row["models"]) for row in rows] == [
        ("ci", "active", ["gpt-*"]),
        ("old", "revoked", []),
    ]
    assert [line.split()[1] for line in table.splitlines()[1:]] == [key.prefix, revoked.prefix]


@pytest.mark.parametrize("form", ["prefix", "part of it", "whole key", "number"])
def test_a_key_is_revoked_by_any_unmistakable_name(form: str) -> None:
    key, secret = ApiKey.issue(name="ci")
    named = {"prefix": key.prefix, "part of it": key.prefix[:9], "whole key": secret, "number": f"#{key.pk}"}[form]

    out, err = run("revoke", named)

    key.refresh_from_db()
    assert key.state == "revoked"
    assert out == ""
    assert secret not in err
    assert "had been revoked before" in run("revoke", named)[1]


def test_an_ambiguous_prefix_revokes_nothing_and_lists_the_matches() -> None:
    keys = [ApiKey.issue(name=name)[0] for name in ("first", "second")]

    with pytest.raises(CommandError) as raised:
        run("revoke", "sk-tkh-")

    for key in keys:
        assert f"#{key.pk}  {key.prefix}…  {key.name}" in str(raised.value)
    assert ApiKey.objects.active().count() == 2


def test_keys_that_no_longer_work_do_not_make_a_prefix_ambiguous() -> None:
    old, _ = ApiKey.issue(name="old")
    old.revoke()
    key, _ = ApiKey.issue(name="new")

    run("revoke", "sk-tkh-")

    key.refresh_from_db()
    assert key.state == "revoked"


@pytest.mark.parametrize("named", ["nothing-like-this", "", "#99999", "%", "SK-TKH-"])
def test_what_names_no_key_is_an_error(named: str) -> None:
    ApiKey.issue(name="ci")

    with pytest.raises(CommandError, match="No key is named by"):
        run("revoke", named)

    assert ApiKey.objects.active().count() == 1


def test_a_mistyped_whole_key_is_not_repeated() -> None:
    _, secret = ApiKey.issue(name="ci")

    with pytest.raises(CommandError) as raised:
        run("revoke", secret + "x")

    assert secret[7:] not in str(raised.value)


@pytest.mark.parametrize(
    ("overlap", "length"),
    [((), timedelta(hours=24)), (("--overlap", "30m"), timedelta(minutes=30)), (("--overlap", "0"), timedelta(0))],
)
def test_rotation_prints_the_successor_and_ends_the_old_key(overlap: tuple[str, ...], length: timedelta) -> None:
    key, _ = ApiKey.issue(name="ci")

    out, _ = run("rotate", key.prefix, *overlap)

    key.refresh_from_db()
    assert key.expires_at is not None
    assert abs(key.expires_at - timezone.now() - length) < timedelta(minutes=1)
    assert ApiKey.objects.get(key_hash=digest(out.strip())).rotated_from == key


@pytest.mark.parametrize("overlap", ["soon", "-1h", "1w", "9999999999999d", "400d"])
def test_a_wrong_overlap_is_refused(overlap: str) -> None:
    key, _ = ApiKey.issue(name="ci")

    with pytest.raises(CommandError, match="overlap"):
        run("rotate", key.prefix, f"--overlap={overlap}")

    assert ApiKey.objects.count() == 1


def test_a_revoked_key_cannot_be_rotated() -> None:
    key, _ = ApiKey.issue(name="ci")
    key.revoke()

    with pytest.raises(CommandError, match="revoked cannot be rotated"):
        run("rotate", key.prefix)


def test_a_shell_can_take_the_key_and_sees_exit_codes(sqlite_file_url: str) -> None:
    environment = os.environ | {"DATABASE_URL": sqlite_file_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}

    def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", "tikhub_key", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)

    made = shell("create", "--name", "ci")
    refused = shell("create", "--name", "ci", "--owner", "nobody")

    assert made.returncode == 0
    assert is_plausible(made.stdout.removesuffix("\n"))
    assert made.stdout.startswith("sk-tkh-")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no user “nobody”" in refused.stderr
