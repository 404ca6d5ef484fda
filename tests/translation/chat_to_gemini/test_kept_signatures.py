"""Thought signatures: kept when an answer passes, put back with the next request."""

from __future__ import annotations

import json
from typing import Any

from tests.translation.chat_caller import hear_stream, hear_whole, translate_stream
from tests.translation.chat_to_gemini.gemini import (
    EARLY,
    PAIR,
    USER,
    assistant,
    call,
    open_reply,
    result,
    stream,
    text,
    thought,
    tool,
    whole,
    write,
)
from tikhub_app.translation.chat_to_gemini.kept_signatures import NO_SIGNATURE

PARTS: list[dict[str, Any]] = [
    text("I look "),
    text("it up.", thoughtSignature="s0"),
    {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "s1"},
    tool("f", {"x": 1}, id="g1", sign="s2"),
    tool("f", {"x": 2}, id="g2"),
    text("", thoughtSignature="s3"),
]


def _history(heard_text: str, *calls: tuple[str, str, Any]) -> list[dict[str, Any]]:
    said = assistant(*(call(id, name, json.dumps(given)) for id, name, given in calls), content=heard_text or None)
    return [USER, said, *(result(id) for id, _, _ in calls)]


def test_a_tool_turn_comes_back_part_by_part_streamed_or_whole() -> None:
    streamed, at_once = open_reply(), open_reply()
    heard = hear_stream(translate_stream(streamed, stream(thought("hm"), *PARTS)))
    assert hear_whole(at_once.whole(whole(thought("hm"), *PARTS))).text == heard.text == "I look it up."
    assert at_once.kept == streamed.kept
    assert streamed.kept.keys() == {"g1", "g2"}
    kept = json.loads(json.dumps(streamed.kept))
    body = write(*_history(heard.text, *heard.tool_calls), kept=kept).body
    assert body["contents"][1]["parts"] == PARTS
    assert [part["functionResponse"]["id"] for part in body["contents"][2]["parts"]] == ["g1", "g2"]


def test_an_edited_turn_keeps_the_signatures_of_its_calls() -> None:
    translator = open_reply()
    translator.whole(whole(*PARTS))
    body = write(*_history("Edited.", ("g1", "f", {"x": 1}), ("g2", "f", {"x": 2})), kept=translator.kept).body
    assert body["contents"][1]["parts"] == [text("Edited."), PARTS[3], PARTS[4]]
    shortened = write(*_history("", ("g2", "f", {"x": 2})), kept=translator.kept, model=EARLY).body
    assert shortened["contents"][1]["parts"] == [PARTS[4]]


def test_nothing_is_kept_where_there_is_nothing_to_put_back() -> None:
    for parts in ([tool("f")], [text("Hi", thoughtSignature="s")], [thought("hm"), text("Hi")]):
        translator = open_reply()
        translator.whole(whole(*parts))
        assert translator.kept == {}


def test_the_first_call_under_way_is_signed_as_foreign_where_no_signature_is_known() -> None:
    messages = [*_history("", ("a", "f", {})), *_history("", ("b", "f", {}), ("c", "f", {}))]
    claude = {"model": "claude-opus-4-7", "blocks": [{"type": "thinking", "thinking": "x", "signature": "theirs"}]}
    body = write(*messages, kept={"b": claude}).body
    turns = [turn["parts"] for turn in body["contents"] if turn["role"] == "model"]
    signatures = [[part.get("thoughtSignature") for part in parts] for parts in turns]
    assert signatures == [[None], [NO_SIGNATURE, None]]
    assert NO_SIGNATURE not in json.dumps(write(*messages, model="gemini-2.5-pro").body)


def test_a_signature_in_googles_own_chat_form_is_taken() -> None:
    extra: dict[str, Any] = {"extra_content": {"google": {"thought_signature": "s9"}}}
    body = write(USER, assistant(call("a", "f", **extra)), result("a")).body
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == "s9"


def test_ids_that_gemini_did_not_give_are_made_and_not_sent_back() -> None:
    translator = open_reply()
    heard = hear_whole(translator.whole(whole(tool("f", sign="s"), tool("f"), tool("f", id="g"), tool("f", id="g"))))
    ids = [id for id, _, _ in heard.tool_calls]
    assert len(set(ids)) == 4
    assert ids[2] == "g"
    body = write(*_history("", *heard.tool_calls), kept=translator.kept).body
    for turn, kind in ((1, "functionCall"), (2, "functionResponse")):
        assert [part[kind].get("id") for part in body["contents"][turn]["parts"]] == [None, None, "g", "g"]
    assert PAIR.needed_state({"messages": _history("", *heard.tool_calls)}) == ids
