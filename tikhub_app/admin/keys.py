"""Gateway keys: made, changed, rotated and revoked here; never deleted, so that every request keeps its key.

The secret of a new key is rendered into the answer of the very request that made it. It never passes through a
redirect, the message storage, the session, a cookie or the log of admin actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from tikhub_app.admin import display
from tikhub_app.admin.console import ConsoleAdmin
from tikhub_app.admin.key_verbs import KeyVerbs, show_secrets
from tikhub_app.admin.names_field import NamesField
from tikhub_app.models import ApiKey

STATE_TONES: dict[str, display.Tone] = {"active": "good", "expired": "warn", "revoked": "bad"}


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    allowed_models = NamesField(help_text="One a line: names, or patterns such as gpt-*. Empty allows all.")
    allowed_operations = NamesField(help_text="One a line: operations such as chat or embed. Empty allows all.")

    class Meta:
        model = ApiKey
        fields = ("name", "scope", "owner", "allowed_models", "allowed_operations", "payload_policy", "expires_at")


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in STATE_TONES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        now = timezone.now()
        match self.value():
            case "active":
                return queryset.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)
            case "expired":
                return queryset.filter(expires_at__lte=now, revoked_at=None)
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(KeyVerbs, ConsoleAdmin[ApiKey]):
    form = ApiKeyForm
    change_form_template = "tikhub_app/admin/apikey_change_form.html"
    list_display = (
        "name", "shown_state", "shown_prefix", "owner", "shown_scope", "shown_models", "shown_last_used",
        "shown_expiry",
    )  # fmt: skip
    list_select_related = ("owner",)
    list_filter = (StateFilter, "scope")
    actions = ("revoke_selected", "rotate_selected")
    raw_id_fields = ("owner",)
    readonly_fields = (
        "shown_state", "shown_prefix", "shown_last_used", "created_at", "revoked_at", "rotated_from",
    )  # fmt: skip
    ordering = ("-id",)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", "prefix__startswith", f"owner__{get_user_model().USERNAME_FIELD}")

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """People are found by typing where the host's user admin can search; else by their id."""
        users = self.admin_site._registry.get(get_user_model())
        return ("owner",) if users and users.has_view_permission(request) and users.search_fields else ()

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        rights = (None, {"fields": ("name", "owner", "scope", "allowed_models", "allowed_operations", "expires_at")})
        content = ("Content", {"fields": ("payload_policy",)})
        if obj is None:
            return (rights, content)
        facts = ("shown_state", "shown_prefix", "shown_last_used", "created_at", "revoked_at", "rotated_from")
        return (rights, content, ("State", {"fields": facts}))

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """A key is revoked, not deleted; it goes only with its owner, from the pages of the host's users."""
        match = request.resolver_match
        if match is None or (match.url_name or "").startswith("tikhub_app_apikey_"):
            return False
        return super().has_delete_permission(request, obj)

    def get_urls(self) -> list[URLPattern]:
        def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            return self.admin_site.admin_view(view)

        return [
            path("revoke/", page(self.revoke_view), name="tikhub_app_apikey_revoke"),
            path("rotate/", page(self.rotate_view), name="tikhub_app_apikey_rotate"),
            *super().get_urls(),
        ]

    # Making one

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # One button: the next page shows the secret, wherever somebody would rather go.
        one_button = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(request, form_url, (extra_context or {}) | one_button)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            obj.save()
            return
        key, obj.__dict__["issued_secret"] = ApiKey.issue(**form.cleaned_data)
        for field in ApiKey._meta.concrete_fields:
            setattr(obj, field.attname, getattr(key, field.attname))
        obj._state = key._state

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return show_secrets(request, self, [(obj, obj.__dict__.pop("issued_secret"))], title="Key created")

    # Actions lead to the same two pages as the buttons of a key's own page

    @admin.action(description="Revoke selected keys", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse:
        return self._on_page(request, "revoke", queryset)

    @admin.action(description="Rotate selected keys (new secrets)", permissions=["rotate"])
    def rotate_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse:
        return self._on_page(request, "rotate", queryset)

    def has_rotate_permission(self, request: HttpRequest) -> bool:
        """A rotation hands out a new secret, so it takes the right to make keys as well."""
        return self.has_change_permission(request) and self.has_add_permission(request)

    def _on_page(self, request: HttpRequest, verb: str, queryset: QuerySet[ApiKey]) -> HttpResponse:
        ids = ",".join(str(pk) for pk in queryset.values_list("pk", flat=True)[:200])
        url = reverse(f"admin:tikhub_app_apikey_{verb}", current_app=self.admin_site.name)
        return HttpResponseRedirect(f"{url}?ids={ids}")

    # Columns

    @admin.display(description="Prefix", ordering="prefix")
    def shown_prefix(self, key: ApiKey) -> SafeString:
        return display.code(f"{key.prefix}…")

    @admin.display(description="Scope", ordering="scope")
    def shown_scope(self, key: ApiKey) -> str:
        return key.scope.capitalize()

    @admin.display(description="State")
    def shown_state(self, key: ApiKey) -> SafeString:
        return display.badge(key.state.capitalize(), STATE_TONES[key.state])

    @admin.display(description="Allowed models")
    def shown_models(self, key: ApiKey) -> SafeString | str:
        return display.names(key.allowed_models, "all")

    @admin.display(description="Last used", ordering="last_used_at")
    def shown_last_used(self, key: ApiKey) -> SafeString | str:
        return display.moment(key.last_used_at, "never", seconds=False)

    @admin.display(description="Expires", ordering="expires_at")
    def shown_expiry(self, key: ApiKey) -> SafeString | str:
        return display.moment(key.expires_at, "never", seconds=False)
