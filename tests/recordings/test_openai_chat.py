"""Every recorded chat completion of OpenAI and Azure through a real server: equal bytes, equal usage."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest

from tests.gateway.server import ALIAS, SECRET, Call, GatewayServer
from tests.recordings.replay import Cut, Recording, ReplayServer, byte_by_byte, in_bad_places, in_one_piece
from tikhub_app.models import Upstream

pytestmark = pytest.mark.recordings

NAMES = [
    "azure_chat_error-404-deployment-not-found",
    "azure_chat_finish-reason-content-filter",
    "azure_chat_gpt-5-nano-with-filter-results",
    "azure_chat_plain-with-filter-results",
    "azure_chat_plain-with-filter-results-stream",
    "azure_chat_prompt-blocked-by-content-filter",
    "openai_chat_cached-tokens",
    "openai_chat_chat-audio-to-text",
    "openai_chat_chat-basic",
    "openai_chat_chat-image-to-text",
    "openai_chat_chat-json-mode",
    "openai_chat_chat-parallel-tools",
    "openai_chat_chat-reasoning",
    "openai_chat_chat-streaming-detailed-usage",
    "openai_chat_chat-streaming-web-search",
    "openai_chat_chat-text-to-audio",
    "openai_chat_chat-web-search",
    "openai_chat_error-400-chat-bad-request",
    "openai_chat_error-400-vision",
    "openai_chat_error-401-invalid-key",
    "openai_chat_error-404-chat-unknown-model",
    "openai_chat_error-404-deprecated-model-stream",
    "openai_chat_image-input-stream",
    "openai_chat_json-schema",
    "openai_chat_json-schema-refusal",
    "openai_chat_legacy-functions",
    "openai_chat_n-choices",
    "openai_chat_n-choices-stream",
    "openai_chat_parallel-tool-calls-stream-include-usage",
    "openai_chat_parallel-tool-calls-stream-no-usage",
    "openai_chat_plain-stream-include-usage",
    "openai_chat_plain-stream-no-usage",
    "openai_chat_service-tier-and-extra-params",
    "openai_chat_tool-call",
    "openai_chat_tool-call-stream-include-usage",
    "openai_chat_tool-call-stream-no-usage",
    "openai_chat_tool-results-then-parallel-calls",
]
AUTH_ERROR = "openai_chat_error-401-invalid-key"
#: Beyond this many bytes a recording is not sent byte by byte: it would only take longer.
SMALL = 1_200


@pytest.fixture(scope="module")
def replay() -> Iterator[ReplayServer]:
    with ReplayServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(stopped_gateway: GatewayServer, replay: ReplayServer) -> Iterator[GatewayServer]:
    stopped_gateway.add_route("*", stopped_gateway.add_upstream("replay", replay.url))
    with stopped_gateway:
        yield stopped_gateway


@pytest.fixture(params=NAMES)
def recording(request: pytest.FixtureRequest, recordings_dir: Path) -> Recording:
    return Recording.read(recordings_dir / f"{request.param}.json")


def test_no_recording_is_left_out(recordings_dir: Path) -> None:
    found = {path.stem for pattern in ("openai_chat_*", "azure_chat_*") for path in recordings_dir.glob(pattern)}
    assert found == set(NAMES)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def post(gateway: GatewayServer, body: bytes) -> Answer:
    connection = http.client.HTTPConnection(*gateway.address, timeout=30)
    headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    response = connection.getresponse()
    answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    connection.close()
    return answer


@pytest.mark.parametrize("cut", [in_one_piece, in_bad_places, byte_by_byte])
def test_the_answer_is_relayed_and_booked(
    gateway: GatewayServer, replay: ReplayServer, recording: Recording, cut: Cut
) -> None:
    if cut is byte_by_byte and len(recording.body) > SMALL:
        cut = lambda body: range(7, len(body), 7)  # noqa: E731
    replay.play(recording, cut)
    # Formatted as no JSON library would do it, to see that these very bytes go on.
    sent = json.dumps(recording.request, indent=3, ensure_ascii=False).encode()

    answer = post(gateway, sent)

    call = gateway.call(answer.headers["x-request-id"])
    assert len(call.attempts) == 1
    check_what_went_upstream(replay, recording, sent, call)
    if recording.name == AUTH_ERROR:
        check_account_at_fault(answer, call)
        return
    assert answer.status == recording.status
    assert answer.body == recording.body
    assert answer.headers["content-type"] == recording.headers.get("content-type", "application/json")
    assert not [name for name in answer.headers if "ratelimit" in name or name.startswith(("x-ms-", "apim-"))]
    if recording.status == 200:
        check_books(recording, sent, call)
    else:
        assert (call.row.status, call.row.http_status, call.row.error_code) == (
            "failed",
            recording.status,
            "upstream_refused",
        )
        assert (call.row.total_tokens, call.row.usage_source) == (0, "none")


def check_what_went_upstream(replay: ReplayServer, recording: Recording, sent: bytes, call: Call) -> None:
    assert len(replay.received) == 1
    received = replay.received[0]
    if recording.asked_for_stream and "stream_options" not in recording.request:
        # Without it the provider does not tell what it will bill.
        assert json.loads(received.body) == {**recording.request, "stream_options": {"include_usage": True}}
    else:
        assert received.body == sent
    assert received.headers["authorization"] == "Bearer sk-upstream-secret"
    assert received.headers["x-client-request-id"] == call.attempts[0].attempt_id
    assert SECRET not in str(received)


def check_account_at_fault(answer: Answer, call: Call) -> None:
    """A 401 of the provider is the operator's to mend, not the caller's; see "Upstream refusals"."""
    error = json.loads(answer.body)["error"]
    assert answer.status == 502
    assert error["code"] == "upstream_auth_error"
    assert answer.headers["x-should-retry"] == "false"
    assert (call.row.status, call.row.http_status, call.attempts[0].http_status) == ("failed", 502, 401)
    upstream = Upstream.objects.using(ALIAS).get()
    assert upstream.auth_failed_at is not None
    assert b"sk-" not in answer.body  # OpenAI repeats a part of the key


def check_books(recording: Recording, sent: bytes, call: Call) -> None:
    row, attempt, documents = call.row, call.attempts[0], recording.documents()
    assert (row.status, row.http_status, row.error_code) == ("done", 200, "")
    assert attempt.status == "done"
    models = [document["model"] for document in documents if document.get("model")]
    assert row.answered_model == (models[0] if models else "")
    choices = [choice for document in documents for choice in document.get("choices", ())]
    reasons = [choice["finish_reason"] for choice in choices if choice["index"] == 0 and choice["finish_reason"]]
    assert row.finish_reason == (reasons[0] if reasons else "")
    assert row.asked_model == recording.request["model"]
    assert (row.request_bytes, row.response_bytes) == (len(sent), len(recording.body))
    assert row.upstream_request_id == recording.headers.get("x-request-id", "")

    assert attempt.usage == row.usage
    assert sum(row.usage.values()) == row.total_tokens == row.input_tokens + row.output_tokens
    assert not row.usage_mismatch
    usage = recording.usage()
    if usage is None:
        assert row.usage_source == "estimated"
        assert row.usage == row.usage | {"input_uncached": len(sent) // 4}
        assert row.output_visible > 0 or not choices
    else:
        assert row.usage_source == "provider"
        assert row.usage == counters(usage)
        assert (row.input_tokens, row.output_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
        assert row.total_tokens == usage["total_tokens"]
    assert {(found.side, found.category) for found in call.filters} == categories(documents)
    assert call.payload is not None
    assert json.loads(call.payload.request_body) == recording.request
    check_stored_answer(json.loads(call.payload.response_body), recording, documents)


def counters(usage: dict[str, Any]) -> dict[str, int]:
    """The disjoint counters that a usage object of OpenAI's comes to."""
    details_in = usage.get("prompt_tokens_details", {})
    details_out = usage.get("completion_tokens_details", {})
    cached, heard = details_in.get("cached_tokens", 0), details_in.get("audio_tokens", 0)
    thought, spoken = details_out.get("reasoning_tokens", 0), details_out.get("audio_tokens", 0)
    return {
        "input_uncached": usage["prompt_tokens"] - cached - heard,
        "cache_read": cached,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
        "image_input": 0,
        "audio_input": heard,
        "output_visible": usage["completion_tokens"] - thought - spoken,
        "reasoning": thought,
        "audio_output": spoken,
    }


