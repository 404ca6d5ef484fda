"""The Django door: gateway paths as DRF views, for any host, under WSGI and ASGI, with its middleware around them.

A view hands the request to the core as it came in and renders what the core gives back; it decides nothing. Nothing of
a host's ``REST_FRAMEWORK`` settings and upload limits reaches it. Under ASGI the core runs on the server's own loop and
a stream is an asynchronous iterator, under WSGI it runs behind the portal and a stream is a plain iterator: Django
reads the wrong kind to its end before it sends the first byte.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import IO, Any, ClassVar
from urllib.parse import parse_qsl

from asgiref.sync import async_to_sync
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request

from tikhub_app.api.rest import PinnedViewMixin
from tikhub_app.conf import settings
from tikhub_app.exceptions import GatewayError, InvalidRequest, PayloadTooLarge
from tikhub_app.gateway.core import early_refusal, gateway
from tikhub_app.gateway.endpoints import Endpoint
from tikhub_app.gateway.inbound import ByteStream, InboundCall, Reply
from tikhub_app.gateway.portal import portal

DOOR = "django"
CHUNK_BYTES = 64 * 1024


class GatewayView(PinnedViewMixin):
    """Base of the gateway's views; a subclass names its endpoint and documents its method."""

    endpoint: ClassVar[Endpoint]
    parser_classes = ()

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {}

    def perform_authentication(self, request: Request) -> None:
        """Left to the core: keys are not users."""

    def answer(self, request: Request, **path_parameters: str) -> HttpResponseBase:
        inner = request._request
        is_asgi = isinstance(inner, ASGIRequest)
        call = InboundCall(
            self.endpoint.dialect,
            self.endpoint.operation,
            read_headers(inner),
            read_body(inner),
            DOOR,
            dict(parse_qsl(inner.META.get("QUERY_STRING", ""))),
            path_parameters,
            # Django cancels the call when the server tells it that the caller has left.
            departs_by_cancel=is_asgi,
        )
        reply, loop = async_to_sync(_handle)(call) if is_asgi else portal.call(_handle, call)
        if reply.stream is not None:
            body = AsyncBody(reply.stream, loop) if is_asgi else SyncBody(reply.stream, loop)
            body.close_with(inner)
            return render_stream(reply, body)
        return render(reply, loop if is_asgi else None)

    def get_exception_handler(self) -> Any:
        return self._refuse

    def _refuse(self, error: Exception, context: Any) -> HttpResponseBase | None:
        """Errors from before the core, in the caller's dialect; None (a 500 of Django's) for what is our own fault."""
        is_method = isinstance(error, MethodNotAllowed)
        if is_method:
            error = InvalidRequest(
                f"{self.request.method} is not supported here; use {self.endpoint.method}.",
                code="method_not_allowed",
                http_status=405,
            )
        if not isinstance(error, GatewayError):
            return None
        response = render(early_refusal(self.endpoint.dialect, error))
        if not isinstance(self.request._request, ASGIRequest):
            del response.headers["Connection"]  # PEP 3333 leaves the connection to the server
        if is_method:
            response.headers["Allow"] = self.endpoint.method
        return response


async def _handle(call: InboundCall) -> tuple[Reply, asyncio.AbstractEventLoop]:
    return await gateway.handle(call), asyncio.get_running_loop()


# The request


def read_headers(request: HttpRequest) -> dict[str, str]:
    """Headers by lower-case name.

    :raises PayloadTooLarge: all of them together are beyond the limit.
    :raises InvalidRequest: the Host header names a host that is not in ALLOWED_HOSTS.
    """
    try:
        request.get_host()
    except DisallowedHost as error:
        raise InvalidRequest(
            "The Host header names a host that is not served here (see ALLOWED_HOSTS).", code="invalid_host"
        ) from error
    headers = {name.lower(): value for name, value in request.headers.items()}
    if sum(len(name) + len(value) for name, value in headers.items()) > settings.MAX_HEADER_BYTES:
        raise PayloadTooLarge(
            f"The request headers are larger than {settings.MAX_HEADER_BYTES} bytes.",
            http_status=431,
            code="headers_too_large",
        )
    return headers


