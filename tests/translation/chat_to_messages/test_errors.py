from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.translation.chat_caller import read_chunks
from tests.translation.chat_to_messages.claude import PAIR, block_events, event, open_reply, start, text


def _error(kind: str, message: str = "It failed.") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("status", "kind", "error_type", "code"),
    [
        (400, "invalid_request_error", "invalid_request_error", None),
        (401, "authentication_error", "invalid_request_error", "invalid_api_key"),
        (402, "billing_error", "insufficient_quota", "insufficient_quota"),
        (403, "permission_error", "invalid_request_error", "not_allowed"),
        (404, "not_found_error", "invalid_request_error", "model_not_found"),
        (413, "request_too_large", "invalid_request_error", "request_too_large"),
        (429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded"),
        (500, "api_error", "server_error", None),
        (504, "timeout_error", "server_error", "timeout"),
        (529, "overloaded_error", "server_error", "overloaded"),
        (429, "something_new", "rate_limit_error", "rate_limit_exceeded"),
    ],
)
def test_every_type_has_openais_word(status: int, kind: str, error_type: str, code: str | None) -> None:
    error = PAIR.error(status, json.dumps(_error(kind)).encode())
    assert (error.message, error.error_type, error.code) == ("It failed.", error_type, code)


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ("max_tokens: 9 > 4, which is the maximum", "max_tokens", None),
        ("messages.1.content.0.text.text: must not be empty", "messages", None),
        ("output_config.effort: Input should be 'low'", "reasoning_effort", None),
        ("stop_sequences: too many", "stop", None),
        ("prompt is too long: 215000 tokens > 200000 maximum", None, "context_length_exceeded"),
        ("Your credit is low: pay", None, None),
    ],
)
def test_the_field_at_fault_is_the_callers(message: str, param: str | None, code: str | None) -> None:
    error = PAIR.error(400, json.dumps(_error("invalid_request_error", message)).encode())
    assert (error.param, error.code) == (param, code)


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"[]", b'{"error": "x"}', b'{"error": {"message": 3}}'])
def test_a_body_that_is_not_claudes_is_told_by_its_status(body: bytes) -> None:
    error = PAIR.error(502, body)
    assert (error.message, error.error_type) == ("The provider answered with status 502.", "server_error")


def test_an_error_in_mid_stream_is_an_error_to_the_sdk_and_no_clean_end() -> None:
    translator = open_reply()
    body = b""
    for piece in (start(), block_events(0, text("Hi")), event("error", **_error("overloaded_error"))):
        for one in piece.split(b"\n\n")[:-1]:
            body += translator.event(one + b"\n\n")
    assert translator.event(event("message_stop")) == b""
    assert translator.end() == b""
    assert b"[DONE]" not in body
    with pytest.raises(openai.APIError, match=r"It failed\.") as raised:
        read_chunks(body)
    assert raised.value.code == "overloaded"
