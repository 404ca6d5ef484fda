"""What the sandbox's Anthropic refuses, in Anthropic's words, and how the fault table sounds in its voice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.sandbox.raw_http import RawReply, post
from tikhub_app.sandbox.faults import FAULTS
from tikhub_app.sandbox.process import SandboxProcess

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
VERSION = {"anthropic-version": "2023-06-01"}

BAD_BODIES: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"model": None}, "model: Field required"),
    "model not a string": ({"model": 5}, "model: Input should be a valid string"),
    "no max_tokens": ({"max_tokens": None}, "max_tokens: Field required"),
    "max_tokens a string": ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
    "max_tokens too large": ({"max_tokens": 64_001}, "max_tokens: 64001 > 64000, which is the maximum allowed number"),
    "no messages": ({"messages": None}, "messages: Field required"),
    "messages a string": ({"messages": "Hello"}, "messages: Input should be a valid list"),
    "no message": ({"messages": []}, "messages: at least one message is required"),
    "no role": ({"messages": [{"content": "x"}]}, "messages.0.role: Field required"),
    "unknown role": ({"messages": [{"role": "robot", "content": "x"}]}, 'messages: Unexpected role "robot".'),
    "system role": ({"messages": [{"role": "system", "content": "x"}]}, "top-level `system` parameter"),
    "assistant first": ({"messages": [{"role": "assistant", "content": "x"}, *HELLO]}, 'must use the "user" role'),
    "empty content": ({"messages": [{"role": "user", "content": ""}]}, "messages.0: all messages must have non-empty"),
    "empty text": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
        "messages: text content blocks must be non-empty",
    ),
    "trailing space": (
        {"messages": [*HELLO, {"role": "assistant", "content": "So "}]},
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    "prefill": (
        {"model": "claude-opus-4-6", "messages": [*HELLO, {"role": "assistant", "content": "So"}]},
        "This model does not support assistant message prefill.",
    ),
    "call without result": (
        {"messages": [*HELLO, CALL, *HELLO], "tools": [TOOL]},
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1.",
    ),
    "result without call": ({"messages": [RESULT]}, "unexpected `tool_use_id` found in `tool_result` blocks: toolu_1."),
    "hot": ({"temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
    "no schema": ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
    "name with a dot": ({"tools": [{**TOOL, "name": "a.b"}]}, "tools.0.custom.name: String should match pattern"),
    "twice": ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
    "unknown choice": ({"tools": [TOOL], "tool_choice": {"type": "required"}}, "tool_choice: Input tag 'required'"),
    "absent tool": ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}, "Tool 'g' not found"),
    "small budget": ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "greater than or equal to 1024"),
    "budget above max_tokens": (
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
    "adaptive on an old model": ({"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported"),
    "budget on a new model": (
        {"model": "claude-opus-4-7", "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
        '"thinking.type.enabled" is not supported for this model.',
    ),
    "forced while thinking": (
        {
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "max_tokens": 2000,
            "tools": [TOOL],
            "tool_choice": {"type": "any"},
        },
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    "effort that the model lacks": (
        {"model": "claude-opus-4-6", "output_config": {"effort": "xhigh"}},
        "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
    ),
    "five breakpoints": (
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5},
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    "wrong control": ({"sandbox": {"nonsense": 1}}, "sandbox: unknown control 'nonsense'"),
}


def post_message(sandbox: SandboxProcess, headers: dict[str, str] = VERSION, /, **fields: Any) -> RawReply:
    body = {"model": "claude-haiku-4-5", "max_tokens": 1024, "messages": HELLO, **fields}
    return post(f"{sandbox.anthropic_url}/v1/messages", body, headers)


def error_of(reply: RawReply) -> dict[str, Any]:
    body = json.loads(reply.body)
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert body["request_id"] == reply.headers["request-id"]
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_refused_in_anthropics_words_and_never_billed(sandbox: SandboxProcess, name: str) -> None:
    fields, message = BAD_BODIES[name]
    reply = post_message(sandbox, **fields)
    assert reply.status == 400, reply.body
    error = error_of(reply)
    assert error["type"] == "invalid_request_error"
    assert message in error["message"]
    assert sandbox.bill() == []


def test_an_unknown_model_a_missing_version_and_broken_json_are_named(sandbox: SandboxProcess) -> None:
    unknown = post_message(sandbox, model="claude-does-not-exist")
    assert (unknown.status, error_of(unknown)) == (
        404,
        {"type": "not_found_error", "message": "model: claude-does-not-exist"},
    )
    assert error_of(post_message(sandbox, {}))["message"] == "anthropic-version: header is required"
    broken = post(f"{sandbox.anthropic_url}/v1/messages", b'{"model": ', VERSION)
    assert (broken.status, error_of(broken)["type"]) == (400, "invalid_request_error")
    lost = post(f"{sandbox.anthropic_url}/v1/nothing", {}, VERSION)
    assert (lost.status, error_of(lost)["type"]) == (404, "not_found_error")


@pytest.fixture(scope="module")
def locked() -> Iterator[SandboxProcess]:
    with SandboxProcess("--require-key", "sk-ant-right") as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"api_key": "sk-ant-wrong"}, "invalid x-api-key"),
        ({"auth_token": "sk-ant-wrong"}, "invalid x-api-key"),
    ],
)
def test_a_wrong_key_is_refused_and_the_right_one_taken(
    locked: SandboxProcess, options: dict[str, str], message: str
) -> None:
    given: dict[str, Any] = {"api_key": None, **options}
    with (
        anthropic.Anthropic(**given, base_url=locked.anthropic_url, max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError, match=message),
    ):
        client.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=HELLO)
    with anthropic.Anthropic(api_key="sk-ant-right", base_url=locked.anthropic_url) as client:
        assert client.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=HELLO).content


def test_a_call_without_a_key_is_refused(locked: SandboxProcess) -> None:
    reply = post_message(locked)
    assert (reply.status, error_of(reply)["message"]) == (401, "x-api-key header is required")


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.status])
def test_a_status_is_refused_in_anthropics_form_and_never_billed(sandbox: SandboxProcess, name: str) -> None:
    status = FAULTS[name].status
    sandbox.fault(name, retry_after=2)
    reply = post_message(sandbox)
    assert reply.status == status
    assert reply.headers.get("retry-after") == ("2" if status in (429, 503, 529) else None)
    if status == 502:
        assert reply.headers["content-type"] == "text/html"
    else:
        error = error_of(reply)
        assert error["type"].endswith("_error")
        assert (error["type"] == "overloaded_error") == (status == 529)
    assert sandbox.bill() == []


def data_of(reply: RawReply) -> list[Any]:
    found: list[Any] = []
    for event in reply.events:
        _, _, data = event.partition(b"data: ")
        try:
            found.append(json.loads(data)["type"])
        except ValueError:
            found.append(None)
    return found


START = ["message_start", "content_block_start", "ping"]
BROKEN: dict[str, list[Any]] = {
    "end_mid_stream": START,
    "error_event_mid_stream": [*START, "error"],
    "truncated_json": [*START, None],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_is_broken_in_anthropics_form(sandbox: SandboxProcess, name: str) -> None:
    reply = post_message(sandbox, {**VERSION, "X-Client-Request-Id": "att_1"}, stream=True, sandbox={"fault": name})
    assert data_of(reply) == BROKEN[name]
    (line,) = sandbox.bill("att_1")
    assert (line["state"], line["fault"], line["vendor"]) == ("settled", name, "anthropic")


def test_without_usage_nothing_speaks_of_it(sandbox: SandboxProcess) -> None:
    for stream in (False, True):
        reply = post_message(sandbox, stream=stream, sandbox={"fault": "no_usage"})
        assert reply.status == 200
        assert b'"usage"' not in reply.body


def test_equal_calls_get_equal_bytes(sandbox: SandboxProcess) -> None:
    first, second = (post_message(sandbox, stream=True, system="Be brief.") for _ in range(2))
    assert first.body == second.body
    other = post_message(sandbox, stream=True, system="Be long.")
    assert other.body != first.body
