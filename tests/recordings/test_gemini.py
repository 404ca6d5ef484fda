"""Every recorded call of Gemini's content methods through a real server: equal bytes, equal usage.

Vertex answers in the same form; its recordings are played as if the Gemini API had given them.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from google import genai
from google.genai import errors, types

from tests.gateway.server import ALIAS, SECRET, Call, GatewayServer
from tests.recordings.replay import Cut, Recording, ReplayServer, byte_by_byte, in_bad_places, in_one_piece
from tikhub_app.models import Upstream

pytestmark = pytest.mark.recordings

NAMES = [
    "gemini_generateContent_auto-output-mode-with-builtin-tools-falls-back",
    "gemini_generateContent_decimal-native-output",
    "gemini_generateContent_error-400-invalid-key",
    "gemini_generateContent_error-404-model-name-suggestion-google",
    "gemini_generateContent_error-429-quota-with-retry-info",
    "gemini_generateContent_finish-reason-safety",
    "gemini_generateContent_instructions-only-with-tool-calls",
    "gemini_generateContent_model-file-search-tool",
    "gemini_generateContent_model-gemini-3-5-flash",
    "gemini_generateContent_model-max-tokens-thinking-model-empty-response",
    "gemini_generateContent_model-mobile-youtube-video-url-input",
    "gemini_generateContent_model-text-as-binary-content-input",
    "gemini_generateContent_model-thinking-part",
    "gemini_generateContent_model-web-fetch-tool",
    "gemini_generateContent_native-output-with-function-and-builtin-tools",
    "gemini_streamGenerateContent_code-execution-stream",
    "gemini_streamGenerateContent_generate-content-describe-image-true-stream",
    "gemini_streamGenerateContent_generate-content-with-file-uri-image-true-stream",
    "gemini_streamGenerateContent_model-file-search-tool-stream",
    "gemini_streamGenerateContent_model-stream",
    "gemini_streamGenerateContent_model-thinking-part-iter-stream",
    "gemini_streamGenerateContent_model-web-fetch-tool-stream",
    "gemini_streamGenerateContent_native-output-with-builtin-tools-stream",
    "gemini_streamGenerateContent_prompt-stream",
    "gemini_streamGenerateContent_response-with-multiple-tool-calls-true-stream",
    "gemini_streamGenerateContent_streaming-reasoning-with-multiple-tool-calls",
    "gemini_streamGenerateContent_streaming-tool-call-thought-signature",
    "gemini_streamGenerateContent_tools-stream",
    "gemini_streamGenerateContent_tools-with-nested-pydantic-models-stream",
    "vertex_generateContent_image-output",
    "vertex_generateContent_prompt-feedback-blocked",
]
#: Streams that were asked for without ``alt=sse``.
ARRAYS = {
    "gemini_streamGenerateContent_prompt-stream",
    "gemini_streamGenerateContent_tools-stream",
    "gemini_streamGenerateContent_tools-with-nested-pydantic-models-stream",
}
AUTH_ERROR = "gemini_generateContent_error-400-invalid-key"
QUOTA_ERROR = "gemini_generateContent_error-429-quota-with-retry-info"
#: Beyond this many bytes a recording is not sent byte by byte: it would only take longer.
SMALL = 1_000
MOST_PIECES = 600


class Exchange(NamedTuple):
    """A recording, and what of it stands in the request line."""

    recording: Recording
    model: str
    verb: str
    query: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Exchange:
        request = json.loads(path.read_text())["request"]
        model, _, verb = request["path"].rpartition("/models/")[2].rpartition(":")
        return cls(Recording.read(path), model, verb, request.get("query", {}))

    @property
    def is_array(self) -> bool:
        return self.verb == "streamGenerateContent" and "alt" not in self.query

    def documents(self) -> list[dict[str, Any]]:
        if self.is_array:
            elements: list[dict[str, Any]] = json.loads(self.recording.body)
            return elements
        return self.recording.documents()

    def usage(self) -> dict[str, Any] | None:
        """The last usageMetadata that counts anything, found without any of the gateway's code."""
        found = [document.get("usageMetadata", {}) for document in self.documents()]
        counted = [usage for usage in found if usage.keys() - {"trafficType", "serviceTier"}]
        return counted[-1] if counted else None

    def candidates(self) -> list[dict[str, Any]]:
        return [candidate for document in self.documents() for candidate in document.get("candidates", ())]

    def parts(self) -> list[dict[str, Any]]:
        return [part for candidate in self.candidates() for part in candidate["content"].get("parts", ())]


