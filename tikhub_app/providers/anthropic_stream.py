"""Reading a streamed message of Claude's as it passes.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tikhub_app.providers import anthropic_wire as wire
from tikhub_app.providers.base import StreamReader
from tikhub_app.providers.facts import EventVerdict, FilterFinding, ReplyFacts

#: Kind of delta -> the field of its block that it continues.
_TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
#: Of a block that is too long to keep.
_IDENTITY = ("type", "id", "name", "tool_use_id")
_INPUT_COUNTS = frozenset({"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"})


class _GrowingBlock:
    """One content block, put together."""

    __slots__ = ("_block", "_texts")

    def __init__(self, block: dict[str, Any]) -> None:
        self._block = block
        self._texts: dict[str, list[str]] = {}

    def append(self, field: str, text: str) -> None:
        self._texts.setdefault(field, []).append(text)

    def add(self, delta: dict[str, Any]) -> None:
        """A delta that is not text: a signature, a citation, a compaction, or something new."""
        if delta.get("type") == "citations_delta":
            known = self._block.get("citations")
            self._block["citations"] = [*(known if isinstance(known, list) else ()), delta.get("citation")]
        else:
            self._block.update((name, value) for name, value in delta.items() if name != "type")

    def whole(self) -> dict[str, Any]:
        block = dict(self._block)
        for field, parts in self._texts.items():
            text = "".join(parts)
            if field != "partial_json":
                block[field] = wire.text_of(block.get(field)) + text
            elif text.strip():
                try:
                    block["input"] = json.loads(text)
                except (ValueError, RecursionError):
                    block["input"] = text  # cut short by max_tokens, or streamed without validation
        return block


class MessagesStreamReader(StreamReader):
    """Reads the events from message_start to message_stop."""

    __slots__ = (
        "_blocks", "_characters", "_ending", "_findings", "_has_final_usage", "_has_stopped", "_kept", "_message",
        "_model", "_stop", "_text_limit", "_tools", "_usage",
    )  # fmt: skip

    def __init__(self, *, text_limit: int) -> None:
        self._text_limit = text_limit
        self._message: dict[str, Any] | None = None
        self._model = ""
        self._blocks: dict[int, _GrowingBlock] = {}
        self._usage: dict[str, Any] = {}
        self._has_final_usage = False
        self._stop: dict[str, Any] = {}
        self._ending: dict[str, Any] = {}
        self._tools: Counter[str] = Counter()
        self._findings: list[FilterFinding] = []
        self._characters = 0
        self._kept = 0
        self._has_stopped = False

    def read_event(self, data: bytes) -> EventVerdict:
        if not data:
            return EventVerdict.PASS  # a comment, such as a keep-alive
        event = wire.decode_object(data)
        kind = event.get("type")
        if kind == "content_block_delta":
            self._continue_block(event)
        elif kind == "content_block_start":
            self._start_block(event, len(data))
        elif kind == "message_start":
            if self._message is not None:
                # Some relays begin twice; SDKs stumble over the second beginning, and it says nothing new.
                return EventVerdict.DROP
            self._start(event)
        elif kind == "message_delta":
            self._end(event)
        elif kind == "message_stop":
            self._has_stopped = True
            return EventVerdict.END
        elif kind == "error" or (kind is None and event.get("error")):
            self._findings += wire.error_findings(event)
            return EventVerdict.ERROR
        return EventVerdict.PASS  # ping, content_block_stop, and "new event types may be added"

    def _start(self, event: dict[str, Any]) -> None:
        message = event.get("message")
        self._message = message if isinstance(message, dict) else {}
        self._model = wire.text_of(self._message.get("model"))
        usage = self._message.get("usage")
        if isinstance(usage, dict):
            self._usage = dict(usage)

    def _start_block(self, event: dict[str, Any], size: int) -> None:
        block = event.get("content_block")
        if not isinstance(block, dict):
            return
        self._model = wire.fallback_model(block) or self._model
        if (finding := wire.fallback_finding(block)) is not None:
            self._findings.append(finding)
        if (tool := wire.called_tool(block)) is not None:
            self._tools[tool] += 1
        self._characters += len(wire.text_of(block.get("text")))
        if self._text_limit == 0:
            return
        self._kept += size
        if self._kept > self._text_limit:
            block = {name: block[name] for name in _IDENTITY if name in block}
        self._blocks[self._index(event)] = _GrowingBlock(block)

    def _continue_block(self, event: dict[str, Any]) -> None:
        delta = event.get("delta")
        if not isinstance(delta, dict):
            return
        field = _TEXTS.get(str(delta.get("type")))
        text = wire.text_of(delta.get(field)) if field is not None else ""
        self._characters += len(text)
        if self._kept >= self._text_limit:
            return
        block = self._blocks.get(self._index(event))
        if block is None:  # a relay left its start out
            block = self._blocks[self._index(event)] = _GrowingBlock({})
        if field is not None:
            self._kept += len(text)
            block.append(field, text)
        else:
            self._kept += sum(len(value) for value in delta.values() if isinstance(value, str))
            block.add(delta)

    @staticmethod
    def _index(event: dict[str, Any]) -> int:
        index = event.get("index")
        return index if isinstance(index, int) else 0

    def _end(self, event: dict[str, Any]) -> None:
        delta, usage = event.get("delta"), event.get("usage")
        if isinstance(delta, dict):
            # "container" comes here when a tool used one; a null must not take away what is known.
            self._stop.update(
                (name, value) for name, value in delta.items() if value is not None or name not in self._stop
            )
        if isinstance(usage, dict):
            self._has_final_usage = True
            self._merge_usage(usage)
        self._ending.update((name, value) for name, value in event.items() if name not in ("type", "delta", "usage"))

    def _merge_usage(self, later: dict[str, Any]) -> None:
        """ "The token counts shown in the usage field of the message_delta event are cumulative", and what it leaves
        out stays as message_start said. Some relays repeat the input counts as 0: a sum does not become smaller,
        unless the iterations that follow it say what was counted.
        """
        is_told_in_full = bool(later.get("iterations"))
        for name, value in later.items():
            known = self._usage.get(name)
            if value is None and known is not None:
                continue
            if name in _INPUT_COUNTS and not is_told_in_full and _is_less(value, known):
                continue
            self._usage[name] = value

    def is_complete(self) -> bool:
        return self._has_stopped

    def error_status(self, data: bytes) -> int | None:
        try:
            error = wire.error_of(wire.decode_object(data))
        except ValueError:
            return None
        return wire.STATUS_OF_ERROR.get(str(error.get("type")))

    def facts(self) -> ReplyFacts:
        facts = ReplyFacts(answered_model=self._model, finish_reason=wire.text_of(self._stop.get("stop_reason")))
        if self._usage:
            facts.usage, facts.other_models = wire.read_usage(self._usage, self._model)
            # message_start counts the first tokens only: a stream that breaks leaves its output to be estimated.
            facts.is_usage_provisional = not self._has_final_usage
        facts.server_tool_calls = wire.count_server_tools(self._usage, self._tools)
        facts.findings = self._findings + wire.refusal_findings(
            self._stop.get("stop_reason"), self._stop.get("stop_details")
        )
        facts.output_characters = self._characters
        return facts

    def assembled(self) -> dict[str, Any]:
        message = dict(self._message or {"type": "message", "role": "assistant"})
        message["model"] = self._model
        message["content"] = [block.whole() for _, block in sorted(self._blocks.items())]
        message |= self._stop | self._ending
        if self._usage:
            message["usage"] = self._usage
        return message


def _is_less(value: Any, known: Any) -> bool:
    return isinstance(value, (int, float)) and isinstance(known, (int, float)) and value < known
