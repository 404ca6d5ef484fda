"""The pages behind "Revoke" and "Rotate": what will happen, to which keys, and the button that does it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from tikhub_app.admin.console import ConsoleAdmin, by_pk
from tikhub_app.models import ApiKey

if TYPE_CHECKING:
    _Admin = ConsoleAdmin[ApiKey]
else:
    _Admin = object


class OverlapForm(forms.Form):
    """How long the old key goes on working beside the new one."""

    hours = forms.TypedChoiceField(
        label="The old key ends",
        coerce=int,
        choices=[(0, "at once"), (1, "after 1 hour"), (24, "after 24 hours"), (168, "after 7 days")],
        initial=24,
        widget=forms.RadioSelect,
    )

    @property
    def overlap(self) -> timedelta:
        return timedelta(hours=self.cleaned_data["hours"])

    @property
    def in_words(self) -> str:
        return str(dict(self.fields["hours"].choices)[self.cleaned_data["hours"]])  # type: ignore[attr-defined]


def show_secrets(
    request: HttpRequest, model_admin: ConsoleAdmin[ApiKey], issued: Sequence[tuple[ApiKey, str]], *, title: str
) -> HttpResponse:
    """The one page that holds secrets. It is the answer to a POST, so going back or reloading does not show it again.

    No cache keeps it, neither a proxy's nor the browser's.
    """
    page = TemplateResponse(
        request,
        "tikhub_app/admin/key_secret.html",
        {
            **model_admin.admin_site.each_context(request),
            "title": title,
            "opts": ApiKey._meta,
            "media": model_admin.media + forms.Media(js=("tikhub_app/copy.js",)),
            "issued": issued,
        },
    )
    page["Cache-Control"] = "no-store, private"
    page["Referrer-Policy"] = "no-referrer"
    return page


class KeyVerbs(_Admin):
    """Revoking and rotating, for one key or several, named in the address as ``?ids=1,2``."""

    def revoke_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        keys = by_pk(self.get_queryset(request), request.GET.get("ids", ""))
        withdrawable = [key for key in keys if key.state != "revoked"]
        if request.method == "POST":
            for key in withdrawable:
                with transaction.atomic():
                    if key.revoke():
                        self.log_change(request, key, "Revoked.")
            told = ", ".join(map(str, withdrawable)) or "No key"
            self.message_user(request, f"{told}: revoked. Every process refuses it within a second.", messages.SUCCESS)
            return self._back_to(keys)
        return self._verb_page(request, "revoke", withdrawable, title="Revoke keys" if len(keys) > 1 else "Revoke key")

    def rotate_view(self, request: HttpRequest) -> HttpResponse:
        if not (self.has_change_permission(request) and self.has_add_permission(request)):
            raise PermissionDenied
        keys = by_pk(self.get_queryset(request).select_related("owner"), request.GET.get("ids", ""))
        active = [key for key in keys if key.state == "active"]
        form = OverlapForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and active:
            try:
                with transaction.atomic():
                    issued = [self._rotate(request, key, form) for key in active]
            except ValidationError as error:
                self.message_user(request, " ".join(error.messages), messages.ERROR)
                return self._back_to(keys)
            return show_secrets(request, self, issued, title="Keys rotated" if len(issued) > 1 else "Key rotated")
        return self._verb_page(
            request, "rotate", active, title="Rotate keys" if len(keys) > 1 else "Rotate key", form=form
        )

    def _rotate(self, request: HttpRequest, key: ApiKey, form: OverlapForm) -> tuple[ApiKey, str]:
        successor, secret = key.rotate(form.overlap)
        self.log_change(request, key, f"Replaced by {successor.prefix}…; ends {form.in_words}.")
        self.log_addition(request, successor, f"Made in place of {key.prefix}….")
        return successor, secret

    def _back_to(self, keys: Sequence[ApiKey]) -> HttpResponse:
        if len(keys) == 1:
            target = reverse("admin:tikhub_app_apikey_change", args=[keys[0].pk], current_app=self.admin_site.name)
        else:
            target = reverse("admin:tikhub_app_apikey_changelist", current_app=self.admin_site.name)
        return HttpResponseRedirect(target)

    def _verb_page(
        self, request: HttpRequest, verb: str, keys: Sequence[ApiKey], *, title: str, **context: Any
    ) -> HttpResponse:
        if not keys:
            self.message_user(request, f"None of these keys can be {verb}d.", messages.WARNING)
            return self._back_to([])
        return TemplateResponse(
            request,
            f"tikhub_app/admin/key_{verb}.html",
            {
                **self.admin_site.each_context(request),
                "title": title,
                "opts": self.opts,
                "media": self.media,
                "keys": keys,
                **context,
            },
        )
