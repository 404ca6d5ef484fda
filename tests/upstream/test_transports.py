"""What both transports promise alike: which error means what, no redirects, no proxies, no second look at a name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import urllib3.util.connection
from aiohttp import DefaultResolver
from pytest_httpserver import HTTPServer

from tests.services import find_free_port
from tests.upstream.raw_host import Ending, raw_host
from tikhub_app.exceptions import UpstreamError, UpstreamInvalidResponse, UpstreamTimeout, UpstreamUnreachable
from tikhub_app.upstream import requests_transport
from tikhub_app.upstream.aiohttp_transport import AiohttpTransport
from tikhub_app.upstream.values import Timeouts, UpstreamRequest

Sent = tuple[int, bytes]
Send = Callable[[UpstreamRequest], Sent]
LIMIT = 10_000


def by_aiohttp(request: UpstreamRequest) -> Sent:
    async def send() -> Sent:
        transport = AiohttpTransport()
        try:
            reply = await transport.send(request)
            try:
                return reply.status, await reply.read(LIMIT)
            finally:
                reply.close()
        finally:
            await transport.close()

    return asyncio.run(send())


def by_requests(request: UpstreamRequest) -> Sent:
    reply = requests_transport.send(request, limit=LIMIT)
    return reply.status, reply.body


@pytest.fixture(params=[by_aiohttp, by_requests])
def send(request: pytest.FixtureRequest) -> Send:
    sender: Send = request.param
    return sender


def a_request(url: str, **limits: float) -> UpstreamRequest:
    headers = {
        "Authorization": "Bearer sk-secret",
        "User-Agent": "tests",
        "Accept-Encoding": "identity",
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    timeouts = Timeouts(**{"connect_s": 2.0, "first_byte_s": 5.0, "idle_s": 5.0} | limits)
    return UpstreamRequest("POST", url, headers, b'{"a":1}', timeouts)


def test_what_is_sent_is_what_the_provider_wrote(send: Send, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/chat").respond_with_data("{}")
    assert send(a_request(httpserver.url_for("/v1/chat"))) == (200, b"{}")
    [(received, _)] = httpserver.log
    assert received.get_data() == b'{"a":1}'
    named = {name: value for name, value in received.headers.items() if name not in ("Host", "Content-Length")}
    assert named.pop("Connection", "keep-alive") == "keep-alive"
    assert named == a_request("").headers


def test_redirects_are_not_followed(send: Send, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/from").respond_with_data("", 302, {"Location": httpserver.url_for("/to")})
    assert send(a_request(httpserver.url_for("/from")))[0] == 302
    assert len(httpserver.log) == 1


def test_a_proxy_of_the_environment_is_not_used(
    send: Send, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{find_free_port()}")
    httpserver.expect_request("/").respond_with_data("here")
    assert send(a_request(httpserver.url_for("/")))[1] == b"here"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
TOO_LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000


@pytest.mark.parametrize(
    ("answer", "ending", "error"),
    [
        (b"", "silence", UpstreamTimeout),
        (b"", "reset", UpstreamInvalidResponse),
        (b"", "close", UpstreamInvalidResponse),
        (HEAD + b"half", "close", UpstreamInvalidResponse),
        (HEAD + b"half", "reset", UpstreamInvalidResponse),
        (HEAD + b"half", "silence", UpstreamTimeout),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "close", UpstreamInvalidResponse),
        (TOO_LONG, "close", UpstreamInvalidResponse),
    ],
)
def test_what_goes_wrong_after_the_connection_is_never_called_unreachable(
    send: Send, answer: bytes, ending: Ending, error: type[UpstreamError]
) -> None:
    """Unreachable means that nothing was sent, so that the next candidate may be tried."""
    with raw_host(answer, ending) as url, pytest.raises(error):
        send(a_request(f"{url}/v1", first_byte_s=0.3, idle_s=0.3))


@pytest.mark.parametrize("url", ["http://127.0.0.1:{free}/v1", "http://name.invalid/v1", "http://[::1]:{free}/v1"])
def test_no_connection_is_unreachable(send: Send, url: str) -> None:
    with pytest.raises(UpstreamUnreachable):
        send(a_request(url.format(free=find_free_port())))


@pytest.mark.parametrize(
    "answers",
    [[["169.254.169.254"]], [["127.0.0.1", "169.254.169.254"]], [["127.0.0.1"], ["169.254.169.254"]]],
    ids=["metadata", "metadata among others", "metadata the second time"],
)
def test_a_name_that_leads_to_a_metadata_service_is_never_connected_to(
    send: Send, answers: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[Any] = []
    asked = iter([*answers, *[answers[-1]] * 9])

    def found(host: str, port: int | str | None) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port or 80))) for address in next(asked)]

    async def resolve(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        keys = {"family": socket.AF_INET, "proto": 6, "flags": socket.AI_NUMERICHOST, "port": port, "hostname": host}
        return [keys | {"host": entry[4][0]} for entry in found(host, port)]

    async def connect(loop: asyncio.AbstractEventLoop, sock: socket.socket, address: tuple[str, int]) -> None:
        connected.append(address)
        raise ConnectionRefusedError

    def create_connection(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(DefaultResolver, "resolve", resolve)
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", connect)
    if send is by_requests:
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_, **__: found(host, port))
    monkeypatch.setattr(urllib3.util.connection, "create_connection", create_connection)
    for _ in answers:
        with pytest.raises(UpstreamError):
            send(a_request("http://rebinding.example/v1"))
    assert not [address for address, _ in connected if address == "169.254.169.254"]
