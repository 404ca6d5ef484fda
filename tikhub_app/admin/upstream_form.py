"""The form of an upstream: provider with its usual address, and a credential that goes in and never comes out."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django import forms

from tikhub_app.exceptions import ConfigurationError
from tikhub_app.models import Upstream
from tikhub_app.providers.registry import PROVIDERS, provider_choices
from tikhub_app.upstream.address_guard import check_base_url

ENVIRONMENT_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")


class ProviderSelect(forms.Select):
    """Each choice carries its provider's usual base URL, for ``upstream_form.js`` to fill in."""

    def create_option(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(*args, **kwargs)
        provider = PROVIDERS.get(str(option["value"]))
        if provider is not None:
            option["attrs"]["data-base-url"] = provider.default_base_url
        return option


class UpstreamForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    provider = forms.ChoiceField(choices=provider_choices, widget=ProviderSelect, help_text="Who speaks there.")
    name = forms.SlugField(
        max_length=80,
        required=False,
        help_text="Short name, shown in lists and answers. Left empty: the provider's name.",
    )
    base_url = forms.CharField(
        label="Base URL",
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false"}),
        help_text="As the provider's own SDK takes it. Left empty: the provider's usual address.",
    )
    # Its name differs from the model's field, which forms must not read.
    new_credential = forms.CharField(
        label="API key",
        max_length=20_000,
        required=False,
        widget=forms.PasswordInput(
            attrs={"class": "vTextField", "autocomplete": "new-password", "spellcheck": "false"}, render_value=False
        ),
    )
    forget_credential = forms.BooleanField(
        label="Remove the stored API key", required=False, help_text="For a host that asks for none."
    )
    create_routes = forms.BooleanField(
        label="Create the usual routes for this provider",
        required=False,
        initial=True,
        help_text="So that its models can be called at once. They can be changed under Routes.",
    )

    class Meta:
        model = Upstream
        fields = (
            "provider", "name", "base_url", "enabled", "is_sandbox", "options",
            "connect_timeout_s", "first_byte_timeout_s", "idle_timeout_s",
        )  # fmt: skip
        labels = {
            "is_sandbox": "Sandbox",
            "connect_timeout_s": "Connect timeout (s)",
            "first_byte_timeout_s": "First byte timeout (s)",
            "idle_timeout_s": "Idle timeout (s)",
        }

    class Media:
        js = ("tikhub_app/upstream_form.js",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._old_origin = origin(self.instance.base_url) if self.instance.pk else None
        self._old_credential = self.instance.credential
        # A field that its page leaves out would count as changed.
        del self.fields["forget_credential" if self.instance.pk is None else "create_routes"]
        if self.instance.pk is None:
            provider = next(iter(PROVIDERS.values()))
            self.fields["provider"].initial = provider.name
            self.fields["base_url"].initial = provider.default_base_url
            hint = "Stored encrypted and never shown again. env:NAME reads it from an environment variable instead."
        else:
            hint = (
                f"Now: {self.instance.credential_shown}. Leave empty to keep it; what is typed replaces it. "
                "env:NAME reads it from an environment variable."
            )
        self.fields["new_credential"].help_text = hint

    def clean_new_credential(self) -> str:
        credential = str(self.cleaned_data["new_credential"]).strip()
        if credential.startswith("env:") and not ENVIRONMENT_REFERENCE.fullmatch(credential):
            raise forms.ValidationError("After env: comes the name of one environment variable.")
        if not credential.isascii() or not credential.isprintable() or " " in credential:
            raise forms.ValidationError("An API key has no spaces, line ends or other special characters.")
        return credential

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        provider = PROVIDERS.get(cleaned.get("provider", ""))
        if provider is None:
            return cleaned
        cleaned["base_url"] = cleaned.get("base_url") or provider.default_base_url
        if not cleaned["base_url"]:
            self.add_error("base_url", f"{provider.label} has no usual address; give the host's own.")
            return cleaned
        try:
            cleaned["base_url"] = check_base_url(cleaned["base_url"])
        except ValueError as error:
            self.add_error("base_url", str(error))
            return cleaned
        if not cleaned.get("name") and "name" not in self.errors:
            cleaned["name"] = free_name(provider.name)
        optional = provider.credential_optional or bool(cleaned.get("is_sandbox"))
        self._clean_credential(cleaned, optional=optional, label=provider.label)
        return cleaned

    def _clean_credential(self, cleaned: dict[str, Any], *, optional: bool, label: str) -> None:
        credential = cleaned.get("new_credential", "")
        if "new_credential" in self.errors:
            return
        if credential:
            try:
                self.instance.set_credential(credential)
            except ConfigurationError as error:
                self.add_error("new_credential", str(error))
        elif cleaned.get("forget_credential"):
            self.instance.set_credential("")
        elif self._old_credential and self._old_origin != origin(cleaned["base_url"]):
            # Else whoever may edit the address could have the old provider's key sent to a host of theirs.
            self.add_error("new_credential", "The address is another host's now: give the API key once more.")
        if not self.instance.credential and not optional and "new_credential" not in self.errors:
            self.add_error("new_credential", f"{label} needs an API key.")


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a credential is given to."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def free_name(provider: str) -> str:
    """The provider's name, with a number where it is taken."""
    taken = set(Upstream.all_rows().filter(name__startswith=provider).values_list("name", flat=True))
    number = 1
    while (name := provider if number == 1 else f"{provider}-{number}") in taken:
        number += 1
    return name
