"""Gemini's errors in OpenAI's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.translation.chat_to_gemini.gemini import PAIR, answer, event, open_reply, text


def _body(status: str, message: str = "Why.", **fields: Any) -> bytes:
    return json.dumps({"error": {"code": 1, "message": message, "status": status, **fields}}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "error_type", "code"),
    [
        (400, "INVALID_ARGUMENT", "invalid_request_error", None),
        (400, "FAILED_PRECONDITION", "invalid_request_error", None),
        (403, "PERMISSION_DENIED", "invalid_request_error", "not_allowed"),
        (404, "NOT_FOUND", "invalid_request_error", "model_not_found"),
        (429, "RESOURCE_EXHAUSTED", "rate_limit_error", "rate_limit_exceeded"),
        (500, "INTERNAL", "server_error", None),
        (503, "UNAVAILABLE", "server_error", "overloaded"),
        (504, "DEADLINE_EXCEEDED", "server_error", "timeout"),
        (429, "NEW", "rate_limit_error", "rate_limit_exceeded"),
        (418, "NEW", "invalid_request_error", None),
        (599, "NEW", "server_error", None),
    ],
)
def test_a_status_has_its_type_and_code(status: int, kind: str, error_type: str, code: str | None) -> None:
    error = PAIR.error(status, _body(kind))
    assert (error.message, error.error_type, error.code) == ("Why.", error_type, code)
    assert PAIR.error(status, b"[" + _body(kind) + b"]") == error


@pytest.mark.parametrize(
    ("field", "param"),
    [
        ("generation_config.thinking_config.thinking_budget", "reasoning_effort"),
        ("generationConfig.maxOutputTokens", "max_tokens"),
        ("contents[2].parts[0].function_response", "messages"),
        ("tools[0].function_declarations[0].parameters", "tools"),
        ("something_else", None),
    ],
)
def test_the_callers_field_is_named(field: str, param: str | None) -> None:
    bad = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": field}]}
    assert PAIR.error(400, _body("INVALID_ARGUMENT", details=[bad])).param == param


def test_a_prompt_that_is_too_long_has_openais_code() -> None:
    message = "The input token count (1500000) exceeds the maximum number of tokens allowed (1048576)."
    assert PAIR.error(400, _body("INVALID_ARGUMENT", message)).code == "context_length_exceeded"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[1]", b'{"error": "x"}', b'{"error": {"code": "x"}}'])
def test_a_body_that_is_not_googles_is_told_by_its_status(body: bytes) -> None:
    error = PAIR.error(502, body)
    assert (error.message, error.error_type) == ("The provider answered with status 502.", "server_error")


@pytest.mark.parametrize("wrap", [b"data: %s\n\n", b"data: [%s]\n\n", b"%s", b"[%s]\n"])
def test_an_error_in_mid_stream_ends_it_without_a_terminator(wrap: bytes) -> None:
    translator = open_reply()
    translator.event(event(answer(text("Hi"), finish=None)))
    written = translator.event(wrap % _body("UNAVAILABLE", "Busy."))
    assert json.loads(written.removeprefix(b"data: "))["error"] == {
        "message": "Busy.", "type": "server_error", "param": None, "code": "overloaded",
    }  # fmt: skip
    assert translator.event(event(answer(text("more")))) == translator.end() == b""
