"""The one line that the documentation asks for."""

from __future__ import annotations

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from tikhub_app.asgi import gateway_asgi  # noqa: E402  # once apps are loaded

application = gateway_asgi(django_application, prefix="ai")
