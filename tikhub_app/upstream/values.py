"""The values that providers write and read, and transports carry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one call, in seconds."""

    connect_s: float = 5.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0


@dataclass(slots=True)
class UpstreamRequest:
    """One HTTP request to a provider, complete with its credential; never logged."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    timeouts: Timeouts

    def __repr__(self) -> str:
        return f"<UpstreamRequest {self.method} {self.url} {len(self.body)} bytes>"


class OpenReply(Protocol):
    """A reply whose status and headers are here and whose body is still to be read."""

    status: int
    headers: Mapping[str, str]

    async def read(self, limit: int) -> bytes:
        """The whole body.

        :raises UpstreamInvalidResponse: cut short, or longer than ``limit`` bytes.
        :raises UpstreamTimeout: silent for longer than the idle limit.
        """
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises as :meth:`read` does."""
        ...

    def close(self) -> None:
        """Let the connection go at once, whatever is left of the body."""
        ...
