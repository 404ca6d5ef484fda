"""Encryption of upstream credentials at rest (MultiFernet, newest key first)."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tikhub_app.conf import settings
from tikhub_app.exceptions import ConfigurationError

ENVIRONMENT_PREFIX = "env:"
TOKEN_PREFIX = "fernet:"  # noqa: S105  # marks an encrypted value, is none


def _fernet() -> MultiFernet:
    keys = settings.ENCRYPTION_KEYS
    if not keys:
        raise ConfigurationError(
            "TIKHUB['ENCRYPTION_KEYS'] is empty: set at least one Fernet key to store credentials."
        )
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ConfigurationError(
            "TIKHUB['ENCRYPTION_KEYS'] holds a value that is not a Fernet key (32 bytes, url-safe base64)."
        ) from error


def check_variable(name: str) -> None:
    """:raises ConfigurationError: credentials may not come from this environment variable."""
    if not any(fnmatchcase(name, pattern) for pattern in settings.CREDENTIAL_VARIABLES):
        raise ConfigurationError(
            f"Credentials may not be read from the environment variable {name!r}: no pattern of "
            f"TIKHUB['CREDENTIAL_VARIABLES'] ({', '.join(settings.CREDENTIAL_VARIABLES)}) allows it."
        )


def seal(secret: str) -> str:
    """The stored form of a credential: ``""`` and ``env:NAME`` stay, anything else is encrypted.

    :raises ConfigurationError: the variable is not one that credentials may come from.
    """
    if not secret:
        return secret
    if secret.startswith(ENVIRONMENT_PREFIX):
        check_variable(secret.removeprefix(ENVIRONMENT_PREFIX))
        return secret
    return TOKEN_PREFIX + _fernet().encrypt(secret.encode()).decode()


def unseal(stored: str) -> str:
    """The credential itself, from the environment or decrypted; ``""`` when there is none.

    :raises ConfigurationError: the variable is not set, or no key opens the token.
    """
    if stored.startswith(ENVIRONMENT_PREFIX):
        name = stored.removeprefix(ENVIRONMENT_PREFIX)
        check_variable(name)
        value = os.environ.get(name, "")  # noqa: TID251  # the operator named the variable in the row
        if not value:
            raise ConfigurationError(f"The environment variable {name}, named by an upstream's credential, is not set.")
        return value
    if not stored:
        return ""
    try:
        return _fernet().decrypt(stored.removeprefix(TOKEN_PREFIX).encode()).decode()
    except InvalidToken as error:
        raise ConfigurationError("No key of TIKHUB['ENCRYPTION_KEYS'] opens a stored credential.") from error


def reseal(stored: str) -> str:
    """The same credential under the newest key; references to the environment stay as they are."""
    if not stored.startswith(TOKEN_PREFIX):
        return stored
    token = stored.removeprefix(TOKEN_PREFIX).encode()
    try:
        return TOKEN_PREFIX + _fernet().rotate(token).decode()
    except InvalidToken as error:
        raise ConfigurationError("No key of TIKHUB['ENCRYPTION_KEYS'] opens a stored credential.") from error
