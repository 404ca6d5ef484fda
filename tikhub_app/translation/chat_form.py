"""Writing chat completions: whole answers and streams, in the order and form that OpenAI's own have.

https://platform.openai.com/docs/api-reference/chat/object
https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tikhub_app.translation.base import TranslatedError
from tikhub_app.translation.json_text import encode

# Beyond any context; see the ledger's counters, which have the same bound.
_MOST_TOKENS = 10**8


def token_count(value: Any) -> int:
    """Token numbers are integers, yet fractions and nulls have been seen."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return 0
    return round(min(max(0, value), _MOST_TOKENS))


def completion_id(provider_id: Any, request_id: str) -> str:
    """``chatcmpl-`` and the provider's id of the answer, or ours where it gave none."""
    own = provider_id if isinstance(provider_id, str) and provider_id else request_id
    return own if own.startswith("chatcmpl-") else f"chatcmpl-{own}"


@dataclass(slots=True)
class ChatUsage:
    """A usage object. ``prompt_tokens`` includes every kind of input, ``completion_tokens`` includes reasoning."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_details: dict[str, int] = field(default_factory=dict)
    completion_details: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": self.prompt_details,
            "completion_tokens_details": self.completion_details,
        }


def url_citation(*, url: str, title: str, start_index: int, end_index: int) -> dict[str, Any]:
    """One annotation; the indexes are characters of the message's content."""
    citation = {"url": url, "title": title, "start_index": start_index, "end_index": end_index}
    return {"type": "url_citation", "url_citation": citation}


