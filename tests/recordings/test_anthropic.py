"""Every recorded call of Claude's Messages through a real server: equal bytes, equal usage."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import pytest

from tests.gateway.server import ALIAS, SECRET, Call, GatewayServer
from tests.recordings.replay import Cut, Recording, ReplayServer, byte_by_byte, in_bad_places, in_one_piece
from tikhub_app.models import Upstream

pytestmark = [
    pytest.mark.recordings,
    # The SDK warns of models that have been retired since they were recorded.
    pytest.mark.filterwarnings("ignore:The model '.*' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using Claude with .* is deprecated:UserWarning"),
]

NAMES = [
    "anthropic_count_tokens_count-tokens-keeps-memory-tool",
    "anthropic_count_tokens_error-404-count-tokens-error",
    "anthropic_messages_advisor-tool-stream",
    "anthropic_messages_async-anthropic-beta-message-stream-manager-legacy",
    "anthropic_messages_async-anthropic-thinking-legacy",
    "anthropic_messages_cache-real-api",
    "anthropic_messages_code-execution-tool-stream",
    "anthropic_messages_compaction-usage-with-cache-streaming",
    "anthropic_messages_count-tokens-with-adaptive-thinking-and-output-tools",
    "anthropic_messages_document-pdf-url",
    "anthropic_messages_error-400-explicit-effort-xhigh-unsupported-model-errors",
    "anthropic_messages_error-401-invalid-key",
    "anthropic_messages_error-404-model-name-suggestion-anthropic",
    "anthropic_messages_fallback-response-stream",
    "anthropic_messages_fixed-version-tool-chain-with-thinking-display-regression-stream",
    "anthropic_messages_image-prompt-stream",
    "anthropic_messages_image-url-input",
    "anthropic_messages_incomplete-partial-json-response-stream",
    "anthropic_messages_mcp-servers",
    "anthropic_messages_mcp-servers-stream",
    "anthropic_messages_model-thinking-part-redacted",
    "anthropic_messages_model-thinking-part-redacted-stream",
    "anthropic_messages_opus-46-adaptive-thinking-stream",
    "anthropic_messages_parallel-tool-use",
    "anthropic_messages_parallel-tool-use-stream",
    "anthropic_messages_pause-turn-web-search-streaming-vcr",
    "anthropic_messages_plain",
    "anthropic_messages_prompt-caching-legacy",
    "anthropic_messages_prompt-caching-stream-legacy",
    "anthropic_messages_prompt-with-prefill-and-stop-sequences-stream",
    "anthropic_messages_refusal-after-server-tool-stream-fixture",
    "anthropic_messages_refusal-response-stream",
    "anthropic_messages_refusal-stream-fixture",
    "anthropic_messages_stop-settings-anthropic",
    "anthropic_messages_stream-events-tool-calls",
    "anthropic_messages_structured-outputs-legacy",
    "anthropic_messages_supported-model-uses-20260209-web-tools",
    "anthropic_messages_web-fetch-tool",
    "anthropic_messages_web-fetch-tool-stream",
    "anthropic_messages_web-search-stream",
    "anthropic_messages_web-search-tool",
]
AUTH_ERROR = "anthropic_messages_error-401-invalid-key"
#: Beyond this many bytes a recording is not sent byte by byte: it would only take longer.
SMALL = 1_000
MOST_PIECES = 600
COUNTERS = (
    "input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "image_input", "audio_input",
    "output_visible", "reasoning", "audio_output",
)  # fmt: skip


@pytest.fixture(scope="module")
def replay() -> Iterator[ReplayServer]:
    with ReplayServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(stopped_gateway: GatewayServer, replay: ReplayServer) -> Iterator[GatewayServer]:
    base_url = replay.url.removesuffix("/v1")
    stopped_gateway.add_route("*", stopped_gateway.add_upstream("replay", base_url, provider="anthropic"))
    for model, dollars in (("claude-*", "3"), ("claude-opus-4-8", "5")):
        stopped_gateway.add_price(
            provider="anthropic", model=model, effective_from="2024-01-01", input_usd=dollars, output_usd="15"
        )
    with stopped_gateway:
        yield stopped_gateway


@pytest.fixture(params=NAMES)
def recording(request: pytest.FixtureRequest, recordings_dir: Path) -> Recording:
    return Recording.read(recordings_dir / f"{request.param}.json")


def test_no_recording_is_left_out(recordings_dir: Path) -> None:
    assert {path.stem for path in recordings_dir.glob("anthropic_*")} == set(NAMES)


def path_of(recording: Recording) -> str:
    return "/v1/messages/count_tokens" if recording.name.startswith("anthropic_count_tokens") else "/v1/messages"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def post(gateway: GatewayServer, recording: Recording, body: bytes) -> Answer:
    connection = http.client.HTTPConnection(*gateway.address, timeout=30)
    headers = {"x-api-key": SECRET, "Content-Type": "application/json", "anthropic-beta": "one-2025-01-01,two"}
    connection.request("POST", path_of(recording) + "?beta=true", body, headers)
    response = connection.getresponse()
    answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    connection.close()
    return answer


@pytest.mark.parametrize("cut", [in_one_piece, in_bad_places, byte_by_byte])
def test_the_answer_is_relayed_and_booked(
    gateway: GatewayServer, replay: ReplayServer, recording: Recording, cut: Cut
) -> None:
    size = len(recording.body)
    if cut is byte_by_byte and size > SMALL:
        step = max(7, size // MOST_PIECES)
        cut = lambda body: range(step, len(body), step)  # noqa: E731
    replay.play(recording, cut)
    # Formatted as no JSON library would do it, to see that these very bytes go on.
    sent = json.dumps(recording.request, indent=3, ensure_ascii=False).encode()

    answer = post(gateway, recording, sent)

    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    call = gateway.call(answer.headers["request-id"])
    assert len(call.attempts) == 1
    check_what_went_upstream(replay, recording, sent, call)
    if recording.name == AUTH_ERROR:
        check_account_at_fault(answer, call)
        return
    assert answer.status == recording.status
    assert answer.body == recording.body
    assert answer.headers["content-type"] == recording.headers.get("content-type", "application/json")
    assert not [name for name in answer.headers if "ratelimit" in name or name.startswith("anthropic-")]
    if recording.status != 200:
        failed = (call.row.status, call.row.http_status, call.row.error_code)
        assert failed == ("failed", recording.status, "upstream_refused")
        assert (call.row.total_tokens, call.row.usage_source) == (0, "none")
    elif call.row.operation == "count_tokens":
        check_it_is_free(call)
    else:
        check_books(recording, sent, call)


def check_what_went_upstream(replay: ReplayServer, recording: Recording, sent: bytes, call: Call) -> None:
    assert len(replay.received) == 1
    received = replay.received[0]
    assert received.path == path_of(recording)
    assert received.body == sent
    assert received.headers["x-api-key"] == "sk-upstream-secret"
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert received.headers["anthropic-beta"] == "one-2025-01-01,two"
    assert received.headers["x-client-request-id"] == call.attempts[0].attempt_id
    assert SECRET not in str(received)


def check_account_at_fault(answer: Answer, call: Call) -> None:
    """A 401 of the provider is the operator's to mend, not the caller's; see "Upstream refusals"."""
    body = json.loads(answer.body)
    assert answer.status == 502
    assert body["type"] == "error"
    assert body["error"]["type"] == "api_error"
    assert body["error"]["details"] == {"error_code": "upstream_auth_error"}
    assert body["request_id"] == answer.headers["request-id"]
    assert answer.headers["x-should-retry"] == "false"
    assert (call.row.status, call.row.http_status, call.attempts[0].http_status) == ("failed", 502, 401)
    assert Upstream.objects.using(ALIAS).get().auth_failed_at is not None


def check_it_is_free(call: Call) -> None:
    assert (call.row.status, call.row.http_status) == ("done", 200)
    assert (call.row.total_tokens, call.row.usage_source) == (0, "none")
    assert not call.row.cost_usd
    assert not call.row.reserved_cost_usd
    assert not call.row.is_unpriced
    assert not call.row.cost_is_estimate
    assert call.payload is not None


def check_books(recording: Recording, sent: bytes, call: Call) -> None:
    row, attempt = call.row, call.attempts[0]
    message = whole_message(recording)
    assert (row.status, row.http_status, row.error_code) == ("done", 200, "")
    assert attempt.status == "done"
    assert row.asked_model == recording.request["model"]
    assert row.answered_model == message["model"]
    assert row.finish_reason == message["stop_reason"]
    assert (row.request_bytes, row.response_bytes) == (len(sent), len(recording.body))
    assert row.upstream_request_id == recording.headers.get("request-id", "")
    assert (row.usage_source, row.usage_mismatch, row.is_unpriced) == ("provider", False, False)
    assert attempt.usage == row.usage
    assert row.usage == dict.fromkeys(COUNTERS, 0) | billed(message["usage"])
    assert row.total_tokens == sum(row.usage.values())
    assert row.server_tool_calls == server_tools(message)
    refused = message["stop_reason"] == "refusal"
    assert [(found.side, found.filtered) for found in call.filters] == [("completion", True)] * (
        refused + ("fallback" in {block["type"] for block in message["content"]})
    )
    assert call.payload is not None
    assert json.loads(call.payload.request_body) == recording.request
    assert_same_message(json.loads(call.payload.response_body), message)


# What a recording comes to, read without any of the gateway's code.


def whole_message(recording: Recording) -> dict[str, Any]:
    documents = recording.documents()
    if not recording.is_event_stream:
        return documents[0]
    message: dict[str, Any] = {}
    partial: dict[int, str] = {}
    for event in documents:
        if event["type"] == "message_start":
            message = event["message"]
        elif event["type"] == "content_block_start":
            message["content"].append(event["content_block"])
            if event["content_block"]["type"] == "fallback":
                message["model"] = event["content_block"]["to"]["model"]
        elif event["type"] == "content_block_delta":
            block, delta = message["content"][event["index"]], event["delta"]
            kind = delta["type"]
            if kind in ("text_delta", "thinking_delta"):
                block[kind.removesuffix("_delta")] += delta[kind.removesuffix("_delta")]
            elif kind == "input_json_delta":
                partial[event["index"]] = partial.get(event["index"], "") + delta["partial_json"]
            elif kind == "citations_delta":
                block["citations"].append(delta["citation"])
            else:
                block |= {name: value for name, value in delta.items() if name != "type"}
        elif event["type"] == "message_delta":
            message |= event["delta"] | {name: event[name] for name in event if name == "context_management"}
            message["usage"] |= event["usage"]
    for index, text in partial.items():
        if text:
            try:
                message["content"][index]["input"] = json.loads(text)
            except ValueError:
                message["content"][index]["input"] = text
    return message


def billed(usage: dict[str, Any]) -> dict[str, int]:
    """The disjoint counters that a usage object of Anthropic's comes to: every iteration is billed."""
    sums: Counter[str] = Counter()
    for part in usage.get("iterations") or [usage]:
        written, split = part.get("cache_creation_input_tokens", 0), part.get("cache_creation", {})
        hour = split.get("ephemeral_1h_input_tokens", 0)
        sums["input_uncached"] += part["input_tokens"]
        sums["cache_read"] += part.get("cache_read_input_tokens", 0)
        sums["cache_write_5m"] += written - hour
        sums["cache_write_1h"] += hour
        sums["output_visible"] += part["output_tokens"]
    thinking = (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    sums["reasoning"] = thinking
    sums["output_visible"] -= thinking
    return dict(sums)


def server_tools(message: dict[str, Any]) -> dict[str, int]:
    blocks = message["content"]
    calls = Counter(block["name"] for block in blocks if block["type"] == "server_tool_use")
    calls["mcp"] = sum(block["type"] == "mcp_tool_use" for block in blocks)
    for name, number in message["usage"].get("server_tool_use", {}).items():
        calls[name.removesuffix("_requests")] = number
    return {name: number for name, number in calls.items() if number}


def assert_same_message(stored: dict[str, Any], message: dict[str, Any]) -> None:
    assert stored.pop("usage") == message.pop("usage")
    assert stored == message


BILLS = {
    # A compaction read 55,096 cached tokens; the fields above the iterations speak of the second call alone.
    "anthropic_messages_compaction-usage-with-cache-streaming": {
        "input_uncached": 281, "cache_read": 55_096, "output_visible": 91,
    },
    # The advisor, another model, read 2,543 tokens and wrote 18.
    "anthropic_messages_advisor-tool-stream": {
        "input_uncached": 1_128 + 2_543 + 1_283, "output_visible": 135 + 18 + 10 - 47, "reasoning": 47,
    },
    # message_delta knows of output alone; what message_start said of the cache has to survive.
    "anthropic_messages_prompt-caching-stream-legacy": {
        "input_uncached": 4, "cache_write_5m": 1_165, "output_visible": 201,
    },
    "anthropic_messages_cache-real-api": {
        "input_uncached": 3, "cache_read": 1_111, "cache_write_5m": 418, "output_visible": 33,
    },
    # message_start said 2,479: every search goes round again through the model.
    "anthropic_messages_pause-turn-web-search-streaming-vcr": {
        "input_uncached": 404_500, "output_visible": 943 - 261, "reasoning": 261,
    },
    "anthropic_messages_refusal-response-stream": {"input_uncached": 20},
}  # fmt: skip


@pytest.mark.parametrize("name", BILLS)
def test_what_is_billed_is_counted(
    gateway: GatewayServer, replay: ReplayServer, recordings_dir: Path, name: str
) -> None:
    recording = Recording.read(recordings_dir / f"{name}.json")
    replay.play(recording, in_one_piece)
    call = gateway.call(post(gateway, recording, json.dumps(recording.request).encode()).headers["request-id"])
    assert {counter: number for counter, number in call.row.usage.items() if number} == BILLS[name]


def test_an_advisor_is_paid_at_its_own_price(
    gateway: GatewayServer, replay: ReplayServer, recordings_dir: Path
) -> None:
    recording = Recording.read(recordings_dir / "anthropic_messages_advisor-tool-stream.json")
    replay.play(recording, in_one_piece)
    call = gateway.call(post(gateway, recording, json.dumps(recording.request).encode()).headers["request-id"])
    dollars = (2_411 * 3 + 145 * 15 + 2_543 * 5 + 18 * 15) / 1_000_000
    assert float(call.row.cost_usd) == pytest.approx(dollars, abs=1e-12)
    price = call.attempts[0].price
    assert price is not None
    assert [other["model"] for other in price["others"]] == ["claude-opus-4-8"]


REFUSALS = {
    "anthropic_messages_refusal-response-stream": ["cyber"],
    "anthropic_messages_refusal-stream-fixture": ["refusal"],
    "anthropic_messages_refusal-after-server-tool-stream-fixture": ["refusal"],
    "anthropic_messages_fallback-response-stream": ["refusal"],
    "anthropic_messages_plain": [],
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_kept_with_its_category(
    gateway: GatewayServer, replay: ReplayServer, recordings_dir: Path, name: str
) -> None:
    recording = Recording.read(recordings_dir / f"{name}.json")
    replay.play(recording, in_one_piece)
    call = gateway.call(post(gateway, recording, json.dumps(recording.request).encode()).headers["request-id"])
    assert [row.category for row in call.filters] == REFUSALS[name]
    for row in call.filters:
        assert (row.vendor, row.side, row.choice_index, row.filtered) == ("anthropic", "completion", 0, True)
        assert row.raw is not None
        assert row.raw["type"] in ("refusal", "fallback")


SDK_ERRORS: dict[int, type[anthropic.APIStatusError]] = {
    400: anthropic.BadRequestError,
    404: anthropic.NotFoundError,
    401: anthropic.InternalServerError,  # the gateway's 502
}


def test_anthropics_own_library_reads_the_answer(
    gateway: GatewayServer, replay: ReplayServer, recording: Recording
) -> None:
    replay.play(recording, in_bad_places)
    rest = dict(recording.request)
    named = {name: rest.pop(name) for name in ("model", "messages", "max_tokens") if name in rest}
    is_stream = bool(rest.pop("stream", False))
    with anthropic.Anthropic(api_key=SECRET, base_url=gateway.url, max_retries=0, timeout=30) as client:
        if recording.status != 200:
            counts = path_of(recording).endswith("count_tokens")
            ask = client.beta.messages.count_tokens if counts else client.beta.messages.create
            with pytest.raises(SDK_ERRORS[recording.status]) as caught:
                ask(**named, extra_body=rest)
            assert caught.value.request_id is not None
            assert gateway.call(caught.value.request_id).row.http_status == caught.value.status_code
        elif path_of(recording).endswith("count_tokens"):
            count = client.beta.messages.count_tokens(**named, extra_body=rest)
            assert count.to_dict(mode="json") == recording.documents()[0]
        elif is_stream:
            events = client.beta.messages.create(**named, extra_body=rest, stream=True)
            seen = [event.to_dict(mode="json") for event in events]
            whole = [event for event in recording.documents() if event["type"] != "ping"]
            # The SDK takes no notice of a last event that no empty line ends, as three fixtures have it.
            assert seen == (whole if recording.body.endswith(b"\n\n") else whole[:-1])
        else:
            message = client.beta.messages.create(**named, extra_body=rest)
            assert message.to_dict(mode="json") == recording.documents()[0]
            assert message._request_id is not None
            assert gateway.call(message._request_id).row.status == "done"


@pytest.mark.parametrize("name", [name for name in NAMES if "stream" in name])
def test_the_helper_for_streams_puts_together_what_the_ledger_keeps(
    gateway: GatewayServer, replay: ReplayServer, recordings_dir: Path, name: str
) -> None:
    recording = Recording.read(recordings_dir / f"{name}.json")
    replay.play(recording, in_one_piece)
    rest: dict[str, Any] = {field: value for field, value in recording.request.items() if field != "stream"}
    named = {field: rest.pop(field) for field in ("model", "messages", "max_tokens")}
    with (
        anthropic.Anthropic(api_key=SECRET, base_url=gateway.url, max_retries=0, timeout=30) as client,
        client.beta.messages.stream(**named, extra_body=rest) as stream,
    ):
        final: dict[str, Any] = stream.get_final_message().to_dict(mode="json")
    assert stream.request_id is not None
    call = gateway.call(stream.request_id)
    assert call.payload is not None
    kept = json.loads(call.payload.response_body)
    assert [block["type"] for block in kept["content"]] == [block["type"] for block in final["content"]]
    assert (kept["id"], kept["model"], kept["stop_reason"]) == (final["id"], final["model"], final["stop_reason"])
    for field in ("input_tokens", "output_tokens"):
        assert kept["usage"][field] == final["usage"][field]