def categories(documents: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """What content filters said anywhere in an answer: side and category."""
    found = set()
    for document in documents:
        for prompt in document.get("prompt_filter_results", ()):
            found |= {("prompt", name) for name in prompt["content_filter_results"]}
        inner = document.get("error", {}).get("innererror", {})
        found |= {("prompt", name.replace("-", "_")) for name in inner.get("content_filter_result", ())}
        for choice in document.get("choices", ()):
            found |= {("completion", name) for name in choice.get("content_filter_results", ())}
            message = choice.get("message") or choice.get("delta") or {}
            if choice["finish_reason"] == "content_filter":
                found.add(("completion", "content_filter"))
            if message.get("refusal"):
                found.add(("completion", "refusal"))
    return found


def check_stored_answer(stored: dict[str, Any], recording: Recording, documents: list[dict[str, Any]]) -> None:
    if not recording.is_event_stream:
        assert stored == documents[0]
        return
    for choice in stored["choices"]:
        deltas = [
            other["delta"]
            for document in documents
            for other in document["choices"]
            if other["index"] == choice["index"]
        ]
        assert (choice["message"]["content"] or "") == "".join(delta.get("content") or "" for delta in deltas)
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
        for position, called in enumerate(choice["message"].get("tool_calls", ())):
            parts = [call["function"].get("arguments", "") for call in calls if call["index"] == position]
            assert called["function"]["arguments"] == "".join(parts)
            assert json.loads(called["function"]["arguments"]) is not None
        assert len(choice["message"].get("tool_calls", ())) == len({call["index"] for call in calls})


HATE_AND_OTHERS = ("hate", "self_harm", "sexual", "violence")
SAFE_PROMPT = [("prompt", name, None, False, None, "safe") for name in HATE_AND_OTHERS]
FILTERS: dict[str, list[tuple[str, str, int | None, bool | None, bool | None, str | None]]] = {
    "azure_chat_finish-reason-content-filter": [
        *SAFE_PROMPT,
        ("completion", "hate", 0, True, None, "high"),
        ("completion", "self_harm", 0, False, None, "safe"),
        ("completion", "sexual", 0, False, None, "safe"),
        ("completion", "violence", 0, False, None, "safe"),
        ("completion", "content_filter", 0, True, None, None),
    ],
    "azure_chat_prompt-blocked-by-content-filter": [
        ("prompt", "hate", None, True, None, "high"),
        ("prompt", "self_harm", None, True, None, "high"),
        ("prompt", "sexual", None, False, None, "safe"),
        ("prompt", "violence", None, True, None, "medium"),
    ],
    "openai_chat_json-schema-refusal": [("completion", "refusal", 0, None, True, None)],
    "azure_chat_plain-with-filter-results-stream": [
        *SAFE_PROMPT,
        *[("completion", name, 0, False, None, "safe") for name in HATE_AND_OTHERS],
    ],
}


@pytest.mark.parametrize("name", FILTERS)
def test_what_the_content_filter_said_is_kept(
    gateway: GatewayServer, replay: ReplayServer, recordings_dir: Path, name: str
) -> None:
    recording = Recording.read(recordings_dir / f"{name}.json")
    replay.play(recording, in_one_piece)

    call = gateway.call(post(gateway, json.dumps(recording.request).encode()).headers["x-request-id"])

    kept = [
        (row.side, row.category, row.choice_index, row.filtered, row.detected, row.severity) for row in call.filters
    ]
    assert kept == FILTERS[name]
    assert {row.vendor for row in call.filters} == {"openai"}
    assert {row.attempt_id for row in call.filters} == {call.attempts[0].pk}


SDK_ERRORS: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    404: openai.NotFoundError,
    401: openai.InternalServerError,  # the gateway's 502
}


def test_openais_own_library_reads_the_answer(
    gateway: GatewayServer, replay: ReplayServer, recording: Recording
) -> None:
    replay.play(recording, in_bad_places)
    with openai.OpenAI(api_key=SECRET, base_url=gateway.openai_url, max_retries=0) as client:
        if recording.status != 200:
            with pytest.raises(SDK_ERRORS[recording.status]):
                client.chat.completions.create(**recording.request)
            return
        answer = client.chat.completions.create(**recording.request)
        if not recording.is_event_stream:
            assert answer.to_dict(mode="json") == recording.documents()[0]
            return
        assert [chunk.to_dict(mode="json") for chunk in answer] == recording.documents()