@dataclass(slots=True)
class CalledTool:
    """One function call of the model; ``arguments`` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class AnsweredChoice:
    """One choice of a whole answer.

    ``reasoning`` becomes ``reasoning_content``, the de-facto field for it. ``extras`` are further message fields.
    """

    finish_reason: str = "stop"
    index: int = 0
    text: str = ""
    reasoning: str = ""
    refusal: str | None = None
    tool_calls: list[CalledTool] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)
    logprobs: dict[str, Any] | None = None

    def as_json(self, *, legacy_functions: bool) -> dict[str, Any]:
        has_other = bool(self.tool_calls) or self.refusal is not None
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.text or (None if has_other else ""),
            "refusal": self.refusal,
        }
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.annotations:
            message["annotations"] = self.annotations
        if self.tool_calls and legacy_functions:
            first = self.tool_calls[0]  # the old form has room for one
            message["function_call"] = {"name": first.name, "arguments": first.arguments}
        elif self.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        message.update(self.extras)
        return {
            "index": self.index,
            "message": message,
            "logprobs": self.logprobs,
            "finish_reason": _finish_reason(self.finish_reason, legacy_functions),
        }


def _finish_reason(reason: str, legacy_functions: bool) -> str:
    return "function_call" if legacy_functions and reason == "tool_calls" else reason


def write_completion(
    *,
    id: str,
    model: str,
    choices: list[AnsweredChoice],
    usage: ChatUsage | None,
    service_tier: str | None = None,
    legacy_functions: bool = False,
) -> bytes:
    """A whole ``chat.completion``."""
    answer: dict[str, Any] = {
        "id": id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice.as_json(legacy_functions=legacy_functions) for choice in choices],
    }
    if usage is not None:
        answer["usage"] = usage.as_json()
    if service_tier is not None:
        answer["service_tier"] = service_tier
    return encode(answer)


def error_event(error: TranslatedError) -> bytes:
    """An error in the middle of a stream; nothing may follow it."""
    body = {"message": error.message, "type": error.error_type, "param": error.param, "code": error.code}
    return _event({"error": body})


def _event(value: Any) -> bytes:
    return b"data: " + encode(value) + b"\n\n"


class ChunkWriter:
    """Writes one stream of ``chat.completion.chunk`` events; every method returns the events' bytes.

    The role comes first and once per choice, whichever method is called first; tools are numbered from 0 in the order
    of :meth:`open_tool`, whatever else lies between; the finish reason comes once. Set :attr:`id`, :attr:`model` and
    :attr:`service_tier` before the first chunk: all chunks of a stream carry the same.
    """

    __slots__ = (
        "_annotations", "_created", "_finished", "_has_ended", "_legacy_functions", "_started", "_tools",
        "_wants_usage", "id", "model", "service_tier",
    )  # fmt: skip

    def __init__(self, *, id: str, wants_usage: bool, legacy_functions: bool = False) -> None:
        self.id = id
        self.model = ""
        self.service_tier: str | None = None
        self._created = int(time.time())
        self._wants_usage = wants_usage
        self._legacy_functions = legacy_functions
        self._started: set[int] = set()
        self._finished: set[int] = set()
        #: Choice index -> number of tools opened in it.
        self._tools: dict[int, int] = {}
        self._annotations: dict[int, list[dict[str, Any]]] = {}
        self._has_ended = False

    def has_started(self, choice: int = 0) -> bool:
        return choice in self._started

    def has_finished(self, choice: int = 0) -> bool:
        return choice in self._finished

    def has_tools(self, choice: int = 0) -> bool:
        return self._tools.get(choice, 0) > 0

    def start(self, choice: int = 0) -> bytes:
        """The chunk with the role; nothing when it has been written."""
        if choice in self._started:
            return b""
        self._started.add(choice)
        return self._chunk(choice, {"role": "assistant", "content": "", "refusal": None})

    def text(self, fragment: str, choice: int = 0) -> bytes:
        return self._delta(choice, {"content": fragment}) if fragment else b""

    def reasoning(self, fragment: str, choice: int = 0) -> bytes:
        return self._delta(choice, {"reasoning_content": fragment}) if fragment else b""

    def refusal(self, fragment: str, choice: int = 0) -> bytes:
        return self._delta(choice, {"refusal": fragment}) if fragment else b""

    def annotate(self, annotations: list[dict[str, Any]], choice: int = 0) -> None:
        """Note annotations; they are written with :meth:`finish`.

        OpenAI sends them once, after the text, and its SDK cannot put a list together from two deltas unless each
        entry has an ``index``.
        """
        self._annotations.setdefault(choice, []).extend(annotations)

    def extras(self, fields: dict[str, Any], choice: int = 0) -> bytes:
        """Further delta fields, such as images. Entries of a list that comes in several deltas need an ``index``."""
        return self._delta(choice, fields) if fields else b""

    def logprobs(self, value: dict[str, Any], choice: int = 0) -> bytes:
        """Log probabilities of tokens that have been written or are about to be."""
        return self.start(choice) + self._chunk(choice, {}, logprobs=value) if value else b""

    def open_tool(self, id: str, name: str, choice: int = 0, arguments: str = "") -> tuple[int, bytes]:
        """A tool call begins, or is told in full; the returned index goes with further arguments."""
        index = self._tools.get(choice, 0)
        self._tools[choice] = index + 1
        function = {"name": name, "arguments": arguments}
        if self._legacy_functions:
            return index, self._delta(choice, {"function_call": function}) if index == 0 else b""
        call = {"index": index, "id": id, "type": "function", "function": function}
        return index, self._delta(choice, {"tool_calls": [call]})

    def tool_arguments(self, index: int, fragment: str, choice: int = 0) -> bytes:
        if not fragment:
            return b""
        if self._legacy_functions:
            return self._delta(choice, {"function_call": {"arguments": fragment}}) if index == 0 else b""
        return self._delta(choice, {"tool_calls": [{"index": index, "function": {"arguments": fragment}}]})

    def finish(self, reason: str, choice: int = 0) -> bytes:
        if choice in self._finished:
            return b""
        opened = self.start(choice)
        self._finished.add(choice)
        if annotations := self._annotations.pop(choice, None):
            opened += self._chunk(choice, {"annotations": annotations})
        return opened + self._chunk(choice, {}, _finish_reason(reason, self._legacy_functions))

    def end(self, usage: ChatUsage | None) -> bytes:
        """The usage-only chunk, when the caller asked for one and there is any, and the terminator."""
        if self._has_ended:
            return b""
        self._has_ended = True
        last = b""
        if self._wants_usage and usage is not None:
            last = _event({**self._head(), "choices": [], "usage": usage.as_json()})
        return last + b"data: [DONE]\n\n"

    def error(self, error: TranslatedError) -> bytes:
        """The provider failed in mid-stream; no terminator follows."""
        self._has_ended = True
        return error_event(error)

    def _delta(self, choice: int, delta: dict[str, Any]) -> bytes:
        return self.start(choice) + self._chunk(choice, delta)

    def _head(self) -> dict[str, Any]:
        head: dict[str, Any] = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self.model,
        }
        if self.service_tier is not None:
            head["service_tier"] = self.service_tier
        return head

    def _chunk(
        self,
        choice: int,
        delta: dict[str, Any],
        finish_reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> bytes:
        entry = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        chunk = {**self._head(), "choices": [entry]}
        if self._wants_usage:
            chunk["usage"] = None
        return _event(chunk)
