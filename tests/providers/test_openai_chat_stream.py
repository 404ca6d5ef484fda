"""Reading a streamed chat completion as it passes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tikhub_app.providers.facts import EventVerdict, FilterFinding, Usage
from tikhub_app.providers.openai_chat_stream import ChatStreamReader

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def a_reader(*, keeps_usage: bool = True, text_limit: int = 1_000) -> ChatStreamReader:
    return ChatStreamReader(keeps_usage=keeps_usage, text_limit=text_limit)


def chunk(*choices: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"id": "chatcmpl-1", "created": 3, "model": "gpt-4o", "choices": choices, **fields}).encode()


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish}


def tool(index: int, arguments: str, **fields: Any) -> dict[str, Any]:
    return {"index": index, "function": {"arguments": arguments, **fields.pop("function", {})}, **fields}


def read(reader: ChatStreamReader, *events: bytes) -> list[EventVerdict]:
    return [reader.read_event(event) for event in events]


def test_a_stream_is_put_together() -> None:
    reader = a_reader()
    verdicts = read(
        reader,
        chunk(delta(role="assistant", content="")),
        chunk(delta(content="Hel")),
        b"",
        chunk(delta(content="lo")),
        chunk(delta(finish="stop")),
        chunk(usage=USAGE),
        b"[DONE]",
    )
    assert verdicts == [EventVerdict.PASS] * 6 + [EventVerdict.END]
    assert reader.is_complete()
    facts = reader.facts()
    assert (facts.answered_model, facts.finish_reason, facts.output_characters) == ("gpt-4o", "stop", 5)
    assert facts.usage == Usage(input_uncached=7, output_visible=5)
    assert reader.assembled() == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 3,
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }


@pytest.mark.parametrize(
    ("event", "verdict"),
    [
        (chunk(usage=USAGE), EventVerdict.DROP),
        (chunk(delta(content="x"), usage=USAGE), EventVerdict.PASS),
        (chunk(delta(content="x"), usage=None), EventVerdict.PASS),
        (chunk(usage=None), EventVerdict.PASS),
        (b'{"choices":[],"prompt_filter_results":[]}', EventVerdict.PASS),
    ],
)
def test_only_a_usage_only_chunk_that_nobody_asked_for_is_taken_out(event: bytes, verdict: EventVerdict) -> None:
    assert a_reader(keeps_usage=False).read_event(event) is verdict
    assert a_reader(keeps_usage=True).read_event(event) is EventVerdict.PASS


def test_several_choices_grow_side_by_side() -> None:
    reader = a_reader()
    read(
        reader,
        chunk(delta(0, content="a")),
        chunk(delta(1, content="x"), delta(0, content="b")),
        chunk(delta(1, finish="length")),
    )
    assert not reader.is_complete()
    read(reader, chunk(delta(0, content="c", finish="stop")))
    assert reader.is_complete()
    assert [choice["message"]["content"] for choice in reader.assembled()["choices"]] == ["abc", "x"]
    assert reader.facts().finish_reason == "stop"


def test_interleaved_tool_calls_are_kept_apart() -> None:
    reader = a_reader()
    read(
        reader,
        chunk(delta(tool_calls=[tool(0, "", id="call_a", type="function", function={"name": "f"})])),
        chunk(delta(tool_calls=[tool(1, "", id="call_b", type="function", function={"name": "g"})])),
        chunk(delta(tool_calls=[tool(1, '{"b"'), tool(0, '{"a":')])),
        chunk(delta(tool_calls=[tool(0, "1}")])),
        chunk(delta(tool_calls=[tool(1, ":2}")])),
    )
    assert reader.assembled()["choices"][0]["message"]["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": '{"b":2}'}},
    ]
    assert reader.facts().output_characters == 14


def test_custom_tools_and_legacy_functions_are_put_together() -> None:
    reader = a_reader()
    started = {"index": 0, "id": "call_a", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}
    read(
        reader,
        chunk(delta(tool_calls=[started], function_call={"name": "f", "arguments": ""})),
        chunk(delta(tool_calls=[{"index": 0, "custom": {"input": " 1"}}], function_call={"arguments": "{}"})),
    )
    message = reader.assembled()["choices"][0]["message"]
    assert message["tool_calls"] == [{"id": "call_a", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}]
    assert message["function_call"] == {"name": "f", "arguments": "{}"}
    assert reader.facts().output_characters == 10


@pytest.mark.parametrize("text_limit", [0, 3])
def test_beyond_the_text_limit_characters_are_counted_and_not_kept(text_limit: int) -> None:
    reader = a_reader(text_limit=text_limit)
    for _ in range(100):
        read(reader, chunk(delta(content="abc", reasoning_content="de", tool_calls=[tool(0, "f")])))
    read(reader, chunk(delta(refusal="No.", function_call={"arguments": "{}"})))
    facts = reader.facts()
    assert facts.output_characters == 100 * 6 + 5
    message = reader.assembled()["choices"][0]["message"]
    assert len(message["content"] or "") == text_limit
    # The refusal is a finding of its own, whatever is kept of texts.
    assert facts.findings == [FilterFinding("completion", "refusal", 0, None, True, None, {"refusal": "No."})]


def test_azures_late_verdict_replaces_the_early_one() -> None:
    reader = a_reader()
    safe, high = {"filtered": False, "severity": "safe"}, {"filtered": True, "severity": "high"}
    read(
        reader,
        chunk(prompt_filter_results=[{"prompt_index": 0, "content_filter_results": {"hate": safe}}]),
        chunk({**delta(content="a"), "content_filter_results": {"hate": safe, "violence": safe}}),
        chunk(delta(finish="stop")),
        # With asynchronous filters: https://learn.microsoft.com/azure/ai-services/openai/concepts/content-streaming
        chunk({"index": 0, "finish_reason": "content_filter", "content_filter_results": {"hate": high}}),
        b"[DONE]",
    )
    findings = reader.facts().findings
    assert [(each.side, each.category, each.choice_index, each.filtered, each.severity) for each in findings] == [
        ("prompt", "hate", None, False, "safe"),
        ("completion", "hate", 0, True, "high"),
        ("completion", "violence", 0, False, "safe"),
        ("completion", "content_filter", 0, True, None),
    ]


def test_an_error_event_is_told_from_an_answer() -> None:
    reader = a_reader()
    error = b'{"error":{"message":"The server had an error","type":"server_error"}}'
    assert read(reader, chunk(delta(content="a")), error) == [EventVerdict.PASS, EventVerdict.ERROR]
    assert not reader.is_complete()


@pytest.mark.parametrize("data", [b"nope", b"{", b"[]", b'"text"', b'{"choices":[\xff\xfe]}'])
def test_what_is_no_event_of_the_api_breaks_the_stream(data: bytes) -> None:
    with pytest.raises(ValueError, match="answer"):
        a_reader().read_event(data)


def test_an_emoji_cut_in_two_between_two_chunks_passes() -> None:
    reader = a_reader()
    halves = [
        rb'{"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}',
        rb'{"choices":[{"delta":{"content":"\ude00"}}]}',
    ]
    assert read(reader, *halves) == [EventVerdict.PASS, EventVerdict.PASS]
    assert reader.facts().output_characters == 2


def test_a_stream_without_a_model_or_a_choice_is_neither_complete_nor_an_error() -> None:
    reader = a_reader()
    assert read(reader, b'{"model":"","choices":[]}') == [EventVerdict.PASS]
    assert not reader.is_complete()
    assert reader.facts().usage is None
