"""What the gateway reads of a chat request, and how it tells errors; bad requests are in tests/doors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tikhub_app.exceptions import InvalidRequest, PermissionRefused
from tikhub_app.gateway.dialects.base import ParsedCall
from tikhub_app.gateway.dialects.openai_chat import OpenAIChat
from tikhub_app.gateway.inbound import InboundCall
from tikhub_app.providers.openai import OpenAI


def read(body: bytes) -> ParsedCall:
    return OpenAIChat().read_call(InboundCall("openai_chat", "chat", {}, body, "asgi"))


def request(**fields: Any) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], **fields}).encode()


@pytest.mark.parametrize(
    ("stream_options", "wants_usage", "sent"),
    [
        ({}, False, {"include_usage": True}),
        ({"stream_options": None}, False, {"include_usage": True}),
        ({"stream_options": {}}, False, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, False, {"include_usage": True}),
        (
            {"stream_options": {"include_obfuscation": False}},
            False,
            {"include_obfuscation": False, "include_usage": True},
        ),
        ({"stream_options": {"include_usage": True, "x": 1.10}}, True, None),
    ],
)
def test_usage_is_always_asked_for_and_other_options_stay(
    stream_options: dict[str, Any], wants_usage: bool, sent: dict[str, Any] | None
) -> None:
    body = request(stream=True, **stream_options)
    parsed = read(body)
    assert (parsed.is_stream, parsed.wants_usage) == (True, wants_usage)
    if sent is None:
        assert parsed.changes == {}
    else:
        upstream = json.loads(OpenAI().prepare_body(body, parsed.changes))
        assert upstream == json.loads(body) | {"stream_options": sent}


@pytest.mark.parametrize("stream", [{}, {"stream": False}, {"stream": None}])
def test_a_plain_call_goes_on_as_it_came(stream: dict[str, Any]) -> None:
    parsed = read(request(**stream))
    assert (parsed.is_stream, parsed.changes) == (False, {})


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, None),
        ({"max_tokens": 7}, 7),
        ({"max_tokens": 7, "max_completion_tokens": 9}, 9),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"max_tokens": 7, "n": 0}, 7),
        ({"max_tokens": 0}, None),
        ({"max_tokens": -1}, None),
    ],
)
def test_the_bound_on_output_is_over_all_choices(fields: dict[str, Any], limit: int | None) -> None:
    assert read(request(**fields)).max_output_tokens == limit


def test_the_end_user_and_the_tags_are_read() -> None:
    parsed = read(request(user="old", safety_identifier="new", metadata={"team": "search", "run": 3}))
    assert (parsed.end_user, parsed.tags) == ("new", {"team": "search", "run": "3"})
    assert read(request(user="old")).end_user == "old"
    assert (read(request()).end_user, read(request(metadata={})).tags) == ("", {})


@pytest.mark.parametrize("text", [rb"\ud83d", rb"\ude00\ud83d", rb"\ud83dA"])
def test_half_an_emoji_is_no_json_to_us_wherever_it_stands(text: bytes) -> None:
    body = request().replace(b"Hi", text)
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    assert caught.value.code == "invalid_json"


def test_of_a_member_given_twice_the_last_one_counts_here_and_upstream() -> None:
    body = request(stream=True).replace(b'"model": "gpt-4o"', b'"model": "gpt-4o", "model": "o3"')
    parsed = read(body)
    assert parsed.model == "o3"
    assert json.loads(OpenAI().prepare_body(body, parsed.changes))["model"] == "o3"


def test_an_error_has_every_key_as_a_body_and_as_an_event() -> None:
    error = PermissionRefused("No.", param="model", code="model_not_allowed")
    expected = {
        "error": {
            "message": "No.",
            "type": "permission_error",
            "param": "model",
            "code": "model_not_allowed",
            "request_id": "req_1",
        }
    }
    assert json.loads(OpenAIChat().error_body(error, "req_1")) == expected
    event = OpenAIChat().error_event(error, "req_1")
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert json.loads(event.removeprefix(b"data: ")) == expected
