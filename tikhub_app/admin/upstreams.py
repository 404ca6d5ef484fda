"""Upstreams: the operator's accounts at providers. The credential is typed in here and rendered nowhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from tikhub_app.admin import display
from tikhub_app.admin.console import ConsoleAdmin, may
from tikhub_app.admin.upstream_form import UpstreamForm
from tikhub_app.exceptions import ConfigurationError
from tikhub_app.gateway.connection_test import test_connection
from tikhub_app.gateway.setup import create_usual_routes
from tikhub_app.models import Upstream

ACCOUNT_FIELDS = ("provider", "name", "base_url", "new_credential")
TIMEOUT_FIELDS = ("connect_timeout_s", "first_byte_timeout_s", "idle_timeout_s")
STATE_FIELDS = ("shown_state", "shown_error", "last_checked_at", "shown_origin", "created_at")
#: An error stays in the list for this long, unless a connection test went well since.
ERROR_SHOWN_FOR = timedelta(hours=24)


@admin.register(Upstream)
class UpstreamAdmin(ConsoleAdmin[Upstream]):
    form = UpstreamForm
    change_form_template = "tikhub_app/admin/upstream_change_form.html"
    list_display = ("name", "state_in_list", "provider", "shown_base_url", "shown_credential", "enabled")
    search_fields = ("name", "base_url")
    actions = ("test_selected", "enable_selected", "disable_selected")
    readonly_fields = ("shown_credential", *STATE_FIELDS)
    ordering = ("name",)

    def get_fieldsets(self, request: HttpRequest, obj: Upstream | None = None) -> Any:
        timeouts = ("Timeouts and options", {"classes": ("collapse",), "fields": (*TIMEOUT_FIELDS, "options")})
        if obj is None:
            first: tuple[str, ...] = (*ACCOUNT_FIELDS, "create_routes") if may(request, "add_route") else ACCOUNT_FIELDS
            return ((None, {"fields": first}), ("More", {"fields": ("enabled", "is_sandbox")}), timeouts)
        if not self.has_change_permission(request, obj):
            shown = ("provider", "name", "base_url", "enabled", "is_sandbox", *TIMEOUT_FIELDS, "options")
            return ((None, {"fields": shown}), ("State", {"fields": ("shown_credential", *STATE_FIELDS)}))
        account = (*ACCOUNT_FIELDS, "forget_credential") if obj.credential else ACCOUNT_FIELDS
        state = ("State", {"fields": STATE_FIELDS})
        return ((None, {"fields": (*account, "enabled", "is_sandbox")}), state, timeouts)

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(self.test_view)
        return [path("<int:pk>/test/", test, name="tikhub_app_upstream_test"), *super().get_urls()]

    @method_decorator(sensitive_post_parameters("new_credential"))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Upstream, form: Any, change: bool) -> None:
        if change and form.has_changed():
            # From now on it is the operator's row; the environment no longer has a say in it.
            obj.managed_by_environment = False
        obj.save()
        if not change and form.cleaned_data.get("create_routes") and may(request, "add_route"):
            made = create_usual_routes(obj)
            words = f"{made} route{'' if made == 1 else 's'} created" if made else "No route is usual there; add one"
            self.message_user(request, f"{words}. “Test connection” shows whether the API key works.", messages.INFO)

    def response_add(self, request: HttpRequest, obj: Upstream, post_url_continue: str | None = None) -> HttpResponse:
        # To the account's own page, where the button that tests it is.
        if not request.POST.keys() & {"_popup", "_addanother"} and self.has_change_permission(request, obj):
            self.message_user(request, f"The upstream “{obj}” was added.", messages.SUCCESS)
            return HttpResponseRedirect(self._page_of(obj))
        return super().response_add(request, obj, post_url_continue)

    # Verbs

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The button: POST, then back to the account's page with the outcome."""
        upstream = self.get_queryset(request).filter(pk=pk).first()
        if upstream is None:
            raise Http404
        if request.method != "POST" or not self.has_change_permission(request, upstream):
            raise PermissionDenied
        self._test(request, upstream)
        return HttpResponseRedirect(self._page_of(upstream))

    @admin.action(description="Test connection", permissions=["change"])
    def test_selected(self, request: HttpRequest, queryset: QuerySet[Upstream]) -> None:
        for upstream in queryset:
            self._test(request, upstream)

    @admin.action(description="Enable selected upstreams", permissions=["change"])
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[Upstream]) -> None:
        self._switch(request, queryset, enabled=True)

    @admin.action(description="Disable selected upstreams", permissions=["change"])
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[Upstream]) -> None:
        self._switch(request, queryset, enabled=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Upstream], *, enabled: bool) -> None:
        word = "Enabled" if enabled else "Disabled"
        switched = list(queryset.exclude(enabled=enabled))
        for upstream in switched:
            upstream.enabled = enabled
            upstream.managed_by_environment = False
            upstream.save(update_fields=["enabled", "managed_by_environment"])
            self.log_change(request, upstream, f"{word}.")
        self.message_user(request, f"{word}: {', '.join(map(str, switched)) or 'nothing to do'}.", messages.SUCCESS)

    def _test(self, request: HttpRequest, upstream: Upstream) -> None:
        try:
            report = test_connection(upstream)
        except ConfigurationError as error:
            self.message_user(request, f"{upstream}: {error}", messages.ERROR)
            return
        status = f"HTTP {report.http_status}, " if report.http_status else ""
        facts = f"({status}{display.milliseconds(report.duration_ms)})"
        level = messages.SUCCESS if report.ok else messages.ERROR
        self.message_user(request, f"{upstream}: {report.message.rstrip('.')} {facts}.", level)

    def _page_of(self, upstream: Upstream) -> str:
        return reverse("admin:tikhub_app_upstream_change", args=[upstream.pk], current_app=self.admin_site.name)

    # Columns

    @admin.display(description="Base URL", ordering="base_url")
    def shown_base_url(self, upstream: Upstream) -> SafeString:
        return display.code(upstream.base_url)

    @admin.display(description="API key")
    def shown_credential(self, upstream: Upstream) -> str:
        return upstream.credential_shown

    @admin.display(description="State")
    def state_in_list(self, upstream: Upstream) -> SafeString:
        sandbox = display.badge("Sandbox", "warn", "A fake provider") if upstream.is_sandbox else ""
        return format_html("{} {}", self.shown_state(upstream), sandbox)

    @admin.display(description="State")
    def shown_state(self, upstream: Upstream) -> SafeString:
        if not upstream.enabled:
            return display.badge("Switched off", "quiet")
        if upstream.auth_failed_at:
            since = display.clock(upstream.auth_failed_at)
            return display.badge(f"API key refused, {since}", "bad", upstream.last_error)
        failed, tested = upstream.last_error_at, upstream.last_checked_at
        recent = failed is not None and timezone.now() - failed < ERROR_SHOWN_FOR
        if upstream.last_error and failed and recent and (tested is None or tested <= failed):
            return display.badge(f"Error, {display.clock(failed)}", "warn", upstream.last_error)
        return display.badge("OK", "good")

    @admin.display(description="Last error")
    def shown_error(self, upstream: Upstream) -> str:
        if not upstream.last_error:
            return "none"
        when = f"{timezone.localtime(upstream.last_error_at):%d %b %Y %H:%M:%S}: " if upstream.last_error_at else ""
        return when + upstream.last_error

    @admin.display(description="Made")
    def shown_origin(self, upstream: Upstream) -> str:
        if upstream.managed_by_environment:
            return "from the environment; it becomes yours with the first edit"
        return "by hand, or edited since"
