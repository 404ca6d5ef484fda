"""Secrets that the standalone service makes for itself, kept in ``var/`` (mode 0700, files 0600).

They are made once, while there is no database yet. A secret that is missing beside an existing database is an error,
never made anew: another encryption key could not read the stored credentials, another SECRET_KEY would sign everybody
out and leave queued tasks unreadable.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from project.environment import Environment

SECRET_KEY_FILE = "secret-key"  # noqa: S105  # a file name
ENCRYPTION_KEYS_FILE = "encryption-keys"
GATEWAY_KEY_FILE = "gateway-key"


class MissingSecret(ImproperlyConfigured):
    """A database exists, but the secret that belongs to it does not."""


def secret_key(environment: Environment, database_exists: Callable[[], bool]) -> str:
    """Django's SECRET_KEY: from the environment, else from ``var/secret-key``."""
    return environment.secret_key or _read_or_make(
        environment.var_dir / SECRET_KEY_FILE,
        "SECRET_KEY",
        make=lambda: secrets.token_urlsafe(50),
        database_exists=database_exists,
    )


def encryption_keys(environment: Environment, database_exists: Callable[[], bool]) -> tuple[str, ...]:
    """Fernet keys for stored credentials, newest first: from the environment, else from ``var/encryption-keys``.

    The file holds one key a line, so that a rotation writes the new key above the old one.
    """
    return environment.encryption_keys or tuple(
        _read_or_make(
            environment.var_dir / ENCRYPTION_KEYS_FILE,
            "TIKHUB_ENCRYPTION_KEYS",
            make=lambda: Fernet.generate_key().decode(),
            database_exists=database_exists,
        ).split()
    )


def read_secret(path: Path) -> str | None:
    """The secret in ``path`` without its newline, or None where there is no such file."""
    try:
        value = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    if not value:
        raise ImproperlyConfigured(f"{path} is empty; restore it from a backup")
    return value


def write_secret(path: Path, value: str) -> str:
    """Write ``value`` whole and private; where another process was first, its value stays and is returned."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file 0600. The link appears with its content in it, or not at all, and never replaces another.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(value + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        return read_secret(path) or value
    finally:
        os.unlink(name)
    return value


def _read_or_make(path: Path, variable: str, *, make: Callable[[], str], database_exists: Callable[[], bool]) -> str:
    value = read_secret(path)
    if value is not None:
        return value
    if database_exists():
        raise MissingSecret(
            f"{path} is missing, but the database it belongs to exists. Restore the file from a backup, "
            f"or set {variable} to the value that this database was made with."
        )
    return write_secret(path, make())