def read_body(request: HttpRequest) -> bytes:
    """The whole body, under our own limit instead of DATA_UPLOAD_MAX_MEMORY_SIZE.

    :raises PayloadTooLarge: announced or found to be larger than the limit.
    :raises InvalidRequest: it did not arrive whole, or its length cannot be known.
    """
    limit: int = settings.MAX_BODY_BYTES
    too_large = PayloadTooLarge(f"The request body is larger than {limit} bytes.")
    announced = request.META.get("CONTENT_LENGTH") or ""
    length = int(announced) if announced.isdigit() else None
    if length is not None and length > limit:
        raise too_large
    if hasattr(request, "_body"):  # a middleware of the host has read it
        body = request.body
    else:
        pieces: list[bytes] = []
        size = 0
        stream = _body_stream(request)
        try:
            while piece := stream.read(CHUNK_BYTES):
                size += len(piece)
                if size > limit:
                    raise too_large
                pieces.append(piece)
        except OSError as error:
            raise _broken_off() from error
        body = b"".join(pieces)
    if len(body) > limit:
        raise too_large
    if length is not None and len(body) < length:
        raise _broken_off()
    return body


def _broken_off() -> InvalidRequest:
    return InvalidRequest("The request body ended before its announced length.", code="incomplete_body")


def _body_stream(request: HttpRequest) -> IO[bytes] | HttpRequest:
    """Where the body is read from.

    Under WSGI Django takes a chunked body, which has no Content-Length, for an empty one; a server that ends the input
    itself says so in ``wsgi.input_terminated``.
    """
    is_chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
    if not is_chunked or isinstance(request, ASGIRequest):
        return request
    if request.META.get("wsgi.input_terminated"):
        stream: IO[bytes] = request.META["wsgi.input"]
        return stream
    raise InvalidRequest("Send the body with a Content-Length.", code="length_required", http_status=411)


# The answer


class _Body:
    """A stream of the core's in Django's hands: it may be closed, or dropped, in any thread."""

    def __init__(self, stream: ByteStream, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._is_closed = False

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            _finish(self._end(), self._loop)

    async def _end(self) -> None:
        await self._stream.aclose()

    def close_with(self, request: HttpRequest) -> None:
        """See to it that the stream is closed although Django drops the answer.

        It does so when a middleware fails, and when the caller leaves while the answer is on its way out; then nobody
        closes the answer. What Django closes in every case is the request, and under ASGI the body that it has read.
        """
        closed_at_the_end: Any = request._stream if isinstance(request, ASGIRequest) else request
        reference = weakref.ref(closed_at_the_end)  # no cycle, which would keep __del__ waiting for the collector

        def close() -> None:
            if (closing := reference()) is not None:
                type(closing).close(closing)
            self.close()

        with suppress(AttributeError):  # a test's own request may be made of anything
            closed_at_the_end.close = close

    def __del__(self) -> None:
        if not self._is_closed:
            _schedule(self._stream.aclose(), self._loop)


class AsyncBody(_Body):
    """A streamed answer for Django under ASGI, read on the server's loop."""

    def __aiter__(self) -> AsyncBody:
        return self

    async def __anext__(self) -> bytes:
        return await self._stream.__anext__()

    async def _end(self) -> None:
        await super()._end()
        await gateway.writer.flush()  # see WholeAnswer


class SyncBody(_Body):
    """A streamed answer for Django under WSGI: one hop to the portal's loop for each chunk."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = portal.call(_next_chunk, self._stream)
        if chunk is None:
            raise StopIteration
        return chunk


async def _next_chunk(stream: ByteStream) -> bytes | None:
    return await anext(stream.__aiter__(), None)


class WholeAnswer(HttpResponse):
    """An answer that, once it is sent, waits for its row.

    A server under ASGI ends its process as soon as the last call is over, and Django takes no part in the protocol
    that would let us flush the ledger then. Django closes an answer when the caller has it, so nobody waits longer.
    """

    def __init__(self, *args: Any, loop: asyncio.AbstractEventLoop | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop = loop

    def close(self) -> None:
        super().close()
        if self._loop is not None:
            _finish(gateway.writer.flush(), self._loop)


def render(reply: Reply, loop: asyncio.AbstractEventLoop | None = None) -> HttpResponse:
    return WholeAnswer(reply.body, status=reply.status, headers=dict(reply.headers), loop=loop)


def render_stream(reply: Reply, body: AsyncBody | SyncBody) -> StreamingHttpResponse:
    # GZipMiddleware and its like would hold events back until they have enough to compress; a coding that is named
    # already makes them pass it by.
    headers = dict(reply.headers) | {"content-encoding": "identity"}
    return StreamingHttpResponse(body, status=reply.status, headers=headers)


def _finish(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
    """Run to its end on the loop and wait for that, unless this thread is the one that has to run it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        if (future := _schedule(work, loop)) is not None:
            try:
                future.result(timeout=2 * settings.LEDGER_TIMEOUT_S)
            except TimeoutError:
                future.cancel()  # the loop is being stopped
    else:
        _schedule(work, loop)


def _schedule(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> Any:
    try:
        return asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:  # the loop is closed; there is nothing left to let go
        work.close()
        return None
