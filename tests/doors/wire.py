"""Calls by hand, for what no SDK lets one see or do: raw bytes, half-sent requests, connections that are dropped."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from tests.sandbox.raw_http import RawReply, _parse, open_call

__all__ = ["OpenStream", "RawReply", "call", "error_of", "send"]

PATH = "/v1/chat/completions"


def call(url: str, body: dict[str, Any] | bytes, headers: Mapping[str, str], *, method: str = "POST") -> RawReply:
    """One call of chat completions on a connection of its own. A given Content-Type goes instead of JSON's."""
    parts = urlsplit(url)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json", "Content-Length": str(len(content))} | dict(headers)
    lines = [f"{method} {parts.path}{PATH} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in given.items()]
    assert parts.port is not None
    return send(parts.port, "\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def send(port: int, request: bytes) -> RawReply:
    """These very bytes; reads until the connection ends."""
    received, ended = b"", "eof"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was sent whole; the answer may be there all the same
        try:
            while block := connection.recv(65536):
                received += block
        except ConnectionResetError:
            ended = "reset"
    return _parse(received, ended)


def error_of(reply: RawReply) -> dict[str, Any]:
    """The error object of an answer in OpenAI's dialect."""
    error: dict[str, Any] = json.loads(reply.body)["error"]
    assert set(error) >= {"message", "type", "param", "code"}, error
    return error


class OpenStream:
    """A call whose caller may leave."""

    def __init__(self, url: str, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        self._connection = open_call(f"{url}{PATH}", body, dict(headers))
        self.received = b""

    def read_until(self, mark: bytes) -> bytes:
        """What has come so far, which is up to the mark and perhaps a little more."""
        while mark not in self.received:
            block = self._connection.recv(4096)
            assert block, self.received
            self.received += block
        return self.received

    def read_to_end(self) -> bytes:
        while block := self._connection.recv(65536):
            self.received += block
        return self.received

    def leave(self) -> float:
        """Drop the connection; returns when, as ``time.time()``."""
        self._connection.close()
        return time.time()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._connection.close()
