"""Who calls, and what they may do."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.gateway.views import a_principal
from tikhub_app.exceptions import AuthenticationFailed, PermissionRefused
from tikhub_app.gateway.access import authenticate, check_model, check_operation, read_credential
from tikhub_app.gateway.configuration import ConfigurationStore, Principal
from tikhub_app.models import key_format

KEY = key_format.generate()
FOREIGN = "a-key-that-the-operator-chose"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"  bearer   {KEY} "},
        {"x-api-key": KEY},
        {"x-goog-api-key": f" {KEY} "},
        {"authorization": f"Bearer {KEY}", "x-api-key": KEY, "x-goog-api-key": KEY},
        {"authorization": f"Bearer {KEY}", "x-api-key": ""},
    ],
)
def test_a_key_is_found_in_any_of_the_usual_headers(headers: dict[str, str]) -> None:
    assert read_credential(headers, {}) == KEY


def test_a_key_in_the_query_counts_only_where_it_is_allowed() -> None:
    assert read_credential({}, {"key": KEY}, allow_query=True) == KEY
    with pytest.raises(AuthenticationFailed, match="did not provide an API key"):
        read_credential({}, {"key": KEY})
    with pytest.raises(AuthenticationFailed, match="two different"):
        read_credential({"x-api-key": FOREIGN}, {"key": KEY}, allow_query=True)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"x-api-key": "  "}, "missing_api_key"),
        ({"authorization": ""}, "invalid_api_key"),
        ({"authorization": KEY}, "invalid_api_key"),
        ({"authorization": "Bearer"}, "invalid_api_key"),
        ({"authorization": "Bearer  "}, "invalid_api_key"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, "invalid_api_key"),
        ({"authorization": f"Bearer {KEY}", "x-api-key": FOREIGN}, "conflicting_api_keys"),
        ({"x-api-key": KEY, "x-goog-api-key": FOREIGN}, "conflicting_api_keys"),
        # A repeated header is joined by a comma.
        ({"authorization": f"Bearer {KEY}, Bearer {FOREIGN}"}, "invalid_api_key"),
        ({"x-api-key": f"{KEY}, {FOREIGN}"}, "invalid_api_key"),
        ({"x-api-key": "x" * 1_025}, "invalid_api_key"),
        ({"x-api-key": KEY[:-1] + ("0" if KEY[-1] != "0" else "1")}, "invalid_api_key"),
        ({"x-api-key": KEY[:-1]}, "invalid_api_key"),
        ({"x-api-key": KEY + "0"}, "invalid_api_key"),
        ({"x-api-key": "sk-tkh-é" + KEY[8:]}, "invalid_api_key"),
    ],
)
def test_what_cannot_be_one_key_is_refused_without_a_look_at_the_database(headers: dict[str, str], code: str) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        read_credential(headers, {})
    assert (caught.value.http_status, caught.value.code) == (401, code)
    assert KEY[8:] not in caught.value.message


class Keys(ConfigurationStore):
    """A store that knows these principals, by their keys, once it is asked."""

    def __init__(self, **principals: Principal) -> None:
        super().__init__()
        self.rows = {key_format.digest(key): principal for key, principal in principals.items()}
        self.asked = 0

    def _find_principal(self, key_hash: str) -> Principal | None:
        self.asked += 1
        return self.rows.get(key_hash)


def who(store: ConfigurationStore, key: str) -> Principal:
    return asyncio.run(authenticate(store, {"x-api-key": key}, {}))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"is_revoked": True}, "revoked_api_key"),
        ({"expires_at": 1.0}, "expired_api_key"),
        ({"is_revoked": True, "expires_at": 1.0}, "revoked_api_key"),
    ],
)
def test_revoked_and_expired_keys_are_refused(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        who(Keys(**{FOREIGN: a_principal(**fields)}), FOREIGN)
    assert caught.value.code == code


def test_an_unknown_key_is_refused_and_a_valid_one_is_its_principal() -> None:
    principal = a_principal(expires_at=time.time() + 60)
    store = Keys(**{FOREIGN: principal})
    assert who(store, FOREIGN) is principal
    with pytest.raises(AuthenticationFailed, match="Incorrect API key provided"):
        who(store, FOREIGN + "x")


def test_operations_and_scope_are_checked() -> None:
    check_operation(a_principal(), "chat")
    check_operation(a_principal(allowed_operations=frozenset({"chat"})), "chat")
    with pytest.raises(PermissionRefused) as caught:
        check_operation(a_principal(allowed_operations=frozenset({"embed"})), "chat")
    assert (caught.value.http_status, caught.value.code) == (403, "operation_not_allowed")
    with pytest.raises(PermissionRefused) as caught:
        check_operation(a_principal(scope="manage"), "chat")
    assert caught.value.code == "wrong_key_scope"


def test_models_are_checked_by_pattern_and_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tikhub_app.gateway.access.MOST_REMEMBERED_MODELS", 3)
    principal = a_principal(allowed_models=("gpt-4*", "o3"))
    for number in range(10):
        check_model(principal, f"gpt-4{number}")
    check_model(principal, "o3")
    assert len(principal.known_models) == 3
    for model in ("gpt-3", "o3-mini", "GPT-4o"):
        with pytest.raises(PermissionRefused) as caught:
            check_model(principal, model)
        assert (caught.value.code, caught.value.param) == ("model_not_allowed", "model")
    check_model(a_principal(), "anything")
