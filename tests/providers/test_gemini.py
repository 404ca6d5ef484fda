"""What goes to Gemini, what its refusals mean, and what its answers come to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tikhub_app.exceptions import UnsupportedFeature
from tikhub_app.providers.base import Account, ProviderCall
from tikhub_app.providers.facts import EventVerdict, FilterFinding, ReplyFacts, StreamForm, Usage
from tikhub_app.providers.gemini import Gemini
from tikhub_app.providers.gemini_stream import GeminiStreamReader
from tikhub_app.providers.gemini_wire import duration_s, read_usage
from tikhub_app.upstream.sse import EventSplitter, event_data

SAMPLES = Path(__file__).parent.parent / "samples" / "gemini"
ACCOUNT = Account("https://generativelanguage.googleapis.com", "goog-secret")
BODY = b'{ "contents": [{"role":"model","parts":[{"text":"hi"}]}] }'


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def a_call(operation: str, model: str = "gemini-2.5-flash", **fields: Any) -> ProviderCall:
    return ProviderCall(operation, model, BODY, "att_1", **fields)


# Requests


def test_a_request_carries_the_account_in_a_header_and_the_callers_query() -> None:
    query = {"alt": "sse", "prettyPrint": "false"}
    call = a_call("stream_generate_content", path_parameters={"version": "v1", "model": "x"}, query=query)
    request = Gemini().build_request(ACCOUNT, call)
    assert request.method == "POST"
    assert request.url == (
        "https://generativelanguage.googleapis.com/v1/models/gemini-2.5-flash:streamGenerateContent"
        "?alt=sse&prettyPrint=false"
    )
    assert request.body is BODY
    assert request.headers == {
        "User-Agent": "tikhub-ai-gateway",
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "X-Client-Request-Id": "att_1",
        "x-goog-api-key": "goog-secret",
    }
    assert "goog-secret" not in f"{request!r} {ACCOUNT!r}"


def test_a_call_from_another_dialect_gets_the_usual_version_and_events() -> None:
    assert (
        Gemini()
        .build_request(ACCOUNT, a_call("stream_generate_content"))
        .url.endswith("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
    )
    assert (
        Gemini()
        .build_request(ACCOUNT, a_call("generate_content"))
        .url.endswith("/v1beta/models/gemini-2.5-flash:generateContent")
    )


def test_an_array_is_asked_for_as_json() -> None:
    request = Gemini().build_request(ACCOUNT, a_call("stream_generate_content", query={}))
    assert request.url.endswith(":streamGenerateContent")
    assert request.headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-x", "models/gemini-x"),
        ("tunedModels/mine-1", "tunedModels/mine-1"),
        ("../files/secret", "models/..%2Ffiles%2Fsecret"),
        ("a:b?c#d", "models/a%3Ab%3Fc%23d"),
        ("gemini-2.5-flash+pace_ms=2", "models/gemini-2.5-flash%2Bpace_ms%3D2"),
    ],
)
def test_a_models_name_stays_within_its_place_in_the_path(model: str, path: str) -> None:
    url = Gemini().build_request(ACCOUNT, a_call("count_tokens", model)).url
    assert url == f"https://generativelanguage.googleapis.com/v1beta/{path}:countTokens"


def test_another_model_changes_the_body_only_where_the_body_names_it() -> None:
    provider = Gemini()
    assert provider.prepare_body(BODY, {"model": "gemini-x"}) is BODY
    whole = b'{"generateContentRequest": {"model":"models/public", "contents": [ 1.50 ]}, "model" : "models/public"}'
    assert provider.prepare_body(whole, {"model": "gemini-x"}) == (
        b'{"generateContentRequest":{"model":"models/gemini-x","contents":[ 1.50 ]},"model":"models/gemini-x"}'
    )


def test_what_it_cannot_do_is_said() -> None:
    assert Gemini().speaks("gemini", "count_tokens")
    assert not Gemini().speaks("openai_chat", "chat")
    with pytest.raises(UnsupportedFeature, match="Gemini does not support embed"):
        Gemini().build_request(ACCOUNT, a_call("embed"))


def test_the_connection_test_lists_one_model() -> None:
    request = Gemini().build_connection_test(ACCOUNT)
    assert request.url == "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1"
    assert request.headers["x-goog-api-key"] == "goog-secret"


def test_a_stream_is_an_array_unless_it_is_events() -> None:
    provider = Gemini()
    assert provider.stream_form("stream_generate_content", "application/json; charset=UTF-8") is StreamForm.JSON_ARRAY
    assert provider.stream_form("stream_generate_content", "text/event-stream") is StreamForm.EVENTS
    assert provider.stream_form("stream_generate_content", "text/html") is None


# Refusals


@pytest.mark.parametrize(
    ("status", "body", "is_accounts"),
    [
        (400, sample("error_key_unknown.json"), True),
        (400, b"[" + sample("error_key_unknown.json") + b"]", True),
        (400, sample("error_request.json"), False),
        (400, b"<html>", False),
        (401, b"", True),
        (403, b'{"error": {"code": 403, "message": "The caller does not have permission"}}', True),
        (403, b'{"error": {"code": 403, "message": "CachedContent not found (or permission denied)"}}', False),
        (
            403,
            b'{"error": {"message": "You do not have permission to access the File x or it may not exist."}}',
            False,
        ),
        (429, sample("error_quota.json"), False),
    ],
)
def test_a_refusal_is_the_accounts_or_the_callers(status: int, body: bytes, is_accounts: bool) -> None:
    assert Gemini().is_account_refusal(status, body) is is_accounts


def test_the_body_of_a_refusal_says_how_long_to_wait() -> None:
    provider = Gemini()
    assert provider.read_retry_after(429, sample("error_quota.json")) == 48.5
    assert provider.read_retry_after(429, b"[" + sample("error_quota.json") + b"]") == 48.5
    assert provider.read_retry_after(400, sample("error_request.json")) is None
    assert [duration_s(text) for text in ("0s", "1.5s", "-1s", "5", "xs", "nans", None)] == [
        0.0, 1.5, None, None, None, None, None,
    ]  # fmt: skip


# Usage


def details(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": count} for name, count in counts.items()]


def test_thoughts_are_charged_beside_the_candidates() -> None:
    """Pitfall 16: thoughtsTokenCount is not part of candidatesTokenCount."""
    usage = read_usage({
        "promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 200, "totalTokenCount": 215,
    })  # fmt: skip
    assert usage == Usage(input_uncached=10, output_visible=5, reasoning=200)


def test_where_thoughts_are_part_of_the_candidates_the_total_tells() -> None:
    usage = read_usage({
        "promptTokenCount": 10, "candidatesTokenCount": 205, "thoughtsTokenCount": 200, "totalTokenCount": 215,
    })  # fmt: skip
    assert usage == Usage(input_uncached=10, output_visible=5, reasoning=200)


def test_what_a_search_adds_to_the_prompt_is_input() -> None:
    """Pitfall 17: toolUsePromptTokenCount was billed as output."""
    usage = Gemini().read_reply("generate_content", sample("grounded_answer.json")).usage
    assert usage == Usage(input_uncached=130, output_visible=4, reasoning=30)


def test_cached_tokens_are_part_of_the_prompt_and_media_are_told_apart() -> None:
    given = {
        "promptTokenCount": 1000, "cachedContentTokenCount": 600, "candidatesTokenCount": 70, "totalTokenCount": 1070,
        "promptTokensDetails": details(TEXT=300, IMAGE=258, AUDIO=342, VIDEO=100),
        "cacheTokensDetails": details(TEXT=300, IMAGE=258, AUDIO=42),
        "candidatesTokensDetails": details(TEXT=20, AUDIO=50),
    }  # fmt: skip
    assert read_usage(given) == Usage(
        input_uncached=100, cache_read=600, audio_input=300, output_visible=20, audio_output=50
    )
    del given["cacheTokensDetails"]
    # Of what kind the cached ones are is not said, so no disjoint counters of media can be formed.
    assert read_usage(given) == Usage(input_uncached=400, cache_read=600, output_visible=20, audio_output=50)


@pytest.mark.parametrize(
    "given",
    [
        {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 16},
        {"candidatesTokenCount": 23, "thoughtsTokenCount": 67},
        {"promptTokenCount": 10, "cachedContentTokenCount": 11, "totalTokenCount": 10},
    ],
)
def test_counts_that_do_not_add_up_are_flagged(given: dict[str, Any]) -> None:
    assert read_usage(given).is_mismatch


JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers())
FIELDS = st.sampled_from([
    "promptTokenCount", "candidatesTokenCount", "totalTokenCount", "thoughtsTokenCount", "cachedContentTokenCount",
    "promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails", "toolUsePromptTokensDetails",
])  # fmt: skip
DETAILS = st.lists(st.fixed_dictionaries({"modality": st.sampled_from(["AUDIO", "IMAGE", 2]), "tokenCount": JUNK}))


@given(st.dictionaries(FIELDS, JUNK | DETAILS))
def test_no_usage_makes_a_counter_negative_or_raises(given: dict[str, Any]) -> None:
    usage = read_usage(given)
    assert min(usage.input_uncached, usage.image_input, usage.audio_input, usage.output_visible) >= 0


# Answers


def read_stream(stream: bytes, reader: GeminiStreamReader) -> list[EventVerdict]:
    return [reader.read_event(event_data(event)) for event in EventSplitter(100_000).feed(stream)]


def test_a_stream_is_put_together_and_its_last_usage_holds() -> None:
    reader = GeminiStreamReader(text_limit=1_000)
    events = EventSplitter(100_000).feed(sample("stream_thoughts_and_calls.sse"))
    completeness = []
    for event in events:
        assert reader.read_event(event_data(event)) is EventVerdict.PASS
        completeness.append(reader.is_complete())
    # The chunk with nothing but usage comes after the one that completes the answer.
    assert completeness == [False, False, False, True, True]
    assert reader.facts() == ReplyFacts(
        answered_model="gemini-3-flash-preview",
        finish_reason="STOP",
        usage=Usage(input_uncached=40, output_visible=31, reasoning=60),
        findings=[
            FilterFinding(
                "completion", "harassment", 0, severity="low",
                raw={"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"},
            )
        ],
        output_characters=21 + 17 + len(str({"city": "Galați"})) + len(str({"city": "Sulina"})),
    )  # fmt: skip
    assembled = reader.assembled()
    assert assembled["candidates"][0]["content"] == {
        "parts": [
            {"text": "**Reading the map**\n\n", "thought": True},
            {"text": "Two calls coming."},
            {
                "functionCall": {"name": "get_weather", "args": {"city": "Galați"}, "id": "aa11bb22"},
                "thoughtSignature": "c2lnbmF0dXJl",
            },
            {"functionCall": {"name": "get_weather", "args": {"city": "Sulina"}, "id": "cc33dd44"}},
            {"text": "", "thoughtSignature": "c2lnbmF0dXJlMg=="},
        ],
        "role": "model",
    }
    assert assembled["candidates"][0]["finishMessage"] == "Model generated function call(s)."
    assert assembled["usageMetadata"]["totalTokenCount"] == 131
    assert assembled["responseId"] == "r-1"


def test_a_stream_that_broke_off_has_provisional_usage() -> None:
    reader = GeminiStreamReader(text_limit=0)
    for event in EventSplitter(100_000).feed(sample("stream_thoughts_and_calls.sse"))[:2]:
        reader.read_event(event_data(event))
    facts = reader.facts()
    assert facts.is_usage_provisional
    assert facts.usage is not None
    assert (facts.usage.output_visible, facts.usage.reasoning) == (2, 60)


def test_every_candidate_must_have_finished() -> None:
    reader = GeminiStreamReader(text_limit=0)
    assert not reader.is_complete()
    for index, reason, is_complete in ((0, "STOP", True), (1, None, False), (0, None, False), (1, "MAX_TOKENS", True)):
        candidate = {"index": index, "content": {"parts": [{"text": "x"}]}}
        reader.add({"candidates": [candidate | ({"finishReason": reason} if reason else {})]})
        assert reader.is_complete() is is_complete
    reader.add({"candidates": [{"index": 2, "finishReason": 0}]})
    assert not reader.is_complete()


def test_a_blocked_prompt_completes_a_stream_and_says_why() -> None:
    reader = GeminiStreamReader(text_limit=0)
    assert reader.read_event(sample("prompt_blocked.json")) is EventVerdict.PASS
    assert reader.is_complete()
    facts = reader.facts()
    assert [(each.category, each.filtered, each.severity) for each in facts.findings] == [
        ("dangerous", True, "high"),
        ("civic_integrity", None, "safe"),
        ("prohibited_content", True, None),
    ]
    assert {each.side for each in facts.findings} == {"prompt"}
    assert facts == Gemini().read_reply("generate_content", sample("prompt_blocked.json"))


def test_tools_of_the_server_are_counted_once_for_each_use() -> None:
    facts = Gemini().read_reply("generate_content", sample("grounded_answer.json"))
    assert facts.server_tool_calls == {"google_maps": 1, "google_search": 1, "url_context": 1}


def test_enumerations_may_be_numbers() -> None:
    """As Google's generated clients ask for them, with ``$alt=json;enum-encoding=int``."""
    ratings = [{"category": 8, "probability": 4, "blocked": True}]
    answer = {"candidates": [{"finishReason": 3, "safetyRatings": ratings}]}
    facts = Gemini().read_reply("generate_content", json.dumps(answer).encode())
    assert facts.finish_reason == "SAFETY"
    assert [(each.category, each.filtered, each.severity) for each in facts.findings] == [
        ("hate", True, "high"),
        ("safety", True, None),
    ]


