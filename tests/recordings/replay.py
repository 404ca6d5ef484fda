"""A provider that answers with recorded bytes, cut into pieces as a test asks, and keeps what it was sent."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

Cut = Callable[[bytes], Sequence[int]]


@dataclass(frozen=True)
class Recording:
    """One recorded exchange, see the README beside the recordings."""

    name: str
    request: Mapping[str, Any]
    status: int
    headers: Mapping[str, str]
    body: bytes
    asked_for_stream: bool

    @classmethod
    def read(cls, path: Path) -> Recording:
        whole = json.loads(path.read_text())
        answer = whole["response"]
        request = whole["request"]["json"]
        return cls(
            path.stem,
            request,
            answer["status"],
            answer["headers"],
            answer["body"].encode(),
            bool(request.get("stream")),
        )

    @property
    def is_event_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def usage(self) -> dict[str, Any] | None:
        """The last usage object in the answer, found without any of the gateway's code."""
        found = None
        for document in self.documents():
            found = document.get("usage") or found
        return found

    def documents(self) -> list[dict[str, Any]]:
        """Every JSON object of the answer, in order."""
        if not self.is_event_stream:
            return [json.loads(self.body)]
        lines = self.body.decode().replace("\r\n", "\n").split("\n")
        data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
        return [json.loads(text) for text in data if text != "[DONE]"]


# How an answer arrives: positions at which it is cut.


def in_one_piece(body: bytes) -> Sequence[int]:
    return ()


def byte_by_byte(body: bytes) -> Sequence[int]:
    return range(1, len(body))


def in_bad_places(body: bytes) -> Sequence[int]:
    """Inside every character of several bytes, inside every separator of events, and before the last byte."""
    inside = [index for index, byte in enumerate(body) if 0x80 <= byte < 0xC0]
    between = [index for index in range(1, len(body)) if body[index : index + 1] == b"\n" == body[index - 1 : index]]
    return sorted({*inside, *between, len(body) - 1} - {0})


@dataclass
class Received:
    headers: Mapping[str, str]
    body: bytes
    path: str = ""


class ReplayServer:
    """Answers every request with the recording that was set last."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._recording: Recording | None = None
        self._cut: Cut = in_one_piece
        self.received: list[Received] = []
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def play(self, recording: Recording, cut: Cut) -> None:
        self._recording, self._cut = recording, cut
        self.received.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while (head := self._read_head(reader)) is not None:
                body = reader.read(int(head.get("content-length", "0")))
                self.received.append(Received(head, body, head.pop(":path")))
                try:
                    self._answer(connection)
                except OSError:
                    return

    @staticmethod
    def _read_head(reader: Any) -> dict[str, str] | None:
        try:
            if not (first := reader.readline()):
                return None
        except OSError:
            return None
        headers: dict[str, str] = {":path": first.decode("latin-1").split(" ")[1]}
        while (line := reader.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return headers

    def _answer(self, connection: socket.socket) -> None:
        recording = self._recording
        assert recording is not None
        head = [f"HTTP/1.1 {recording.status} Recorded", *(f"{name}: {v}" for name, v in recording.headers.items())]
        body, positions = recording.body, list(self._cut(recording.body))
        if recording.is_event_stream:
            head.append("transfer-encoding: chunked")
        else:
            head.append(f"content-length: {len(body)}")
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        for start, end in zip([0, *positions], [*positions, len(body)], strict=True):
            piece = body[start:end]
            if start:
                time.sleep(0.0002)  # so that the pieces arrive as pieces
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if recording.is_event_stream else piece)
        if recording.is_event_stream:
            connection.sendall(b"0\r\n\r\n")
