"""What whole and streamed answers of Claude have in common on their way into a chat: reasons, usage, citations.

https://platform.claude.com/docs/en/api/messages#response
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tikhub_app.translation.chat_form import ChatUsage, token_count, url_citation
from tikhub_app.translation.chat_request import uses_legacy_functions, wants_usage
from tikhub_app.translation.chat_to_messages.tools import tool_names
from tikhub_app.translation.media import is_web_url
from tikhub_app.translation.tool_names import ToolNames

#: Between two thinking blocks, which are two paragraphs of one reasoning_content.
BETWEEN_THOUGHTS = "\n\n"

# https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",  # a chat cannot be resumed in the midst of a server tool's work
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
#: Claude's tiers -> OpenAI's.
_SERVICE_TIERS = {"standard": "default", "priority": "priority"}
_INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller's request says about the form of the answer."""

    request_id: str
    names: ToolNames
    legacy_functions: bool
    wants_usage: bool

    @classmethod
    def read(cls, body: Mapping[str, Any], request_id: str) -> Asked:
        return cls(request_id, tool_names(body), uses_legacy_functions(body), wants_usage(body))


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def finish_reason(stop_reason: Any) -> str:
    return _FINISH_REASONS.get(text_of(stop_reason), "stop")


def refusal_of(stop_reason: Any, stop_details: Any) -> str | None:
    """Claude's words on why it refused; None for an answer, and for a refusal without words."""
    if stop_reason != "refusal" or not isinstance(stop_details, Mapping):
        return None
    return text_of(stop_details.get("explanation")) or None


def service_tier(usage: Any) -> str | None:
    return _SERVICE_TIERS.get(text_of(usage.get("service_tier"))) if isinstance(usage, Mapping) else None


def fallback_model(block: Mapping[str, Any]) -> str:
    """The model that took over, where a block says that one did.

    https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
    """
    to = block.get("to") if block.get("type") == "fallback" else None
    return text_of(to.get("model")) if isinstance(to, Mapping) else ""


def url_citations(citations: Any, start: int, end: int) -> list[dict[str, Any]]:
    """Annotations for a text block that stands from ``start`` to ``end``; places in documents have no address."""
    found = []
    for citation in citations if isinstance(citations, list) else ():
        if not isinstance(citation, Mapping):
            continue
        url = text_of(citation.get("url")) or text_of(citation.get("source"))
        if is_web_url(url):
            title = text_of(citation.get("title"))
            found.append(url_citation(url=url, title=title, start_index=start, end_index=end))
    return found


class UsageTotal:
    """Usage of one answer, put together from message_start and message_delta.

    "The token counts shown in the usage field of the message_delta event are cumulative"; what it leaves out stays as
    message_start said. Some relays repeat the input counts as 0: a sum does not become smaller, unless iterations say
    what was counted. https://platform.claude.com/docs/en/build-with-claude/streaming#event-types
    """

    __slots__ = ("_usage",)

    def __init__(self) -> None:
        self._usage: dict[str, Any] = {}

    def add(self, usage: Any) -> None:
        if not isinstance(usage, Mapping):
            return
        is_told_in_full = bool(usage.get("iterations"))
        for name, value in usage.items():
            known = self._usage.get(name)
            if value is None and known is not None:
                continue
            if name in _INPUT_COUNTS and not is_told_in_full and token_count(value) < token_count(known):
                continue
            self._usage[name] = value

    def as_chat(self, model: str) -> ChatUsage | None:
        """The chat's usage object; None when none was sent."""
        if not self._usage:
            return None
        details = self._usage.get("output_tokens_details")
        thinking = token_count(details.get("thinking_tokens")) if isinstance(details, Mapping) else 0
        billed = _billed_to(model, self._usage)
        cached = sum(token_count(counts.get("cache_read_input_tokens")) for counts in billed)
        written = sum(_written_to_cache(counts) for counts in billed)
        uncached = sum(token_count(counts.get("input_tokens")) for counts in billed)
        output = sum(token_count(counts.get("output_tokens")) for counts in billed)
        return ChatUsage(
            prompt_tokens=uncached + cached + written,
            completion_tokens=output,
            prompt_details={"cached_tokens": cached, "cache_write_tokens": written},
            completion_details={"reasoning_tokens": min(thinking, output)},
        )


def _billed_to(model: str, usage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The counts to add up: the iterations of this model where they are told, else the object itself.

    "A compaction entry's tokens are not included in the top-level usage fields", and an advisor is another model with
    another price. https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage
    """
    told = usage.get("iterations")
    iterations = [item for item in told if isinstance(item, Mapping)] if isinstance(told, list) else []
    if not iterations:
        return [usage]
    return [item for item in iterations if text_of(item.get("model")) in ("", model)]


def _written_to_cache(counts: Mapping[str, Any]) -> int:
    total = counts.get("cache_creation_input_tokens")
    if total is not None:
        return token_count(total)
    split = counts.get("cache_creation")
    return sum(token_count(value) for value in split.values()) if isinstance(split, Mapping) else 0
