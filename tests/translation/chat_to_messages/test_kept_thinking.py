"""Thinking that a chat cannot carry: kept by tool-call id, put back where it was, word for word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.translation.chat_caller import hear_stream, hear_whole, translate_stream
from tests.translation.chat_to_messages.claude import (
    MODEL,
    PAIR,
    USER,
    assistant,
    call,
    message,
    open_reply,
    result,
    stream,
    text,
    thinking,
    tool,
    write,
)

REDACTED = {"type": "redacted_thinking", "data": "opaque"}
TURN = [
    thinking("first", "sig-1"),
    text("I look.\n"),
    REDACTED,
    text("\n\n"),
    tool("a", "f", {"x": 1}),
    tool("b", "g", {}),
]


def _answer(blocks: list[dict[str, Any]], *, streamed: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The assistant message that a caller puts into the history, and what was kept."""
    translator = open_reply()
    if streamed:
        heard = hear_stream(translate_stream(translator, stream(*blocks, stop_reason="tool_use")))
    else:
        heard = hear_whole(translator.whole(message(*blocks, stop_reason="tool_use")))
    calls = [call(call_id, name, json.dumps(arguments)) for call_id, name, arguments in heard.tool_calls]
    return assistant(*calls, content=heard.text or None), json.loads(json.dumps(translator.kept))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_turn_comes_back_as_it_was(streamed: bool) -> None:
    answer, kept = _answer(TURN, streamed=streamed)
    assert kept.keys() == {"a", "b"}
    history = [USER, answer, result("a"), result("b")]
    assert PAIR.needed_state({"messages": history}) == ["a", "b"]
    sent = write(*history, kept=kept).body["messages"][1]
    # White space alone is no text block to Claude; all else is as it came, in the same order.
    assert sent == {"role": "assistant", "content": [block for block in TURN if block != text("\n\n")]}


def test_one_id_is_enough() -> None:
    answer, kept = _answer(TURN, streamed=True)
    sent = write(USER, answer, result("a"), result("b"), kept={"b": kept["b"]}).body["messages"][1]
    assert sent["content"][0] == TURN[0]


def test_an_edited_turn_has_its_thinking_in_front() -> None:
    answer, kept = _answer(TURN, streamed=False)
    edited = answer | {"content": "I look, dear."}
    sent = write(USER, edited, result("a"), result("b"), kept=kept).body["messages"][1]
    assert sent["content"] == [TURN[0], REDACTED, text("I look, dear."), TURN[4], TURN[5]]


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_without_its_signature_is_never_kept(streamed: bool) -> None:
    _, kept = _answer([thinking("hm", ""), tool("a", "f", {})], streamed=streamed)
    assert kept == {}


def test_thinking_without_its_signature_is_never_sent() -> None:
    spoilt = {"model": MODEL, "blocks": [{"type": "thinking", "thinking": "hm"}, {"type": "tool_use"}, 3]}
    mistyped = {"model": MODEL, "blocks": [{"type": "text", "length": "x"}]}
    states: list[Any] = [spoilt, mistyped, {"blocks": 3}, "x", []]
    for state in states:
        sent = write(USER, assistant(call("a", "f")), result("a"), kept={"a": state}).body["messages"][1]
        assert [block["type"] for block in sent["content"]] == ["tool_use"]


def test_reasoning_content_in_the_history_is_not_sent() -> None:
    body = write(USER, {"role": "assistant", "content": "Hi", "reasoning_content": "hm"}, USER).body
    assert body["messages"][1] == {"role": "assistant", "content": "Hi"}


def test_thinking_shown_as_omitted_is_kept_by_its_signature() -> None:
    omitted = thinking("", "sig")
    _, kept = _answer([omitted, tool("a", "f", {})], streamed=True)
    assert kept["a"]["blocks"] == [omitted, {"type": "tool_use"}]


@pytest.mark.parametrize("streamed", [False, True])
def test_nothing_is_kept_of_a_turn_without_calls_or_without_thinking(streamed: bool) -> None:
    assert _answer([thinking("hm"), text("Hi")], streamed=streamed)[1] == {}
    assert _answer([text("Hi"), tool("a", "f", {})], streamed=streamed)[1] == {}


def test_nothing_is_kept_of_a_stream_that_broke_off() -> None:
    translator = open_reply()
    body = stream(*TURN, stop_reason="tool_use")
    for event in body[: body.index(b"event: message_delta")].split(b"\n\n"):
        translator.event(event + b"\n\n")
    assert translator.kept == {}


# "Thinking blocks are tied to the model and the conversation" from 5.5 on.


def _two_loops(kept_model: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    state = {"model": kept_model, "blocks": [thinking("hm"), {"type": "tool_use"}]}
    history = [
        USER, assistant(call("a", "f")), result("a"), {"role": "assistant", "content": "Done."},
        USER, assistant(call("b", "f")), result("b"),
    ]  # fmt: skip
    return history, {"a": state, "b": state}


def _thinks(body: dict[str, Any]) -> list[bool]:
    return [m["content"][0]["type"] == "thinking" for m in body["messages"] if isinstance(m["content"], list)][::2]


def test_bound_thinking_goes_along_with_the_calls_under_way_only() -> None:
    history, kept = _two_loops("claude-opus-5-5")
    assert _thinks(write(*history, kept=kept, model="claude-opus-5-5").body) == [False, True]
    assert _thinks(write(*history, kept=kept, model="claude-opus-4-6").body) == [True, True]


def test_bound_thinking_of_another_model_stays_away() -> None:
    history, kept = _two_loops("claude-opus-5")
    assert _thinks(write(*history, kept=kept, model="claude-opus-5-5").body) == [False, False]
