"""Routes: which upstreams serve a public model name, in which order."""

from __future__ import annotations

from fnmatch import fnmatchcase

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from tikhub_app.models.config_version import ConfiguredModel
from tikhub_app.models.upstreams import Upstream

WILDCARDS = frozenset("*?[")


class Route(ConfiguredModel):
    """A model name or pattern, and one upstream that serves it.

    All enabled routes that match a name are candidates, ordered by priority (lower first), then exact names before
    patterns and longer patterns before shorter ones, then at random in proportion to weight.
    """

    pattern = models.CharField(
        max_length=200, db_index=True, help_text="A model name, or a pattern such as gpt-* (case matters)."
    )
    upstream = models.ForeignKey(
        Upstream, on_delete=models.CASCADE, related_name="routes", help_text="The account that serves it."
    )
    upstream_model = models.CharField(
        max_length=200,
        blank=True,
        help_text="The model's name at the provider; empty sends the name that was asked for.",
    )
    priority = models.PositiveSmallIntegerField(default=100, help_text="Lower is tried first.")
    weight = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text="Share of the calls among routes of equal priority and precision.",
    )
    enabled = models.BooleanField(default=True, help_text="Switched off, the route is passed over.")

    class Meta:
        ordering = ("priority", "pattern", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("pattern", "upstream", "upstream_model"), name="tikhub_route_once_per_upstream"
            ),
        )

    def __str__(self) -> str:
        return f"{self.pattern} → {self.upstream}"

    @property
    def is_pattern(self) -> bool:
        return not WILDCARDS.isdisjoint(self.pattern)

    def matches(self, model: str) -> bool:
        return fnmatchcase(model, self.pattern) if self.is_pattern else model == self.pattern
