"""HTTP by hand, for what no well-behaved client lets one see: the very bytes, and how the connection ended."""

import json
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class RawReply:
    """``ended`` is eof or reset. ``complete`` says whether the body's framing was whole; ``body`` is unchunked."""

    ended: str = ""
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    @property
    def events(self) -> list[bytes]:
        return [event for event in self.body.split(b"\n\n") if event]


def open_call(url: str, body: dict[str, Any] | bytes, headers: dict[str, str] | None = None) -> socket.socket:
    """A socket on which the call has been sent; the connection is to be closed after it."""
    parts = urlsplit(url)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"POST {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
    return connection


def post(url: str, body: dict[str, Any] | bytes, headers: dict[str, str] | None = None) -> RawReply:
    """Send the call and read until the connection ends."""
    received, ended = b"", "eof"
    with open_call(url, body, headers) as connection:
        try:
            while block := connection.recv(65536):
                received += block
        except ConnectionResetError:
            ended = "reset"
    return _parse(received, ended)


def _parse(received: bytes, ended: str) -> RawReply:
    head, found, rest = received.partition(b"\r\n\r\n")
    if not found:
        return RawReply(ended)
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    reply = RawReply(ended, int(status_line.split()[1]), headers)
    if headers.get("transfer-encoding") == "chunked":
        while rest:
            size_line, _, rest = rest.partition(b"\r\n")
            size = int(size_line or b"0", 16)
            if size == 0:
                reply.complete = bool(size_line)
                break
            reply.body += rest[:size]
            rest = rest[size + 2 :]
    else:
        reply.body = rest
        reply.complete = len(rest) == int(headers.get("content-length", -1))
    return reply
