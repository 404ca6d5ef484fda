"""The fake upstream: OpenAI's chat completions as bare bytes on uvloop, so that it is never the bottleneck.

`python -m bench.upstream` listens on a free port of 127.0.0.1 and prints the port on its first line.
A plain call gets one ready-made answer in one write. A streamed call gets its first chunk at once and
the others on a clock that does not drift, each stamped with the moment it was handed to the socket.
"""

import asyncio
import json
import re
import signal
import time
from typing import cast

import uvloop

from bench import wire

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
WANTS_STREAM = re.compile(rb'"stream": ?true')
PLAIN_ANSWER = wire.completion()
STREAM_HEAD = wire.head(200, "text/event-stream; charset=utf-8", "Transfer-Encoding: chunked")
OPENING_EVENT, CLOSING_EVENT = (
    wire.event({"role": "assistant", "content": "@STAMP@", "refusal": None}),
    wire.event({}, "stop"),
)
TEXT_EVENT = wire.event({"content": "@STAMP@ words of the answer"})
USAGE_EVENT = wire.usage_event()
DONE_EVENT = b"data: [DONE]\n\n"


def _stamped(event: bytes) -> bytes:
    return wire.http_chunk(event.replace(b"STAMP", b"%d" % time.monotonic_ns(), 1))


class ChatServer(asyncio.Protocol):
    """One connection of a caller. Requests must carry Content-Length; else they get 411, loudly."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._unread = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while self._unread:
            head_end = self._unread.find(b"\r\n\r\n")
            if head_end < 0:
                return
            found = CONTENT_LENGTH.search(self._unread, 0, head_end)
            end = head_end + 4 + (int(found[1]) if found else 0)
            if len(self._unread) < end:
                return
            request, self._unread = self._unread[:end], self._unread[end:]
            self._answer(request, has_length=found is not None)

    def _answer(self, request: bytes, *, has_length: bool) -> None:
        if not request.startswith(b"POST " + wire.CHAT_PATH.encode()):
            self._answer_json(404, {"error": {"message": "the bench serves chat completions only"}})
        elif not has_length:
            self._answer_json(411, {"error": {"message": "the bench wants Content-Length"}})
        elif WANTS_STREAM.search(request):
            self._start_stream(request)
        else:
            self._transport.write(PLAIN_ANSWER)

    def _answer_json(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        framing = f"Content-Length: {len(body)}"
        self._transport.write(wire.head(status, "application/json", framing) + body)

    def _start_stream(self, request: bytes) -> None:
        pace = wire.PACE.search(request)
        chunks, interval = (int(pace[1]), int(pace[2]) / 1000) if pace else (8, 0.01)
        with_usage = b"include_usage" in request
        self._transport.write(STREAM_HEAD + _stamped(OPENING_EVENT))
        self._await_turn(1, chunks, self._loop.time(), interval, with_usage)

    def _await_turn(self, sent: int, chunks: int, start: float, interval: float, with_usage: bool) -> None:
        self._timer = self._loop.call_at(
            start + sent * interval, self._send_next, sent, chunks, start, interval, with_usage
        )

    def _send_next(self, sent: int, chunks: int, start: float, interval: float, with_usage: bool) -> None:
        if sent < chunks:
            self._transport.write(_stamped(TEXT_EVENT))
            self._await_turn(sent + 1, chunks, start, interval, with_usage)
            return
        ending = CLOSING_EVENT + (USAGE_EVENT if with_usage else b"") + DONE_EVENT
        self._transport.write(wire.http_chunk(ending) + b"0\r\n\r\n")


async def serve() -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    server = await loop.create_server(ChatServer, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
