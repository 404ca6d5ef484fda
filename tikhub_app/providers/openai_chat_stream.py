"""Reading a streamed chat completion: facts for the ledger, and the answer put together.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from typing import Any

from tikhub_app.providers.base import StreamReader
from tikhub_app.providers.facts import EventVerdict, FilterFinding, ReplyFacts
from tikhub_app.providers.openai_chat_wire import (
    Choice,
    Completion,
    Message,
    ToolCall,
    arguments_of,
    category_findings,
    decode,
    measure,
    moderation_findings,
    prompt_findings,
    read_usage,
    refusal_finding,
    text_of,
    withheld_finding,
)


class _GrowingChoice:
    """One choice of a stream, put together."""

    __slots__ = ("content", "filters", "finish_reason", "function_call", "reasoning", "refusal", "role", "tool_calls")

    def __init__(self) -> None:
        self.role = "assistant"
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.finish_reason: str | None = None
        self.tool_calls: dict[int, dict[str, Any]] = {}
        self.function_call: dict[str, str] | None = None
        self.filters: dict[str, Any] = {}

    def add(self, delta: Message, *, keeps_text: bool) -> int:
        """Append one delta; returns the characters it brought. Without ``keeps_text`` they are only counted."""
        if not keeps_text:
            return measure(delta)
        characters = 0
        if isinstance(delta.content, str) and delta.content:
            self.content.append(delta.content)
            characters += len(delta.content)
        if delta.reasoning_content:
            self.reasoning.append(delta.reasoning_content)
            characters += len(delta.reasoning_content)
        if delta.refusal:
            self.refusal.append(delta.refusal)
            characters += len(delta.refusal)
        for call in delta.tool_calls or ():
            characters += self._add_tool_call(call)
        if delta.function_call is not None:
            grown = self.function_call or {"name": "", "arguments": ""}
            grown["name"] += delta.function_call.name or ""
            grown["arguments"] += delta.function_call.arguments or ""
            self.function_call = grown
            characters += len(delta.function_call.arguments or "")
        return characters

    def _add_tool_call(self, call: ToolCall) -> int:
        grown = self.tool_calls.setdefault(call.index, {"id": None, "type": "function", "name": "", "arguments": []})
        if call.id:
            grown["id"] = call.id
        if call.type:
            grown["type"] = call.type
        if isinstance(call.custom, dict):
            grown["name"] += text_of(call.custom.get("name"))
        if call.function is not None:
            grown["name"] += call.function.name or ""
        arguments = arguments_of(call)
        grown["arguments"].append(arguments)
        return len(arguments)

    def message(self) -> dict[str, Any]:
        text = "".join(self.content)
        message: dict[str, Any] = {"role": self.role, "content": text or None}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.refusal:
            message["refusal"] = "".join(self.refusal)
        if self.tool_calls:
            message["tool_calls"] = [self._tool_call(call) for _, call in sorted(self.tool_calls.items())]
        if self.function_call is not None:
            message["function_call"] = self.function_call
        return message

    @staticmethod
    def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
        arguments = "".join(call["arguments"])
        if call["type"] == "custom":
            return {"id": call["id"], "type": "custom", "custom": {"name": call["name"], "input": arguments}}
        return {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": arguments}}


class ChatStreamReader(StreamReader):
    """Reads chat.completion.chunk events."""

    __slots__ = (
        "_characters", "_choices", "_findings", "_first", "_has_ended", "_keeps_usage", "_model", "_text_limit",
        "_usage",
    )  # fmt: skip

    def __init__(self, *, keeps_usage: bool, text_limit: int) -> None:
        self._keeps_usage = keeps_usage
        self._text_limit = text_limit
        self._usage: dict[str, Any] | None = None
        self._model = ""
        self._first: Completion | None = None
        self._choices: dict[int, _GrowingChoice] = {}
        self._findings: list[FilterFinding] = []
        self._characters = 0
        self._has_ended = False

    def read_event(self, data: bytes) -> EventVerdict:
        if not data:
            return EventVerdict.PASS  # a comment, such as a keep-alive
        if data.startswith(b"[DONE]"):
            self._has_ended = True
            return EventVerdict.END
        chunk = decode(data)
        if chunk.error:
            return EventVerdict.ERROR
        if chunk.model and not self._model:
            self._model, self._first = chunk.model, chunk
        if chunk.prompt_filter_results or chunk.prompt_annotations:
            self._findings += prompt_findings(chunk)
        if chunk.moderation:
            self._findings += moderation_findings(chunk.moderation)
        for choice in chunk.choices or ():
            self._add(choice)
        if chunk.usage is not None:
            self._usage = chunk.usage
            if not chunk.choices and not self._keeps_usage:
                return EventVerdict.DROP
        return EventVerdict.PASS

    def _add(self, choice: Choice) -> None:
        grown = self._choices.get(choice.index)
        if grown is None:
            grown = self._choices[choice.index] = _GrowingChoice()
        if choice.delta is not None:
            keeps_text = self._characters < self._text_limit
            self._characters += grown.add(choice.delta, keeps_text=keeps_text)
            if choice.delta.refusal and not keeps_text and len(grown.refusal) < 200:
                grown.refusal.append(choice.delta.refusal)  # the filter finding quotes it whatever the payload policy
        if choice.finish_reason:
            grown.finish_reason = choice.finish_reason
        if isinstance(choice.content_filter_results, dict):
            # Azure repeats the categories on every chunk, and may send the last word after the finish: it holds.
            grown.filters.update(choice.content_filter_results)

    def is_complete(self) -> bool:
        if self._has_ended:
            return True
        # Some compatible hosts leave [DONE] out; a finish reason on every choice is as good.
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    def facts(self) -> ReplyFacts:
        findings = list(self._findings)
        for index, choice in sorted(self._choices.items()):
            findings += category_findings(choice.filters, "completion", index)
            if choice.finish_reason == "content_filter":
                findings.append(withheld_finding(index))
            if choice.refusal:
                findings.append(refusal_finding(index, "".join(choice.refusal)))
        first = self._choices.get(0)
        return ReplyFacts(
            answered_model=self._model,
            finish_reason=(first.finish_reason or "") if first else "",
            usage=read_usage(self._usage) if self._usage is not None else None,
            findings=findings,
            output_characters=self._characters,
        )

    def assembled(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"id": self._first.id if self._first else None, "object": "chat.completion"}
        answer["created"] = self._first.created if self._first else None
        answer["model"] = self._model
        answer["choices"] = [
            {"index": index, "message": choice.message(), "finish_reason": choice.finish_reason}
            for index, choice in sorted(self._choices.items())
        ]
        if self._usage is not None:
            answer["usage"] = self._usage
        return answer
