"""What the sandbox's OpenAI refuses, in OpenAI's words, and that a refusal costs nothing."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.sandbox.raw_http import post
from tikhub_app.sandbox import wire
from tikhub_app.sandbox.process import SandboxProcess

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
CALL: dict[str, Any] = {
    "role": "assistant",
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}

BAD_BODIES: dict[str, tuple[Any, str | None, str | None, str]] = {
    "no model": ({"messages": HELLO}, None, None, "you must provide a model parameter"),
    "model not a string": ({"model": 5}, "model", "invalid_type", "expected a string, but got an integer instead."),
    "no messages": (
        {"messages": None},
        "messages",
        "missing_required_parameter",
        "Missing required parameter: 'messages'.",
    ),
    "messages a string": (
        {"messages": "Hello"},
        "messages",
        "invalid_type",
        "Invalid type for 'messages': expected an array of objects, but got a string instead.",
    ),
    "no message": ({"messages": []}, "messages", "empty_array", "empty array"),
    "message a string": ({"messages": ["Hello"]}, "messages[0]", "invalid_type", "expected an object"),
    "no role": ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter", "Missing"),
    "unknown role": (
        {"messages": [{"role": "robot", "content": "x"}]},
        "messages[0].role",
        "invalid_value",
        "Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.",
    ),
    "null content": ({"messages": [{"role": "user", "content": None}]}, "messages.[0].content", None, "got null"),
    "content a number": (
        {"messages": [{"role": "user", "content": 3}]},
        "messages[0].content",
        "invalid_type",
        "expected one of a string or array of objects, but got an integer instead.",
    ),
    "unknown part": (
        {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
        "messages[0].content[0].type",
        "invalid_value",
        "'image_url'",
    ),
    "tool result without call": (
        {"messages": [*HELLO, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]},
        "messages.[1].role",
        None,
        "must be a response to a preceeding message",
    ),
    "call without result": ({"messages": [*HELLO, CALL, *HELLO]}, "messages.[2].role", None, "call_1"),
    "temperature a string": (
        {"temperature": "hot"},
        "temperature",
        "invalid_type",
        "Invalid type for 'temperature': expected a decimal, but got a string instead.",
    ),
    "temperature too high": ({"temperature": 3}, "temperature", "decimal_above_max_value", "<= 2, but got 3"),
    "n is zero": ({"n": 0}, "n", "integer_below_min_value", ">= 1, but got 0"),
    "stream a string": ({"stream": "yes"}, "stream", "invalid_type", "expected a boolean"),
    "stream_options alone": ({"stream_options": {}}, "stream_options", None, "only allowed when 'stream' is enabled"),
    "too many stops": ({"stop": list("abcde")}, "stop", "array_above_max_length", "length 5"),
    "tool without name": (
        {"tools": [{"type": "function", "function": {}}]},
        "tools[0].function.name",
        "missing_required_parameter",
        "tools[0].function.name",
    ),
    "tool's name with spaces": (
        {"tools": [{"type": "function", "function": {"name": "my tool"}}]},
        "tools[0].function.name",
        "invalid_value",
        "does not match pattern",
    ),
    "tool_choice alone": ({"tool_choice": "auto"}, "tool_choice", None, "only allowed when 'tools' are specified"),
    "json unsaid": ({"response_format": {"type": "json_object"}}, "messages", None, "must contain the word 'json'"),
    "schema unnamed": (
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        "response_format.json_schema.name",
        "missing_required_parameter",
        "name",
    ),
    "max_tokens for a reasoning model": (
        {"model": "gpt-5-nano", "max_tokens": 5},
        "max_tokens",
        "unsupported_parameter",
        "Use 'max_completion_tokens' instead.",
    ),
    "temperature for a reasoning model": (
        {"model": "o3", "temperature": 0.5},
        "temperature",
        "unsupported_value",
        "Only the default (1) value is supported.",
    ),
    "prompt too long": (
        {"model": "gpt-4", "messages": [{"role": "user", "content": "word " * 9000}]},
        "messages",
        "context_length_exceeded",
        "maximum context length is 8192 tokens",
    ),
    "unknown control": ({"sandbox": {"speed": 1}}, "sandbox", None, "unknown control 'speed'"),
    "not JSON": (b'{"model": ', None, None, "We could not parse the JSON body of your request."),
    "not an object": (b"[]", None, "invalid_type", "expected an object"),
    "too deep": (b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, None, "We could not parse"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_it_refuses_as_openai_does(sandbox: SandboxProcess, name: str) -> None:
    body, param, code, words = BAD_BODIES[name]
    if isinstance(body, dict):
        body = {"model": "gpt-4o", "messages": HELLO} | body
        if name == "no model":
            del body["model"]
    reply = post(f"{sandbox.openai_url}/chat/completions", body)
    assert reply.status == 400
    error = wire.decode(reply.body)["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert words in error["message"]
    assert sandbox.bill() == []
    assert sandbox.calls()["by_outcome"] == {"refused": 1}


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4.1-nano-wrong", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert caught.value.body == {
        "message": "The model `gpt-4.1-nano-wrong` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }


def test_unknown_paths_and_methods_are_refused_in_the_vendors_form(sandbox: SandboxProcess) -> None:
    unknown = post(f"{sandbox.openai_url}/chat/nonsense", {})
    assert unknown.status == 404
    assert wire.decode(unknown.body)["error"]["message"] == "Invalid URL (POST /v1/chat/nonsense)"
    assert post(f"{sandbox.openai_url}/models", {}).status == 405


@pytest.fixture(scope="module")
def locked_sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess("--require-key", "sk-the-right-key-0001") as sandbox:
        yield sandbox


def test_a_required_key_is_asked_for_as_openai_asks(locked_sandbox: SandboxProcess) -> None:
    url = f"{locked_sandbox.openai_url}/chat/completions"
    body = {"model": "gpt-4o", "messages": HELLO}
    missing = post(url, body)
    assert missing.status == 401
    assert wire.decode(missing.body)["error"]["message"].startswith("You didn't provide an API key.")
    wrong = post(url, body, {"Authorization": "Bearer invalid-key-12345"})
    assert wrong.status == 401
    error = wire.decode(wrong.body)["error"]
    assert error["code"] == "invalid_api_key"
    assert error["message"].startswith("Incorrect API key provided: invalid-*****2345.")
    assert post(url, body, {"Authorization": "Bearer sk-the-right-key-0001"}).status == 200
    assert len(locked_sandbox.bill()) == 1
