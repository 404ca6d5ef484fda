"""Upstreams: the operator's accounts at providers, with their credentials, limits and state."""

from __future__ import annotations

from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from tikhub_app.models.config_version import ConfiguredModel
from tikhub_app.models.encryption import ENVIRONMENT_PREFIX, reseal, seal, unseal


class Upstream(ConfiguredModel):
    """One account at one provider."""

    name = models.SlugField(max_length=80, unique=True, help_text="Short name, shown in lists and answers.")
    provider = models.CharField(max_length=40, help_text="Which adapter speaks to it, for example openai.")
    base_url = models.CharField(
        max_length=500, help_text="As the provider's own SDK takes it, for example https://api.openai.com/v1."
    )
    credential = models.TextField(
        blank=True,
        editable=False,
        help_text="Encrypted, or env:NAME to read it from the environment. Empty for hosts without keys.",
    )
    options = models.JSONField(
        default=dict, blank=True, help_text='Provider-specific options, for example {"organization": "org-..."}.'
    )
    connect_timeout_s = models.FloatField(
        default=5.0, validators=[MinValueValidator(0.1)], help_text="Seconds to wait for a connection."
    )
    first_byte_timeout_s = models.FloatField(
        default=600.0, validators=[MinValueValidator(0.1)], help_text="Seconds to wait for the first byte of an answer."
    )
    idle_timeout_s = models.FloatField(
        default=300.0, validators=[MinValueValidator(0.1)], help_text="Longest silence within an answer, in seconds."
    )
    enabled = models.BooleanField(default=True, help_text="Switched off, its routes are passed over.")
    is_sandbox = models.BooleanField(
        default=False,
        help_text="A fake provider for trying things out: its requests are flagged and left out of spend.",
    )
    managed_by_environment = models.BooleanField(
        default=False, editable=False, help_text="Made from an environment variable and not edited since."
    )
    auth_failed_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Last time the provider refused our credential (401, 402, 403).",
    )
    last_error = models.CharField(max_length=300, blank=True, editable=False, help_text="What went wrong last.")
    last_error_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When it went wrong.")
    last_checked_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Last connection test.")
    created_at = models.DateTimeField(default=timezone.now, editable=False, help_text="When the row was made.")

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def set_credential(self, secret: str) -> None:
        """Keep a credential: encrypted, or as ``env:NAME``. Save the row afterwards."""
        self.credential = seal(secret.strip())
        self.auth_failed_at = None

    def reveal_credential(self) -> str:
        """The credential in clear, for sending it to the provider only.

        :raises ConfigurationError: the environment variable is not set, or no encryption key opens it.
        """
        return unseal(self.credential)

    def reseal_credential(self) -> bool:
        """Encrypt the credential with the newest key; True when the stored text changed."""
        renewed = reseal(self.credential)
        changed = renewed != self.credential
        self.credential = renewed
        return changed

    @property
    def credential_shown(self) -> str:
        """What may be displayed: where the credential comes from, never its value."""
        if not self.credential:
            return "none"
        return self.credential if self.credential.startswith(ENVIRONMENT_PREFIX) else "stored, encrypted"

    def mark(self, **state: Any) -> None:
        """Write state columns that no cached decision depends on."""
        for name, value in state.items():
            setattr(self, name, value)
        type(self).all_rows().filter(pk=self.pk).update_quietly(**state)
