"""``/metrics`` in the Prometheus text format: this process's calls, its ledger and the process itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from rest_framework.exceptions import APIException

from tikhub_app.api.atomicity import never_atomic
from tikhub_app.api.records.authority import find_management_key, presents_key
from tikhub_app.conf import settings
from tikhub_app.gateway.configuration import store
from tikhub_app.gateway.ledger import writer_state
from tikhub_app.gateway.metrics import calls
from tikhub_app.schemas import ErrorDetail, ErrorResponse

#: A proxy on this machine connects from loopback too, and says by these for whom.
FORWARDING_HEADERS = ("x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host")


class StateCollector(Collector):
    """What the ledger and the configuration say of themselves at the moment."""

    def collect(self) -> Iterator[Metric]:
        state = writer_state()
        yield GaugeMetricFamily(
            "tikhub_ledger_queue", "Ledger entries that wait to be committed.", value=state["queue_length"]
        )
        yield GaugeMetricFamily(
            "tikhub_ledger_writable", "1 while ledger rows can be written.", value=0 if state["fault"] else 1
        )
        age_s = store.age_s()
        if age_s is not None:
            yield GaugeMetricFamily(
                "tikhub_configuration_age_seconds", "Since the database confirmed keys and routes.", value=age_s
            )


@cache
def registry() -> CollectorRegistry:
    """A registry of our own, so that a host's metrics and ours do not mix."""
    made = CollectorRegistry()
    made.register(calls)
    made.register(StateCollector())
    ProcessCollector(registry=made)
    return made


@never_atomic
@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For loopback and management keys, unless METRICS_PUBLIC."""
    if not (settings.METRICS_PUBLIC or is_loopback(request)):
        try:
            if not presents_key(request):
                return _refuse("Metrics are shown to this machine and to management keys.", "missing_api_key", 401)
            find_management_key(request)
        except APIException as error:
            return _refuse(str(error.detail), str(error.get_codes()), error.status_code)
    return HttpResponse(generate_latest(registry()), content_type=CONTENT_TYPE_LATEST)


def is_loopback(request: HttpRequest) -> bool:
    """Whether the caller itself is on this machine; a request that came through a proxy is not."""
    if any(name in request.headers for name in FORWARDING_HEADERS):
        return False
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False  # a Unix socket has no address; somebody put a server before us
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _refuse(message: str, code: str, status: int) -> JsonResponse:
    kind = "authentication_error" if status == 401 else "permission_error"
    body = ErrorResponse(error=ErrorDetail(message=message, type=kind, param=None, code=code))
    headers = {"WWW-Authenticate": 'Bearer realm="TikHub AI Gateway"'} if status == 401 else {}
    return JsonResponse(body.to_wire(), status=status, headers=headers)
