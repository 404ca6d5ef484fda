"""Sends upstream requests on the running event loop, with one aiohttp session per loop and process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Self
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from tikhub_app.exceptions import UpstreamInvalidResponse, UpstreamTimeout, UpstreamUnreachable
from tikhub_app.upstream.address_guard import AddressRefused, refuse_metadata
from tikhub_app.upstream.values import UpstreamRequest

# Shorter than the idle limit of common servers (uvicorn closes after 5 s), so that a kept connection is rarely one
# that the other side is just closing.
KEEPALIVE_S = 4.0
DNS_CACHE_S = 60


class GuardedResolver(AbstractResolver):
    """aiohttp's resolver, refusing names that lead to a metadata service."""

    def __init__(self) -> None:
        self._inner = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        refuse_metadata(entry["host"] for entry in found)
        return found

    async def close(self) -> None:
        await self._inner.close()


class _IdleWatch:
    """Breaks a body off when nothing of it came for too long; one timer for many chunks."""

    __slots__ = ("_handle", "_idle_s", "_loop", "_response", "is_waiting", "waits_since")

    def __init__(self, response: aiohttp.ClientResponse, idle_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._response = response
        self._idle_s = idle_s
        self.is_waiting = False
        self.waits_since = 0.0
        self._handle = self._loop.call_later(idle_s, self._look)

    def wait(self) -> None:
        self.is_waiting = True
        self.waits_since = self._loop.time()

    def _look(self) -> None:
        now = self._loop.time()
        # The time that a slow caller takes for a piece is not the provider's silence.
        due = self.waits_since + self._idle_s if self.is_waiting else now + self._idle_s
        if now < due:
            self._handle = self._loop.call_at(due, self._look)
            return
        self._response.content.set_exception(TimeoutError())
        self._response.close()

    def cancel(self) -> None:
        self._handle.cancel()


class AiohttpReply:
    """An :class:`~tikhub_app.upstream.values.OpenReply` over aiohttp."""

    __slots__ = ("_idle_s", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, idle_s: float) -> None:
        self._response = response
        self._idle_s = idle_s
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self, limit: int) -> bytes:
        content = self._response.content
        if content.is_eof() and content.exception() is None:
            # All of it has arrived with the headers: the usual case for short answers.
            body = content.read_nowait(-1)
            if len(body) <= limit:
                return body
            self.close()
            raise _too_long(limit)
        pieces = []
        size = 0
        async for piece in self.chunks():
            size += len(piece)
            if size > limit:
                self.close()
                raise _too_long(limit)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._response.content
        watch = _IdleWatch(self._response, self._idle_s)
        try:
            while not content.at_eof():
                watch.wait()
                piece = await content.readany()
                watch.is_waiting = False
                if piece:
                    yield piece
        except TimeoutError as error:
            raise UpstreamTimeout(f"The provider was silent for {self._idle_s:g} s within its answer.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamInvalidResponse("The provider's answer was cut short.") from error
        finally:
            watch.cancel()

    def close(self) -> None:
        # Returns the connection to the pool when the body was read to its end, else closes it at once.
        self._response.close() if not self._response.content.at_eof() else self._response.release()


def _too_long(limit: int) -> UpstreamInvalidResponse:
    return UpstreamInvalidResponse(f"The provider's answer is longer than {limit} bytes.")


@lru_cache(maxsize=64)
def _connect_timeout(connect_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s)


class _FirstByteLimit:
    """Cancels the current task after a time, as ``asyncio.timeout`` does, at a third of its cost."""

    __slots__ = ("_handle", "_has_fired", "_task", "_time_s")

    def __init__(self, time_s: float) -> None:
        self._time_s = time_s
        self._has_fired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._handle = asyncio.get_running_loop().call_later(self._time_s, self._fire)
        return self

    def _fire(self) -> None:
        self._has_fired = True
        self._task.cancel()

    def take_back(self) -> bool:
        """Whether a cancellation was this limit's alone; if so it is undone."""
        return self._has_fired and self._task.uncancel() == 0

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()


class AiohttpTransport:
    """Sessions are made lazily, one per running loop, and never outlive a fork."""

    def __init__(self) -> None:
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()
        os.register_at_fork(after_in_child=self._forget_parent)

    def _forget_parent(self) -> None:
        # The parent's sockets are not ours to close, and its loop's selector is shared with us: leave them alone, and
        # out of the collector's reach.
        self._of_the_parent = self._sessions
        self._sessions = WeakKeyDictionary()

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            connector = aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=DNS_CACHE_S, resolver=GuardedResolver()
            )
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
                trust_env=False,
            )
            self._sessions[loop] = session
        return session

    async def send(self, request: UpstreamRequest) -> AiohttpReply:
        """Send and wait for status and headers.

        :raises UpstreamUnreachable: no connection was made, so nothing was sent.
        :raises UpstreamTimeout: no first byte in time.
        :raises UpstreamInvalidResponse: the connection broke, or what came is not HTTP.
        """
        limits = request.timeouts
        with _FirstByteLimit(limits.first_byte_s) as limit:
            return AiohttpReply(await self._request(request, limit), limits.idle_s)

    async def _request(self, request: UpstreamRequest, limit: _FirstByteLimit) -> aiohttp.ClientResponse:
        limits = request.timeouts
        try:
            return await self._session().request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
                timeout=_connect_timeout(limits.connect_s),
            )
        except asyncio.CancelledError:
            if limit.take_back():
                raise UpstreamTimeout(f"The provider sent nothing within {limits.first_byte_s:g} s.") from None
            raise
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, AddressRefused) as error:
            raise UpstreamUnreachable("No connection to the provider could be made.") from error
        except aiohttp.InvalidURL as error:
            raise UpstreamUnreachable("The upstream's base URL is not valid.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamInvalidResponse("The connection to the provider broke before it answered.") from error

    async def close(self) -> None:
        """Close the running loop's session."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()
