"""Dated prices of models, per provider. A price is never edited in place once used: add a row with a later date."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from tikhub_app.models.config_version import ConfiguredModel
from tikhub_app.models.money import UsdField

PER_MILLION = "US dollars for one million tokens"


class PriceSource(models.TextChoices):
    SEED = "seed", "Shipped with the app"
    OPERATOR = "operator", "Entered by the operator"


class ModelPrice(ConfiguredModel):
    """What one model costs from a date on. Empty rates fall back as their help text says."""

    provider = models.CharField(max_length=40, help_text="Provider whose price list this is, for example openai.")
    model = models.CharField(
        max_length=200, help_text="Model name as the provider bills it, or a pattern such as gpt-4o-2024-*."
    )
    effective_from = models.DateField(default=timezone.localdate, help_text="First day (UTC) on which the price holds.")
    input_usd = UsdField(help_text=f"{PER_MILLION} of uncached input.")
    cache_read_usd = UsdField(null=True, blank=True, help_text=f"{PER_MILLION} read from a cache; empty: as input.")
    cache_write_5m_usd = UsdField(
        null=True, blank=True, help_text=f"{PER_MILLION} written to a cache; empty: as input."
    )
    cache_write_1h_usd = UsdField(
        null=True, blank=True, help_text=f"{PER_MILLION} written to a one-hour cache; empty: as the five-minute one."
    )
    image_input_usd = UsdField(null=True, blank=True, help_text=f"{PER_MILLION} of image input; empty: as input.")
    audio_input_usd = UsdField(null=True, blank=True, help_text=f"{PER_MILLION} of audio input; empty: as input.")
    output_usd = UsdField(help_text=f"{PER_MILLION} of visible output.")
    reasoning_usd = UsdField(null=True, blank=True, help_text=f"{PER_MILLION} of reasoning; empty: as output.")
    audio_output_usd = UsdField(null=True, blank=True, help_text=f"{PER_MILLION} of audio output; empty: as output.")
    source = models.CharField(
        max_length=10, choices=PriceSource, default=PriceSource.OPERATOR, editable=False, help_text="Who entered it."
    )

    class Meta:
        ordering = ("provider", "model", "-effective_from")
        constraints = (
            models.UniqueConstraint(fields=("provider", "model", "effective_from"), name="tikhub_price_once_per_day"),
        )

    def __str__(self) -> str:
        return f"{self.provider} {self.model} from {self.effective_from}"
