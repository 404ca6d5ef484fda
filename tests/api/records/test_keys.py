"""Keys over REST: made, shown once, changed, rotated, revoked."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from tests.api.conftest import as_user
from tikhub_app.api.records.key_serializers import ApiKeySerializer
from tikhub_app.models import ApiKey, key_format

pytestmark = pytest.mark.django_db


def test_the_secret_is_in_the_answer_that_makes_the_key_and_nowhere_else(manager: APIClient) -> None:
    answer = manager.post(
        "/api/v1/keys/",
        {
            "name": "billing",
            "allowed_models": ["gpt-*"],
            "allowed_operations": ["chat"],
            "scope": "gateway",
            "expires_at": "2031-01-31T00:00:00+01:00",
        },
        format="json",
    )
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.json()
    secret = made.pop("key")
    row = ApiKey.objects.get(pk=made["id"])
    assert row.key_hash == key_format.digest(secret)
    assert made == {
        "id": row.pk,
        "name": "billing",
        "prefix": secret[:13],
        "scope": "gateway",
        "owner": None,
        "allowed_models": ["gpt-*"],
        "allowed_operations": ["chat"],
        "payload_policy": "default",
        "state": "active",
        "expires_at": "2031-01-30T23:00:00Z",
        "revoked_at": None,
        "last_used_at": None,
        "rotated_from": None,
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
    }
    shown = manager.get(f"/api/v1/keys/{row.pk}/")
    assert shown.json() == made
    for answer in (shown, manager.get("/api/v1/keys/")):
        assert secret not in answer.content.decode()
        assert row.key_hash not in answer.content.decode()


def test_a_user_makes_keys_of_their_own_unless_they_name_another(admin: User) -> None:
    client = as_user(admin)
    assert client.post("/api/v1/keys/", {"name": "a"}, format="json").json()["owner"] == "admin"
    assert client.post("/api/v1/keys/", {"name": "b", "owner": None}, format="json").json()["owner"] is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * 121}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": {"a": 1}}, "name"),
        ({"name": "n", "scope": "root"}, "scope"),
        ({"name": "n", "owner": "nobody"}, "owner"),
        ({"name": "n", "owner": 10**400}, "owner"),
        ({"name": "n", "owner": "a\x00"}, "owner"),
        ({"name": "n", "allowed_models": "gpt-*"}, "allowed_models"),
        ({"name": "n", "allowed_models": ["gpt-*", ""]}, "allowed_models.1"),
        ({"name": "n", "allowed_models": [[]]}, "allowed_models.0"),
        ({"name": "n", "expires_at": "soon"}, "expires_at"),
        ({"name": "n", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "n", "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"name": "n", "payload_policy": "some"}, "payload_policy"),
        ({"name": "n", "expire_at": None}, "expire_at"),
        ({"name": "n", "key": "sk-mine"}, "key"),
        ({"name": "n", "revoked_at": None}, "revoked_at"),
    ],
)
def test_a_wrong_field_is_a_400_that_names_it(manager: APIClient, body: dict[str, Any], param: str) -> None:
    # Written by hand: some of these values no encoder would let through.
    answer = manager.post("/api/v1/keys/", json.dumps(body), content_type="application/json")
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert list(error["fields"]) == [param]
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"name": ', "application/json", 400),
        (b"[" * 200_000, "application/json", 400),
        (b'{"name": "\xff"}', "application/json", 400),
        (b'{"name": NaN}', "application/json", 400),
        (b'{"name": ' + b"9" * 5_000 + b"}", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"name": "' + b"n" * 1_100_000 + b'"}', "application/json", 413),
        (b"name=x", "application/x-www-form-urlencoded", 415),
        (b"x", "nonsense", 415),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    manager: APIClient, body: bytes, content_type: str, status: int
) -> None:
    answer = manager.post("/api/v1/keys/", body, content_type=content_type)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_a_change_writes_what_was_sent_and_nothing_else(manager: APIClient) -> None:
    key, _ = ApiKey.issue(name="old", allowed_models=["a"])
    path = f"/api/v1/keys/{key.pk}/"
    answer = manager.patch(path, {"name": "new", "payload_policy": "none", "allowed_models": []}, format="json")
    assert answer.status_code == 200
    key.refresh_from_db()
    assert (key.name, key.payload_policy, key.allowed_models) == ("new", "none", [])
    for field in ("scope", "owner", "prefix", "revoked_at", "state"):
        assert manager.patch(path, {field: None}, format="json").json()["error"]["param"] == field


def test_a_change_does_not_undo_a_revocation_that_came_in_between(
    manager: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = ApiKey.issue(name="leaked")

    def revoke_meanwhile(self: ApiKeySerializer, value: str) -> str:
        ApiKey.objects.get(pk=key.pk).revoke()
        return value

    monkeypatch.setattr(ApiKeySerializer, "validate_name", revoke_meanwhile, raising=False)
    assert manager.patch(f"/api/v1/keys/{key.pk}/", {"name": "new"}, format="json").status_code == 200
    key.refresh_from_db()
    assert (key.name, key.state) == ("new", "revoked")


def test_a_rotation_makes_a_successor_and_ends_the_old_key_after_the_overlap(manager: APIClient) -> None:
    key, old_secret = ApiKey.issue(name="web", allowed_models=["gpt-*"])
    answer = manager.post(f"/api/v1/keys/{key.pk}/rotate/", {"overlap_s": 600}, format="json")
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.json()
    assert made["rotated_from"] == key.pk
    assert made["allowed_models"] == ["gpt-*"]
    assert made["key"] != old_secret
    key.refresh_from_db()
    assert key.expires_at is not None
    assert timedelta(seconds=590) < key.expires_at - timezone.now() <= timedelta(seconds=600)


@pytest.mark.parametrize("overlap", [-1, 10**12, "long", None, 1.5])
def test_an_overlap_that_is_no_time_is_refused(manager: APIClient, overlap: Any) -> None:
    key, _ = ApiKey.issue(name="web")
    answer = manager.post(f"/api/v1/keys/{key.pk}/rotate/", {"overlap_s": overlap}, format="json")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "overlap_s")


def test_a_revoked_key_stays_revoked_and_cannot_be_rotated(manager: APIClient) -> None:
    key, _ = ApiKey.issue(name="web")
    first = manager.post(f"/api/v1/keys/{key.pk}/revoke/")
    assert (first.status_code, first.json()["state"]) == (200, "revoked")
    assert manager.post(f"/api/v1/keys/{key.pk}/revoke/").json()["revoked_at"] == first.json()["revoked_at"]
    refused = manager.post(f"/api/v1/keys/{key.pk}/rotate/")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "key_not_active")


def test_keys_are_found_by_scope_state_owner_and_prefix(manager: APIClient, admin: User) -> None:
    active, _ = ApiKey.issue(name="active", owner=admin)
    revoked, _ = ApiKey.issue(name="revoked")
    revoked.revoke()
    ApiKey.issue(name="expired", expires_at=timezone.now() - timedelta(days=1))

    def found(**query: str) -> list[str]:
        return [row["name"] for row in manager.get("/api/v1/keys/", query).json()["results"]]

    assert found() == ["expired", "revoked", "active", "operations"]
    assert found(scope="manage") == ["operations"]
    assert found(state="active") == ["active", "operations"]
    assert found(state="expired") == ["expired"]
    assert found(state="revoked") == ["revoked"]
    assert found(owner="admin") == ["active"]
    assert found(prefix=active.prefix) == ["active"]


def test_a_list_takes_as_many_queries_for_fifty_keys_as_for_one(
    manager: APIClient, admin: User, django_assert_num_queries: Any
) -> None:
    for number in range(50):
        ApiKey.issue(name=str(number), owner=admin)
    manager.get("/api/v1/keys/")
    with django_assert_num_queries(2):
        assert len(manager.get("/api/v1/keys/").json()["results"]) == 50


@pytest.mark.parametrize("key_id", ["0", "-1", "x", "9" * 18, "9" * 40, "%00", "1.0", "²", "٣"])
def test_an_id_that_is_none_is_a_404(manager: APIClient, key_id: str) -> None:
    answer = manager.get(f"/api/v1/keys/{key_id}/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_keys_are_not_deleted_or_replaced(manager: APIClient) -> None:
    key, _ = ApiKey.issue(name="web")
    for method in (manager.delete, manager.put, manager.options):
        assert method(f"/api/v1/keys/{key.pk}/").status_code == 405
