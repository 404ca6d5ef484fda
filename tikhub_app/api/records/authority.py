"""Who calls the management REST, and what of it is theirs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from tikhub_app.conf import settings
from tikhub_app.exceptions import AuthenticationFailed
from tikhub_app.gateway.access import read_credential
from tikhub_app.models import ApiKey, GatewayRequest, KeyScope, key_format

ModelT = TypeVar("ModelT", bound=Model)

KEY_HEADERS = ("x-api-key", "x-goog-api-key")


def presents_key(request: Any) -> bool:
    """Whether there is a gateway key in the headers; another scheme of Authorization is somebody else's."""
    scheme = request.headers.get("authorization", "").strip().partition(" ")[0]
    return scheme.lower() == "bearer" or any(request.headers.get(name, "").strip() for name in KEY_HEADERS)


def find_management_key(request: Any) -> ApiKey:
    """The manage key in the headers of a Django or DRF request.

    :raises exceptions.AuthenticationFailed: wrong, revoked, expired, two different ones, or its owner is switched off.
    :raises exceptions.PermissionDenied: a key of scope gateway.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        if headers.get("authorization", "").strip().partition(" ")[0].lower() != "bearer":
            headers.pop("authorization", None)
        secret = read_credential(headers, {})
    except AuthenticationFailed as error:
        raise exceptions.AuthenticationFailed(error.message, code=error.code) from error
    rows = ApiKey.all_rows().using(settings.DATABASE).select_related("owner")
    key = rows.filter(key_hash=key_format.digest(secret)).first()
    if key is None:
        raise exceptions.AuthenticationFailed("Incorrect API key provided.", code="invalid_api_key")
    if key.state != "active":
        raise exceptions.AuthenticationFailed(f"This API key is {key.state}.", code=f"{key.state}_api_key")
    if key.owner is not None and not key.owner.is_active:
        raise exceptions.AuthenticationFailed("The owner of this API key is not active.", code="inactive_owner")
    if key.scope != KeyScope.MANAGE:
        raise exceptions.PermissionDenied(
            "This API key calls models; the management API needs one of scope manage.", code="wrong_key_scope"
        )
    _note_use(key)
    return key


def _note_use(key: ApiKey) -> None:
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - timedelta(minutes=1))
    if key.last_used_at is None or now - key.last_used_at > timedelta(minutes=1):
        rows = ApiKey.all_rows().using(settings.DATABASE).filter(stale, pk=key.pk)
        rows.update_quietly(last_used_at=now)


class ManagementKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer`` (or x-api-key) with a key of scope manage; it acts as its owner."""

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        if not presents_key(request):
            return None
        key = find_management_key(request)
        return key.owner or AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="TikHub AI Gateway"'


#: The key first: its header is sent on purpose, a cookie is not. Sessions are checked for CSRF.
AUTHENTICATION = (ManagementKeyAuthentication, SessionAuthentication)


@dataclass(frozen=True, slots=True)
class Authority:
    """A session user, or a manage key with its owner; a key without owner may do everything, as a superuser may."""

    user: Any
    key: ApiKey | None

    @classmethod
    def of(cls, request: Request) -> Authority:
        key = request.auth if isinstance(request.auth, ApiKey) else None
        user = request.user if isinstance(request.user, AbstractBaseUser) else None
        return cls(user, key)

    @property
    def is_known(self) -> bool:
        return self.user is not None or self.key is not None

    @property
    def is_unlimited(self) -> bool:
        if self.user is None:
            return self.key is not None
        return bool(getattr(self.user, "is_superuser", False))

    def holds(self, permission: str) -> bool:
        """Whether a Django permission of our app, such as view_apikey, is theirs."""
        if self.user is None:
            return self.is_unlimited
        return bool(self.user.has_perm(f"tikhub_app.{permission}"))

    def is_self(self, owner_id: Any) -> bool:
        return self.user is not None and owner_id == self.user.pk

    def narrow(self, rows: QuerySet[ModelT], view_permission: str) -> QuerySet[ModelT]:
        """All rows for holders of the permission, else those of which the caller is owner."""
        if self.holds(view_permission):
            return rows
        return rows.filter(owner=self.user.pk) if self.user is not None else rows.none()

    # Keys. A manage key carries its owner's rights, so whoever could make one for somebody else, or obtain its
    # secret by rotating it, would gain them.

    def may_issue(self, scope: str, owner_id: Any) -> bool:
        if not self.holds("add_apikey"):
            return False
        return self.is_unlimited or scope != KeyScope.MANAGE or self.is_self(owner_id)

    def may_change(self, key: ApiKey) -> bool:
        """Change what the key allows; its owner may not widen their own rights."""
        if self.is_unlimited:
            return True
        return self.holds("change_apikey") and (key.scope != KeyScope.MANAGE or self.is_self(key.owner_id))

    def may_withdraw(self, key: ApiKey) -> bool:
        """Revoke it, or rotate it to a successor with the same rights; owners may do so with their own."""
        return self.is_self(key.owner_id) or self.may_change(key)

    def may_read_payload(self, row: GatewayRequest) -> bool:
        return self.is_self(row.owner_id) or self.holds("view_requestpayload")


class IsKnown(BasePermission):
    """Somebody, rather than nobody; the viewsets decide what is theirs."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return Authority.of(request).is_known
