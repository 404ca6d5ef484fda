"""App configuration; connects, does no work."""

from django.apps import AppConfig


class TikHubConfig(AppConfig):
    name = "tikhub_app"
    verbose_name = "AI gateway"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tikhub_app import checks  # noqa: F401  # registers the system checks once models are loaded
