"""``tikhub_rotate_credentials``: all stored credentials under the newest key, or none."""

from __future__ import annotations

import io

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tikhub_app.models import Upstream

pytestmark = pytest.mark.django_db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def use(settings: Settings, *keys: str) -> None:
    settings.TIKHUB = {**settings.TIKHUB, "ENCRYPTION_KEYS": list(keys)}


def upstream(name: str, credential: str) -> Upstream:
    made = Upstream(name=name, provider="openai", base_url="https://api.example/v1")
    made.set_credential(credential)
    made.save()
    return made


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("tikhub_rotate_credentials", *arguments, stdout=out)
    return out.getvalue()


def test_the_old_key_can_be_taken_out_afterwards(settings: Settings) -> None:
    use(settings, OLD)
    first, second = upstream("a", "sk-first"), upstream("b", "sk-second")
    upstream("c", "env:SOMEWHERE_API_KEY")
    upstream("d", "")
    use(settings, NEW, OLD)

    said = run()
    use(settings, NEW)

    assert said.startswith("2 credentials were encrypted with the newest key; 1 are read from the environment")
    for made, secret in ((first, "sk-first"), (second, "sk-second")):
        made.refresh_from_db()
        assert made.reveal_credential() == secret
    assert Upstream.objects.get(name="c").credential == "env:SOMEWHERE_API_KEY"


def test_a_dry_run_changes_nothing(settings: Settings) -> None:
    use(settings, OLD)
    made = upstream("a", "sk-first")
    use(settings, NEW, OLD)

    assert run("--dry-run").startswith("1 credentials can be encrypted")

    stored = made.credential
    made.refresh_from_db()
    assert made.credential == stored


def test_one_that_cannot_be_opened_is_named_and_leaves_all_as_they_were(settings: Settings) -> None:
    use(settings, OLD)
    first = upstream("a", "sk-first")
    use(settings, Fernet.generate_key().decode())
    upstream("b", "sk-lost")
    use(settings, NEW, OLD)

    with pytest.raises(CommandError, match=r"^b: No key of .* Nothing was changed"):
        run()

    stored = first.credential
    first.refresh_from_db()
    assert first.credential == stored
