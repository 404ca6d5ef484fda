"""Who calls, and whether they may: credentials from headers to a principal, and what that principal is allowed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from fnmatch import fnmatchcase

from tikhub_app.exceptions import AuthenticationFailed, PermissionRefused
from tikhub_app.gateway.configuration import ConfigurationStore, Principal
from tikhub_app.models import key_format

LONGEST_CREDENTIAL = 1_024
MOST_REMEMBERED_MODELS = 512


def read_credential(headers: Mapping[str, str], query: Mapping[str, str], *, allow_query: bool = False) -> str:
    """The one key that a caller presents, in any of the usual headers.

    :raises AuthenticationFailed: none, two different ones, or one that cannot be a key.
    """
    found: set[str] = set()
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, value = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not value.strip():
            raise AuthenticationFailed("The Authorization header must read 'Bearer YOUR_KEY'.")
        found.add(value.strip())
    for name in ("x-api-key", "x-goog-api-key"):
        value = headers.get(name, "").strip()
        if value:
            found.add(value)
    if allow_query and query.get("key"):
        found.add(query["key"])
    if not found:
        raise AuthenticationFailed(
            "You did not provide an API key. Send it as 'Authorization: Bearer YOUR_KEY' (or in x-api-key or "
            "x-goog-api-key).",
            code="missing_api_key",
        )
    if len(found) > 1:
        raise AuthenticationFailed("The request carries two different API keys; send one.", code="conflicting_api_keys")
    credential = found.pop()
    if len(credential) > LONGEST_CREDENTIAL or not key_format.is_plausible(credential):
        raise AuthenticationFailed("Incorrect API key provided.")
    return credential


async def authenticate(
    store: ConfigurationStore, headers: Mapping[str, str], query: Mapping[str, str], *, allow_query: bool = False
) -> Principal:
    """The principal of the key presented; no query for a key seen before.

    :param allow_query: the key may stand in the query string, as ``key``.

    :raises AuthenticationFailed: no key, two keys, wrong, revoked or expired.
    """
    key_hash = key_format.digest(read_credential(headers, query, allow_query=allow_query))
    principal = store.cached_principal(key_hash)
    if principal is False:
        principal = await store.find_principal(key_hash)
    if principal is None:
        raise AuthenticationFailed("Incorrect API key provided.")
    if principal.is_revoked:
        raise AuthenticationFailed("This API key has been revoked.", code="revoked_api_key")
    if principal.expires_at is not None and principal.expires_at <= time.time():
        raise AuthenticationFailed("This API key has expired.", code="expired_api_key")
    return principal


def check_operation(principal: Principal, operation: str) -> None:
    """:raises PermissionRefused: the key may not do this at all."""
    if not principal.may_call:
        raise PermissionRefused("This API key manages the gateway; it cannot call models.", code="wrong_key_scope")
    if principal.allowed_operations and operation not in principal.allowed_operations:
        raise PermissionRefused(
            f"This API key may not be used for the operation '{operation}'.", code="operation_not_allowed"
        )


def may_use_model(principal: Principal, model: str) -> bool:
    return not principal.allowed_models or any(fnmatchcase(model, pattern) for pattern in principal.allowed_models)


def check_model(principal: Principal, model: str) -> None:
    """:raises PermissionRefused: the key may not call this model."""
    if not principal.allowed_models or model in principal.known_models:
        return
    if not may_use_model(principal, model):
        raise PermissionRefused(
            f"This API key may not use the model '{model}'.", param="model", code="model_not_allowed"
        )
    if len(principal.known_models) < MOST_REMEMBERED_MODELS:
        principal.known_models.add(model)
