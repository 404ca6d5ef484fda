"""Anthropic's own SDK against a gateway in front of the sandbox: what works with Anthropic works here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from tests.gateway.server import SECRET, Call, GatewayServer
from tikhub_app.sandbox.process import SandboxProcess

QUESTION: list[Any] = [{"role": "user", "content": "What is the weather in Lisbon and in Porto?"}]
TOOLS: list[Any] = [
    {
        "name": "get_weather",
        "description": "Forecast",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
    {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
]
BUDGET: Any = {"type": "enabled", "budget_tokens": 1024}
MODEL = "claude-haiku-4-5"
PLAIN: dict[str, Any] = {"model": MODEL, "max_tokens": 2000, "messages": QUESTION}


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: SandboxProcess) -> SandboxProcess:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture(scope="module")
def gateway(stopped_gateway: GatewayServer, running_sandbox: SandboxProcess) -> Iterator[GatewayServer]:
    upstream = stopped_gateway.add_upstream("sandbox", running_sandbox.anthropic_url, provider="anthropic")
    stopped_gateway.add_route("claude-*", upstream)
    stopped_gateway.add_route("our-claude", upstream, upstream_model=MODEL)
    openai = stopped_gateway.add_upstream("openai", running_sandbox.openai_url)
    stopped_gateway.add_route("gpt-*", openai)
    stopped_gateway.add_price(
        provider="anthropic",
        model="claude-*",
        effective_from="2024-01-01",
        input_usd="1",
        cache_read_usd="0.1",
        cache_write_5m_usd="1.25",
        cache_write_1h_usd="2",
        output_usd="5",
    )
    with stopped_gateway:
        yield stopped_gateway


@pytest.fixture
def claude(gateway: GatewayServer, sandbox: SandboxProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key=SECRET, base_url=gateway.url, max_retries=0, timeout=30) as client:
        yield client


def booked(gateway: GatewayServer, sandbox: SandboxProcess, request_id: str | None) -> Call:
    """The row of a call, after it was compared with the one line of the sandbox's bill."""
    assert request_id is not None
    call = gateway.call(request_id)
    (line,) = sandbox.bill(call.attempts[0].attempt_id)
    assert call.row.input_tokens == line["prompt_tokens"]
    assert call.row.cache_read == line["cached_tokens"]
    assert (call.row.output_tokens, call.row.reasoning) == (line["completion_tokens"], line["reasoning_tokens"])
    assert (call.row.usage_source, call.row.usage_mismatch) == ("provider", False)
    return call


def test_a_message_is_answered_and_booked(
    claude: anthropic.Anthropic, gateway: GatewayServer, sandbox: SandboxProcess
) -> None:
    raw = claude.messages.with_raw_response.create(**PLAIN, metadata={"user_id": "user-7"})
    message = raw.parse()
    assert message.stop_reason == "end_turn"
    assert raw.headers["request-id"] == raw.headers["x-request-id"] == message._request_id
    assert raw.headers["x-tikhub-model"] == "claude-haiku-4-5-20251001"
    assert not [name for name in raw.headers if name.startswith("anthropic-")]
    call = booked(gateway, sandbox, message._request_id)
    row = call.row
    assert (row.status, row.dialect, row.operation, row.end_user) == (
        "done",
        "anthropic_messages",
        "messages",
        "user-7",
    )
    assert (row.answered_model, row.finish_reason) == ("claude-haiku-4-5-20251001", "end_turn")
    assert row.upstream_request_id.startswith("req_011C")
    assert row.cost_usd is not None
    dollars = message.usage.input_tokens / 1e6 + message.usage.output_tokens * 5 / 1e6
    assert float(row.cost_usd) == pytest.approx(dollars, abs=1e-12)


