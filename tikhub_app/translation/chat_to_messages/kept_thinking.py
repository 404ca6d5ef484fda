"""Thinking blocks between turns. A chat has no place for their signatures, so they are kept here and put back.

"During tool use, you must pass thinking blocks back to the API": complete, unmodified, where they were.
https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks

What is kept for each tool call of a turn is the turn's layout: its thinking blocks word for word, and between them a
mark for each stretch of text (its length) and each tool call. The texts themselves come back with the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_whole_thinking(block: Any) -> bool:
    """Whether a block may be sent back: a thinking block without its signature never is."""
    if not isinstance(block, Mapping):
        return False
    if block.get("type") == "thinking":
        signature = block.get("signature")
        return isinstance(signature, str) and bool(signature) and isinstance(block.get("thinking"), str)
    return block.get("type") == "redacted_thinking" and isinstance(block.get("data"), str)


class TurnLayout:
    """Notes the blocks of one answer as they come."""

    __slots__ = ("_entries", "_has_thinking", "_tool_ids")

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._tool_ids: list[str] = []
        self._has_thinking = False

    def thinking(self, block: Mapping[str, Any]) -> None:
        if is_whole_thinking(block):
            self._has_thinking = True
            self._entries.append(dict(block))

    def text(self, length: int) -> None:
        if length:
            self._entries.append({"type": "text", "length": length})

    def tool_use(self, call_id: str) -> None:
        self._tool_ids.append(call_id)
        self._entries.append({"type": "tool_use"})

    def kept(self, model: str) -> dict[str, Any]:
        """Tool-call id -> state; empty for a turn without tool calls or without thinking."""
        if not self._has_thinking:
            return {}
        state = {"model": model, "blocks": self._entries}
        return dict.fromkeys(self._tool_ids, state)


def model_of(state: Any) -> str:
    """The model whose thinking was kept; empty where there is nothing that can be used."""
    return str(state.get("model") or "") if isinstance(state, Mapping) else ""


def restore(state: Any, texts: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks of an assistant turn with its thinking where it was.

    Where the caller's history is not what the model had said (edited, or shortened), thinking stands in front of all.
    """
    entries = state.get("blocks") if isinstance(state, Mapping) else None
    if not isinstance(entries, list):
        return texts + tools
    thinking = [dict(entry) for entry in entries if is_whole_thinking(entry)]
    lengths = [entry.get("length") for entry in entries if _kind(entry) == "text"]
    calls = sum(_kind(entry) == "tool_use" for entry in entries)
    is_plain = all(text.keys() == {"type", "text"} for text in texts)
    whole_text = "".join(str(text.get("text")) for text in texts)
    fits = is_plain and calls == len(tools) and all(isinstance(length, int) for length in lengths)
    if not fits or sum(lengths) != len(whole_text):
        return thinking + texts + tools
    blocks: list[dict[str, Any]] = []
    position, next_tools = 0, iter(tools)
    for entry in entries:
        if _kind(entry) == "text":
            stretch = whole_text[position : position + entry["length"]]
            position += entry["length"]
            if stretch.strip():  # "text content blocks must contain non-whitespace text"
                blocks.append({"type": "text", "text": stretch})
        elif _kind(entry) == "tool_use":
            blocks.append(next(next_tools))
        elif is_whole_thinking(entry):
            blocks.append(dict(entry))
    return blocks


def _kind(entry: Any) -> Any:
    return entry.get("type") if isinstance(entry, Mapping) else None
