"""What a door hands to the core, and what it gets back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

Headers = list[tuple[str, str]]


class ByteStream(Protocol):
    """A streamed body. Closing it before its end means that the caller has left."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def __anext__(self) -> Awaitable[bytes]: ...

    async def aclose(self) -> None: ...


class CallerGone(Exception):  # not an error: the caller closed the connection while sending its body
    """The connection ended before the body did; there is nobody to answer."""


@dataclass(slots=True)
class InboundCall:
    """One call as it came in: nothing is interpreted yet.

    ``headers`` have lower-case names; of a repeated credential header every value is kept, joined by ", ".
    """

    dialect: str
    operation: str
    headers: Mapping[str, str]
    body: bytes
    door: str
    query: Mapping[str, str] = field(default_factory=dict)
    #: What the path says beside dialect and operation, such as Gemini's model.
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    #: Reads the body once the caller is known, so that nobody without a key can fill the memory. Given instead of
    #: ``body``; raises :class:`CallerGone` or an error of the caller's.
    read_body: Callable[[], Awaitable[bytes]] | None = None
    #: Set by the door before it cancels, so that a caller that left is told from a server that stops.
    is_caller_gone: bool = False
    #: For doors whose server cancels the call when the caller leaves, without a word in advance.
    departs_by_cancel: bool = False


@dataclass(slots=True)
class Reply:
    """The answer for the caller. A stream's iterator must be closed by the door, read to its end or not."""

    status: int
    headers: Headers
    body: bytes = b""
    stream: ByteStream | None = None

    async def aclose(self) -> None:
        if self.stream is not None:
            await self.stream.aclose()
