"""Claude as tests need it: streams and whole answers written from blocks."""

from __future__ import annotations

import json
from typing import Any

from tikhub_app.translation.base import ReplyTranslator, TranslatedRequest, TranslationOptions
from tikhub_app.translation.registry import TRANSLATIONS

MODEL = "claude-sonnet-4-5"
PAIR = TRANSLATIONS["openai_chat", "anthropic_messages"]
USER: dict[str, Any] = {"role": "user", "content": "Hello"}


def write(
    *messages: dict[str, Any], model: str = MODEL, kept: Any = None, drops: bool = False, **fields: Any
) -> TranslatedRequest:
    """Translate a request; without messages it says hello."""
    body = {"model": "any", "messages": list(messages) or [USER], **fields}
    before = json.dumps(body)
    translated = PAIR.request(body, model=model, kept=kept or {}, options=TranslationOptions(drops_unsupported=drops))
    assert json.dumps(body) == before
    assert translated.operation == "messages"
    json.dumps(translated.body)
    return translated


def open_reply(**fields: Any) -> ReplyTranslator:
    return PAIR.open_reply({"model": "any", "messages": [USER], **fields}, request_id="req-1")


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def start(usage: dict[str, Any] | None = None, model: str = MODEL) -> bytes:
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": model, "stop_reason": None,
        "stop_sequence": None, "usage": usage or {"input_tokens": 10, "output_tokens": 1},
    }  # fmt: skip
    return event("message_start", message=message)


def block_events(index: int, block: dict[str, Any], fragment: int = 4) -> bytes:
    """The events of one whole block, its contents in fragments."""
    empty: dict[str, Any] = dict(block)
    deltas: list[dict[str, Any]] = []
    if block["type"] == "text":
        empty["text"] = ""
        deltas = [{"type": "text_delta", "text": piece} for piece in cut(block["text"], fragment)]
        deltas += [{"type": "citations_delta", "citation": citation} for citation in empty.pop("citations", [])]
    elif block["type"] == "thinking":
        empty |= {"thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in cut(block["thinking"], fragment)]
        if block.get("signature"):
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif block["type"] in ("tool_use", "server_tool_use"):
        empty["input"] = {}
        pieces = ["", *cut(json.dumps(block["input"]), fragment)] if block["input"] else []
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    written = event("content_block_start", index=index, content_block=empty)
    written += b"".join(event("content_block_delta", index=index, delta=delta) for delta in deltas)
    return written + event("content_block_stop", index=index)


def cut(text: str, size: int) -> list[str]:
    return [text[position : position + size] for position in range(0, len(text), size)]


def finish(stop_reason: str = "end_turn", usage: dict[str, Any] | None = None, details: Any = None) -> bytes:
    delta = {"stop_reason": stop_reason, "stop_sequence": None, "stop_details": details}
    return event("message_delta", delta=delta, usage=usage or {"output_tokens": 5}) + event("message_stop")


def stream(*blocks: dict[str, Any], stop_reason: str = "end_turn", **fields: Any) -> bytes:
    body = b"".join(block_events(index, block) for index, block in enumerate(blocks))
    return start() + event("ping") + body + finish(stop_reason, **fields)


def message(*blocks: dict[str, Any], stop_reason: str = "end_turn", **fields: Any) -> bytes:
    whole = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": list(blocks),
        "stop_reason": stop_reason, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 5},
    }  # fmt: skip
    return json.dumps(whole | fields, ensure_ascii=False).encode()


def text(value: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **fields}


def tool(call_id: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def thinking(value: str, signature: str = "sig") -> dict[str, Any]:
    return {"type": "thinking", "thinking": value, "signature": signature}


def call(call_id: str, name: str, arguments: str = "{}") -> dict[str, Any]:
    """A tool call in a caller's history."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(*calls: dict[str, Any], content: str | None = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(call_id: str, content: Any = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def function(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}