def test_a_bearer_token_works_as_well(gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    with anthropic.Anthropic(auth_token=SECRET, api_key=None, base_url=gateway.url, max_retries=0) as client:
        assert client.messages.create(**PLAIN).content


def test_a_stream_with_its_helpers_says_what_the_plain_answer_says(
    claude: anthropic.Anthropic, gateway: GatewayServer, sandbox: SandboxProcess
) -> None:
    options: dict[str, Any] = {**PLAIN, "tools": TOOLS, "thinking": BUDGET}
    plain = claude.messages.create(**options)
    kinds: list[str] = []
    with claude.messages.stream(**options) as stream:
        for event in stream:
            kinds.append(event.type)
        final = stream.get_final_message()
    assert final.to_dict() == plain.to_dict()
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    assert {"thinking", "signature", "input_json"} <= set(kinds)
    call = booked(gateway, sandbox, stream.request_id)
    assert call.row.is_stream
    assert call.row.reasoning > 0
    assert call.payload is not None
    kept = json.loads(call.payload.response_body)
    assert kept["content"] == plain.to_dict()["content"]
    assert kept["stop_reason"] == "tool_use"

    with claude.messages.stream(**PLAIN) as stream:
        assert "".join(stream.text_stream) == stream.get_final_text()


def test_raw_events_pass_as_they_are(claude: anthropic.Anthropic, sandbox: SandboxProcess) -> None:
    def bytes_of(client: anthropic.Anthropic) -> bytes:
        with client.messages.with_streaming_response.create(**PLAIN, stream=True) as response:
            return b"".join(response.iter_bytes())

    with anthropic.Anthropic(api_key="any", base_url=sandbox.anthropic_url) as direct:
        expected = bytes_of(direct)
    assert bytes_of(claude) == expected
    assert b"[DONE]" not in expected


def test_three_turns_with_tools_and_thinking(
    claude: anthropic.Anthropic, gateway: GatewayServer, sandbox: SandboxProcess
) -> None:
    messages = list(QUESTION)
    for turn in range(3):
        with claude.messages.stream(
            model=MODEL, max_tokens=2000, messages=messages, tools=TOOLS, thinking=BUDGET
        ) as stream:
            answer = stream.get_final_message()
        booked(gateway, sandbox, stream.request_id)
        assert answer.content[0].type == "thinking"
        messages.append({"role": "assistant", "content": answer.to_dict()["content"]})
        calls = [block for block in answer.content if block.type == "tool_use"]
        if turn % 2 == 0:
            assert [call.name for call in calls] == ["get_weather", "get_time"]
            results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"} for call in calls]
            messages.append({"role": "user", "content": results})
        else:
            assert answer.stop_reason == "end_turn"
            messages.append({"role": "user", "content": "And tomorrow in Faro?"})


def test_the_asynchronous_client_works_alike(gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    async def everything() -> tuple[str | None, str | None, int]:
        async with anthropic.AsyncAnthropic(api_key=SECRET, base_url=gateway.url, max_retries=0) as client:
            message = await client.messages.create(**PLAIN)
            async with client.messages.stream(**PLAIN) as stream:
                final = await stream.get_final_message()
            assert final.to_dict() == message.to_dict()
            counted = await client.messages.count_tokens(model=MODEL, messages=QUESTION)
            return message._request_id, stream.request_id, counted.input_tokens

    plain, streamed, counted = asyncio.run(everything())
    assert booked(gateway, sandbox, plain).row.input_tokens == counted
    assert booked(gateway, sandbox, streamed).row.usage == gateway.call(str(plain)).row.usage


class Recipe(BaseModel):
    title: str
    steps: list[str]


def test_structured_output_is_parsed(claude: anthropic.Anthropic) -> None:
    assert claude.messages.parse(**PLAIN, output_format=Recipe).parsed_output is not None


def test_cache_writes_and_reads_are_told_apart_and_paid_as_such(
    claude: anthropic.Anthropic, gateway: GatewayServer, sandbox: SandboxProcess
) -> None:
    def ask(ttl: str) -> Call:
        control = {"type": "ephemeral", "ttl": ttl}
        system = [{"type": "text", "text": f"Answer with care, {ttl}. " * 400, "cache_control": control}]
        with claude.messages.stream(**PLAIN, system=system) as stream:  # type: ignore[arg-type]
            stream.until_done()
        return booked(gateway, sandbox, stream.request_id)

    five, hour, again = ask("5m").row, ask("1h").row, ask("1h").row
    assert five.cache_write_5m > 1_024
    assert (five.cache_write_1h, five.cache_read) == (0, 0)
    assert hour.cache_write_1h == again.cache_read > 1_024
    assert (hour.cache_write_5m, again.cache_write_1h) == (0, 0)
    for row in (five, hour, again):
        dollars = row.input_uncached + row.cache_read * 0.1 + row.cache_write_5m * 1.25 + row.cache_write_1h * 2
        assert float(row.cost_usd or 0) == pytest.approx((dollars + row.output_tokens * 5) / 1e6, abs=1e-12)


def test_images_documents_and_betas_go_through(
    claude: anthropic.Anthropic, gateway: GatewayServer, sandbox: SandboxProcess
) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    paper = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "One."}, "title": "A"}
    content: list[Any] = [picture, paper, {"type": "text", "text": "Look."}]
    message = claude.beta.messages.create(
        model="our-claude",
        max_tokens=100,
        betas=["files-api-2025-04-14", "mcp-client-2025-04-04"],
        extra_headers={"anthropic-version": "2024-12-31"},
        messages=[{"role": "user", "content": content}],
    )
    booked(gateway, sandbox, message._request_id)
    (received,) = [call for call in sandbox.calls()["calls"] if call["operation"] == "messages"]
    assert received["headers"]["anthropic-beta"] == "files-api-2025-04-14,mcp-client-2025-04-04"
    assert received["headers"]["anthropic-version"] == "2024-12-31"
    assert received["headers"]["x-api-key"] == "sk-upstream-secret"
    assert not [name for name in received["headers"] if name.startswith("x-stainless")]
    sent = json.loads(received["body"])
    assert sent["model"] == MODEL
    assert sent["messages"][0]["content"][:2] == [picture, paper]


