"""Reading a streamed message of Claude's as it passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tikhub_app.providers.anthropic_stream import MessagesStreamReader
from tikhub_app.providers.facts import EventVerdict, FilterFinding, ReplyFacts, Usage
from tikhub_app.upstream.sse import EventSplitter, event_data

SAMPLE = (Path(__file__).parent.parent / "samples" / "anthropic" / "stream.txt").read_bytes()
USAGE = {"input_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 90, "output_tokens": 1}
START = {"type": "message_start", "message": {"id": "msg_1", "model": "claude-opus-4-7", "content": [], "usage": USAGE}}
STOP = {"type": "message_stop"}


def a_reader(text_limit: int = 100_000) -> MessagesStreamReader:
    return MessagesStreamReader(text_limit=text_limit)


def read(reader: MessagesStreamReader, *events: dict[str, Any]) -> list[EventVerdict]:
    return [reader.read_event(json.dumps(event).encode()) for event in events]


def block(index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": fields}


def delta(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def text(content: str) -> dict[str, Any]:
    return delta("text_delta", text=content)


def end(stop_reason: str = "end_turn", usage: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    given_usage = {"output_tokens": 8} if usage is None else usage
    return {"type": "message_delta", "delta": {"stop_reason": stop_reason, **fields}, "usage": given_usage}


def read_in_pieces(stream: bytes, cuts: list[int]) -> tuple[ReplyFacts, dict[str, Any], bool, int]:
    reader, splitter = a_reader(), EventSplitter(1_000_000)
    places = sorted({cut % len(stream) for cut in cuts})
    events = [
        event
        for start, finish in zip([0, *places], [*places, len(stream)], strict=True)
        for event in splitter.feed(stream[start:finish])
    ]
    rest = splitter.rest()
    events += [rest] if rest else []
    assert b"".join(events) == stream
    for event in events:
        reader.read_event(event_data(event))
    return reader.facts(), reader.assembled(), reader.is_complete(), len(events)


@given(
    cuts=st.lists(st.integers(0, len(SAMPLE) - 1), max_size=60),
    newline=st.sampled_from([b"\n", b"\r\n"]),
    is_ended=st.booleans(),
)
def test_any_split_of_the_bytes_gives_the_same_facts(cuts: list[int], newline: bytes, is_ended: bool) -> None:
    stream = SAMPLE.replace(b"\n", newline) if is_ended else SAMPLE.rstrip().replace(b"\n", newline)
    facts, message, is_complete, events = read_in_pieces(stream, cuts)
    assert (is_complete, events) == (True, 21)
    assert facts == ReplyFacts(
        answered_model="claude-sonnet-4-5-20250929",
        finish_reason="tool_use",
        usage=Usage(
            input_uncached=40, cache_read=1200, cache_write_5m=100, cache_write_1h=200, output_visible=48, reasoning=12
        ),
        output_characters=len("Zażółć, 天気 🌤Let me look\u2028at both.") + len('{"city": "Lisbon"}'),
    )
    assert message == {
        "id": "msg_01SampleOfAStream000000001",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [
            {"type": "thinking", "thinking": "Zażółć, 天気 🌤", "signature": "c2FtcGxl"},
            {
                "type": "text",
                "text": "Let me look\u2028at both.",
                "citations": [{"type": "web_search_result_location", "url": "https://example.com/"}],
            },
            {"type": "tool_use", "id": "toolu_01", "name": "get_weather", "input": {"city": "Lisbon"}},
            {"type": "tool_use", "id": "toolu_02", "name": "get_time", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 40,
            "cache_creation_input_tokens": 300,
            "cache_read_input_tokens": 1200,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            "output_tokens": 60,
            "output_tokens_details": {"thinking_tokens": 12},
        },
    }


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_KINDS = ["message_start", "content_block_start", "content_block_delta", "message_delta", "ping", "tomorrows_event"]
_FIELDS = ["message", "index", "content_block", "delta", "usage"]
_INNER = [
    "type",
    "text",
    "model",
    "usage",
    "stop_reason",
    "stop_details",
    "partial_json",
    "to",
    "trigger",
    "iterations",
]
_part = _json | st.dictionaries(st.sampled_from(_INNER), _json, max_size=5)
_event = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(_KINDS),
    st.dictionaries(st.sampled_from(_FIELDS), _part, max_size=4),
)


@given(st.lists(_event, max_size=8))
def test_no_event_however_odd_breaks_the_reading(events: list[dict[str, Any]]) -> None:
    reader = a_reader()
    assert set(read(reader, *events)) <= {EventVerdict.PASS, EventVerdict.DROP}
    reader.facts()
    json.dumps(reader.assembled())
    assert not reader.is_complete()


@pytest.mark.parametrize("data", [b"nonsense", b"[]", b'"text"', b'{"type": "ping"', b"[DONE]"])
def test_what_is_not_an_event_breaks_the_stream(data: bytes) -> None:
    with pytest.raises(ValueError, match="the answer is not"):
        a_reader().read_event(data)


def test_a_stream_is_complete_at_message_stop_and_not_before() -> None:
    reader = a_reader()
    assert read(reader, START, block(type="text", text=""), text("Hi"), end()) == [EventVerdict.PASS] * 4
    assert not reader.is_complete()
    assert reader.read_event(b"") is EventVerdict.PASS
    assert read(reader, STOP) == [EventVerdict.END]
    assert reader.is_complete()


def test_a_second_beginning_never_reaches_the_caller() -> None:
    """Pitfall 3: message_start emitted twice."""
    reader = a_reader()
    assert read(reader, START, START, {"type": "ping"}) == [EventVerdict.PASS, EventVerdict.DROP, EventVerdict.PASS]
    assert reader.facts().usage == Usage(input_uncached=4, cache_read=90, output_visible=1)


def test_the_last_usage_adds_to_the_first_and_wipes_nothing_out() -> None:
    """Pitfalls 11 and 15: the cache is told of in message_start alone."""
    reader = a_reader()
    read(reader, START, end(usage={"output_tokens": 20, "input_tokens": None, "cache_creation_input_tokens": 7}), STOP)
    assert reader.facts().usage == Usage(input_uncached=4, cache_read=90, cache_write_5m=7, output_visible=20)
    assert reader.assembled()["usage"]["cache_read_input_tokens"] == 90


def test_cumulative_counts_replace_the_provisional_ones() -> None:
    reader = a_reader()
    usage = {"input_tokens": 9_000, "cache_read_input_tokens": 90, "output_tokens": 33}
    read(reader, START, end(usage={"output_tokens": 3}), end(usage=usage), STOP)
    assert reader.facts().usage == Usage(input_uncached=9_000, cache_read=90, output_visible=33)


def test_an_input_that_a_relay_repeats_as_zero_does_not_shrink() -> None:
    reader = a_reader()
    read(reader, START, end(usage={"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}), STOP)
    assert reader.facts().usage == Usage(input_uncached=4, cache_read=90)


def test_iterations_have_the_last_word() -> None:
    reader = a_reader()
    one = {"type": "message", "input_tokens": 2, "output_tokens": 6}
    usage = {"input_tokens": 2, "cache_read_input_tokens": 0, "output_tokens": 6, "iterations": [one]}
    read(reader, START, end(usage=usage), STOP)
    assert reader.facts().usage == Usage(input_uncached=2, output_visible=6)


def test_a_broken_stream_knows_its_input_and_says_that_its_output_is_not_final() -> None:
    reader = a_reader()
    read(reader, START, block(type="text", text=""), text("Half an ans"))
    facts = reader.facts()
    assert facts.is_usage_provisional
    assert facts.usage == Usage(input_uncached=4, cache_read=90, output_visible=1)
    assert facts.output_characters == len("Half an ans")
    assert reader.assembled()["content"] == [{"type": "text", "text": "Half an ans"}]


def test_without_any_usage_there_is_none() -> None:
    reader = a_reader()
    bare = {"type": "message_start", "message": {"model": "claude-opus-4-7", "content": []}}
    ending = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    read(reader, bare, block(type="text", text="A"), text("B"), ending, STOP)
    facts = reader.facts()
    assert (facts.usage, facts.is_usage_provisional, facts.output_characters) == (None, False, 2)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("overloaded_error", 529), ("rate_limit_error", 429), ("api_error", 500), ("authentication_error", None)],
)
def test_an_error_in_the_middle_is_seen(kind: str, status: int | None) -> None:
    """Pitfall 6: an error event that was taken for a clean end."""
    reader = a_reader()
    error = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    assert read(reader, START, text("Hel"), error) == [EventVerdict.PASS, EventVerdict.PASS, EventVerdict.ERROR]
    assert not reader.is_complete()
    assert reader.error_status(json.dumps(error).encode()) == status
    assert reader.error_status(b"nonsense") is None


def test_the_output_filter_may_end_a_stream() -> None:
    reader = a_reader()
    error = {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}
    assert read(reader, START, {"type": "error", "error": error}) == [EventVerdict.PASS, EventVerdict.ERROR]
    assert reader.facts().findings == [FilterFinding("completion", "content_filter", 0, filtered=True, raw=error)]


def test_a_refusal_keeps_the_text_before_it_and_its_category() -> None:
    reader = a_reader()
    details = {"type": "refusal", "category": "bio", "explanation": "No."}
    read(reader, START, block(type="text", text=""), text("First,"), end("refusal", stop_details=details), STOP)
    facts = reader.facts()
    assert facts.finish_reason == "refusal"
    assert facts.findings == [FilterFinding("completion", "bio", 0, filtered=True, raw=details)]
    assert reader.assembled()["content"] == [{"type": "text", "text": "First,"}]
    assert reader.assembled()["stop_details"] == details


def test_a_full_context_is_the_reason_of_an_end() -> None:
    reader = a_reader()
    read(reader, START, end("model_context_window_exceeded"), STOP)
    assert reader.facts().finish_reason == "model_context_window_exceeded"
    assert reader.facts().findings == []


def test_arguments_that_were_cut_short_are_kept_as_text() -> None:
    reader = a_reader()
    tool = block(type="tool_use", id="toolu_1", name="f", input={})
    read(reader, START, tool, delta("input_json_delta", partial_json='{"city": "Lis'), end("max_tokens"), STOP)
    assert reader.assembled()["content"] == [
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": '{"city": "Lis'}
    ]


def test_server_tools_are_counted_as_billed_and_the_others_as_seen() -> None:
    reader = a_reader()
    called = [
        block(number, type="server_tool_use", id=f"srvtoolu_{number}", name=name, input={})
        for number, name in enumerate(["web_search", "web_search", "bash_code_execution"])
    ]
    mcp = block(3, type="mcp_tool_use", id="mcptoolu_1", name="ask", server_name="wiki", input={})
    usage = {"output_tokens": 5, "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}}
    read(reader, START, *called, mcp, end(usage=usage), STOP)
    assert reader.facts().server_tool_calls == {"web_search": 1, "bash_code_execution": 1, "mcp": 1}


def test_a_fallback_answers_under_its_own_name() -> None:
    reader = a_reader()
    hop = block(type="fallback", to={"model": "claude-sonnet-5"}, trigger={"type": "refusal", "category": "cyber"})
    hop["content_block"]["from"] = {"model": "claude-opus-4-7"}
    read(reader, START, hop, end(), STOP)
    assert reader.facts().answered_model == reader.assembled()["model"] == "claude-sonnet-5"
    assert [finding.category for finding in reader.facts().findings] == ["cyber"]


def test_what_tomorrow_brings_is_kept() -> None:
    reader = a_reader()
    ending = end(container={"id": "container_1"}) | {"context_management": {"applied_edits": []}}
    new = block(type="hologram", image="")
    read(reader, START, new, delta("hologram_delta", image="3d"), ending, STOP)
    message = reader.assembled()
    assert message["content"] == [{"type": "hologram", "image": "3d"}]
    assert message["container"] == {"id": "container_1"}
    assert message["context_management"] == {"applied_edits": []}


def test_beyond_the_limit_text_is_counted_and_not_kept() -> None:
    reader = a_reader(text_limit=60)
    found = block(1, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=["x" * 500])
    read(reader, START, block(type="text"), text("a" * 70), text("b" * 90), found, end(), STOP)
    assert reader.facts().output_characters == 160
    kept = reader.assembled()["content"]
    assert kept[1:] == [{"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1"}]
    assert len(json.dumps(kept)) < 250

    nothing = a_reader(text_limit=0)
    read(nothing, START, block(type="text", text=""), text("secret"), end("refusal"), STOP)
    assert nothing.assembled()["content"] == []
    assert nothing.facts().output_characters == 6
    assert nothing.facts().finish_reason == "refusal"
