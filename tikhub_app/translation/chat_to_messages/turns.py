"""Messages of a chat as Claude's system prompt and turns.

https://platform.claude.com/docs/en/api/messages#body-messages
https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls

Claude's turns alternate between user and assistant, and the results of all tool calls of a turn stand in the one user
turn after it, before any text. A chat is looser; it is put in that order. A call that was never answered gets a stub
for a result, a result that answers no call is left out and listed: the usual traces of a shortened history.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tikhub_app.exceptions import InvalidRequest
from tikhub_app.translation.chat_messages import AudioPart, CallIds, ChatMessage, ImagePart, TextPart
from tikhub_app.translation.chat_request import Unsupported
from tikhub_app.translation.chat_to_messages import kept_thinking
from tikhub_app.translation.chat_to_messages.media_blocks import file_block, image_block
from tikhub_app.translation.chat_to_messages.models import Generation, is_same_model
from tikhub_app.translation.tool_names import ToolNames

CALL_IDS = CallIds(re.compile(r"[A-Za-z0-9_-]+"))
_NO_RESULT = "No result of this call is known."
_BEFORE_ASSISTANT = "(The conversation begins with your message.)"

Block = dict[str, Any]


@dataclass(slots=True)
class Turns:
    """``system`` is a string, text blocks, or None. ``ends_in_bare_tool_turn``: the last assistant turn has tool calls
    and does not begin with thinking."""

    system: str | list[Block] | None
    messages: list[dict[str, Any]]
    ends_in_bare_tool_turn: bool


@dataclass(slots=True)
class TurnWriter:
    """Puts one chat in order; see :func:`write_turns`."""

    names: ToolNames
    kept: Mapping[str, Any]
    model: str
    generation: Generation
    unsupported: Unsupported
    system: list[Block] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    #: Calls of the last assistant turn: the caller's id -> ours.
    _open_calls: dict[str, str] = field(default_factory=dict)
    _answered: set[str] = field(default_factory=set)
    _results: list[Block] = field(default_factory=list)
    _user_blocks: list[Block] = field(default_factory=list)
    _used_ids: set[str] = field(default_factory=set)

    def add(self, message: ChatMessage, *, replays_thinking: bool) -> None:
        if message.role in ("system", "developer"):
            self.system += self._text_blocks(message, "system prompts hold text")
        elif message.role == "user":
            self._user_blocks += self._content(message)
        elif message.role == "tool":
            self._add_result(message)
        else:
            self._close_user_turn()
            self._add_assistant(message, replays_thinking=replays_thinking)

    def finish(self) -> Turns:
        self._close_user_turn(at_end=True)
        if not self.messages:
            raise InvalidRequest(
                "Invalid 'messages': at least one user or assistant message with content is expected.",
                param="messages",
                code="invalid_value",
            )
        if self.messages[0]["role"] == "assistant":
            self.messages.insert(0, {"role": "user", "content": [{"type": "text", "text": _BEFORE_ASSISTANT}]})
        self._trim_prefill()
        is_bare = self._ends_in_bare_tool_turn()
        for message in self.messages:
            message["content"] = _shortest(message["content"])
        return Turns(self._system_prompt(), self.messages, is_bare)

    # The user's side: results first, then what was said.

    def _add_result(self, message: ChatMessage) -> None:
        own_id = self._open_calls.get(message.tool_call_id)
        if own_id is None or own_id in self._answered:
            self.unsupported.note(message.param)
            return
        self._answered.add(own_id)
        result: Block = {"type": "tool_result", "tool_use_id": own_id}
        content = self._content(message, mark=False)
        if content:
            result["content"] = _shortest(content)
        if isinstance(mark := message.raw.get("cache_control"), dict):
            result["cache_control"] = mark
        self._results.append(result)

    def _close_user_turn(self, *, at_end: bool = False) -> None:
        """End the user's turn, if one has begun; the calls before it are then answered for good."""
        if not (self._results or self._user_blocks or (at_end and self._open_calls)):
            return
        stubs: list[Block] = [
            {"type": "tool_result", "tool_use_id": own_id, "content": _NO_RESULT, "is_error": True}
            for own_id in self._open_calls.values()
            if own_id not in self._answered
        ]
        self.messages.append({"role": "user", "content": self._results + stubs + self._user_blocks})
        self._open_calls, self._answered, self._results, self._user_blocks = {}, set(), [], []

    # The assistant's side.

    def _add_assistant(self, message: ChatMessage, *, replays_thinking: bool) -> None:
        texts = self._text_blocks(message, "assistant messages hold text")
        tools: list[Block] = []
        for call in message.tool_calls:
            own_id = self._own_id(call.id)
            tool: Block = {
                "type": "tool_use",
                "id": own_id,
                "name": self.names.outgoing(call.name),
                "input": call.arguments,
            }
            if isinstance(mark := call.extras.get("cache_control"), dict):
                tool["cache_control"] = mark
            self._open_calls[call.id] = own_id
            tools.append(tool)
        state = self._state_of(message) if replays_thinking else None
        blocks = texts + tools if state is None else kept_thinking.restore(state, texts, tools)
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == "assistant":
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": "assistant", "content": blocks})

    def _own_id(self, call_id: str) -> str:
        """An id that Claude admits, and that no other call of the conversation has."""
        wanted = own_id = CALL_IDS.outgoing(call_id)
        number = 1
        while own_id in self._used_ids:
            number += 1
            own_id = f"{wanted}-{number}"
        self._used_ids.add(own_id)
        return own_id

    def _state_of(self, message: ChatMessage) -> Any:
        for call in message.tool_calls:
            state = self.kept.get(call.id)
            model = kept_thinking.model_of(state)
            if state is not None and (not self.generation.has_bound_thinking or is_same_model(model, self.model)):
                return state
        return None

    def _trim_prefill(self) -> None:
        """ "final assistant content cannot end with trailing whitespace" """
        last = self.messages[-1]
        if last["role"] == "assistant" and last["content"][-1]["type"] == "text":
            last["content"][-1] = {**last["content"][-1], "text": last["content"][-1]["text"].rstrip()}

    def _ends_in_bare_tool_turn(self) -> bool:
        for message in reversed(self.messages):
            if message["role"] == "assistant":
                kinds = [block["type"] for block in message["content"]]
                return "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking")
        return False

    # Content.

    def _system_prompt(self) -> str | list[Block] | None:
        if any("cache_control" in block for block in self.system):
            return self.system
        return "\n".join(block["text"] for block in self.system) or None

    def _text_blocks(self, message: ChatMessage, reason: str) -> list[Block]:
        blocks: list[Block] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                blocks += _text(part)
            else:
                self.unsupported.refuse(part.param, reason)
        return _marked(blocks, message)

    def _content(self, message: ChatMessage, *, mark: bool = True) -> list[Block]:
        blocks: list[Block] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                blocks += _text(part)
            elif isinstance(part, AudioPart):
                self.unsupported.refuse(part.param, "audio is not supported")
            else:
                block = (
                    image_block(part, self.unsupported)
                    if isinstance(part, ImagePart)
                    else file_block(part, self.unsupported)
                )
                if block is not None:
                    blocks.append(_with_mark(block, part.extras))
        return _marked(blocks, message) if mark else blocks