@pytest.fixture(scope="module")
def replay() -> Iterator[ReplayServer]:
    with ReplayServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(stopped_gateway: GatewayServer, replay: ReplayServer) -> Iterator[GatewayServer]:
    base_url = replay.url.removesuffix("/v1")
    stopped_gateway.add_route("*", stopped_gateway.add_upstream("replay", base_url, provider="gemini"))
    with stopped_gateway:
        yield stopped_gateway


@pytest.fixture(params=NAMES)
def exchange(request: pytest.FixtureRequest, recordings_dir: Path) -> Exchange:
    return Exchange.read(recordings_dir / f"{request.param}.json")


def test_no_recording_is_left_out(recordings_dir: Path) -> None:
    patterns = ("gemini_generateContent*", "gemini_streamGenerateContent*", "vertex_*")
    paths = {path for pattern in patterns for path in recordings_dir.glob(pattern)}
    assert {path.stem for path in paths} == set(NAMES)
    assert {path.stem for path in paths if Exchange.read(path).is_array} == ARRAYS


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def post(gateway: GatewayServer, exchange: Exchange, body: bytes, *, key_in_query: bool = False) -> Answer:
    connection = http.client.HTTPConnection(*gateway.address, timeout=30)
    headers = {"Content-Type": "application/json"} | ({} if key_in_query else {"x-goog-api-key": SECRET})
    query = urlencode(exchange.query | ({"key": SECRET} if key_in_query else {}))
    connection.request("POST", f"/v1beta/models/{exchange.model}:{exchange.verb}?{query}", body, headers)
    response = connection.getresponse()
    answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    connection.close()
    return answer


