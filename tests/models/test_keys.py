"""Gateway keys: issue, state, revoke, rotate, what they allow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils import timezone

from tikhub_app.models import ApiKey, ConfigVersion
from tikhub_app.models.key_format import digest

pytestmark = pytest.mark.django_db


def test_the_secret_is_returned_once_and_stored_nowhere() -> None:
    key, secret = ApiKey.issue(name="ci")

    row = ApiKey.objects.values().get()
    assert row["key_hash"] == digest(secret)
    assert all(secret not in str(value) for value in row.values())
    assert secret.startswith(key.prefix)
    assert str(key) == f"ci ({secret[:13]}…)"


def test_a_chosen_value_must_be_long_and_new() -> None:
    ApiKey.issue(name="a", secret="chosen-by-the-operator-1")

    with pytest.raises(ValidationError, match="24 characters"):
        ApiKey.issue(name="b", secret="short")
    with pytest.raises(ValidationError, match="already exists"):
        ApiKey.issue(name="b", secret="chosen-by-the-operator-1")
    with pytest.raises(ValidationError, match="checksum"):
        ApiKey.issue(name="b", secret="sk-tkh-" + "a" * 38)
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("names", ["gpt-*", [""], [1], {"gpt": 1}])
def test_allowed_names_must_be_a_list_of_names(names: object) -> None:
    with pytest.raises(ValidationError, match="list of names"):
        ApiKey.issue(name="a", allowed_models=names)


def test_a_revoked_key_is_inactive_and_the_moment_of_revocation_stays() -> None:
    key, _ = ApiKey.issue(name="a")

    assert key.revoke() is True
    revoked_at = key.revoked_at
    assert key.revoke() is False

    key.refresh_from_db()
    assert (key.state, key.revoked_at) == ("revoked", revoked_at)
    assert not ApiKey.objects.active().exists()


def test_a_key_expires_at_its_moment() -> None:
    key, _ = ApiKey.issue(name="a", expires_at=datetime(2031, 1, 1, tzinfo=UTC))

    with time_machine.travel(datetime(2030, 12, 31, 23, 59, 59, tzinfo=UTC), tick=False):
        assert key.state == "active"
        assert ApiKey.objects.active().exists()
    with time_machine.travel(datetime(2031, 1, 1, tzinfo=UTC), tick=False):
        assert key.state == "expired"
        assert not ApiKey.objects.active().exists()


def test_rotation_hands_on_the_rights_and_ends_the_old_key_after_the_overlap() -> None:
    owner = get_user_model().objects.create_user("ann")
    key, secret = ApiKey.issue(
        name="a", owner=owner, allowed_models=["gpt-*"], allowed_operations=["chat"], payload_policy="none"
    )

    with time_machine.travel(datetime(2030, 1, 1, tzinfo=UTC), tick=False):
        successor, new_secret = key.rotate(timedelta(hours=2))

    key.refresh_from_db()
    assert key.expires_at == datetime(2030, 1, 1, 2, tzinfo=UTC)
    assert new_secret != secret
    assert successor.rotated_from == key
    inherited = (successor.owner, successor.allowed_models, successor.allowed_operations, successor.payload_policy)
    assert inherited == (owner, ["gpt-*"], ["chat"], "none")
    assert successor.expires_at is None


def test_rotation_never_lengthens_the_life_of_the_old_key() -> None:
    soon = timezone.now() + timedelta(minutes=5)
    key, _ = ApiKey.issue(name="a", expires_at=soon)

    key.rotate(timedelta(hours=24))

    key.refresh_from_db()
    assert key.expires_at == soon


def test_what_is_over_cannot_be_rotated() -> None:
    key, _ = ApiKey.issue(name="a")
    key.revoke()

    with pytest.raises(ValidationError, match="revoked cannot be rotated"):
        key.rotate()
    assert ApiKey.objects.count() == 1


def test_patterns_decide_which_models_are_allowed() -> None:
    key = ApiKey(name="a", allowed_models=["gpt-4o*", "o3"])

    assert key.allows_model("gpt-4o-mini")
    assert key.allows_model("o3")
    assert not key.allows_model("o3-mini")
    assert not key.allows_model("GPT-4o")
    assert ApiKey(name="b").allows_model("anything")


def test_deleting_a_user_deletes_the_keys_and_tells_every_process() -> None:
    owner = get_user_model().objects.create_user("ann")
    ApiKey.issue(name="a", owner=owner)
    before = ConfigVersion.objects.get().version

    owner.delete()

    assert not ApiKey.objects.exists()
    assert ConfigVersion.objects.get().version > before
