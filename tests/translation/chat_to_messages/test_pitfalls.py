"""What real gateways got wrong between chats and Claude, one test each; numbers are of the issues in their trackers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.translation.chat_caller import hear_stream, hear_whole, read_chunks, translate_stream
from tests.translation.chat_to_messages.claude import (
    MODEL,
    USER,
    assistant,
    block_events,
    call,
    event,
    finish,
    message,
    open_reply,
    result,
    start,
    stream,
    text,
    thinking,
    tool,
    write,
)

WANTS_USAGE = {"stream_options": {"include_usage": True}}


def _translate(body: bytes, **asks: Any) -> bytes:
    return translate_stream(open_reply(**asks), body)


def _tool_start(**block: Any) -> bytes:
    return event("content_block_start", index=0, content_block={"type": "tool_use", "id": "a", "name": "f", **block})


def test_litellm_25561_a_tool_block_without_deltas_keeps_its_arguments() -> None:
    body = start() + _tool_start(input={"x": 1}) + event("content_block_stop", index=0) + finish("tool_use")
    assert hear_stream(_translate(body)).tool_calls == [("a", "f", {"x": 1})]


def test_litellm_25321_a_call_without_arguments_is_an_empty_object_and_not_an_empty_string() -> None:
    empty = event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": ""})
    body = start() + _tool_start(input={}) + empty + event("content_block_stop", index=0) + finish("tool_use")
    assert hear_stream(_translate(body)).tool_calls == [("a", "f", {})]
    assert hear_whole(open_reply().whole(message(tool("a", "f", {})))).tool_calls == [("a", "f", {})]


def test_litellm_32357_thinking_is_never_in_the_content_and_a_second_start_changes_nothing() -> None:
    body = start() + start(model="other") + block_events(0, thinking("hm")) + block_events(1, text("Hi")) + finish()
    heard = hear_stream(_translate(body))
    assert (heard.reasoning, heard.text, heard.model) == ("hm", "Hi", MODEL)
    astray = event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "astray"})
    opened = event("content_block_start", index=0, content_block=text(""))
    assert hear_stream(_translate(start() + opened + astray + finish())).text == ""


def test_litellm_25852_no_empty_text_comes_before_the_first_real_piece() -> None:
    chunks = read_chunks(_translate(stream(thinking("hm"), text("Hi"))))
    deltas = [choice.delta.model_dump(exclude_unset=True) for chunk in chunks for choice in chunk.choices]
    assert deltas[0]["role"] == "assistant"
    assert deltas[1] == {"reasoning_content": "hm"}
    assert all(delta.get("content", "x") for delta in deltas[1:])


def test_litellm_5231_tools_are_numbered_over_tools_only() -> None:
    body = _translate(stream(thinking("hm"), text("I look."), tool("a", "f", {"x": 1}), tool("b", "f", {"x": 2})))
    calls = [call for chunk in read_chunks(body) for c in chunk.choices for call in c.delta.tool_calls or []]
    assert {call.index for call in calls} == {0, 1}
    assert hear_stream(body).tool_calls == [("a", "f", {"x": 1}), ("b", "f", {"x": 2})]


def test_litellm_9812_and_new_api_2744_the_prompt_includes_the_cache_once() -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 500, "output_tokens": 2}
    told = hear_stream(_translate(start(usage) + block_events(0, text("Hi")) + finish(), **WANTS_USAGE)).usage
    assert told is not None
    assert told.prompt_tokens == 543
    assert told.total_tokens == 543 + 5
    assert told.prompt_tokens_details is not None
    assert told.prompt_tokens_details.cached_tokens == 40


def test_litellm_14457_usage_is_complete_as_soon_as_the_finish_reason_has_passed() -> None:
    translator = open_reply(**WANTS_USAGE)
    for piece in (start() + block_events(0, text("Hi")) + finish()).split(b"\n\n")[:-2]:  # message_stop is lost
        translator.event(piece + b"\n\n")
    assert b'"completion_tokens":5' in translator.end()


def test_litellm_16525_results_of_parallel_calls_go_in_one_user_message() -> None:
    body = write(USER, assistant(call("a", "f"), call("b", "f")), result("a"), result("b"), USER).body
    kinds = [block["type"] for block in body["messages"][2]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]
    assert len(body["messages"]) == 3


@pytest.mark.parametrize(
    "later", [{"input_tokens": 0, "cache_read_input_tokens": 0}, {"cache_read_input_tokens": None}]
)
def test_new_api_3511_and_4129_later_zeros_do_not_take_the_input_away(later: dict[str, Any]) -> None:
    first = {"input_tokens": 7, "cache_read_input_tokens": 90, "output_tokens": 1}
    body = start(first) + block_events(0, text("Hi")) + finish(usage={"output_tokens": 5, **later})
    told = hear_stream(_translate(body, **WANTS_USAGE)).usage
    assert told is not None
    assert (told.prompt_tokens, told.completion_tokens) == (97, 5)


def test_one_api_1324_every_chunk_but_the_usage_has_a_choice() -> None:
    chunks = read_chunks(_translate(stream(text("Hi")), **WANTS_USAGE))
    assert [len(chunk.choices) for chunk in chunks] == [1] * (len(chunks) - 1) + [0]


def test_one_api_2224_the_usage_chunk_comes_when_it_was_asked_for() -> None:
    chunks = read_chunks(_translate(stream(text("Hi")), **WANTS_USAGE))
    assert chunks[-1].usage is not None
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_new_api_1503_fractional_token_numbers_are_made_whole() -> None:
    body = open_reply().whole(message(text("Hi"), usage={"input_tokens": 10.4, "output_tokens": 5.6}))
    told = hear_whole(body).usage
    assert told is not None
    assert (told.prompt_tokens, told.completion_tokens) == (10, 6)


def test_portkey_1579_cache_marks_survive() -> None:
    marked = {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert write({"role": "user", "content": [marked]}).body["messages"][0]["content"] == [marked]


def test_a_line_separator_does_not_cut_an_event_in_two() -> None:
    body = _translate(stream(text("a\u2028b\u2029c")))
    assert len(body.decode().splitlines()) == body.count(b"\n")
    assert hear_stream(body).text == "a\u2028b\u2029c"


def test_arguments_of_a_whole_answer_are_json_text() -> None:
    whole = json.loads(open_reply().whole(message(tool("a", "f", {"x": "ä\u2028"}))))
    (called,) = whole["choices"][0]["message"]["tool_calls"]
    assert json.loads(called["function"]["arguments"]) == {"x": "ä\u2028"}
