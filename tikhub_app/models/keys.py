"""Gateway keys: who may call, what, and until when. The secret is shown once; its SHA-256 is what we keep."""

from __future__ import annotations

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone

from tikhub_app.models import key_format
from tikhub_app.models.config_version import ConfiguredModel, ConfiguredQuerySet


class KeyScope(models.TextChoices):
    GATEWAY = "gateway", "Gateway: call models"
    MANAGE = "manage", "Manage: use the management REST API"


class PayloadPolicy(models.TextChoices):
    DEFAULT = "default", "As the setting says"
    FULL = "full", "Keep prompts and answers"
    REDACTED = "redacted", "Keep the structure, replace texts by their length"
    NONE = "none", "Keep nothing"


class ApiKeyQuerySet(ConfiguredQuerySet["ApiKey"]):
    def active(self) -> ApiKeyQuerySet:
        now = timezone.now()
        return self.filter(revoked_at=None).filter(models.Q(expires_at=None) | models.Q(expires_at__gt=now))


def _validate_names(value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValidationError('Give a list of names, for example ["gpt-*", "claude-*"]; an empty list allows all.')


class ApiKey(ConfiguredModel):
    """One gateway key. Make it with :meth:`issue`, which returns the secret that cannot be read again."""

    name = models.CharField(max_length=120, help_text="What or who uses this key.")
    prefix = models.CharField(
        max_length=20, db_index=True, editable=False, help_text="First characters, for telling keys apart."
    )
    key_hash = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256 of the key, in hex.")
    scope = models.CharField(
        max_length=10,
        choices=KeyScope,
        default=KeyScope.GATEWAY,
        help_text="Whether it calls models or manages the gateway.",
    )
    owner = models.ForeignKey(
        django_settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="tikhub_keys",
        help_text="The user whose key this is; they see its requests. Deleting the user deletes the key.",
    )
    allowed_models = models.JSONField(
        default=list,
        blank=True,
        validators=[_validate_names],
        help_text="Names or patterns such as gpt-*; empty allows all.",
    )
    allowed_operations = models.JSONField(
        default=list,
        blank=True,
        validators=[_validate_names],
        help_text="Operations such as chat or embed; empty allows all.",
    )
    payload_policy = models.CharField(
        max_length=10,
        choices=PayloadPolicy,
        default=PayloadPolicy.DEFAULT,
        help_text="What is kept of prompts and answers.",
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Refused from this moment on.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When the key was withdrawn.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Last call, to the minute.")
    rotated_from = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="successors",
        help_text="The key that this one replaces.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False, help_text="When the key was made.")

    objects: ClassVar[Any] = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(cls, *, secret: str | None = None, **attributes: Any) -> tuple[ApiKey, str]:
        """Make and save a key; returns the row and the secret, which is not stored anywhere.

        :param secret: a value chosen by the operator, 24 characters at least; by default one is generated.
        :raises ValidationError: the chosen value is too short or already a key.
        """
        if secret is not None:
            if len(secret) < key_format.SHORTEST_FOREIGN_KEY:
                raise ValidationError(f"A chosen key needs at least {key_format.SHORTEST_FOREIGN_KEY} characters.")
            if not key_format.is_plausible(secret):
                raise ValidationError(f"A key that starts with {key_format.PREFIX} must carry a valid checksum.")
        value = secret or key_format.generate()
        key = cls(prefix=key_format.display_prefix(value), key_hash=key_format.digest(value), **attributes)
        key.full_clean()
        key.save()
        return key, value

    @property
    def state(self) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        return "active"

    def revoke(self) -> bool:
        """Withdraw the key; every process refuses it within a second. False when it was withdrawn before."""
        if self.revoked_at is not None:
            return False
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])
        return True

    def rotate(self, overlap: timedelta = timedelta(hours=24)) -> tuple[ApiKey, str]:
        """Make a successor with the same rights; this key ends after the overlap (0: at once).

        :raises ValidationError: the key is revoked or expired, so there is nothing to replace.
        """
        if self.state != "active":
            raise ValidationError(f"A key that is {self.state} cannot be rotated; make a new one.")
        end: datetime = timezone.now() + overlap
        with transaction.atomic():
            successor, secret = ApiKey.issue(
                name=self.name,
                scope=self.scope,
                owner=self.owner,
                allowed_models=list(self.allowed_models),
                allowed_operations=list(self.allowed_operations),
                payload_policy=self.payload_policy,
                expires_at=self.expires_at,
                rotated_from=self,
            )
            if self.expires_at is None or self.expires_at > end:
                self.expires_at = end
            self.save(update_fields=["expires_at"])
        return successor, secret

    def allows_model(self, model: str) -> bool:
        return not self.allowed_models or any(fnmatchcase(model, pattern) for pattern in self.allowed_models)