def test_counting_tokens_is_free(claude: anthropic.Anthropic, gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    raw = claude.messages.with_raw_response.count_tokens(model=MODEL, messages=QUESTION, tools=TOOLS)
    assert raw.parse().input_tokens > 300
    call = gateway.call(raw.headers["request-id"])
    assert (call.row.operation, call.row.status, call.row.asked_model) == ("count_tokens", "done", MODEL)
    assert (call.row.total_tokens, call.row.is_unpriced, call.row.cost_is_estimate) == (0, False, False)
    assert not call.row.cost_usd
    assert sandbox.bill() == []


def test_a_refusal_and_a_full_context_are_no_errors(
    claude: anthropic.Anthropic, gateway: GatewayServer, sandbox: SandboxProcess
) -> None:
    with claude.messages.stream(**PLAIN, extra_body={"sandbox": {"outcome": "refusal"}}) as stream:
        refused = stream.get_final_message()
    assert refused.stop_reason == "refusal"
    call = booked(gateway, sandbox, stream.request_id)
    assert (call.row.status, call.row.finish_reason) == ("done", "refusal")
    assert [(found.category, found.filtered, found.vendor) for found in call.filters] == [("cyber", True, "anthropic")]

    long: list[Any] = [{"role": "user", "content": "word " * 199_980}]
    full = claude.messages.create(model=MODEL, max_tokens=2000, messages=long, extra_body={"sandbox": {"tokens": 100}})
    assert full.stop_reason == "model_context_window_exceeded"
    assert booked(gateway, sandbox, full._request_id).row.finish_reason == "model_context_window_exceeded"


# Errors.


def error_of(error: anthropic.APIStatusError) -> dict[str, Any]:
    """The error's body, after its ids were compared."""
    body = error.body
    assert isinstance(body, dict)
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert error.response.headers["x-request-id"] == error.response.headers["request-id"] == error.request_id
    described: dict[str, Any] = body["error"]
    return described


@pytest.mark.parametrize(
    ("change", "kind", "error_type", "code"),
    [
        ({"model": "nobody-knows"}, anthropic.NotFoundError, "not_found_error", "model_not_found"),
        ({"model": "gpt-4o"}, anthropic.BadRequestError, "invalid_request_error", "unsupported_translation"),
        ({"messages": []}, anthropic.BadRequestError, "invalid_request_error", "empty_array"),
    ],
)
def test_our_own_refusals_are_in_anthropics_form(
    claude: anthropic.Anthropic,
    gateway: GatewayServer,
    change: dict[str, Any],
    kind: type[anthropic.APIStatusError],
    error_type: str,
    code: str,
) -> None:
    with pytest.raises(kind) as caught:
        claude.messages.create(**PLAIN | change)
    error = error_of(caught.value)
    assert error["type"] == error_type
    assert error["details"]["error_code"] == code
    assert caught.value.request_id is not None
    assert caught.value.body["request_id"] == caught.value.request_id  # type: ignore[index]
    assert gateway.call(caught.value.request_id).row.error_code == code


def test_a_wrong_key_is_an_authentication_error(gateway: GatewayServer) -> None:
    with (
        anthropic.Anthropic(api_key="not-a-key-of-this-gateway", base_url=gateway.url, max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as caught,
    ):
        client.messages.create(**PLAIN)
    assert error_of(caught.value)["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("fault", "status", "kind", "error_type"),
    [
        ("status_400", 400, anthropic.BadRequestError, "invalid_request_error"),
        ("status_429", 429, anthropic.RateLimitError, "rate_limit_error"),
        ("status_500", 500, anthropic.InternalServerError, "api_error"),
        ("status_502", 502, anthropic.InternalServerError, "api_error"),
        ("status_529", 529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_of_the_provider_passes(
    claude: anthropic.Anthropic,
    gateway: GatewayServer,
    sandbox: SandboxProcess,
    fault: str,
    status: int,
    kind: type[anthropic.APIStatusError],
    error_type: str,
    stream: bool,
) -> None:
    sandbox.fault(fault, retry_after=3)
    with pytest.raises(kind) as caught:
        claude.messages.create(**PLAIN, stream=stream)
    assert caught.value.status_code == status
    assert error_of(caught.value)["type"] == error_type
    assert caught.value.response.headers.get("retry-after") == ("3" if status in (429, 529) else None)
    assert caught.value.request_id is not None
    assert gateway.call(caught.value.request_id).row.http_status == status
    assert sandbox.bill() == []


def test_an_operators_account_at_fault_is_a_502(
    claude: anthropic.Anthropic, gateway: GatewayServer, sandbox: SandboxProcess
) -> None:
    sandbox.fault("status_401")
    with pytest.raises(anthropic.InternalServerError) as caught:
        claude.messages.create(**PLAIN)
    assert caught.value.status_code == 502
    assert error_of(caught.value)["details"] == {"error_code": "upstream_auth_error"}
    assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "fault", ["error_event_mid_stream", "end_mid_stream", "reset_mid_stream", "truncated_json", "malformed_json"]
)
def test_a_stream_that_breaks_never_ends_cleanly_and_keeps_what_is_known(
    claude: anthropic.Anthropic, gateway: GatewayServer, sandbox: SandboxProcess, fault: str
) -> None:
    options = {**PLAIN, "extra_body": {"sandbox": {"pace_ms": 5, "fault": {"name": fault, "after_chunks": 9}}}}
    with claude.messages.with_streaming_response.create(**options, stream=True) as response:
        whole = b"".join(response.iter_bytes())
        request_id = response.headers["request-id"]
    *_, last = [event for event in whole.split(b"\n\n") if event]
    assert last.startswith(b"event: error\ndata: ")
    error = json.loads(last.split(b"data: ")[1])
    assert error["type"] == "error"
    assert error["error"]["type"] == ("overloaded_error" if fault.startswith("error_event") else "api_error")
    assert error.get("request_id", request_id) == request_id
    assert whole.count(b"event: message_start") == 1
    assert b"message_stop" not in whole

    with pytest.raises(anthropic.APIStatusError) as caught, claude.messages.stream(**options) as stream:
        stream.until_done()
    assert caught.value.request_id is not None
    call = gateway.call(caught.value.request_id)
    (line,) = sandbox.bill(call.attempts[0].attempt_id)
    assert (call.row.status, call.row.http_status) == ("failed", 200)
    assert (call.row.usage_source, call.row.cost_is_estimate) == ("estimated", True)
    assert call.row.input_tokens == line["prompt_tokens"]  # message_start has told it
    assert 0 < call.row.output_tokens <= 2 * line["completion_tokens"]


def test_an_error_before_the_first_event_is_an_http_error_with_its_own_status(
    claude: anthropic.Anthropic, gateway: GatewayServer
) -> None:
    options = {**PLAIN, "extra_body": {"sandbox": {"fault": {"name": "error_event_mid_stream", "after_chunks": 0}}}}
    with pytest.raises(anthropic.OverloadedError) as caught:
        claude.messages.create(**options, stream=True)
    assert caught.value.status_code == 529
    assert caught.value.request_id is not None
    assert gateway.call(caught.value.request_id).row.http_status == 529


def test_the_sdks_own_retries_reach_the_ledger_as_such(gateway: GatewayServer, sandbox: SandboxProcess) -> None:
    sandbox.fault("status_529", retry_after=0)
    with anthropic.Anthropic(api_key=SECRET, base_url=gateway.url, max_retries=2) as client:
        message = client.messages.create(**PLAIN)
    assert booked(gateway, sandbox, message._request_id).row.client_retry == 1
