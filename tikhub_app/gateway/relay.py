"""Relaying a streamed answer: bytes pass untouched while a reader takes note of them.

The first event is read before our headers go out, so that a stream that fails at once still becomes a proper HTTP
error. Only whole events are passed on; after the first one a failure becomes an error event, never a clean end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing

from tikhub_app.conf import settings
from tikhub_app.exceptions import GatewayError, UpstreamError, UpstreamInvalidResponse, UpstreamServerError
from tikhub_app.gateway.attempts import PassedOn
from tikhub_app.gateway.exchange import Exchange
from tikhub_app.models import CallStatus, Departure
from tikhub_app.providers.base import StreamReader
from tikhub_app.providers.facts import EventVerdict, StreamForm
from tikhub_app.upstream.json_array import SEPARATOR, ArraySplitter, element_data
from tikhub_app.upstream.sse import EventSplitter, event_data
from tikhub_app.upstream.values import OpenReply

logger = logging.getLogger(__name__)

# After its terminator a provider has nothing to say; this long we wait for its end of body, to keep the connection.
END_OF_BODY_S = 0.5

_drains: set[asyncio.Task[None]] = set()


class StreamRelay:
    """One streamed answer on its way from the provider to the caller."""

    __slots__ = (
        "_array", "_bytes", "_chunks", "_error_data", "_exchange", "_failure", "_garbage", "_has_ended", "_has_started",
        "_pending", "_reader", "_reply", "_sent", "_splitter",
    )  # fmt: skip

    def __init__(
        self, exchange: Exchange, reply: OpenReply, reader: StreamReader, form: StreamForm = StreamForm.EVENTS
    ) -> None:
        self._exchange = exchange
        self._reply = reply
        self._reader = reader
        self._array = ArraySplitter(settings.MAX_EVENT_BYTES) if form is StreamForm.JSON_ARRAY else None
        self._splitter = self._array or EventSplitter(settings.MAX_EVENT_BYTES)
        self._chunks: AsyncIterator[bytes] = reply.chunks()
        self._pending = b""
        self._error_data = b""
        self._failure: GatewayError | None = None
        self._garbage: ValueError | None = None
        self._has_ended = False
        self._has_started = False
        self._sent = 0
        self._bytes = self._relay()

    def __aiter__(self) -> StreamRelay:
        return self

    def __anext__(self) -> Awaitable[bytes]:
        self._has_started = True
        return self._bytes.__anext__()

    async def aclose(self) -> None:
        """End the relay; before its end this means that the caller has left."""
        await self._bytes.aclose()
        if not self._has_started:  # a generator that never ran cannot notice that it is closed
            self._left(is_caller=True)
            if self._exchange.row.is_finished:
                self._reply.close()

    async def open(self) -> str:
        """Read up to the first event that the caller will see; returns the name of the model that answers.

        :raises PassedOn: the first event is an error; nothing was sent yet, so it becomes an HTTP error.
        :raises UpstreamInvalidResponse: the stream ends or breaks before its first event.
        """
        waiting_since = time.perf_counter()
        try:
            async for data in self._chunks:
                self._pending += self._take(data)
                self._refuse_garbage()
                if self._failure is not None:
                    raise self._as_refusal()
                if self._pending:
                    break
            else:
                self._pending = self._take_rest()
                self._refuse_garbage()
                if self._failure is not None:
                    raise self._as_refusal()
                if not self._pending:
                    raise UpstreamInvalidResponse("The provider ended its stream before the first event.")
        except ValueError as error:
            raise UpstreamInvalidResponse("The provider's stream is not what its API promises.") from error
        finally:
            waited = time.perf_counter() - waiting_since
            self._exchange.row.waited_s += waited
        return self._reader.facts().answered_model

    def _as_refusal(self) -> PassedOn:
        """The error event as an HTTP error, with the status that it names itself or 502."""
        body = self._error_data
        status = self._reader.error_status(body) or 502
        try:
            error = json.loads(body)["error"]
            for field in ("status", "code"):
                value = error.get(field) if isinstance(error, dict) else None
                if isinstance(value, int) and 400 <= value < 600:
                    status = value
                    break
        except (ValueError, KeyError, TypeError):
            body = self._exchange.dialect.error_body(
                UpstreamServerError("The provider failed."), self._exchange.request_id
            )
        failure = UpstreamServerError("The provider reported an error.", http_status=status)
        return PassedOn(failure, status, body, "application/json", {})

    def _take(self, data: bytes) -> bytes:
        """Read the events that these bytes complete; returns what of them goes to the caller."""
        events = self._splitter.feed(data)
        passed = self._read(events)
        return passed[0] if len(passed) == 1 else b"".join(passed)

    def _take_rest(self) -> bytes:
        rest = self._splitter.rest()
        return b"".join(self._read([rest])) if rest else b""

    def _read(self, events: list[bytes]) -> list[bytes]:
        """Events that go to the caller, up to one that is not what the provider's API promises."""
        passed = []
        for event in events:
            data = event_data(event) if self._array is None else element_data(event)
            try:
                verdict = self._reader.read_event(data)
            except ValueError as error:
                self._garbage = error
                break
            if verdict is EventVerdict.DROP:
                continue
            if verdict is EventVerdict.ERROR:
                self._error_data = data
                self._failure = UpstreamServerError("The provider reported an error within its stream.")
            elif verdict is EventVerdict.END:
                self._has_ended = True
            elif self._array is not None and not data and not self._is_complete() and self._failure is None:
                break  # the bracket that would make a whole of half an answer
            passed.append(event)
        return passed

    def _refuse_garbage(self) -> None:
        """:raises ValueError: an event was not what the provider's API promises; those before it were passed on."""
        if self._garbage is not None:
            raise self._garbage

    async def _relay(self) -> AsyncGenerator[bytes, None]:
        exchange = self._exchange
        try:
            try:
                exchange.mark_first_byte(will_stream=True)
                pending, self._pending = self._pending, b""
                self._sent += len(pending)
                yield pending
                async with aclosing(self._body()) as body:
                    async for data in body:
                        self._sent += len(data)
                        yield data
            except UpstreamError as error:
                self._failure = error
                yield self._error_event(error)
            except ValueError:
                self._failure = UpstreamInvalidResponse("The provider sent something that is not an event of its API.")
                yield self._error_event(self._failure)
            except Exception:
                # The outermost edge of a stream: a defect of ours must not leave its row open, nor end it cleanly.
                logger.exception("A stream failed inside the gateway (%s).", exchange.request_id)
                self._failure = GatewayError("The gateway failed to relay this answer.")
                yield self._error_event(self._failure)
            if self._failure is None and not self._is_complete():
                self._failure = UpstreamInvalidResponse("The provider's stream ended before it was complete.")
                yield self._error_event(self._failure)
            self._close(CallStatus.DONE if self._failure is None else CallStatus.FAILED)
        except GeneratorExit:
            self._left(is_caller=True)
            raise
        except asyncio.CancelledError:
            self._left(is_caller=exchange.call.is_caller_gone or exchange.call.departs_by_cancel)
            raise
        finally:
            if exchange.row.is_finished:
                self._reply.close()

    async def _body(self) -> AsyncGenerator[bytes, None]:
        while not self._has_ended:  # as a short answer has that came whole with its first event
            data = await anext(self._chunks, None)
            passed = self._take(data) if data is not None else self._take_rest()
            if passed:
                yield passed
            self._refuse_garbage()
            if data is None:
                return
        # The terminator has passed: forward whatever little may follow, but do not wait for it long.
        try:
            async with asyncio.timeout(END_OF_BODY_S):
                leftover = b"".join([data async for data in self._chunks])
        except (TimeoutError, UpstreamError):
            return
        leftover = self._splitter.rest() + leftover
        if leftover:
            yield leftover

    def _is_complete(self) -> bool:
        return self._reader.is_complete() and (self._array is None or self._array.is_closed)

    def _error_event(self, error: GatewayError) -> bytes:
        dialect, request_id = self._exchange.dialect, self._exchange.request_id
        if self._array is not None:  # an element more, and no bracket: the array must not pass for a whole one
            return SEPARATOR + dialect.error_body(error, request_id)
        return dialect.error_event(error, request_id)

    def _close(self, status: CallStatus, departure: Departure = Departure.STAYED) -> None:
        exchange = self._exchange
        exchange.row.response_bytes = self._sent
        exchange.close(
            status,
            200,
            error=self._failure,
            facts=self._reader.facts(),
            reader=self._reader,
            departure=departure,
        )

    # A caller that leaves.

    def _left(self, *, is_caller: bool) -> None:
        if self._exchange.row.is_finished:
            return
        if self._has_ended:
            self._close(CallStatus.DONE)
        elif not is_caller:
            self._close(CallStatus.INTERRUPTED)
        elif settings.ON_CLIENT_GONE == "drain":
            task = asyncio.get_running_loop().create_task(self._drain())
            _drains.add(task)  # the loop itself holds tasks weakly
            task.add_done_callback(_drains.discard)
        else:
            self._close(CallStatus.CLIENT_GONE, Departure.CANCELLED)

    async def _drain(self) -> None:
        """Read the rest for its usage, within a bound of time."""
        departure = Departure.CANCELLED
        try:
            async with asyncio.timeout(settings.DRAIN_SECONDS):
                async for data in self._reply.chunks():
                    self._take(data)
                    self._refuse_garbage()
                    if self._has_ended:
                        break
            if self._is_complete():
                departure = Departure.DRAINED
        except (TimeoutError, UpstreamError, ValueError) as error:
            logger.info("An abandoned stream could not be read to its end: %s", type(error).__name__)
        finally:
            self._close(CallStatus.CLIENT_GONE, departure)
            self._reply.close()
