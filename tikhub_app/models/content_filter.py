"""What providers' content filters said, in one normal form. Nothing here is inferred: a value not sent stays empty."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from tikhub_app.models.requests import Attempt, GatewayRequest


class FilterSide(models.TextChoices):
    PROMPT = "prompt", "Prompt"
    COMPLETION = "completion", "Completion"
    MEDIA = "media", "Media"


class FilterSeverity(models.TextChoices):
    SAFE = "safe", "Safe"
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"


class ContentFilterResult(models.Model):
    """One category of one side of one choice."""

    request = models.ForeignKey(
        GatewayRequest,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="filter_results",
        help_text="The call.",
    )
    attempt = models.ForeignKey(
        Attempt,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text="The try.",
    )
    choice_index = models.PositiveSmallIntegerField(null=True, help_text="Choice of the answer, where it concerns one.")
    side = models.CharField(max_length=10, choices=FilterSide, help_text="What was judged.")
    category = models.CharField(
        max_length=60, help_text="hate, self_harm, sexual, violence, jailbreak, … or the vendor's own."
    )
    filtered = models.BooleanField(null=True, help_text="Whether content was withheld.")
    detected = models.BooleanField(null=True, help_text="Whether the category was recognised.")
    severity = models.CharField(  # noqa: DJ001  # null means that the vendor gave none, which is not the same as safe
        max_length=10, choices=FilterSeverity, null=True, blank=True, help_text="How severe the vendor found it."
    )
    vendor = models.CharField(max_length=40, help_text="Whose judgement it is.")
    raw = models.JSONField(null=True, help_text="The vendor's own words.")
    created_at = models.DateTimeField(default=timezone.now, help_text="When it was recorded.")

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("category", "-id"), name="tikhub_filter_by_category"),)

    def __str__(self) -> str:
        return f"{self.side} {self.category}"
