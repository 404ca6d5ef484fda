"""What the sandbox's Gemini refuses, in Google's words, and how its answers break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.raw_http import RawReply, post
from tikhub_app.sandbox.process import SandboxProcess

HELLO: list[Any] = [{"role": "user", "parts": [{"text": "Hello"}]}]
CALL: dict[str, Any] = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
RESULT: dict[str, Any] = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}


def declare(**schema: Any) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]}


def configure(**config: Any) -> dict[str, Any]:
    return {"generationConfig": config}


BAD_BODIES: dict[str, tuple[Any, str]] = {
    "no contents": ({"contents": None}, "contents is not specified"),
    "unknown field": ({"messages": []}, 'Unknown name "messages": Cannot find field.'),
    "unknown setting": (configure(max_tokens=5), "Unknown name \"maxTokens\" at 'generation_config'"),
    "unknown role": ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role: user, model."),
    "no parts": ({"contents": [{"role": "user", "parts": []}]}, "parts must not be empty"),
    "an empty part": ({"contents": [{"parts": [{}]}]}, "required oneof field 'data'"),
    "two kinds in a part": ({"contents": [{"parts": [{"text": "x", "inlineData": {}}]}]}, "already set"),
    "temperature too high": (configure(temperature=3), "must be in the range [0.0, 2.0]"),
    "temperature a word": (configure(temperature="hot"), "Invalid value at 'generation_config.temperature'"),
    "too many candidates": (configure(candidateCount=9), "range [1, 8]"),
    "too many stops": (configure(stopSequences=list("abcdef")), "limited to 5"),
    "unknown type of answer": (configure(responseMimeType="text/html"), "allowed mimetypes"),
    "a schema for prose": (configure(responseSchema={"type": "STRING"}), "response_mime_type application/json"),
    "budget and level": (configure(thinkingConfig={"thinkingBudget": 1, "thinkingLevel": "LOW"}), "only one of"),
    "a level for 2.5": (configure(thinkingConfig={"thinkingLevel": "LOW"}), "level is not supported"),
    "$schema": (declare(**{"type": "OBJECT", "$schema": "x"}), 'Unknown name "$schema"'),
    "additionalProperties": (declare(type="OBJECT", additionalProperties=False), "additionalProperties"),
    "no properties": (declare(type="OBJECT", properties={}), "should be non-empty for OBJECT type"),
    "no items": (declare(type="ARRAY"), "items: missing field"),
    "a list of types": (declare(type=["string", "null"]), "Invalid value at 'tools[0].function_declarations[0]"),
    "a number in an enum": (declare(type="INTEGER", enum=[1]), "TYPE_STRING"),
    "a name with spaces": ({"tools": [{"functionDeclarations": [{"name": "my f"}]}]}, "Invalid function name"),
    "a name twice": ({"tools": [{"functionDeclarations": [{"name": "f"}, {"name": "f"}]}]}, "Duplicate function"),
    "names without the mode": (
        declare() | {"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["f"]}}},
        "when the mode is ANY",
    ),
    "a call without result": ({"contents": [*HELLO, CALL, *HELLO]}, "number of function response parts is equal"),
    "a result without call": ({"contents": [*HELLO, RESULT]}, "comes immediately after a function call turn"),
    "a call at the beginning": ({"contents": [CALL, RESULT]}, "comes immediately after a user turn"),
    "unknown control": ({"sandbox": {"speed": 1}}, "unknown control 'speed'"),
    "not JSON": (b'{"contents": ', "Invalid JSON payload received."),
    "not an object": (b"[]", "Root element must be a message."),
}


def call(sandbox: SandboxProcess, body: Any, verb: str = "generateContent", **headers: str) -> RawReply:
    content = body if isinstance(body, bytes) else {"contents": HELLO} | body
    return post(f"{sandbox.gemini_url}/v1beta/models/gemini-2.5-flash:{verb}", content, headers)


@pytest.mark.parametrize("name", BAD_BODIES)
def test_it_refuses_as_google_does(sandbox: SandboxProcess, name: str) -> None:
    body, words = BAD_BODIES[name]
    reply = call(sandbox, body)
    assert reply.status == 400, reply.body
    assert reply.headers["content-type"] == "application/json; charset=UTF-8"
    error = json.loads(reply.body)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert words in error["message"]
    assert sandbox.bill() == []
    assert sandbox.calls()["by_outcome"] == {"refused": 1}


def test_the_array_stream_refuses_in_an_array(sandbox: SandboxProcess) -> None:
    reply = call(sandbox, {"contents": None}, "streamGenerateContent")
    [refused] = json.loads(reply.body)
    assert refused["error"]["status"] == "INVALID_ARGUMENT"
    events = call(sandbox, {"contents": None}, "streamGenerateContent?alt=sse")
    assert json.loads(events.body) == refused


def test_an_unknown_model_or_path_is_not_found(sandbox: SandboxProcess) -> None:
    base = f"{sandbox.gemini_url}/v1beta"
    unknown = post(f"{base}/models/gemini-9:generateContent", {"contents": HELLO})
    assert unknown.status == 404
    message = json.loads(unknown.body)["error"]["message"]
    assert message.startswith("models/gemini-9 is not found for API version v1beta, or is not supported for generate")
    assert json.loads(post(f"{base}/nonsense", {}).body)["error"]["status"] == "NOT_FOUND"


@pytest.fixture(scope="module")
def locked_sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess("--require-key", "the-right-key-0001") as sandbox:
        yield sandbox


def test_a_required_key_is_asked_for_as_google_asks(locked_sandbox: SandboxProcess) -> None:
    missing = call(locked_sandbox, {})
    assert (missing.status, json.loads(missing.body)["error"]["status"]) == (403, "PERMISSION_DENIED")
    wrong = call(locked_sandbox, {}, **{"x-goog-api-key": "wrong"})
    assert wrong.status == 400
    assert json.loads(wrong.body)["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert call(locked_sandbox, {}, **{"x-goog-api-key": "the-right-key-0001"}).status == 200
    assert call(locked_sandbox, {}, "generateContent?key=the-right-key-0001").status == 200


def test_a_quota_names_the_wait_in_its_body(sandbox: SandboxProcess) -> None:
    sandbox.fault("status_429", retry_after=12)
    reply = call(sandbox, {})
    assert reply.status == 429
    assert "retry-after" not in reply.headers
    error = json.loads(reply.body)["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED"
    assert error["details"] == [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12s"}]


@pytest.mark.parametrize(
    ("fault", "verb", "ending"),
    [
        ("error_event_mid_stream", "streamGenerateContent?alt=sse", b'"status": "INTERNAL"}}\r\n\r\n'),
        ("error_event_mid_stream", "streamGenerateContent", b'"status": "INTERNAL"\n  }\n}\n'),
        ("end_mid_stream", "streamGenerateContent?alt=sse", b"}\r\n\r\n"),
        ("end_mid_stream", "streamGenerateContent", b"\n}\n"),
        ("malformed_json", "streamGenerateContent", b"]"),
    ],
)
def test_a_stream_breaks_in_its_own_form(sandbox: SandboxProcess, fault: str, verb: str, ending: bytes) -> None:
    reply = call(sandbox, {"sandbox": {"fault": fault}}, verb)
    assert reply.body.endswith(ending)
    if "alt" not in verb:
        with pytest.raises(ValueError, match="Expect"):
            json.loads(reply.body)
    [line] = sandbox.bill()
    assert line["fault"] == fault
