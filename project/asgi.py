"""The ASGI application: the gateway's own door in front of Django's handler."""

from __future__ import annotations

import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django_application = get_asgi_application()

# Apps must be loaded before anything that touches models is imported.
from tikhub_app.asgi import gateway_asgi  # noqa: E402

application = gateway_asgi(django_application)

# What Django has loaded lives as long as the process: kept out of the collector's sight, and with fewer passes over
# what calls leave behind, a call costs a tenth less.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 100)