def _text(part: TextPart) -> Iterable[Block]:
    """ "text content blocks must contain non-whitespace text": others are left out."""
    return [_with_mark({"type": "text", "text": part.text}, part.extras)] if part.text.strip() else []


def _with_mark(block: Block, extras: Mapping[str, Any]) -> Block:
    """Carry a cache breakpoint over, in Claude's words or in OpenAI's.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching#explicit-cache-breakpoints
    """
    mark = extras.get("cache_control")
    if isinstance(mark, dict):
        return {**block, "cache_control": mark}
    breakpoint_ = extras.get("prompt_cache_breakpoint")
    if isinstance(breakpoint_, dict) and breakpoint_.get("mode") == "explicit":
        return {**block, "cache_control": {"type": "ephemeral"}}
    return block


def _marked(blocks: list[Block], message: ChatMessage) -> list[Block]:
    if blocks and isinstance(message.raw.get("cache_control"), dict):
        blocks[-1] = _with_mark(blocks[-1], message.raw)
    return blocks


def _shortest(blocks: list[Block]) -> str | list[Block]:
    """One plain text is written as a string."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return str(blocks[0]["text"])
    return blocks


def write_turns(
    messages: list[ChatMessage],
    *,
    names: ToolNames,
    kept: Mapping[str, Any],
    model: str,
    generation: Generation,
    unsupported: Unsupported,
) -> Turns:
    """The chat in Claude's order.

    Where thinking is bound to what stands before it, only that of the tool calls under way goes along: the turns
    before the user's last words are shown without, as they were when it was written.

    :raises InvalidRequest: nothing is left to say.
    :raises UnsupportedFeature: a part cannot be expressed.
    """
    writer = TurnWriter(names, kept, model, generation, unsupported)
    last_said = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    for index, message in enumerate(messages):
        writer.add(message, replays_thinking=not generation.has_bound_thinking or index > last_said)
    return writer.finish()
