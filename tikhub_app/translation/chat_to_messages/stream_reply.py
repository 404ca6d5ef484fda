"""A stream of Messages events as chat.completion.chunk events.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.chat_form import ChunkWriter, completion_id
from tikhub_app.translation.chat_to_messages.answer import (
    BETWEEN_THOUGHTS,
    Asked,
    UsageTotal,
    fallback_model,
    finish_reason,
    refusal_of,
    service_tier,
    text_of,
    url_citations,
)
from tikhub_app.translation.chat_to_messages.errors import translate_error
from tikhub_app.translation.chat_to_messages.kept_thinking import TurnLayout
from tikhub_app.translation.json_text import decode_object, encode_text
from tikhub_app.upstream.sse import event_data


class _Block:
    """One content block under way."""

    __slots__ = ("citations", "has_arguments", "kind", "length", "signature", "start", "thinking", "tool", "whole")

    def __init__(self, whole: Mapping[str, Any], start: int) -> None:
        self.whole = whole
        self.kind = whole.get("type")
        #: Where its text begins in the message's content, and how long it is.
        self.start = start
        self.length = 0
        self.citations: list[Any] = []
        self.thinking: list[str] = []
        self.signature = ""
        #: Index among the tools.
        self.tool = 0
        self.has_arguments = False


class StreamTranslation:
    """State of one stream; see :class:`tikhub_app.translation.base.ReplyTranslator` for the three methods."""

    __slots__ = (
        "_asked",
        "_blocks",
        "_has_begun",
        "_has_failed",
        "_has_thought",
        "_layout",
        "_length",
        "_usage",
        "_writer",
    )

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._writer = ChunkWriter(
            id=completion_id(None, asked.request_id),
            wants_usage=asked.wants_usage,
            legacy_functions=asked.legacy_functions,
        )
        self._blocks: dict[Any, _Block] = {}
        self._layout = TurnLayout()
        self._usage = UsageTotal()
        #: Characters of content written.
        self._length = 0
        self._has_begun = False
        self._has_thought = False
        self._has_failed = False

    def has_finished(self) -> bool:
        """Whether the finish reason has passed."""
        return self._writer.has_finished()

    def kept(self) -> dict[str, Any]:
        """What the finished answer leaves to be put back."""
        return self._layout.kept(self._writer.model)

    def event(self, event: bytes) -> bytes:
        data = event_data(event)
        if not data.strip() or self._has_failed:
            return b""
        whole = decode_object(data)
        kind = whole.get("type")
        if kind == "content_block_delta":
            return self._on_delta(whole)
        if kind == "content_block_start":
            return self._on_block_start(whole)
        if kind == "content_block_stop":
            return self._on_block_stop(self._blocks.pop(_key(whole), None))
        if kind == "message_start":
            return self._on_start(whole.get("message"))
        if kind == "message_delta":
            return self._on_message_delta(whole)
        if kind == "error":
            self._has_failed = True
            return self._writer.error(translate_error(whole.get("error"), None))
        return b""  # ping, message_stop, and what is new: "your code should handle unknown event types gracefully"

    def end(self) -> bytes:
        if self._has_failed:
            return b""
        finish = b"" if self._writer.has_finished() else self._writer.finish("stop")
        return finish + self._writer.end(self._usage.as_chat(self._writer.model))

    def _on_start(self, message: Any) -> bytes:
        if isinstance(message, Mapping) and not self._has_begun:
            self._has_begun = True
            self._writer.id = completion_id(message.get("id"), self._asked.request_id)
            self._writer.model = text_of(message.get("model"))
            self._writer.service_tier = service_tier(message.get("usage"))
            self._usage.add(message.get("usage"))
        # The role waits for the first block: it may say that another model took over, and all chunks carry one model.
        return b""

    def _on_block_start(self, event: Mapping[str, Any]) -> bytes:
        given = event.get("content_block")
        if not isinstance(given, Mapping):
            return b""
        if given.get("type") == "fallback":
            self._writer.model = fallback_model(given) or self._writer.model
            return b""
        block = _Block(given, self._length)
        self._blocks[_key(event)] = block
        opened = self._writer.start()
        if block.kind == "text":
            block.citations += given["citations"] if isinstance(given.get("citations"), list) else []
            return opened + self._text(block, text_of(given.get("text")))
        if block.kind == "thinking":
            block.signature = text_of(given.get("signature"))
            return opened + self._thought(block, text_of(given.get("thinking")))
        if block.kind == "redacted_thinking":
            self._layout.thinking(given)
        elif block.kind == "tool_use":
            call_id = text_of(given.get("id"))
            self._layout.tool_use(call_id)
            name = self._asked.names.original(text_of(given.get("name")))
            block.tool, begun = self._writer.open_tool(call_id, name)
            return opened + begun
        return opened

    def _on_delta(self, event: Mapping[str, Any]) -> bytes:
        block, delta = self._blocks.get(_key(event)), event.get("delta")
        if block is None or not isinstance(delta, Mapping):
            return b""
        kind = delta.get("type")
        if kind == "text_delta" and block.kind == "text":
            return self._text(block, text_of(delta.get("text")))
        if kind == "input_json_delta" and block.kind == "tool_use":
            fragment = text_of(delta.get("partial_json"))
            block.has_arguments = block.has_arguments or bool(fragment)
            return self._writer.tool_arguments(block.tool, fragment)
        if kind == "thinking_delta" and block.kind == "thinking":
            return self._thought(block, text_of(delta.get("thinking")))
        if kind == "signature_delta":
            block.signature += text_of(delta.get("signature"))
        elif kind == "citations_delta" and block.kind == "text":
            block.citations.append(delta.get("citation"))
        return b""

    def _text(self, block: _Block, text: str) -> bytes:
        block.length += len(text)
        self._length += len(text)
        return self._writer.text(text)

    def _thought(self, block: _Block, thought: str) -> bytes:
        if not thought:
            return b""
        separator = BETWEEN_THOUGHTS if self._has_thought and not block.thinking else ""
        self._has_thought = True
        block.thinking.append(thought)
        return self._writer.reasoning(separator + thought)

    def _on_block_stop(self, block: _Block | None) -> bytes:
        if block is None:
            return b""
        if block.kind == "text":
            self._layout.text(block.length)
            self._writer.annotate(url_citations(block.citations, block.start, block.start + block.length))
        if block.kind == "thinking":
            thinking, signature = "".join(block.thinking), block.signature
            self._layout.thinking({**block.whole, "thinking": thinking, "signature": signature})
        elif block.kind == "tool_use" and not block.has_arguments:
            # A call without arguments comes as no fragment at all; some relays send a whole input at the start.
            given = block.whole.get("input")
            return self._writer.tool_arguments(block.tool, encode_text(given if isinstance(given, dict) else {}))
        return b""

    def _on_message_delta(self, event: Mapping[str, Any]) -> bytes:
        self._usage.add(event.get("usage"))
        delta = event.get("delta")
        if not isinstance(delta, Mapping) or delta.get("stop_reason") is None:
            return b""
        reason, details = delta.get("stop_reason"), delta.get("stop_details")
        if self._writer.has_finished():
            return b""
        refusal = self._writer.refusal(refusal_of(reason, details) or "")
        return refusal + self._writer.finish(finish_reason(reason))


def _key(event: Mapping[str, Any]) -> Any:
    index = event.get("index")
    return index if isinstance(index, int) else None
