"""The ASGI door: wraps a Django ASGI application and answers the gateway's own paths before Django sees them.

::

    application = gateway_asgi(get_asgi_application())

It claims the methods and paths of ``gateway/endpoints.py`` under its prefix and hands everything else on, so a
host's middleware runs on every other path and on none of these: no sessions, CSRF, locale, CORS or host middleware of
its own. What they would do for safety it does itself: the host name is checked against ``ALLOWED_HOSTS``, sizes are
bounded, and every call needs a gateway key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.http.request import split_domain_port, validate_host

from tikhub_app.conf import settings
from tikhub_app.exceptions import InvalidRequest, PayloadTooLarge
from tikhub_app.gateway.core import early_refusal, gateway
from tikhub_app.gateway.endpoints import ENDPOINTS, NO_PARAMETERS, Endpoint, match_template
from tikhub_app.gateway.inbound import CallerGone, InboundCall, Reply

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# As in django.http.request.HttpRequest.get_host, when DEBUG is on and ALLOWED_HOSTS is empty.
DEBUG_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
#: Host headers found to be allowed; the check costs more than all other reading of the headers.
_known_hosts: set[str] = set()
MOST_KNOWN_HOSTS = 256
#: A caller that leaves earlier is noticed at this moment; the promise is a tenth of a second.
WATCH_AFTER_S = 0.06


def gateway_asgi(app: Any, prefix: str = "") -> Application:
    """Wrap an ASGI application.

    :param app: the host's application, usually ``get_asgi_application()``.
    :param prefix: where ``tikhub_app.urls`` is included, such as ``/ai``; a system check compares the two.
    """
    start = "/" + prefix.strip("/") if prefix.strip("/") else ""
    claimed = {(endpoint.method, start + endpoint.path): endpoint for endpoint in ENDPOINTS}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            method, path = scope["method"], _path(scope)
            endpoint, parameters = claimed.get((method, path)), NO_PARAMETERS
            if endpoint is None and path.startswith(start):
                endpoint, parameters = match_template(method, path.removeprefix(start)) or (None, NO_PARAMETERS)
            if endpoint is not None:
                await _answer(endpoint, parameters, scope, receive, send)
                return
        elif scope["type"] == "lifespan":
            await _live(receive, send)
            return
        await app(scope, receive, send)

    return application


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path.removeprefix(root) if root and path.startswith(root + "/") else path


async def _answer(
    endpoint: Endpoint, parameters: Mapping[str, str], scope: Scope, receive: Receive, send: Send
) -> None:
    try:
        headers = _headers(scope)
        _check_host(headers)
        _check_announced_size(headers)
    except (PayloadTooLarge, InvalidRequest) as error:
        await _send_whole(early_refusal(endpoint.dialect, error), send)
        return
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"))) if scope.get("query_string") else {}
    call = InboundCall(endpoint.dialect, endpoint.operation, headers, b"", "asgi", query, parameters)
    handler = asyncio.current_task()
    assert handler is not None
    watch = _Watch(receive, call, handler)

    async def read_body() -> bytes:
        # Whoever waits for the caller to leave reads the same channel, so it starts when the body is here.
        body = await _read_body(receive)
        watch.start()
        return body

    call.read_body = read_body
    try:
        reply = await gateway.handle(call)
        try:
            if reply.stream is None:
                await _send_whole(reply, send)
            else:
                await _send_stream(reply, send)
        finally:
            await reply.aclose()
    except CallerGone:
        return
    except asyncio.CancelledError:
        if not call.is_caller_gone:
            raise  # the server stops
        handler.uncancel()
    finally:
        watch.stop()


class _Watch:
    """Waits for the caller to leave, and lets go of the upstream when it does.

    The task that waits is made only for calls that take a moment: it costs as much as all our reading of a request.
    """

    __slots__ = ("_call", "_handler", "_receive", "_task", "_timer")

    def __init__(self, receive: Receive, call: InboundCall, handler: asyncio.Task[Any]) -> None:
        self._receive = receive
        self._call = call
        self._handler = handler
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._call.is_caller_gone = True
                self._handler.cancel()
                return

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by lower-case name; repeated ones are joined.

    :raises PayloadTooLarge: all of them together are beyond the limit.
    """
    size = 0
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        size += len(raw_name) + len(raw_value)
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if size > settings.MAX_HEADER_BYTES:
        raise PayloadTooLarge(
            f"The request headers are larger than {settings.MAX_HEADER_BYTES} bytes.",
            http_status=431,
            code="headers_too_large",
        )
    return headers


def _check_host(headers: dict[str, str]) -> None:
    """As Django's own check of the Host header.

    :raises InvalidRequest: the name is not in ALLOWED_HOSTS.
    """
    host = headers.get("host", "")
    if host in _known_hosts:
        return
    if django_settings.USE_X_FORWARDED_HOST and "x-forwarded-host" in headers:
        host = headers["x-forwarded-host"]
    allowed = django_settings.ALLOWED_HOSTS
    if django_settings.DEBUG and not allowed:
        allowed = DEBUG_HOSTS
    domain, _ = split_domain_port(host)
    if not domain or not validate_host(domain, allowed):
        raise InvalidRequest(
            "The Host header names a host that is not served here (see ALLOWED_HOSTS).", code="invalid_host"
        )
    if not django_settings.USE_X_FORWARDED_HOST and len(_known_hosts) < MOST_KNOWN_HOSTS:
        _known_hosts.add(host)


def _forget_hosts(**_: object) -> None:
    _known_hosts.clear()


setting_changed.connect(_forget_hosts)


def _check_announced_size(headers: dict[str, str]) -> None:
    """:raises PayloadTooLarge: the body is said to be larger than the limit, so it is not read at all."""
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > settings.MAX_BODY_BYTES:
        raise _too_large()


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body is larger than {settings.MAX_BODY_BYTES} bytes.")


async def _read_body(receive: Receive) -> bytes:
    """The whole body.

    :raises PayloadTooLarge: longer than the limit.
    :raises CallerGone: the connection ended first.
    """
    limit: int = settings.MAX_BODY_BYTES
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large()
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _start(reply: Reply) -> Message:
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in reply.headers]
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def _send_whole(reply: Reply, send: Send) -> None:
    await send(_start(reply))
    await send({"type": "http.response.body", "body": reply.body})


async def _send_stream(reply: Reply, send: Send) -> None:
    assert reply.stream is not None
    await send(_start(reply))
    async for data in reply.stream:
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    """Lifespan: open the configuration before the first call, and leave no row unwritten at the end.

    Django's own application does not take part in this protocol. https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            # A database that is away must not keep the server from starting: calls get a 503 until it is back.
            await asyncio.to_thread(gateway.configuration.ensure_started)
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await gateway.transport.close()
            if not await asyncio.to_thread(gateway.writer.stop):
                logger.error("The ledger could not be written to its end; tikhub_reconcile closes what is open.")
            gateway.configuration.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
