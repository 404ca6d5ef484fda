"""Generated secrets: made once, private, and never anew beside a database."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from project import secrets_file
from project.environment import Environment
from project.secrets_file import MissingSecret
from tests.services import REPOSITORY


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment.read({"TIKHUB_VAR_DIR": str(tmp_path / "var")})


def no_database() -> bool:
    return False


def a_database() -> bool:
    return True


def test_it_makes_secrets_once_and_keeps_them_private(environment: Environment) -> None:
    key = secrets_file.secret_key(environment, no_database)
    (fernet,) = secrets_file.encryption_keys(environment, no_database)
    assert len(key) >= 50
    assert Fernet(fernet).decrypt(Fernet(fernet).encrypt(b"text")) == b"text"

    assert secrets_file.secret_key(environment, a_database) == key
    assert secrets_file.encryption_keys(environment, a_database) == (fernet,)
    assert stat.S_IMODE(environment.var_dir.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in environment.var_dir.iterdir()}
    assert files == {"secret-key": 0o600, "encryption-keys": 0o600}


def test_it_never_makes_a_secret_anew_beside_a_database(environment: Environment) -> None:
    with pytest.raises(MissingSecret, match=r"secret-key is missing.*set SECRET_KEY"):
        secrets_file.secret_key(environment, a_database)
    with pytest.raises(MissingSecret, match="set TIKHUB_ENCRYPTION_KEYS"):
        secrets_file.encryption_keys(environment, a_database)
    assert not environment.var_dir.exists()


def test_variables_win_over_files_and_leave_none(tmp_path: Path) -> None:
    given = Environment.read(
        {"TIKHUB_VAR_DIR": str(tmp_path / "var"), "SECRET_KEY": "given", "TIKHUB_ENCRYPTION_KEYS": "new, old"}
    )
    assert secrets_file.secret_key(given, a_database) == "given"
    assert secrets_file.encryption_keys(given, a_database) == ("new", "old")
    assert not given.var_dir.exists()


def test_processes_that_start_together_agree_on_one_secret(environment: Environment) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = set(pool.map(lambda _: secrets_file.secret_key(environment, no_database), range(64)))
    assert len(answers) == 1
    assert [path.name for path in environment.var_dir.iterdir()] == ["secret-key"]


def test_a_lost_secret_stops_the_service_with_the_files_name(tmp_path: Path, sqlite_template: Path) -> None:
    var = tmp_path / "var"
    var.mkdir()
    (var / "db.sqlite3").write_bytes(sqlite_template.read_bytes())
    hidden = ("SECRET_KEY", "TIKHUB_ENCRYPTION_KEYS", "DATABASE_URL")
    command = subprocess.run(
        [sys.executable, "manage.py", "showmigrations"],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name not in hidden}
        | {"TIKHUB_VAR_DIR": str(var), "DJANGO_SETTINGS_MODULE": "project.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert command.returncode != 0
    assert f"{var}/secret-key is missing, but the database it belongs to exists" in command.stderr
    assert [path.name for path in var.iterdir()] == ["db.sqlite3"]
