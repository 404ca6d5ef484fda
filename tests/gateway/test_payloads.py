"""What is kept of prompts and answers under each policy; planted secrets must not be in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import override_settings

from tikhub_app.gateway.payloads import PayloadDraft, effective_policy, redact
from tikhub_app.models import uuid7
from tikhub_app.providers.openai_chat_stream import ChatStreamReader

SECRET = "PLANTED-SECRET"

REQUEST: dict[str, Any] = {
    "model": "gpt-4o",
    "temperature": 0.5,
    "stream": True,
    "messages": [
        {"role": "system", "content": SECRET},
        {"role": "user", "name": SECRET, "content": [{"type": "text", "text": SECRET}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:{SECRET}", "detail": "low"}}]},
        {"role": "assistant", "tool_calls": [{"id": "call_1", "function": {"name": SECRET, "arguments": SECRET}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": f'{{"id":"{SECRET}"}}'},
    ],
    "user": SECRET,
    "metadata": {"id": SECRET, "type": SECRET, "note": SECRET},
    "stop": [SECRET],
    "tools": [
        {"type": "function", "function": {"name": SECRET, "description": SECRET, "parameters": {"enum": [SECRET]}}}
    ],
    "prediction": {"type": "content", "content": SECRET},
    "response_format": {"type": "json_schema", "json_schema": {"name": SECRET, "schema": {"const": SECRET}}},
    "type": SECRET * 10,
}
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "model": "gpt-4o",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {
                "role": "assistant",
                "content": SECRET,
                "refusal": SECRET,
                "reasoning_content": SECRET,
                "audio": {"id": "audio_1", "data": SECRET, "transcript": SECRET},
            },
            "logprobs": {"content": [{"token": SECRET, "logprob": -1.5}]},
        }
    ],
    "usage": {"prompt_tokens": 7},
}


def kept(
    policy: str, request: bytes, answer: bytes = b"", reader: ChatStreamReader | None = None
) -> tuple[str, str, bool]:
    _, _, request_text, answer_text, is_truncated = PayloadDraft(uuid7(), policy, request, answer, reader).columns()
    return request_text, answer_text, is_truncated


def test_redacted_keeps_the_structure_and_no_text() -> None:
    request, answer, is_truncated = kept("redacted", json.dumps(REQUEST).encode(), json.dumps(ANSWER).encode())
    assert SECRET not in request + answer
    shown = json.loads(request)
    assert (shown["model"], shown["temperature"], shown["stream"]) == ("gpt-4o", 0.5, True)
    assert shown["messages"][0] == {"role": "system", "content": "[14 characters]"}
    assert shown["messages"][2]["content"][0]["image_url"] == {"url": "[19 characters]", "detail": "low"}
    assert json.loads(answer)["usage"] == {"prompt_tokens": 7}
    assert not is_truncated


@pytest.mark.parametrize(
    "body",
    [
        f'{{"model": "gpt-4o", "messages": "{SECRET}'.encode(),
        SECRET.encode(),
        b"\xff\xfe" + SECRET.encode(),
        b"[" * 100_000 + SECRET.encode(),
    ],
)
def test_what_cannot_be_read_is_redacted_to_its_size(body: bytes) -> None:
    assert kept("redacted", body)[0] == f"[{len(body)} bytes]"


def test_full_keeps_the_very_bytes_as_text() -> None:
    body = '{ "model":"gpt-4o",\n"é":"\\u00e9" }'.encode()
    assert kept("full", body, b"") == (body.decode(), "", False)


def test_a_stream_is_kept_put_together_and_redacted_alike() -> None:
    reader = ChatStreamReader(keeps_usage=True, text_limit=1_000)
    for text in ("PLANTED", "-SECRET"):
        reader.read_event(json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode())
    assert json.loads(kept("full", b"{}", reader=reader)[1])["choices"][0]["message"]["content"] == SECRET
    assert (
        json.loads(kept("redacted", b"{}", reader=reader)[1])["choices"][0]["message"]["content"] == "[14 characters]"
    )


@pytest.mark.parametrize(
    "text", [rb'{"type":"\ud83d"}', b'{"type":"\\u0000"}', b'{"a":"\x00"}', b"\xff\xfe\x00", rb'{"\udc00":1}', b""]
)
@pytest.mark.parametrize("policy", ["full", "redacted"])
def test_every_text_fits_every_database(policy: str, text: bytes) -> None:
    for column in kept(policy, text, text)[:2]:
        assert "\x00" not in column
        column.encode()  # half an emoji would raise


@override_settings(TIKHUB={"PAYLOAD_MAX_BYTES": 10})
def test_payloads_are_cut_at_the_limit_and_say_so() -> None:
    assert kept("full", b"x" * 10, b"y" * 10) == ("x" * 10, "y" * 10, False)
    assert kept("full", b"x" * 11, "é".encode() * 6) == ("x" * 10, "é" * 5, True)
    assert kept("full", b"", "aé".encode() * 6)[1] == "aéaéaé"[:6] + "a"
    assert kept("redacted", b'{"a":"' + SECRET.encode() + b'"}') == ('{"a": "[14', "", True)


def test_the_keys_word_goes_before_the_setting() -> None:
    with override_settings(TIKHUB={"PAYLOAD_POLICY": "redacted"}):
        assert [effective_policy(word) for word in ("default", "full", "none")] == ["redacted", "full", "none"]


def test_short_words_of_the_protocol_stay() -> None:
    assert redact({"type": "x" * 80, "id": "x" * 81, "role": ["user"]}) == {
        "type": "x" * 80,
        "id": "[81 characters]",
        "role": ["user"],
    }
