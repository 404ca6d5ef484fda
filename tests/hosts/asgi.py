"""A host's ASGI application as ``startproject`` makes it: the gateway is reached by the Django door."""

from __future__ import annotations

from django.core.asgi import get_asgi_application

application = get_asgi_application()
