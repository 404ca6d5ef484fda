"""Thought signatures between turns. A chat has no place for them, so they are kept here and put back.

A Gemini 3 refuses a call under way without its signature with a 400; signatures go back as they came, in the part that
they came in. https://ai.google.dev/gemini-api/docs/thought-signatures

What is kept for each tool call of a turn is the turn's layout: each stretch of text by its length, each call by its
id, each with its signature, and the parts of the server's own tools word for word. The texts and the calls themselves
come back with the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.chat_messages import HistoryCall

#: The documented word for a call that the model did not make, or whose signature is lost: it is not checked.
NO_SIGNATURE = "skip_thought_signature_validator"
_SERVER_PARTS = ("toolCall", "toolResponse", "executableCode", "codeExecutionResult")

Part = dict[str, Any]


def is_server_part(part: Mapping[str, Any]) -> bool:
    """Whether a part belongs to a tool that Google ran."""
    return any(name in part for name in _SERVER_PARTS)


def signature_of(part: Mapping[str, Any]) -> str:
    found = part.get("thoughtSignature")
    return found if isinstance(found, str) else ""


class TurnLayout:
    """Notes the parts of one candidate as they come."""

    __slots__ = ("_call_ids", "_entries", "_is_needed")

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._call_ids: list[str] = []
        self._is_needed = False

    def text(self, length: int, signature: str) -> None:
        last = self._entries[-1] if self._entries else None
        if not signature and last is not None and last["type"] == "text" and "signature" not in last:
            last["length"] += length
        elif length or signature:
            self._note({"type": "text", "length": length}, signature)

    def call(self, call_id: str, own_id: str, signature: str) -> None:
        """:param own_id: the id that Gemini gave it; empty where it gave none."""
        self._call_ids.append(call_id)
        entry: dict[str, Any] = {"type": "call", "call_id": call_id}
        if own_id:
            self._is_needed = True
            entry["id"] = own_id
        self._note(entry, signature)

    def server_part(self, part: Mapping[str, Any]) -> None:
        self._is_needed = True
        self._entries.append({"type": "part", "part": dict(part)})

    def _note(self, entry: dict[str, Any], signature: str) -> None:
        if signature:
            self._is_needed = True
            entry["signature"] = signature
        self._entries.append(entry)

    def kept(self, model: str) -> dict[str, Any]:
        """Tool-call id -> state; empty for a turn without tool calls, or with nothing to put back."""
        if not self._is_needed:
            return {}
        state = {"model": model, "gemini_parts": self._entries}
        return dict.fromkeys(self._call_ids, state)


def _entries(state: Any) -> list[Mapping[str, Any]]:
    """What was kept; nothing for what another provider's model left."""
    found = state.get("gemini_parts") if isinstance(state, Mapping) else None
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


def call_entry(kept: Mapping[str, Any], call: HistoryCall) -> Mapping[str, Any]:
    """What was kept of one call; its signature may also have come back with the history.

    https://ai.google.dev/gemini-api/docs/thought-signatures#openai is the form in which Google's own chat endpoint
    gives signatures away.
    """
    for entry in _entries(kept.get(call.id)):
        if entry.get("type") == "call" and entry.get("call_id") == call.id:
            return entry
    extra: Any = call.extras.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    signature = google.get("thought_signature") if isinstance(google, Mapping) else None
    return {"signature": signature} if isinstance(signature, str) and signature else {}


def restore(state: Any, texts: list[Part], calls: list[Part], call_ids: list[str]) -> list[Part]:
    """The parts of a model turn in their order, with their signatures.

    Where the caller's history is not what the model had said (edited, or shortened), texts stand before calls, and
    the calls alone, which have theirs already, are signed.
    """
    entries = _entries(state)
    lengths = [entry.get("length") for entry in entries if entry.get("type") == "text"]
    whole_text = "".join(str(text["text"]) for text in texts)
    fits = (
        [entry.get("call_id") for entry in entries if entry.get("type") == "call"] == call_ids
        and all(isinstance(length, int) for length in lengths)
        and sum(length for length in lengths if isinstance(length, int)) == len(whole_text)
    )
    if not fits:
        return texts + calls
    parts: list[Part] = []
    position, next_calls = 0, iter(calls)
    for entry in entries:
        kind = entry.get("type")
        if kind == "text":
            part: Part = {"text": whole_text[position : position + entry["length"]]}
            position += entry["length"]
            if signature := entry.get("signature"):
                part["thoughtSignature"] = signature
            parts.append(part)
        elif kind == "call":
            parts.append(next(next_calls))
        elif kind == "part" and isinstance(entry.get("part"), Mapping):
            parts.append(dict(entry["part"]))
    return parts
