"""Prices: dated rows. Those shipped with the app are read-only; a row with a later date takes their place."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from tikhub_app.admin import display
from tikhub_app.admin.console import ConsoleAdmin
from tikhub_app.models import ModelPrice, PriceSource, UsdField

INPUT_RATES = (
    "input_usd", "cache_read_usd", "cache_write_5m_usd", "cache_write_1h_usd", "image_input_usd", "audio_input_usd",
)  # fmt: skip
OUTPUT_RATES = ("output_usd", "reasoning_usd", "audio_output_usd")


class RateField(forms.DecimalField):
    """Dollars without the zeros that a column of twelve decimal places would show."""

    def prepare_value(self, value: Any) -> Any:
        return display.plain_decimal(value) if isinstance(value, Decimal) else value


def shown_rate(name: str, heading: str) -> Callable[[ModelPrice], str]:
    """A read-only column or field that shows one rate without trailing zeros, under the rate's own help text."""

    @admin.display(description=heading, ordering=name)
    def column(price: ModelPrice) -> str:
        return display.rate(getattr(price, name))

    column.__name__ = name
    return column


SHOWN = {name: shown_rate(name, name.removesuffix("_usd").replace("_", " ")) for name in (*INPUT_RATES, *OUTPUT_RATES)}


@admin.register(ModelPrice)
class ModelPriceAdmin(ConsoleAdmin[ModelPrice]):
    change_form_template = "tikhub_app/admin/modelprice_change_form.html"
    list_display = (
        "model", "provider", "effective_from",
        SHOWN["input_usd"], SHOWN["cache_read_usd"], SHOWN["output_usd"], "shown_source",
    )  # fmt: skip
    list_filter = ("provider", "source")
    search_fields = ("model",)
    ordering = ("provider", "model", "-effective_from")
    formfield_overrides = {UsdField: {"form_class": RateField, "min_value": 0}}

    def get_fieldsets(self, request: HttpRequest, obj: ModelPrice | None = None) -> Any:
        inputs: tuple[Any, ...] = INPUT_RATES
        outputs: tuple[Any, ...] = OUTPUT_RATES
        if obj is not None and not self.has_change_permission(request, obj):
            inputs, outputs = (tuple(SHOWN[name] for name in names) for names in (inputs, outputs))
        return (
            (None, {"fields": ("provider", "model", "effective_from")}),
            ("Input, US dollars for a million tokens", {"fields": inputs}),
            ("Output, US dollars for a million tokens", {"fields": outputs}),
        )

    def has_change_permission(self, request: HttpRequest, obj: ModelPrice | None = None) -> bool:
        return super().has_change_permission(request, obj) and not is_shipped(obj)

    def has_delete_permission(self, request: HttpRequest, obj: ModelPrice | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not is_shipped(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        price: ModelPrice | None = kwargs.get("obj")
        if price and is_shipped(price) and self.has_add_permission(request):
            values = {"provider": price.provider, "model": price.model}
            for rate in (*INPUT_RATES, *OUTPUT_RATES):
                if (amount := getattr(price, rate)) is not None:
                    values[rate] = display.plain_decimal(amount)
            add = reverse("admin:tikhub_app_modelprice_add", current_app=self.admin_site.name)
            context["successor_url"] = f"{add}?{urlencode(values)}"
        context["is_shipped"] = is_shipped(price)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="Source", ordering="source")
    def shown_source(self, price: ModelPrice) -> SafeString:
        return display.badge("Shipped" if is_shipped(price) else "Yours", "quiet" if is_shipped(price) else "good")


def is_shipped(price: ModelPrice | None) -> bool:
    return price is not None and price.source == PriceSource.SEED
