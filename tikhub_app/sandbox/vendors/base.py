"""The contract between a vendor's module and the exchange that plays it. Vendors do no I/O.

A vendor lists its operations; each admits a call (or raises Refusal in the vendor's error form) and returns a Job,
which says what will be billed and produces the Reply. Faults, pace, bill and log are the exchange's business.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tikhub_app.sandbox.faults import FaultChoice
from tikhub_app.sandbox.replies import Refusal, Reply
from tikhub_app.sandbox.settings import Controls, SandboxSettings


@dataclass(slots=True)
class Call:
    """One received call, as a vendor sees it."""

    method: str
    path: str
    headers: Mapping[str, str]  # lower-case names
    path_parameters: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = field(default_factory=dict)
    document: Any = None  # the body's JSON, or None
    is_json: bool = False
    model: str | None = None  # as asked for, without the sandbox's suffix


@dataclass(slots=True)
class Job:
    """Admitted work: what the bill's line will say, and how to answer."""

    reply: Callable[[Controls], Reply]
    model: str = ""  # the one that answers
    stream: bool = False
    billable: bool = False
    prompt_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    response_id: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str  # below the vendor's prefix, in aiohttp's form: /v1/models/{model}
    name: str
    admit: Callable[[Call, Controls], Job]


class Vendor(ABC):
    """One vendor's API. An instance lives as long as the server and may hold the vendor's state (tasks, files)."""

    name: ClassVar[str]
    prefix: ClassVar[str]

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings

    @abstractmethod
    def operations(self) -> Sequence[Operation]: ...

    @abstractmethod
    def authenticate(self, call: Call) -> None:
        """Raise Refusal unless the call may pass. Any key and none will do where ``--require-key`` was not given."""

    @abstractmethod
    def unknown_path(self, call: Call) -> Refusal: ...

    @abstractmethod
    def too_large(self) -> Refusal: ...

    @abstractmethod
    def wrong_control(self, message: str) -> Refusal:
        """The call's own ``sandbox`` controls cannot be read."""

    @abstractmethod
    def refuse(self, choice: FaultChoice) -> Refusal:
        """The refusal for a fault with a status, in the vendor's words."""

    @abstractmethod
    def error_body(self, status: int, message: str | None) -> bytes: ...

    @abstractmethod
    def error_event(self, message: str | None) -> bytes:
        """How the vendor tells of an error in the middle of a stream."""

    @abstractmethod
    def headers(self, call: Call, job: Job | None, elapsed_ms: int) -> dict[str, str]:
        """The headers that every answer carries, refusals included."""
