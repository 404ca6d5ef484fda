"""The load generator: raw HTTP/1.1 callers on uvloop that check every answer.

Closed loop: a caller sends its next call when it has the answer of the last one, over one connection
that is kept alive. Nothing is parsed beyond what proves the answer: its status, its length and the text
that the fake upstream gave. bench/README.md says how it compares with wrk.
"""

import asyncio
import gc
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

from bench.wire import STAMP, Call

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
#: Time that calls in flight get after the end of a round.
DRAIN_SECONDS = 60.0


@dataclass
class PlainRound:
    """What one round of plain calls saw, up to the last answer.

    The rate is of all calls over all the time, their draining included. A slow server answers its callers in
    waves, and a wave that a fixed window cuts off would count against it.
    """

    made: int = 0
    seconds: float = 0.0
    latencies_ns: list[int] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        return len(self.latencies_ns) / self.seconds if self.seconds else 0.0


@dataclass
class StreamRound:
    """What one round of parallel streams saw: a delay for each chunk, sent to received."""

    made: int = 0
    delays_ns: list[int] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


@contextmanager
def _without_collector() -> Iterator[None]:
    """The generator makes no cycles; a collection in mid-round would show up as a gateway's delay."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _PlainCaller(asyncio.Protocol):
    def __init__(self, call: Call, round_: PlainRound, done: asyncio.Event) -> None:
        self._call = call
        self._round = round_
        self.done = done
        self._unread = b""
        self._sent_ns = 0
        self._deadline_ns = 0
        self._in_flight = False
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by inheritance

    def start(self, deadline_ns: int) -> None:
        self._deadline_ns = deadline_ns
        self._send()

    def _send(self) -> None:
        self._round.made += 1
        self._in_flight = True
        self._sent_ns = time.monotonic_ns()
        self._transport.write(self._call.request)

    def data_received(self, data: bytes) -> None:
        if self._unread:
            data = self._unread + data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            self._unread = data
            return
        length = CONTENT_LENGTH.search(data, 0, head_end)
        if length is not None:
            if len(data) < head_end + 4 + int(length[1]):
                self._unread = data
                return
        elif CHUNKED.search(data, 0, head_end) and not data.endswith(LAST_CHUNK):
            self._unread = data
            return
        self._unread = b""
        self._answered(data)

    def _answered(self, answer: bytes) -> None:
        now_ns = time.monotonic_ns()
        self._in_flight = False
        if answer[9:12] != b"200":
            self._round.failures[f"status {answer[9:12].decode(errors='replace')}"] += 1
        elif self._call.proof not in answer or b'"total_tokens":' not in answer:
            self._round.failures["wrong answer"] += 1
        else:
            self._round.latencies_ns.append(now_ns - self._sent_ns)
        if now_ns < self._deadline_ns:
            self._send()
        else:
            self.done.set()
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._in_flight or not self.done.is_set():
            self._round.failures["connection lost"] += 1
        self.done.set()


async def call_in_closed_loop(port: int, call: Call, *, callers: int, seconds: float) -> PlainRound:
    """`callers` connections for `seconds`; returns when the last answer is in.

    Raises TimeoutError when calls are still unanswered DRAIN_SECONDS after the end.
    """
    loop = asyncio.get_running_loop()
    round_ = PlainRound()
    protocols = []
    for _ in range(callers):
        _, protocol = await loop.create_connection(
            lambda: _PlainCaller(call, round_, asyncio.Event()), "127.0.0.1", port
        )
        protocols.append(protocol)
    with _without_collector():
        begin_ns = time.monotonic_ns()
        deadline_ns = begin_ns + int(seconds * 1e9)
        for protocol in protocols:
            protocol.start(deadline_ns)
        async with asyncio.timeout(seconds + DRAIN_SECONDS):
            for protocol in protocols:
                await protocol.done.wait()
        round_.seconds = (time.monotonic_ns() - begin_ns) / 1e9
    return round_


class _StreamCaller(asyncio.Protocol):
    def __init__(self, call: Call, chunks: int, round_: StreamRound, on_end: Callable[[], None]):
        self._call = call
        self._chunks = chunks
        self._round = round_
        self._on_end = on_end
        self._tail = b""
        self._seen = 0
        self._status = b""
        self.ended = False
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by inheritance

    def start(self) -> None:
        self._round.made += 1
        self._transport.write(self._call.request)

    @property
    def is_streaming(self) -> bool:
        return self._seen > 0 and not self.ended

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        if not self._status:
            self._status = data[9:12]
        text = self._tail + data
        scanned = 0
        for stamp in STAMP.finditer(text):
            self._round.delays_ns.append(now_ns - int(stamp[1]))
            self._seen += 1
            scanned = stamp.end()
        # Long enough for a stamp cut in two, and for the end: [DONE], its newlines, the last chunk.
        self._tail = text[max(scanned, len(text) - 64) :]
        if self._tail.endswith(LAST_CHUNK) or (self._status != b"200"):
            self._end(whole=self._call.proof in self._tail)

    def _end(self, *, whole: bool) -> None:
        self.ended = True
        if self._status != b"200":
            self._round.failures[f"status {self._status.decode(errors='replace')}"] += 1
        elif not whole:
            self._round.failures["stream without its end"] += 1
        elif self._seen != self._chunks:
            self._round.failures["chunks missing"] += 1
        self._on_end()
        self._transport.close()

    def cut(self) -> None:
        """Leave a stream that is not over."""
        if not self.ended:
            self.ended = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended:
            self.ended = True
            self._round.failures["connection lost"] += 1
            self._on_end()


@dataclass(frozen=True)
class StreamLoad:
    """How many streams at once, begun evenly over `ramp_seconds` so that their chunks do not march in step."""

    streams: int
    chunks: int
    ramp_seconds: float
    at_most_seconds: float


async def stream_in_parallel(
    port: int, call: Call, load: StreamLoad, watch: Callable[[int], None] | None = None
) -> StreamRound:
    """Run the streams to their end; `watch` is called every quarter second with the number that are open.

    Streams that are not over after `at_most_seconds` are cut and counted as failures.
    """
    loop = asyncio.get_running_loop()
    round_ = StreamRound()
    all_ended = asyncio.Event()
    open_count = load.streams

    def on_end() -> None:
        nonlocal open_count
        open_count -= 1
        if not open_count:
            all_ended.set()

    callers = []
    for _ in range(load.streams):
        _, caller = await loop.create_connection(
            lambda: _StreamCaller(call, load.chunks, round_, on_end), "127.0.0.1", port
        )
        callers.append(caller)
    with _without_collector():
        begin = loop.time()
        for number, caller in enumerate(callers):
            loop.call_at(begin + load.ramp_seconds * number / load.streams, caller.start)
        while not all_ended.is_set():
            if loop.time() - begin > load.at_most_seconds:
                round_.failures["stream cut: too slow"] += open_count
                break
            if watch is not None:
                watch(sum(caller.is_streaming for caller in callers))
            with suppress(TimeoutError):
                await asyncio.wait_for(all_ended.wait(), 0.25)
    for caller in callers:
        caller.cut()
    return round_
