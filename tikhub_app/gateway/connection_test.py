"""Does an account work? Asked by the console and by tikhub_doctor; costs nothing at the provider."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from django.utils import timezone

from tikhub_app.exceptions import ConfigurationError, UnsupportedFeature, UpstreamError
from tikhub_app.models import Upstream
from tikhub_app.providers.base import Account
from tikhub_app.providers.registry import get_provider
from tikhub_app.upstream.address_guard import AddressRefused, check_base_url
from tikhub_app.upstream.requests_transport import send
from tikhub_app.upstream.values import Timeouts

LONGEST_REPLY = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """Outcome of one test; ``message`` says what to change when ``ok`` is false."""

    ok: bool
    message: str
    http_status: int | None = None
    duration_ms: float = 0.0
    is_account_refused: bool = False


def test_connection(upstream: Upstream) -> ConnectionReport:
    """Send the provider's cheapest request with this account's credential, and note the outcome on the row."""
    started = time.perf_counter()
    report = _ask(upstream)
    report = replace(report, duration_ms=round((time.perf_counter() - started) * 1000, 1))
    now = timezone.now()
    if report.ok:
        upstream.mark(last_checked_at=now, auth_failed_at=None, last_error="", last_error_at=None)
    else:
        failed_at = now if report.is_account_refused else upstream.auth_failed_at
        upstream.mark(last_checked_at=now, auth_failed_at=failed_at, last_error=report.message[:300], last_error_at=now)
    return report


def _ask(upstream: Upstream) -> ConnectionReport:
    try:
        provider = get_provider(upstream.provider)
        timeouts = Timeouts(upstream.connect_timeout_s, upstream.first_byte_timeout_s, upstream.idle_timeout_s)
        account = Account(check_base_url(upstream.base_url), upstream.reveal_credential(), upstream.options, timeouts)
        reply = send(provider.build_connection_test(account), limit=LONGEST_REPLY)
    except (ConfigurationError, AddressRefused, UnsupportedFeature) as error:
        return ConnectionReport(False, str(error))
    except UpstreamError as error:
        return ConnectionReport(False, error.message)
    if provider.is_account_refusal(reply.status, reply.body):
        message = f"The provider refused the credential (HTTP {reply.status})."
        return ConnectionReport(False, message, reply.status, is_account_refused=True)
    if not 200 <= reply.status < 300:
        return ConnectionReport(
            False, f"The provider answered with HTTP {reply.status}; check the base URL.", reply.status
        )
    return ConnectionReport(True, "The provider answered and took the credential.", reply.status)