def pieces(exchange: Exchange, cut: Cut) -> Cut:
    if cut is byte_by_byte and len(exchange.recording.body) > SMALL:
        step = max(7, len(exchange.recording.body) // MOST_PIECES)
        return lambda body: range(step, len(body), step)
    return cut


@pytest.mark.parametrize("cut", [in_one_piece, in_bad_places, byte_by_byte])
def test_the_answer_is_relayed_and_booked(
    gateway: GatewayServer, replay: ReplayServer, exchange: Exchange, cut: Cut
) -> None:
    recording = exchange.recording
    replay.play(recording, pieces(exchange, cut))
    # Formatted as no JSON library would do it, to see that these very bytes go on.
    sent = json.dumps(recording.request, indent=3, ensure_ascii=False).encode()

    answer = post(gateway, exchange, sent, key_in_query=cut is in_bad_places)

    call = gateway.call(answer.headers["x-request-id"])
    assert len(call.attempts) == 1
    check_what_went_upstream(replay, exchange, sent, call)
    if recording.name == AUTH_ERROR:
        check_account_at_fault(answer, call)
        return
    assert answer.status == recording.status
    assert answer.body == recording.body
    assert answer.headers["content-type"] == recording.headers["content-type"]
    assert "server-timing" not in answer.headers
    if recording.status == 200:
        check_books(exchange, sent, call)
        return
    assert (call.row.status, call.row.http_status) == ("failed", recording.status)
    assert (call.row.total_tokens, call.row.usage_source) == (0, "none")
    # "retryDelay": "48s" of the body.
    assert answer.headers.get("retry-after") == ("48" if recording.name == QUOTA_ERROR else None)


def check_what_went_upstream(replay: ReplayServer, exchange: Exchange, sent: bytes, call: Call) -> None:
    [received] = replay.received
    assert received.body == sent
    assert received.path == f"/v1beta/models/{exchange.model}:{exchange.verb}" + ("?alt=sse" if exchange.query else "")
    assert received.headers["x-goog-api-key"] == "sk-upstream-secret"
    assert received.headers["x-client-request-id"] == call.attempts[0].attempt_id
    assert SECRET not in str(received)


def check_account_at_fault(answer: Answer, call: Call) -> None:
    """Google's 400 for an unknown key is the operator's to mend, not the caller's."""
    error = json.loads(answer.body)["error"]
    assert answer.status == error["code"] == 502
    assert error["status"] == "INTERNAL"
    assert error["details"][0]["reason"] == "UPSTREAM_AUTH_ERROR"
    assert answer.headers["x-should-retry"] == "false"
    assert (call.row.status, call.row.http_status, call.attempts[0].http_status) == ("failed", 502, 400)
    assert Upstream.objects.using(ALIAS).get().auth_failed_at is not None
    assert b"API key not valid" not in answer.body


def check_books(exchange: Exchange, sent: bytes, call: Call) -> None:
    row, attempt, documents = call.row, call.attempts[0], exchange.documents()
    assert (row.status, row.http_status, row.error_code) == ("done", 200, "")
    assert row.answered_model == documents[0]["modelVersion"]
    assert row.asked_model == exchange.model
    assert row.is_stream == exchange.verb.startswith("stream")
    reasons = [candidate["finishReason"] for candidate in exchange.candidates() if "finishReason" in candidate]
    assert row.finish_reason == (reasons[-1] if reasons else "")
    assert (row.request_bytes, row.response_bytes) == (len(sent), len(exchange.recording.body))

    assert attempt.usage == row.usage
    usage = exchange.usage()
    if usage is None:
        assert row.usage_source == "estimated"
        assert row.usage == row.usage | {"input_uncached": len(sent) // 4, "output_visible": 0}
    else:
        assert row.usage_source == "provider"
        assert row.usage == counters(usage)
        assert row.usage_mismatch == ("totalTokenCount" not in usage)
        assert row.total_tokens == usage.get("totalTokenCount", sum(counters(usage).values()))
    assert {(found.side, found.category) for found in call.filters} == categories(documents)
    assert row.server_tool_calls == server_tools(exchange)
    assert call.payload is not None
    assert json.loads(call.payload.request_body) == exchange.recording.request
    if not call.payload.is_truncated:
        check_stored_answer(json.loads(call.payload.response_body), exchange)


def counters(usage: dict[str, Any]) -> dict[str, int]:
    """The disjoint counters that a usageMetadata comes to."""

    def of(details: str, modality: str) -> int:
        return sum(entry["tokenCount"] for entry in usage.get(details, ()) if entry["modality"] == modality)

    cached = usage.get("cachedContentTokenCount", 0)
    image, audio = (
        of("promptTokensDetails", name) - of("cacheTokensDetails", name) if cached else of("promptTokensDetails", name)
        for name in ("IMAGE", "AUDIO")
    )
    given = usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0)
    return {
        "input_uncached": given - cached - image - audio,
        "cache_read": cached,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
        "image_input": image,
        "audio_input": audio,
        "output_visible": usage.get("candidatesTokenCount", 0),
        "reasoning": usage.get("thoughtsTokenCount", 0),
        "audio_output": 0,
    }


def categories(documents: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """What the safety filters said anywhere in an answer: side and category."""
    names = {"hate_speech": "hate", "sexually_explicit": "sexual", "dangerous_content": "dangerous"}
    found = set()
    for document in documents:
        if "blockReason" in document.get("promptFeedback", {}):
            found.add(("prompt", document["promptFeedback"]["blockReason"].lower()))
        for candidate in document.get("candidates", ()):
            for rating in candidate.get("safetyRatings", ()):
                name = rating["category"].removeprefix("HARM_CATEGORY_").lower()
                found.add(("completion", names.get(name, name)))
            if candidate.get("finishReason") == "SAFETY":
                found.add(("completion", "safety"))
    return found


def server_tools(exchange: Exchange) -> dict[str, int]:
    queries: set[str] = set()
    urls: set[str] = set()
    for candidate in exchange.candidates():
        queries.update(query for query in candidate.get("groundingMetadata", {}).get("webSearchQueries", ()) if query)
        urls.update(url["retrievedUrl"] for url in candidate.get("urlContextMetadata", {}).get("urlMetadata", ()))
    runs = [part for part in exchange.parts() if "codeExecutionResult" in part]
    counted = {"google_search": len(queries), "url_context": len(urls), "code_execution": len(runs)}
    return {name: count for name, count in counted.items() if count}


def check_stored_answer(stored: dict[str, Any], exchange: Exchange) -> None:
    documents = exchange.documents()
    if len(documents) == 1 and not exchange.verb.startswith("stream"):
        assert stored == documents[0]
        return
    [candidate] = stored["candidates"]
    kept = candidate["content"]["parts"]
    for is_thought in (False, True):
        texts = [part.get("text", "") for part in exchange.parts() if part.get("thought", False) is is_thought]
        found = [part.get("text", "") for part in kept if part.get("thought", False) is is_thought]
        assert "".join(found) == "".join(texts)
    for name in ("functionCall", "thoughtSignature", "executableCode", "codeExecutionResult", "toolCall"):
        assert [part[name] for part in kept if name in part] == [
            part[name] for part in exchange.parts() if name in part
        ]
    last = exchange.candidates()[-1]
    assert candidate["finishReason"] == last["finishReason"]
    assert candidate.get("groundingMetadata", {}) == last.get("groundingMetadata", {})
    assert stored["usageMetadata"] == exchange.usage()
    assert stored["responseId"] == documents[-1]["responseId"]


FILTERS: dict[str, list[tuple[str, str, int | None, bool | None, bool | None, str | None]]] = {
    "gemini_generateContent_finish-reason-safety": [
        ("completion", "hate", 0, True, None, "low"),
        ("completion", "dangerous", 0, None, None, "safe"),
        ("completion", "harassment", 0, None, None, "safe"),
        ("completion", "sexual", 0, None, None, "safe"),
        ("completion", "safety", 0, True, None, None),
    ],
    "vertex_generateContent_prompt-feedback-blocked": [("prompt", "model_armor", None, True, None, None)],
}


@pytest.mark.parametrize("name", FILTERS)
def test_what_the_safety_filter_said_is_kept(
    gateway: GatewayServer, replay: ReplayServer, recordings_dir: Path, name: str
) -> None:
    exchange = Exchange.read(recordings_dir / f"{name}.json")
    replay.play(exchange.recording, in_one_piece)

    call = gateway.call(post(gateway, exchange, b'{"contents": []}').headers["x-request-id"])

    kept = [
        (row.side, row.category, row.choice_index, row.filtered, row.detected, row.severity) for row in call.filters
    ]
    assert kept == FILTERS[name]
    assert {row.vendor for row in call.filters} == {"gemini"}


@pytest.mark.parametrize("name", sorted(set(NAMES) - ARRAYS))
def test_googles_own_library_reads_the_answer(
    gateway: GatewayServer, replay: ReplayServer, recordings_dir: Path, name: str
) -> None:
    """It always asks for events."""
    exchange = Exchange.read(recordings_dir / f"{name}.json")
    replay.play(exchange.recording, in_bad_places)
    options = types.HttpOptions(base_url=gateway.url)
    with genai.Client(api_key=SECRET, http_options=options) as client:
        if exchange.recording.status != 200:
            expected = errors.ServerError if exchange.recording.name == AUTH_ERROR else errors.ClientError
            with pytest.raises(expected) as caught:
                client.models.generate_content(model=exchange.model, contents="?")
            assert caught.value.code == (502 if exchange.recording.name == AUTH_ERROR else exchange.recording.status)
            return
        if exchange.verb == "streamGenerateContent":
            answers = list(client.models.generate_content_stream(model=exchange.model, contents="?"))
        else:
            answers = [client.models.generate_content(model=exchange.model, contents="?")]
    assert [answer.model_version for answer in answers] == [found["modelVersion"] for found in exchange.documents()]
    calls = [call.name for answer in answers for call in answer.function_calls or ()]
    assert calls == [part["functionCall"]["name"] for part in exchange.parts() if "functionCall" in part]
    usage, last = exchange.usage(), answers[-1].usage_metadata
    if usage is not None:
        assert last is not None
        assert last.total_token_count == usage.get("totalTokenCount")
        assert last.thoughts_token_count == usage.get("thoughtsTokenCount")
