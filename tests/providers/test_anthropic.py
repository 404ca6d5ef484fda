"""What goes to Anthropic: URL, headers, body; and what is read of its whole answers and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tikhub_app.exceptions import UnsupportedFeature
from tikhub_app.providers.anthropic import Anthropic
from tikhub_app.providers.anthropic_wire import read_message, read_token_count, read_usage
from tikhub_app.providers.base import Account, ProviderCall
from tikhub_app.providers.facts import FilterFinding, Usage
from tikhub_app.providers.registry import get_provider
from tikhub_app.upstream.values import Timeouts

SAMPLES = Path(__file__).parent.parent / "samples" / "anthropic"
BODY = b'{ "model":"claude-sonnet-4-5" }'
ACCOUNT = Account("https://api.anthropic.com", "sk-ant-secret", {}, Timeouts(1.0, 2.0, 3.0))


def a_call(operation: str = "messages", *, is_stream: bool = False, **headers: str) -> ProviderCall:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return ProviderCall(operation, "claude-sonnet-4-5", BODY, "att_1", is_stream=is_stream, headers=given)


def test_a_request_carries_the_account_the_version_and_the_attempt() -> None:
    request = Anthropic().build_request(ACCOUNT, a_call(is_stream=True))
    assert (request.method, request.url) == ("POST", "https://api.anthropic.com/v1/messages")
    assert request.body is BODY
    assert request.timeouts == Timeouts(1.0, 2.0, 3.0)
    assert request.headers == {
        "User-Agent": "tikhub-ai-gateway",
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "X-Client-Request-Id": "att_1",
        "anthropic-version": "2023-06-01",
        "x-api-key": "sk-ant-secret",
    }


def test_the_callers_version_and_betas_go_on() -> None:
    call = a_call(anthropic_version="2099-01-01", anthropic_beta="files-api-2025-04-14,mcp-client-2025-04-04")
    headers = Anthropic().build_request(ACCOUNT, call).headers
    assert headers["anthropic-version"] == "2099-01-01"
    assert headers["anthropic-beta"] == "files-api-2025-04-14,mcp-client-2025-04-04"
    assert get_provider("anthropic").forwarded_headers == {"anthropic-version", "anthropic-beta"}


def test_tokens_are_counted_on_a_path_of_their_own() -> None:
    request = Anthropic().build_request(ACCOUNT, a_call("count_tokens"))
    assert request.url == "https://api.anthropic.com/v1/messages/count_tokens"
    assert request.headers["Accept"] == "application/json"
    assert read_token_count(b'{"input_tokens": 14}').usage is None
    for garbage in (b'{"input_tokens": "14"}', b"{}", b"[]", b""):
        with pytest.raises(ValueError, match="the answer"):
            read_token_count(garbage)


def test_what_it_cannot_do_is_named() -> None:
    with pytest.raises(UnsupportedFeature, match="Anthropic does not support embed"):
        Anthropic().build_request(ACCOUNT, a_call("embed"))


def test_a_changed_model_leaves_every_other_byte() -> None:
    body = b'{"model":"a", "temperature": 1.0, "thinking":{"type":"enabled", "budget_tokens":1024}}'
    changed = Anthropic().prepare_body(body, {"model": "claude-opus-4-5"})
    assert json.loads(changed)["model"] == "claude-opus-4-5"
    assert b'"temperature":1.0' in changed
    assert b'{"type":"enabled", "budget_tokens":1024}' in changed


def test_the_connection_test_lists_models() -> None:
    request = Anthropic().build_connection_test(ACCOUNT)
    assert (request.method, request.url) == ("GET", "https://api.anthropic.com/v1/models?limit=1")
    assert request.headers["x-api-key"] == "sk-ant-secret"
    assert request.headers["anthropic-version"] == "2023-06-01"


# Whole answers.


def test_a_whole_answer_is_read() -> None:
    facts = read_message((SAMPLES / "message.json").read_bytes())
    assert (facts.answered_model, facts.finish_reason) == ("claude-sonnet-4-5-20250929", "tool_use")
    assert facts.usage == Usage(
        input_uncached=40, cache_read=1200, cache_write_5m=100, cache_write_1h=200, output_visible=48, reasoning=12
    )
    assert facts.server_tool_calls == {"web_search": 1}
    assert facts.output_characters > len("Two cities, so two searches.Lisbon is sunny.")
    assert facts.findings == []
    assert not facts.is_usage_provisional


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"type":"error","error":{}}', b'{"content":"text"}'])
def test_what_is_not_a_message_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="the answer"):
        read_message(body)


ODD_MESSAGES: list[dict[str, Any]] = [
    {"content": []},
    {"content": [None, 3, "x", {}, {"type": 5, "text": 7, "input": []}], "usage": [], "model": 3, "stop_reason": {}},
    {"content": [], "usage": {"input_tokens": "7", "output_tokens": None, "cache_creation": 3, "iterations": {}}},
    {"content": [], "usage": {"iterations": [3, None, {}], "server_tool_use": 4}, "stop_details": "x"},
    {"content": [{"type": "fallback", "to": 3, "trigger": None}], "stop_reason": "refusal", "stop_details": 7},
]


@pytest.mark.parametrize("message", ODD_MESSAGES)
def test_an_odd_field_never_breaks_a_call(message: dict[str, Any]) -> None:
    facts = read_message(json.dumps(message).encode())
    assert facts.usage is None or facts.usage.input_tokens == 0


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"input_tokens": 5, "output_tokens": 7}, Usage(input_uncached=5, output_visible=7)),
        # pitfall 11 and 14: what is cached is beside input_tokens, not within
        (
            {"input_tokens": 5, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 9, "output_tokens": 7},
            Usage(input_uncached=5, cache_read=50, cache_write_5m=9, output_visible=7),
        ),
        ({"cache_creation": {"ephemeral_1h_input_tokens": 8}}, Usage(cache_write_1h=8)),
        # the total grew after the split was sent
        (
            {"cache_creation_input_tokens": 10, "cache_creation": {"ephemeral_1h_input_tokens": 8}},
            Usage(cache_write_1h=10),
        ),
        (
            {
                "cache_creation_input_tokens": 10,
                "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 8},
            },
            Usage(cache_write_5m=2, cache_write_1h=8, is_mismatch=True),
        ),
        (
            {"cache_creation_input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 2}},
            Usage(cache_write_5m=2, is_mismatch=True),
        ),
        (
            {"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 4}},
            Usage(reasoning=3, is_mismatch=True),
        ),
    ],
)
def test_usage_is_counted_once(usage: dict[str, Any], counted: Usage) -> None:
    assert read_usage(usage) == (counted, {})


def iteration(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "input_tokens": 10, "output_tokens": 2, "cache_read_input_tokens": 100, **fields}


def test_every_iteration_is_billed() -> None:
    whole = {"input_tokens": 20, "output_tokens": 4, "cache_read_input_tokens": 200}
    usage = whole | {"iterations": [iteration("compaction"), iteration("message"), iteration("message")]}
    mine, others = read_usage(usage, "claude-sonnet-5")
    assert mine == Usage(input_uncached=30, cache_read=300, output_visible=6)
    assert others == {}


def test_another_models_iterations_are_counted_apart() -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 2,
        "cache_read_input_tokens": 100,
        "output_tokens_details": {"thinking_tokens": 1},
        "iterations": [iteration("message"), iteration("advisor_message", model="claude-opus-4-8", output_tokens=5)],
    }
    mine, others = read_usage(usage, "claude-sonnet-5")
    assert mine == Usage(input_uncached=10, cache_read=100, output_visible=1, reasoning=1)
    assert others == {"claude-opus-4-8": Usage(input_uncached=10, cache_read=100, output_visible=5)}


def test_iterations_that_do_not_add_up_are_flagged() -> None:
    mine, _ = read_usage({"input_tokens": 11, "output_tokens": 2, "iterations": [iteration("message")]})
    assert mine.is_mismatch


# Refusals and errors.


@pytest.mark.parametrize(("category", "kept"), [("cyber", "cyber"), (None, "refusal")])
def test_a_refusal_is_a_finding_with_its_category(category: str | None, kept: str) -> None:
    details = {"type": "refusal", "category": category, "explanation": None}
    message = {"content": [], "stop_reason": "refusal", "stop_details": details}
    assert read_message(json.dumps(message).encode()).findings == [
        FilterFinding("completion", kept, 0, filtered=True, raw=details)
    ]


def test_a_model_that_handed_over_is_a_finding() -> None:
    block = {
        "type": "fallback",
        "from": {"model": "claude-opus-4-7"},
        "to": {"model": "claude-sonnet-4-5"},
        "trigger": {"type": "refusal", "category": "bio"},
    }
    message = {"content": [block, {"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
    (finding,) = read_message(json.dumps(message).encode()).findings
    assert (finding.category, finding.filtered, finding.raw) == ("bio", True, block)


def test_an_answer_that_the_output_filter_ended_is_a_finding() -> None:
    error = {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}
    body = json.dumps({"type": "error", "error": error}).encode()
    assert Anthropic().read_error(400, body) == [
        FilterFinding("completion", "content_filter", 0, filtered=True, raw=error)
    ]
    assert Anthropic().read_error(400, b'{"type":"error","error":{"message":"max_tokens: Field required"}}') == []
    assert Anthropic().read_error(400, b"<html>") == []
