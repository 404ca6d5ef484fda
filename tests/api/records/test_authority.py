"""Who gets in, and whose records they see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from tests.api.conftest import add_relations, as_user, with_key
from tikhub_app.models import ApiKey, ConfigVersion, GatewayRequest, KeyScope

pytestmark = pytest.mark.django_db


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_nobody_is_refused_with_a_challenge(client: APIClient) -> None:
    for path in ("/api/v1/keys/", "/api/v1/requests/", "/api/v1/requests/req_1/payload/", "/api/v1/keys/1/"):
        answer = client.get(path)
        assert code(answer) == (401, "not_authenticated"), path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_key_must_be_right_active_and_of_scope_manage(manage_key: str, make_user: Callable[..., User]) -> None:
    gateway_secret = ApiKey.issue(name="calls")[1]
    revoked, revoked_secret = ApiKey.issue(name="old", scope=KeyScope.MANAGE)
    revoked.revoke()
    expired_secret = ApiKey.issue(
        name="past", scope=KeyScope.MANAGE, expires_at=timezone.now() - timedelta(seconds=1)
    )[1]  # fmt: skip
    inactive_secret = ApiKey.issue(
        name="gone", scope=KeyScope.MANAGE, owner=make_user("gone", is_active=False, is_superuser=True)
    )[1]  # fmt: skip

    def answer(secret: str) -> Any:
        return with_key(secret).get("/api/v1/keys/")

    assert answer(manage_key).status_code == 200
    assert code(answer(gateway_secret)) == (403, "wrong_key_scope")
    assert code(answer(revoked_secret)) == (401, "revoked_api_key")
    assert code(answer(expired_secret)) == (401, "expired_api_key")
    assert code(answer(inactive_secret)) == (401, "inactive_owner")
    assert code(answer("sk-tkh-nonsense")) == (401, "invalid_api_key")
    assert code(answer("x" * 40)) == (401, "invalid_api_key")
    assert code(answer("")) == (401, "invalid_api_key")


def test_two_different_keys_are_refused_and_the_same_one_twice_is_not(manage_key: str) -> None:
    other = ApiKey.issue(name="other", scope=KeyScope.MANAGE)[1]
    client = with_key(manage_key)
    assert code(client.get("/api/v1/keys/", headers={"x-api-key": other})) == (401, "conflicting_api_keys")
    assert client.get("/api/v1/keys/", headers={"x-api-key": manage_key}).status_code == 200


def test_a_session_needs_the_csrf_token_to_write(admin: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(admin)
    assert client.post("/api/v1/keys/", {"name": "x"}, format="json").status_code == 403
    assert not ApiKey.objects.exists()


def test_a_credential_of_another_scheme_does_not_disturb_a_session(admin: User) -> None:
    answer = as_user(admin).get("/api/v1/keys/", headers={"authorization": "Basic c2l0ZTpwYXNz"})
    assert answer.status_code == 200


def test_a_use_is_noted_to_the_minute_without_a_new_configuration(
    manager: APIClient, django_assert_num_queries: Any
) -> None:
    before = ConfigVersion.objects.values_list("version", flat=True).first()
    manager.get("/api/v1/keys/")
    assert ApiKey.objects.get().last_used_at is not None
    assert ConfigVersion.objects.values_list("version", flat=True).first() == before
    with django_assert_num_queries(2):  # the key, the list
        manager.get("/api/v1/keys/")


@pytest.fixture
def world(
    make_user: Callable[..., User], make_request: Callable[..., GatewayRequest], admin: User
) -> dict[str, Any]:  # fmt: skip
    """Two owners, each with a key and a call."""
    anna, ben = make_user("anna"), make_user("ben")
    rows: dict[str, Any] = {"anna": anna, "ben": ben, "admin": admin}
    for minute, owner in enumerate((anna, ben)):
        key, _ = ApiKey.issue(name=f"{owner.username}'s", owner=owner)
        rows[f"{owner.username}_key"] = key
        rows[f"{owner.username}_call"] = make_request(minute, owner=owner, key=key)
        add_relations(rows[f"{owner.username}_call"])
    return rows


def names(answer: Any, field: str = "name") -> set[str]:
    return {row[field] for row in answer.json()["results"]}


def test_everything_of_somebody_else_is_a_404(world: dict[str, Any]) -> None:
    client = as_user(world["anna"])
    assert names(client.get("/api/v1/keys/")) == {"anna's"}
    assert names(client.get("/api/v1/requests/"), "request_id") == {world["anna_call"].request_id}
    key, call = f"/api/v1/keys/{world['ben_key'].pk}/", f"/api/v1/requests/{world['ben_call'].request_id}/"
    walked = [client.get(key), client.patch(key, {"name": "mine"}, format="json")]
    walked += [client.post(f"{key}revoke/"), client.post(f"{key}rotate/")]
    walked += [client.get(call), client.get(f"{call}attempts/"), client.get(f"{call}payload/")]
    assert [answer.status_code for answer in walked] == [404] * 7
    missing = client.get("/api/v1/keys/999999/")
    assert walked[0].json() == missing.json()  # there is no telling the two apart
    world["ben_key"].refresh_from_db()
    assert world["ben_key"].state == "active"


def test_owners_see_their_own_calls_with_payload(world: dict[str, Any]) -> None:
    call = f"/api/v1/requests/{world['anna_call'].request_id}/"
    client = as_user(world["anna"])
    assert client.get(f"{call}payload/").json()["request_body"] == '{"model": "gpt-4o-mini"}'
    assert len(client.get(f"{call}attempts/").json()) == 2


def test_permissions_open_all_rows_but_payloads_only_with_their_own(
    world: dict[str, Any], make_user: Callable[..., User]
) -> None:
    auditor = make_user("auditor", "view_gatewayrequest", "view_apikey")
    reader = make_user("reader", "view_gatewayrequest", "view_requestpayload")
    call = f"/api/v1/requests/{world['ben_call'].request_id}/"
    assert len(names(as_user(auditor).get("/api/v1/requests/"), "request_id")) == 2
    assert len(names(as_user(auditor).get("/api/v1/keys/"))) == 2
    assert as_user(auditor).get(f"{call}payload/").status_code == 403
    assert as_user(reader).get(f"{call}payload/").status_code == 200
    assert as_user(world["admin"]).get(f"{call}payload/").status_code == 200


def test_a_manage_key_has_its_owners_rights_and_no_more(world: dict[str, Any]) -> None:
    secret = ApiKey.issue(name="anna manages", owner=world["anna"], scope=KeyScope.MANAGE)[1]
    client = with_key(secret)
    assert names(client.get("/api/v1/keys/")) == {"anna's", "anna manages"}
    assert names(client.get("/api/v1/requests/"), "request_id") == {world["anna_call"].request_id}
    assert client.get(f"/api/v1/requests/{world['ben_call'].request_id}/").status_code == 404
    assert client.post("/api/v1/keys/", {"name": "more"}, format="json").status_code == 403


def test_a_manage_key_without_owner_sees_all(world: dict[str, Any], manager: APIClient) -> None:
    assert len(names(manager.get("/api/v1/requests/"), "request_id")) == 2
    assert manager.get(f"/api/v1/requests/{world['ben_call'].request_id}/payload/").status_code == 200


def test_rights_cannot_be_gained_through_keys(world: dict[str, Any], make_user: Callable[..., User]) -> None:
    """A manage key carries its owner's rights, so making or rotating one for somebody else would hand them over."""
    clerk = make_user("clerk", "add_apikey", "change_apikey", "view_apikey")
    client = as_user(clerk)

    def create(**body: Any) -> int:
        return client.post("/api/v1/keys/", {"name": "n", **body}, format="json").status_code

    assert create(owner="ben") == 201
    assert create(scope="manage") == 201
    assert create(scope="manage", owner="clerk") == 201
    assert create(scope="manage", owner="admin") == 403
    assert create(scope="manage", owner=None) == 403
    admins, _ = ApiKey.issue(name="admin's", owner=world["admin"], scope=KeyScope.MANAGE)
    for verb in ("rotate", "revoke"):
        assert client.post(f"/api/v1/keys/{admins.pk}/{verb}/").status_code == 403
    assert client.patch(f"/api/v1/keys/{admins.pk}/", {"name": "x"}, format="json").status_code == 403


def test_owners_may_rotate_and_revoke_but_not_widen_their_keys(world: dict[str, Any]) -> None:
    client, path = as_user(world["anna"]), f"/api/v1/keys/{world['anna_key'].pk}/"
    assert client.patch(path, {"allowed_models": []}, format="json").status_code == 403
    assert client.post("/api/v1/keys/", {"name": "another"}, format="json").status_code == 403
    assert client.post(f"{path}rotate/").status_code == 201
    assert client.post(f"{path}revoke/").status_code == 200


def test_a_site_without_sessions_still_serves_keys(manage_key: str, settings: Any) -> None:
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    assert Client().get("/api/v1/keys/", headers={"authorization": f"Bearer {manage_key}"}).status_code == 200
    assert Client().get("/api/v1/keys/").status_code == 401
