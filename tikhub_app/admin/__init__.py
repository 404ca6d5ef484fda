"""The console: the plain Django admin over every table, on whatever admin site the host uses.

Facts (requests, attempts, filter results, processes) are read-only; configuration (keys, upstreams, routes, prices)
is edited; verbs (revoke, rotate, test connection) are actions and buttons. A key's secret is shown in one response
and an upstream's credential in none. Nothing here talks to a provider: the verbs of ``tikhub_app.gateway`` do.
"""

from django.apps import apps

# The template tags reach into this package, and every template engine imports them, in hosts without the admin too.
if apps.is_installed("django.contrib.admin"):
    from tikhub_app.admin import (  # noqa: F401  # importing registers
        attempts,
        content_filter,
        dashboard,
        keys,
        prices,
        processes,
        requests,
        routes,
        upstreams,
    )
