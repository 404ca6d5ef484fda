"""The sequence of every text call, the same behind every door:

authenticate -> allow -> route -> begin -> call -> relay -> finish.

Runs on an event loop; a warm call makes no query, starts no thread and hops to none.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from math import ceil

from tikhub_app.conf import settings
from tikhub_app.exceptions import GatewayError, UpstreamError, UpstreamInvalidResponse
from tikhub_app.gateway import metrics
from tikhub_app.gateway.access import authenticate, check_model, check_operation
from tikhub_app.gateway.attempts import PassedOn, find_acceptance
from tikhub_app.gateway.configuration import ConfigurationStore, store
from tikhub_app.gateway.dialects import DIALECTS
from tikhub_app.gateway.dialects.base import check_media
from tikhub_app.gateway.exchange import Exchange
from tikhub_app.gateway.inbound import CallerGone, Headers, InboundCall, Reply
from tikhub_app.gateway.ledger import LedgerWriter, RequestRow, writer
from tikhub_app.gateway.ledger.rows import CHARACTERS_PER_TOKEN, clean
from tikhub_app.gateway.pricing import FREE_OPERATIONS
from tikhub_app.gateway.relay import StreamRelay
from tikhub_app.gateway.routing import RestingUpstreams, candidates
from tikhub_app.models import CallStatus, Departure
from tikhub_app.models.identifiers import public_id, uuid7
from tikhub_app.providers.facts import ReplyFacts, StreamForm, Usage
from tikhub_app.upstream.aiohttp_transport import AiohttpTransport
from tikhub_app.upstream.values import OpenReply

logger = logging.getLogger(__name__)

#: Assumed for the reservation where the caller sets no limit on output.
USUAL_OUTPUT_TOKENS = 1_000
KEY_USED_EVERY_S = 60.0
#: Headers of the provider that reach the caller. Its rate limits and account names do not.
PASSED_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry", "openai-version", "openai-processing-ms")


class Gateway:
    """The core. One per process, shared by all doors and loops."""

    def __init__(self, configuration: ConfigurationStore, ledger: LedgerWriter) -> None:
        self.configuration = configuration
        self.writer = ledger
        self.transport = AiohttpTransport()
        self.resting = RestingUpstreams()
        self._keys_used_at: dict[int, float] = {}
        self._drains: set[asyncio.Task[None]] = set()

    async def handle(self, call: InboundCall) -> Reply:
        """Answer one call. Every failure is an answer in the caller's dialect.

        :raises CallerGone: while the body was read.
        :raises asyncio.CancelledError: the caller left, or the server stops.
        """
        exchange = self._open(call)
        metrics.call_started()
        try:
            if settings.ON_CLIENT_GONE == "drain":
                return await self._answer_or_drain(exchange)
            return await self._answer(exchange)
        except PassedOn as passed:
            return self._pass_on(exchange, passed)
        except GatewayError as error:
            return self._refuse(exchange, error)
        except asyncio.CancelledError:
            if exchange.is_draining:
                raise
            is_caller = call.is_caller_gone or call.departs_by_cancel
            departure = Departure.CANCELLED if is_caller else Departure.STAYED
            facts = ReplyFacts() if exchange.attempt is not None else None
            status = CallStatus.CLIENT_GONE if is_caller else CallStatus.INTERRUPTED
            exchange.close(status, None, facts=facts, departure=departure)
            raise
        except CallerGone:
            exchange.close(CallStatus.CLIENT_GONE, None)
            raise
        except Exception:
            # The outermost edge: a defect of ours must still be answered, and be on the row.
            logger.exception("A call failed inside the gateway (%s).", exchange.request_id)
            return self._refuse(exchange, self._book_defect(exchange))

    async def _answer_or_drain(self, exchange: Exchange) -> Reply:
        """Answer in a task of its own, which goes on for its usage when the caller leaves before the answer."""
        task = asyncio.get_running_loop().create_task(self._answer(exchange))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if exchange.call.is_caller_gone or exchange.call.departs_by_cancel:
                exchange.is_draining = True
                drain = asyncio.get_running_loop().create_task(self._drain(exchange, task))
                self._drains.add(drain)  # the loop itself holds tasks weakly
                drain.add_done_callback(self._drains.discard)
            else:
                task.cancel()
            raise

    async def _drain(self, exchange: Exchange, task: asyncio.Task[Reply]) -> None:
        try:
            async with asyncio.timeout(settings.DRAIN_SECONDS):
                reply = await task
            await reply.aclose()  # a stream goes on to be drained by its relay
        except TimeoutError:
            exchange.close(CallStatus.CLIENT_GONE, None, facts=ReplyFacts(), departure=Departure.CANCELLED)
        except PassedOn as passed:
            exchange.close(CallStatus.CLIENT_GONE, None, error=passed.error, departure=Departure.DRAINED)
        except GatewayError as error:
            exchange.close(CallStatus.CLIENT_GONE, None, error=error, departure=Departure.DRAINED)
        except Exception:
            # The outermost edge of this task: nobody else would close the row while this process lives.
            logger.exception("A drained call failed inside the gateway (%s).", exchange.request_id)
            defect = self._book_defect(exchange)
            exchange.close(CallStatus.CLIENT_GONE, None, error=defect, departure=Departure.DRAINED)

    @staticmethod
    def _book_defect(exchange: Exchange) -> GatewayError:
        """End a try that a defect of ours broke off: it may have been sent, so its input is booked as an estimate."""
        error = GatewayError("The gateway failed to handle this request.")
        exchange.end_attempt(CallStatus.FAILED, error=error, facts=ReplyFacts())
        return error

    def _open(self, call: InboundCall) -> Exchange:
        row = RequestRow(
            door=call.door,
            dialect=call.dialect,
            operation=call.operation,
            user_agent=clean(call.headers.get("user-agent", ""), 200),
            request_bytes=len(call.body),
            process_id=self.writer.process_id,
        )
        retries = call.headers.get("x-stainless-retry-count", "")
        if retries.isdigit() and len(retries) < 4:
            row.client_retry = int(retries)
        return Exchange(call, DIALECTS[call.dialect], self.writer, row)

    async def _answer(self, exchange: Exchange) -> Reply:
        call, row = exchange.call, exchange.row
        snapshot = self.configuration.snapshot() or await self.configuration.open()
        exchange.snapshot = snapshot
        principal = await authenticate(
            self.configuration, call.headers, call.query, allow_query=exchange.dialect.takes_key_from_query
        )
        exchange.identify(principal)
        self._note_use(principal.key_id)
        check_operation(principal, call.operation)
        check_media(call.headers)
        if call.read_body is not None:
            call.body = await call.read_body()
            row.request_bytes = len(call.body)
        parsed = exchange.dialect.read_call(call)
        exchange.describe(parsed)
        check_model(principal, parsed.model)
        routes = candidates(snapshot, principal, parsed.model, call.dialect, call.operation, self.resting)
        first = routes[0]
        price = snapshot.prices.find(first.upstream.provider.name, first.upstream_model, parsed.model)
        if price is not None and call.operation not in FREE_OPERATIONS:
            output = parsed.max_output_tokens or USUAL_OUTPUT_TOKENS
            tokens = Usage(input_uncached=len(call.body) // CHARACTERS_PER_TOKEN, output_visible=min(output, 2**31))
            row.reserved_cost_usd = min(price.cost_pico(tokens), 2**62)
        reply = await find_acceptance(exchange, routes, self.transport, self.resting)
        try:
            if parsed.is_stream and exchange.route is not None:
                content_type = reply.headers.get("content-type", "")
                form = exchange.route.upstream.provider.stream_form(call.operation, content_type)
                if form is not None:
                    return await self._stream(exchange, reply, form)
            return await self._whole(exchange, reply)
        except BaseException:
            reply.close()
            raise

    def _note_use(self, key_id: int) -> None:
        now = time.monotonic()
        if now - self._keys_used_at.get(key_id, -KEY_USED_EVERY_S) >= KEY_USED_EVERY_S:
            self._keys_used_at[key_id] = now
            self.writer.key_used(key_id)

    async def _whole(self, exchange: Exchange, reply: OpenReply) -> Reply:
        """An answer that is read whole. A stream may be answered so too: some hosts ignore ``stream``."""
        started = time.perf_counter()
        route = exchange.route
        assert route is not None
        facts = ReplyFacts()
        try:
            try:
                body = await reply.read(settings.MAX_RESPONSE_BYTES)
            finally:
                exchange.row.waited_s += time.perf_counter() - started
            facts = route.upstream.provider.read_reply(exchange.call.operation, body)
        except ValueError as error:
            failure = UpstreamInvalidResponse("The provider's answer is not what its API promises.")
            exchange.end_attempt(CallStatus.FAILED, error=failure, facts=facts)
            raise failure from error
        except UpstreamError as error:
            exchange.end_attempt(CallStatus.FAILED, error=error, facts=facts)
            raise
        reply.close()
        exchange.mark_first_byte(will_stream=False)
        exchange.row.response_bytes = len(body)
        if exchange.is_draining:
            exchange.close(CallStatus.CLIENT_GONE, None, facts=facts, answer=body, departure=Departure.DRAINED)
        else:
            # After the answer has left: nobody waits for the end of the row, but the caller waits for the answer.
            close = partial(exchange.close, CallStatus.DONE, reply.status, facts=facts, answer=body)
            asyncio.get_running_loop().call_soon(close)
        headers = self._headers(exchange, reply, facts.answered_model)
        headers.append(("content-length", str(len(body))))
        return Reply(reply.status, headers, body)

    async def _stream(self, exchange: Exchange, reply: OpenReply, form: StreamForm) -> Reply:
        parsed, route = exchange.parsed, exchange.route
        assert parsed is not None
        assert route is not None
        reader = route.upstream.provider.open_stream(
            exchange.call.operation, keeps_usage=parsed.wants_usage, text_limit=exchange.text_limit()
        )
        relay = StreamRelay(exchange, reply, reader, form)
        try:
            model = await relay.open()
        except PassedOn as passed:
            exchange.end_attempt(CallStatus.FAILED, error=passed.error, facts=reader.facts())
            raise
        except UpstreamError as error:
            exchange.end_attempt(CallStatus.FAILED, error=error, facts=reader.facts())
            raise
        headers = self._headers(exchange, reply, model)
        headers += [("cache-control", "no-cache"), ("x-accel-buffering", "no")]
        return Reply(reply.status, headers, stream=relay)

    @staticmethod
    def _headers(exchange: Exchange, reply: OpenReply, model: str) -> Headers:
        headers = [("content-type", reply.headers.get("content-type", "application/json"))]
        headers += exchange.dialect.identity_headers(exchange.request_id)
        if model.isascii() and model.isprintable() and model:
            headers.append(("x-tikhub-model", model))
        if exchange.row.is_sandbox:
            headers.append(("x-tikhub-sandbox", "1"))
        for name in PASSED_HEADERS:
            value = reply.headers.get(name)
            if value is not None:
                headers.append((name, value))
        return headers

    def _pass_on(self, exchange: Exchange, passed: PassedOn) -> Reply:
        exchange.mark_first_byte(will_stream=False)
        exchange.row.response_bytes = len(passed.body)
        exchange.close(CallStatus.FAILED, passed.status, error=passed.error, answer=passed.body)
        headers = [
            ("content-type", passed.content_type),
            *exchange.dialect.identity_headers(exchange.request_id),
            ("content-length", str(len(passed.body))),
        ]
        if exchange.row.is_sandbox:
            headers.append(("x-tikhub-sandbox", "1"))
        for name in ("retry-after", "retry-after-ms", "x-should-retry"):
            if name in passed.headers:
                headers.append((name, passed.headers[name]))
        wait = passed.error.retry_after_s
        if wait is not None and "retry-after" not in passed.headers and "retry-after-ms" not in passed.headers:
            headers.append(("retry-after", str(ceil(wait))))  # the provider names it in its body only
        return Reply(passed.status, headers, passed.body)

    def _refuse(self, exchange: Exchange, error: GatewayError) -> Reply:
        body = exchange.dialect.error_body(error, exchange.request_id)
        exchange.row.response_bytes = len(body)
        exchange.close(CallStatus.FAILED, error.http_status, error=error, answer=body)
        headers = exchange.error_headers(error)
        headers.append(("content-length", str(len(body))))
        return Reply(error.http_status, headers, body)


def early_refusal(dialect: str, error: GatewayError, request_id: str = "") -> Reply:
    """An answer to a request that a door could not even hand over: body or headers too large, broken off."""
    identity = request_id or public_id("req", uuid7())
    body = DIALECTS[dialect].error_body(error, identity)
    headers = [
        ("content-type", "application/json"),
        *DIALECTS[dialect].identity_headers(identity),
        ("x-should-retry", "true" if error.retryable else "false"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]
    return Reply(error.http_status, headers, body)


gateway = Gateway(store, writer)
