"""The contract between the gateway and its translations: a caller's dialect on one side, a provider's on the other.

A translation is a pure function of what it is given: no I/O, no Django, no state between calls. The gateway parses the
caller's body once, asks for the provider's body, and opens one :class:`ReplyTranslator` per answer. What the caller's
format cannot carry from turn to turn (a thinking block's signature, say) leaves in :attr:`ReplyTranslator.kept` and
comes back in ``kept`` of a later :meth:`Translation.request`, found by tool-call id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class TranslationOptions:
    """What the operator decides.

    ``drops_unsupported``: leave out what the target cannot express (listed in :attr:`TranslatedRequest.dropped`)
    instead of refusing the call. ``default_max_tokens``: the output cap where the target insists on one and the
    caller named none; a model's own cap wins where it is lower.
    """

    drops_unsupported: bool = False
    default_max_tokens: int = 8192


@dataclass(slots=True)
class TranslatedRequest:
    """The provider's body. ``dropped`` names, in the caller's words, what did not go along."""

    body: dict[str, Any]
    dropped: list[str] = field(default_factory=list)
    operation: str = ""


@dataclass(frozen=True, slots=True)
class TranslatedError:
    """A provider's error in the caller's words; the status is the gateway's business."""

    message: str
    error_type: str
    code: str | None = None
    param: str | None = None


class ReplyTranslator:
    """Translates one answer, whole or event by event. One instance per answer."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        #: Tool-call id, as the caller saw it -> JSON state to keep and to hand back with a later request.
        self.kept: dict[str, Any] = {}

    def whole(self, body: bytes) -> bytes:
        """The provider's whole answer in the caller's format.

        :raises ValueError: the body is not an answer of the provider's API.
        """
        raise NotImplementedError

    def event(self, event: bytes) -> bytes:
        """Zero or more of the caller's events for one whole event of the provider, separators included in both.

        :raises ValueError: the event's data is not what the provider's API sends.
        """
        raise NotImplementedError

    def end(self) -> bytes:
        """What the caller is still owed when the provider's stream is complete: usage, terminator."""
        raise NotImplementedError


class Translation:
    """One pair of dialects. Instances hold nothing and are shared."""

    #: The caller's dialect.
    source: ClassVar[str]
    #: The provider's dialect.
    target: ClassVar[str]

    def needed_state(self, body: dict[str, Any]) -> list[str]:
        """Tool-call ids in the caller's history for which kept state is wanted, each once, in order."""
        raise NotImplementedError

    def request(
        self, body: dict[str, Any], *, model: str, kept: Mapping[str, Any], options: TranslationOptions
    ) -> TranslatedRequest:
        """The provider's body for the caller's; ``body`` is left as it is.

        :param model: the provider's name of the model.
        :param kept: what :attr:`ReplyTranslator.kept` once held, by tool-call id; ids may be missing.
        :raises InvalidRequest: a field is malformed; ``param`` names it.
        :raises UnsupportedFeature: the target cannot express a field, and may not drop it.
        """
        raise NotImplementedError

    def open_reply(self, body: dict[str, Any], *, request_id: str) -> ReplyTranslator:
        """A translator for the answer to the caller's request ``body``."""
        raise NotImplementedError

    def error(self, status: int, body: bytes) -> TranslatedError:
        """The provider's error body in the caller's words; any bytes are accepted."""
        raise NotImplementedError
