"""Gemini as tests need it: streams and whole answers written from parts."""

from __future__ import annotations

import json
from typing import Any

from tikhub_app.translation.base import ReplyTranslator, TranslatedRequest, TranslationOptions
from tikhub_app.translation.registry import TRANSLATIONS

MODEL = "gemini-3-flash-preview"
EARLY = "gemini-2.0-flash"
PAIR = TRANSLATIONS["openai_chat", "gemini"]
USER: dict[str, Any] = {"role": "user", "content": "Hello"}
USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}


def write(
    *messages: dict[str, Any], model: str = MODEL, kept: Any = None, drops: bool = False, **fields: Any
) -> TranslatedRequest:
    """Translate a request; without messages it says hello."""
    body = {"model": "any", "messages": list(messages) or [USER], **fields}
    before = json.dumps(body)
    translated = PAIR.request(body, model=model, kept=kept or {}, options=TranslationOptions(drops_unsupported=drops))
    assert json.dumps(body) == before
    assert translated.operation == ("stream_generate_content" if fields.get("stream") else "generate_content")
    assert not translated.body.keys() & {"model", "stream"}
    json.dumps(translated.body)
    return translated


def config(**fields: Any) -> dict[str, Any]:
    """The generationConfig of a request with these fields; empty where it has none."""
    found: dict[str, Any] = write(**fields).body.get("generationConfig", {})
    return found


def open_reply(**fields: Any) -> ReplyTranslator:
    return PAIR.open_reply({"model": "any", "messages": [USER], **fields}, request_id="req-1")


def answer(*parts: dict[str, Any], finish: str | None = "STOP", usage: Any = USAGE, **fields: Any) -> dict[str, Any]:
    """One GenerateContentResponse; ``fields`` are further ones of its candidate."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, **fields}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL, "responseId": "r1"}


def whole(*parts: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps(answer(*parts, **fields), ensure_ascii=False).encode()


def event(chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\r\n\r\n"


def stream(*parts: dict[str, Any], finish: str = "STOP", usage: Any = USAGE, **fields: Any) -> bytes:
    """Each part in a chunk of its own; the last chunk has an empty text, the finish reason and the other fields."""
    body = b"".join(event(answer(part, finish=None, usage={"promptTokenCount": 10})) for part in parts)
    return body + event(answer(text(""), finish=finish, usage=usage, **fields))


def text(value: str, **fields: Any) -> dict[str, Any]:
    return {"text": value, **fields}


def thought(value: str) -> dict[str, Any]:
    return {"text": value, "thought": True}


def tool(name: str, args: dict[str, Any] | None = None, id: str | None = None, sign: str = "") -> dict[str, Any]:
    called = {"name": name, "args": args or {}} | ({"id": id} if id else {})
    return {"functionCall": called} | ({"thoughtSignature": sign} if sign else {})


def call(call_id: str, name: str, arguments: str = "{}", **fields: Any) -> dict[str, Any]:
    """A tool call in a caller's history."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def assistant(*calls: dict[str, Any], content: str | None = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(call_id: str, content: Any = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def function(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}
