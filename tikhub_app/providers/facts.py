"""What is read from a provider's answer, in the same form for every provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


@dataclass(slots=True)
class Usage:
    """Disjoint token counters of one answer.

    ``is_mismatch`` is set when the counters do not sum to the provider's own total.
    """

    input_uncached: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    image_input: int = 0
    audio_input: int = 0
    output_visible: int = 0
    reasoning: int = 0
    audio_output: int = 0
    is_mismatch: bool = False

    @property
    def input_tokens(self) -> int:
        return (
            self.input_uncached
            + self.cache_read
            + self.cache_write_5m
            + self.cache_write_1h
            + self.image_input
            + self.audio_input
        )

    @property
    def output_tokens(self) -> int:
        return self.output_visible + self.reasoning + self.audio_output


@dataclass(slots=True)
class FilterFinding:
    """One category that a content filter reported; what the vendor did not say stays None."""

    side: str
    category: str
    choice_index: int | None = None
    filtered: bool | None = None
    detected: bool | None = None
    severity: str | None = None
    raw: Any = None


@dataclass(slots=True)
class ReplyFacts:
    """Everything that the ledger keeps of one answer."""

    answered_model: str = ""
    finish_reason: str = ""
    usage: Usage | None = None
    #: The stream ended before its last word on usage: what came in is known, what went out is only begun.
    is_usage_provisional: bool = False
    #: Usage by other models that worked on the same answer and are billed at their own price; not in ``usage``.
    other_models: dict[str, Usage] = field(default_factory=dict)
    findings: list[FilterFinding] = field(default_factory=list)
    server_tool_calls: dict[str, int] = field(default_factory=dict)
    #: Characters of output seen, the basis of an estimate when no usage came.
    output_characters: int = 0


class EventVerdict(Enum):
    """What becomes of one event of a stream."""

    PASS = auto()
    #: Not for the caller: a usage-only chunk that only we had asked for.
    DROP = auto()
    #: The provider reports a failure in-band; passed on, and the call has failed.
    ERROR = auto()
    #: The terminator; passed on, nothing may follow.
    END = auto()


class StreamForm(Enum):
    """How a streamed answer is framed."""

    #: Server-sent events.
    EVENTS = auto()
    #: One JSON array that grows; its elements are the events.
    JSON_ARRAY = auto()
