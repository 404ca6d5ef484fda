"""What the sandbox sends back for one call: a head and a row of steps.

A vendor's module produces a Reply; the fault table rewrites it; ``exchange.py`` plays it on the socket. Steps are
produced as they are played, so a long stream is never in memory as a whole.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes to write, and how many completion tokens have been generated once they are out."""

    data: bytes
    generated: int = 0


@dataclass(frozen=True, slots=True)
class Reset:
    """Cut the connection with a TCP reset."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Send nothing for so long, then go on with the next step."""

    seconds: float


Step = Send | Reset | Hold


@dataclass(frozen=True, slots=True)
class Reply:
    steps: Iterator[Step]
    content_type: str
    streamed: bool = False
    content_length: int | None = None  # None: chunked transfer encoding
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Puts an error's body into this stream, where that is not done as the vendor's events do it.
    frame_error: Callable[[bytes], bytes] | None = None


def plain_reply(body: bytes, content_type: str, generated: int = 0) -> Reply:
    return Reply(iter([Send(body, generated)]), content_type, content_length=len(body))


class Refusal(Exception):
    """The vendor will not do the work: a status and a body in the vendor's error form. Never billed."""

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = dict(headers or {})
