"""The contract between the gateway and its providers. These docstrings are the manual for provider authors.

A provider is a class with data (what it can do) and a few pure methods (how its API is written and read). It does no
I/O, keeps no state between calls and imports neither Django nor the tables: the gateway hands it plain values and
sends what it returns. So an adapter is tested with plain values, and every transport can carry it.

Look-alikes inherit from the provider that they resemble and override the differences, each with a comment in the
provider's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tikhub_app.exceptions import UnsupportedFeature
from tikhub_app.providers.facts import EventVerdict, FilterFinding, ReplyFacts, StreamForm
from tikhub_app.upstream.values import Timeouts, UpstreamRequest

USER_AGENT = "tikhub-ai-gateway"
#: Statuses by which nearly every provider says that it does not take our account.
ACCOUNT_REFUSALS = frozenset({401, 402, 403})


@dataclass(frozen=True, slots=True)
class Account:
    """One configured account at the provider. ``credential`` is in clear and never printed."""

    base_url: str
    credential: str = field(default="", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(slots=True)
class ProviderCall:
    """One call in the provider's own dialect.

    ``body`` is what the caller sent, byte for byte, unless the gateway had to change a top-level field.
    ``headers`` are the caller's headers that may go upstream, with lower-case names; credentials are in none of these.
    ``attempt_id`` goes along as the provider's correlation header, so that each line of its bill joins one attempt.
    """

    operation: str
    model: str
    body: bytes
    attempt_id: str
    is_stream: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    #: What the caller's path and query say beside dialect, operation and credential; None where the caller speaks
    #: another dialect, and the provider chooses.
    path_parameters: Mapping[str, str] | None = None
    query: Mapping[str, str] | None = None


class StreamReader:
    """Reads the events of one streamed answer as they pass. One instance per stream."""

    __slots__ = ()

    def read_event(self, data: bytes) -> EventVerdict:
        """Take note of one event's data and say what becomes of the event.

        :raises ValueError: the data is not what this dialect sends (the stream is broken off with an error event).
        """
        raise NotImplementedError

    def is_complete(self) -> bool:
        """Whether the stream may end here: the terminator, or all that must precede it, has passed."""
        raise NotImplementedError

    def error_status(self, data: bytes) -> int | None:
        """The HTTP status that an in-band error stands for, where the provider's error names it in its own way."""
        return None

    def facts(self) -> ReplyFacts:
        """What was learned so far; called after the first event, and when the stream is over or broken."""
        raise NotImplementedError

    def assembled(self) -> dict[str, Any]:
        """The answer put together, in the form of the dialect's unstreamed answer; for the stored payload."""
        raise NotImplementedError


class Provider:
    """Base class of all adapters."""

    #: Identifier, lower case; also the module's name.
    name: ClassVar[str]
    #: The provider's own capitalisation, for people.
    label: ClassVar[str]
    #: Where its API is documented.
    docs_url: ClassVar[str]
    #: As the provider's own SDK takes it; empty where every account has its own.
    default_base_url: ClassVar[str] = ""
    #: Whether an account may have no credential.
    credential_optional: ClassVar[bool] = False
    #: Dialects that it speaks natively -> operations in that dialect.
    dialects: ClassVar[Mapping[str, frozenset[str]]] = {}
    #: Families of public model names that usually belong to it; routes made for a new account have these patterns.
    model_patterns: ClassVar[tuple[str, ...]] = ()
    #: Headers of the caller that go upstream (lower case). Everything else stays here.
    forwarded_headers: ClassVar[frozenset[str]] = frozenset()
    #: Header in which the provider returns its own id of the call.
    request_id_header: ClassVar[str] = "x-request-id"

    def speaks(self, dialect: str, operation: str) -> bool:
        return operation in self.dialects.get(dialect, ())

    def prepare_body(self, body: bytes, changes: Mapping[str, Any]) -> bytes:
        """The body with some top-level fields replaced; every other byte of every other value stays as it was."""
        raise UnsupportedFeature(f"{self.label} cannot change the fields {', '.join(changes)} of a request.")

    def build_request(self, account: Account, call: ProviderCall) -> UpstreamRequest:
        """The HTTP request for one call.

        :raises UnsupportedFeature: the provider cannot do the operation.
        """
        raise UnsupportedFeature(f"{self.label} does not support {call.operation}.")

    def build_connection_test(self, account: Account) -> UpstreamRequest:
        """A request that costs nothing and shows whether address and credential work."""
        raise UnsupportedFeature(f"{self.label} has no request that tests a connection.")

    def read_reply(self, operation: str, body: bytes) -> ReplyFacts:
        """What the ledger keeps of a successful, unstreamed answer.

        :raises ValueError: the body is not an answer of this API.
        """
        raise UnsupportedFeature(f"{self.label} does not support {operation}.")

    def is_account_refusal(self, status: int, body: bytes) -> bool:
        """Whether a refusal is about the operator's account, and not about the caller's request."""
        return status in ACCOUNT_REFUSALS

    def read_retry_after(self, status: int, body: bytes) -> float | None:
        """Seconds to wait as the body of a refusal names them; headers are read by the gateway, and win."""
        return None

    def read_error(self, status: int, body: bytes) -> list[FilterFinding]:
        """Content-filter findings in the body of a refusal; most refusals have none."""
        return []

    def stream_form(self, operation: str, content_type: str) -> StreamForm | None:
        """How a streamed answer of this content type is cut into events; None: it is read whole."""
        return StreamForm.EVENTS if "text/event-stream" in content_type else None

    def open_stream(self, operation: str, *, keeps_usage: bool, text_limit: int) -> StreamReader:
        """A reader for one streamed answer.

        :param keeps_usage: the caller asked for usage; otherwise a usage-only event is dropped.
        :param text_limit: how many characters to keep for :meth:`StreamReader.assembled`; 0 keeps none.
        """
        raise UnsupportedFeature(f"{self.label} does not stream {operation}.")