def test_an_error_within_a_stream_is_seen() -> None:
    reader = GeminiStreamReader(text_limit=0)
    assert reader.read_event(b'{"error": {"code": 500, "message": "x"}}') is EventVerdict.ERROR
    with pytest.raises(ValueError, match="not JSON"):
        reader.read_event(b'{"candidates": [')


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"<html>", b'{"error": {"code": 500}}', b"[" * 100_000])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="answer"):
        Gemini().read_reply("generate_content", body)


def test_a_large_picture_is_not_kept_with_the_text() -> None:
    reader = GeminiStreamReader(text_limit=50)
    media = {"inlineData": {"mimeType": "image/png", "data": "A" * 100}}
    reader.add({"candidates": [{"content": {"parts": [{"text": "Here: "}, media, {"text": "."}]}}]})
    parts = reader.assembled()["candidates"][0]["content"]["parts"]
    assert parts == [{"text": "Here: "}, {"inlineData": {"mimeType": "image/png", "data": ""}}, {"text": "."}]


def test_a_count_of_tokens_uses_nothing() -> None:
    assert Gemini().read_reply("count_tokens", b'{"totalTokens": 31}') == ReplyFacts()
    with pytest.raises(ValueError, match="answer"):
        Gemini().read_reply("count_tokens", b"<html>")


KEYS = st.sampled_from([
    "candidates", "content", "parts", "text", "index", "finishReason", "safetyRatings", "usageMetadata", "category",
    "promptFeedback", "blockReason", "groundingMetadata", "webSearchQueries", "functionCall", "inlineData",
])  # fmt: skip
CHUNKS = st.recursive(
    JUNK, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@given(st.lists(st.dictionaries(KEYS, CHUNKS, max_size=4), max_size=3))
def test_no_chunk_of_any_shape_makes_the_reader_fail(chunks: list[dict[str, Any]]) -> None:
    reader = GeminiStreamReader(text_limit=100)
    for chunk in chunks:
        reader.read_event(json.dumps(chunk).encode())
    reader.facts()
    json.dumps(reader.assembled())
