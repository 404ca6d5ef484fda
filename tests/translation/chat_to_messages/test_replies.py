"""Whole and streamed answers of Claude's as a caller of the chat API hears them: the same, both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.translation.chat_caller import Heard, hear_stream, hear_whole, read_chunks, translate_stream
from tests.translation.chat_to_messages.claude import (
    MODEL,
    block_events,
    event,
    finish,
    function,
    message,
    open_reply,
    start,
    stream,
    text,
    thinking,
    tool,
    write,
)

Hear = Callable[..., Heard]
USAGE = {"stream_options": {"include_usage": True}}


def _hear_whole(*blocks: dict[str, Any], stop_reason: str = "end_turn", details: Any = None, **asks: Any) -> Heard:
    body = message(*blocks, stop_reason=stop_reason, stop_details=details)
    return hear_whole(open_reply(**asks).whole(body))


def _hear_stream(*blocks: dict[str, Any], stop_reason: str = "end_turn", details: Any = None, **asks: Any) -> Heard:
    body = stream(*blocks, stop_reason=stop_reason, details=details)
    return hear_stream(translate_stream(open_reply(**USAGE, **asks), body))


@pytest.fixture(params=[_hear_whole, _hear_stream], ids=["whole", "stream"])
def hear(request: pytest.FixtureRequest) -> Hear:
    chosen: Hear = request.param
    return chosen


def test_text(hear: Hear) -> None:
    heard = hear(text("Hello, "), text("“Ännchen”\u2028 👋"))
    assert heard.text == "Hello, “Ännchen”\u2028 👋"
    assert (heard.id, heard.model, heard.finish_reason) == ("chatcmpl-msg_1", MODEL, "stop")
    assert heard.usage is not None
    assert (heard.usage.prompt_tokens, heard.usage.completion_tokens, heard.usage.total_tokens) == (10, 5, 15)


def test_thinking_is_reasoning_content(hear: Hear) -> None:
    redacted = {"type": "redacted_thinking", "data": "opaque"}
    heard = hear(thinking("One thought."), redacted, thinking("", "only-signed"), thinking("Another."), text("Hi"))
    assert (heard.reasoning, heard.text) == ("One thought.\n\nAnother.", "Hi")


def test_parallel_calls_after_text_and_thinking(hear: Hear) -> None:
    calls = [tool("a", "f", {"city": "Köln", "n": [1, 2.5, None]}), tool("b", "g", {}), tool("c", "f", {"x": {}})]
    heard = hear(thinking("hm"), text("I look."), *calls, stop_reason="tool_use")
    assert heard.tool_calls == [(block["id"], block["name"], block["input"]) for block in calls]
    assert (heard.text, heard.finish_reason) == ("I look.", "tool_calls")


def test_replaced_tool_names_are_the_callers_again(hear: Hear) -> None:
    name = "weather.today"
    tools = [function(name)]
    sent = write(tools=tools).body["tools"][0]["name"]
    assert hear(tool("a", sent, {}), stop_reason="tool_use", tools=tools).tool_calls == [("a", name, {})]


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_stop_reasons(hear: Hear, stop_reason: str, finish_reason: str) -> None:
    assert hear(text("Hi"), stop_reason=stop_reason).finish_reason == finish_reason


def test_a_refusal_tells_why_and_keeps_what_was_said(hear: Hear) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}
    heard = hear(text("First, "), stop_reason="refusal", details=details)
    assert (heard.text, heard.refusal, heard.finish_reason) == ("First, ", "Not this.", "content_filter")
    heard = hear(stop_reason="refusal", details=details | {"explanation": None})
    assert (heard.text, heard.refusal) == ("", None)


def test_web_citations_are_annotations_of_the_cited_words(hear: Hear) -> None:
    found = {"type": "web_search_result_location", "url": "https://a", "title": "A", "cited_text": "x"}
    page = {"type": "char_location", "document_title": "B", "start_char_index": 0, "end_char_index": 3}
    heard = hear(text("As 👋 said: "), text("it rains", citations=[found, page]), text("."))
    (annotation,) = heard.annotations
    cited = annotation["url_citation"]
    assert (cited["url"], cited["title"]) == ("https://a", "A")
    assert heard.text[cited["start_index"] : cited["end_index"]] == "it rains"


def test_blocks_of_server_tools_are_left_out(hear: Hear) -> None:
    heard = hear(
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []},
        {"type": "some_new_block", "data": {}},
        text("It rains."),
    )
    assert (heard.text, heard.tool_calls) == ("It rains.", [])


def test_the_model_that_took_over_is_named(hear: Hear) -> None:
    heard = hear({"type": "fallback", "from": {"model": MODEL}, "to": {"model": "claude-other"}}, text("Hi"))
    assert heard.model == "claude-other"


def test_an_empty_answer(hear: Hear) -> None:
    assert hear().text == ""


def test_usage_is_hidden_from_a_caller_who_did_not_ask() -> None:
    body = translate_stream(open_reply(), stream(text("Hi")))
    assert b"usage" not in body


def test_cached_input_is_within_the_prompt_and_told_apart() -> None:
    usage = {
        "input_tokens": 3, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 30}, "service_tier": "priority",
    }  # fmt: skip
    body = open_reply().whole(message(text("Hi"), usage=usage))
    told = hear_whole(body).usage
    assert told is not None
    assert told.model_dump(exclude_none=True) == {
        "prompt_tokens": 123,
        "completion_tokens": 50,
        "total_tokens": 173,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    assert json.loads(body)["service_tier"] == "priority"


def test_a_caller_of_the_old_form_is_answered_in_it() -> None:
    asks: dict[str, Any] = {"functions": [{"name": "f"}]}
    blocks = [tool("a", "f", {"x": 1})]
    whole = json.loads(open_reply(**asks).whole(message(*blocks, stop_reason="tool_use")))["choices"][0]
    assert whole["message"]["function_call"] == {"name": "f", "arguments": '{"x":1}'}
    assert whole["finish_reason"] == "function_call"
    chunks = read_chunks(translate_stream(open_reply(**asks), stream(*blocks, stop_reason="tool_use")))
    calls = [call for chunk in chunks for choice in chunk.choices if (call := choice.delta.function_call)]
    assert calls[0].name == "f"
    assert json.loads("".join(call.arguments or "" for call in calls)) == {"x": 1}
    assert chunks[-1].choices[0].finish_reason == "function_call"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"type":"message"}', b'{"type":"error","error":{}}'])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|content"):
        open_reply().whole(body)


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        open_reply().event(b"event: message_start\ndata: <html>\n\n")


def test_events_that_say_nothing_write_nothing() -> None:
    translator = open_reply()
    for nothing in (event("ping"), b": comment\n\n", b"\n\n", event("new_event", x=1), event("message_stop")):
        assert translator.event(nothing) == b""


def test_a_stream_that_only_began_still_ends() -> None:
    translator = open_reply()
    translator.event(start())
    assert hear_stream(translator.event(event("ping")) + translator.end()).finish_reason == "stop"


def test_each_event_is_translated_at_once() -> None:
    translator = open_reply()
    written = [
        translator.event(piece + b"\n\n")
        for piece in (start() + block_events(0, text("Hello!")) + finish()).split(b"\n\n")[:-1]
    ]
    assert [chunk.count(b"data: ") for chunk in written] == [0, 1, 1, 1, 0, 1, 0]
    assert b'"Hell"' in written[2]
    assert translator.end() == b"data: [DONE]\n\n"
