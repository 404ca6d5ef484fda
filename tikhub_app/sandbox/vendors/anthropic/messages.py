"""Messages, plain and streamed. https://platform.claude.com/docs/en/api/messages

One Message holds everything that the call's plain answer and its stream have in common, so both say the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tikhub_app.sandbox import wire
from tikhub_app.sandbox.generation import Answer, Ask, ToolCall, generate
from tikhub_app.sandbox.replies import Reply, Send, plain_reply
from tikhub_app.sandbox.settings import Controls
from tikhub_app.sandbox.text import REFUSAL
from tikhub_app.sandbox.vendors.anthropic.prompt_cache import CacheUse
from tikhub_app.sandbox.vendors.anthropic.thinking import sign, thoughts

_PLACE: dict[str, Any] = {"service_tier": "standard", "inference_geo": "global"}
#: What the sandbox says of a call that it was told to refuse.
REFUSED: Mapping[str, Any] = {"type": "refusal", "category": "cyber", "explanation": REFUSAL}
#: What it says when the filter stops an answer in its middle: no category fits.
FILTERED: Mapping[str, Any] = {"type": "refusal", "category": None, "explanation": None}


def event(kind: str, **fields: Any) -> bytes:
    """One event of a stream, with its name on a line of its own."""
    return b"event: " + kind.encode() + b"\ndata: " + wire.compact({"type": kind, **fields}) + b"\n\n"


@dataclass(frozen=True, slots=True)
class Stop:
    reason: str
    sequence: str | None = None
    details: Mapping[str, Any] | None = None

    def fields(self) -> dict[str, Any]:
        return {"stop_reason": self.reason, "stop_sequence": self.sequence, "stop_details": self.details}


@dataclass(frozen=True, slots=True)
class Message:
    document: Mapping[str, Any]  # the request
    ask: Ask
    identifier: str
    model: str
    prompt_tokens: int
    cache: CacheUse
    shows_thinking: bool
    is_bound_by_context: bool  # the context ends before max_tokens does

    def reply(self, controls: Controls) -> Reply:
        answer = self._answer(controls)
        stop = self._stop(answer, controls)
        if self.document.get("stream"):
            return Reply(self._events(answer, stop, controls), "text/event-stream; charset=utf-8", streamed=True)
        message = self._head() | {"content": self._content(answer)} | stop.fields()
        if controls.usage:
            message["usage"] = self._usage(answer)
        return plain_reply(wire.compact(message), "application/json", answer.completion_tokens)

    def _answer(self, controls: Controls) -> Answer:
        if controls.outcome == "refusal":
            return Answer("stop", refused=True)  # stopped before the first word, which costs nothing
        return generate(self.ask, controls, 0)

    def _stop(self, answer: Answer, controls: Controls) -> Stop:
        if answer.refused:
            return Stop("refusal", details=REFUSED)
        if answer.finish == "content_filter":
            return Stop("refusal", details=FILTERED)
        if answer.finish == "length":
            return Stop("model_context_window_exceeded" if self.is_bound_by_context else "max_tokens")
        if answer.finish == "tool_calls":
            return Stop("tool_use")
        if self.ask.stop:
            unstopped = generate(replace(self.ask, stop=(), max_tokens=None), controls, 0).text
            rest = unstopped[len(answer.text) :]
            for sequence in self.ask.stop:
                if rest.startswith(sequence):
                    return Stop("stop_sequence", sequence)
        return Stop("end_turn")

    # The message object: https://platform.claude.com/docs/en/api/messages#response

    def _head(self) -> dict[str, Any]:
        return {"model": self.model, "id": self.identifier, "type": "message", "role": "assistant"}

    def _content(self, answer: Answer) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = []
        if answer.reasoning_tokens:
            thought = self._thought(answer)
            content.append({"type": "thinking", "thinking": thought, "signature": sign(thought, self.ask.fingerprint)})
        if answer.pieces:
            content.append({"type": "text", "text": answer.text})
        for call in answer.tool_calls:
            try:
                given = wire.decode(call.arguments.encode()) if call.arguments else {}
            except wire.MalformedJson:
                given = {}  # cut short by max_tokens
            content.append(_tool_use(call) | {"input": given})
        return content

    def _thought(self, answer: Answer) -> str:
        if not self.shows_thinking:
            return ""
        return "".join(piece.text for piece in thoughts(self.ask.fingerprint, self.ask.prompt, answer.reasoning_tokens))

    def _usage(self, answer: Answer) -> dict[str, Any]:
        output = answer.completion_tokens
        return self._input_usage() | {
            "output_tokens": output,
            "output_tokens_details": {"thinking_tokens": answer.reasoning_tokens},
            **_PLACE,
        }

    def _input_usage(self) -> dict[str, Any]:
        cache = self.cache
        return {
            "input_tokens": self.prompt_tokens - cache.read - cache.written,
            "cache_creation_input_tokens": cache.written,
            "cache_read_input_tokens": cache.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": cache.written_5m,
                "ephemeral_1h_input_tokens": cache.written_1h,
            },
        }

    # The stream: https://platform.claude.com/docs/en/build-with-claude/streaming

    def _events(self, answer: Answer, stop: Stop, controls: Controls) -> Iterator[Send]:
        """message_start, each block from its start to its stop, message_delta with the usage, message_stop."""
        head = self._head() | {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
        if controls.usage:
            begun = min(1, answer.completion_tokens)
            head["usage"] = self._input_usage() | {"output_tokens": begun} | _PLACE
        yield Send(event("message_start", message=head))
        generated, has_pinged = 0, False
        for index, block in enumerate(self._blocks(answer)):
            for number, (kind, fields, tokens) in enumerate(block):
                generated += tokens
                yield Send(event(kind, index=index, **fields), generated)
                if number == 0 and not has_pinged:
                    has_pinged = True
                    yield Send(event("ping"), generated)
        ending: dict[str, Any] = {"delta": stop.fields()}
        if controls.usage:
            # Cumulative; the split of the cache stands in message_start alone.
            usage = self._usage(answer)
            ending["usage"] = {
                name: value for name, value in usage.items() if name != "cache_creation" and name not in _PLACE
            }
        yield Send(event("message_delta", **ending), generated)
        yield Send(event("message_stop"), generated)

    def _blocks(self, answer: Answer) -> Iterator[Iterator[tuple[str, dict[str, Any], int]]]:
        """Of each content block its events: name, fields beside the index, and the tokens that they bring."""
        if answer.reasoning_tokens:
            yield self._thinking_events(answer)
        if answer.pieces:
            yield self._text_events(answer)
        for call in answer.tool_calls:
            yield self._tool_events(call)

    def _thinking_events(self, answer: Answer) -> Iterator[tuple[str, dict[str, Any], int]]:
        hidden = 0 if self.shows_thinking else answer.reasoning_tokens
        yield _start({"type": "thinking", "thinking": "", "signature": ""}, hidden)
        if self.shows_thinking:
            for piece in thoughts(self.ask.fingerprint, self.ask.prompt, answer.reasoning_tokens):
                yield _delta({"type": "thinking_delta", "thinking": piece.text}, piece.tokens)
        signature = sign(self._thought(answer), self.ask.fingerprint)
        yield _delta({"type": "signature_delta", "signature": signature}, 0)
        yield _STOP

    def _text_events(self, answer: Answer) -> Iterator[tuple[str, dict[str, Any], int]]:
        yield _start({"type": "text", "text": ""}, 0)
        for piece in answer.pieces:
            yield _delta({"type": "text_delta", "text": piece.text}, piece.tokens)
        yield _STOP

    def _tool_events(self, call: ToolCall) -> Iterator[tuple[str, dict[str, Any], int]]:
        yield _start(_tool_use(call) | {"input": {}}, call.overhead_tokens)
        yield _delta({"type": "input_json_delta", "partial_json": ""}, 0)
        for piece in call.pieces:
            yield _delta({"type": "input_json_delta", "partial_json": piece.text}, piece.tokens)
        yield _STOP


def _tool_use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{call.identifier}", "name": call.tool.name}


_STOP: tuple[str, dict[str, Any], int] = ("content_block_stop", {}, 0)


def _start(block: dict[str, Any], tokens: int) -> tuple[str, dict[str, Any], int]:
    return "content_block_start", {"content_block": block}, tokens


def _delta(delta: dict[str, Any], tokens: int) -> tuple[str, dict[str, Any], int]:
    return "content_block_delta", {"delta": delta}, tokens
