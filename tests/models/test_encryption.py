"""Upstream credentials at rest."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from tikhub_app.exceptions import ConfigurationError
from tikhub_app.models import Upstream
from tikhub_app.models.encryption import reseal, seal, unseal

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def _old_key(settings: Settings) -> None:
    settings.TIKHUB = {**settings.TIKHUB, "ENCRYPTION_KEYS": [OLD]}


@pytest.mark.usefixtures("_old_key")
def test_a_credential_is_stored_encrypted_and_can_be_revealed() -> None:
    upstream = Upstream(name="u", provider="openai", base_url="https://api.example/v1")
    upstream.set_credential("  sk-planted-secret\n")

    assert "planted" not in upstream.credential
    assert upstream.reveal_credential() == "sk-planted-secret"
    assert upstream.credential_shown == "stored, encrypted"


def test_references_to_the_environment_are_kept_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-from-environment")

    assert seal("env:SOME_API_KEY") == "env:SOME_API_KEY"
    assert unseal("env:SOME_API_KEY") == "sk-from-environment"
    assert reseal("env:SOME_API_KEY") == "env:SOME_API_KEY"
    assert seal("") == unseal("") == ""


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_API_KEY", raising=False)

    with pytest.raises(ConfigurationError, match="SOME_API_KEY"):
        unseal("env:SOME_API_KEY")


@pytest.mark.usefixtures("_old_key")
def test_after_resealing_the_old_key_is_no_longer_needed(settings: Settings) -> None:
    stored = seal("sk-planted-secret")
    settings.TIKHUB = {**settings.TIKHUB, "ENCRYPTION_KEYS": [NEW, OLD]}
    renewed = reseal(stored)
    settings.TIKHUB = {**settings.TIKHUB, "ENCRYPTION_KEYS": [NEW]}

    assert unseal(renewed) == "sk-planted-secret"
    with pytest.raises(ConfigurationError, match="No key of"):
        unseal(stored)
    with pytest.raises(ConfigurationError, match="No key of"):
        reseal(stored)


@pytest.mark.parametrize(("keys", "words"), [([], "is empty"), (["short"], "not a Fernet key")])
def test_unusable_encryption_keys_are_told_apart(settings: Settings, keys: list[str], words: str) -> None:
    settings.TIKHUB = {**settings.TIKHUB, "ENCRYPTION_KEYS": keys}

    with pytest.raises(ConfigurationError, match=words):
        seal("sk-planted-secret")


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "TIKHUB_ENCRYPTION_KEYS", "PATH", ""])
def test_a_credential_cannot_be_any_variable_of_the_process(name: str) -> None:
    with pytest.raises(ConfigurationError, match="CREDENTIAL_VARIABLES"):
        seal(f"env:{name}")
    with pytest.raises(ConfigurationError, match="CREDENTIAL_VARIABLES"):
        unseal(f"env:{name}")
