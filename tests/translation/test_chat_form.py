from __future__ import annotations

import json
from typing import Any

from tests.translation.chat_caller import hear_stream, hear_whole
from tikhub_app.translation.base import TranslatedError
from tikhub_app.translation.chat_form import (
    AnsweredChoice,
    CalledTool,
    ChatUsage,
    ChunkWriter,
    completion_id,
    token_count,
    url_citation,
    write_completion,
)


def writer(*, wants_usage: bool = True, legacy_functions: bool = False) -> ChunkWriter:
    chunks = ChunkWriter(id="chatcmpl-1", wants_usage=wants_usage, legacy_functions=legacy_functions)
    chunks.model = "m"
    return chunks


def events(body: bytes) -> list[Any]:
    data = [event.removeprefix(b"data: ") for event in body.split(b"\n\n")[:-1]]
    return [event if event == b"[DONE]" else json.loads(event) for event in data]


def test_a_stream_has_the_role_once_tools_in_order_one_finish_and_usage_last() -> None:
    chunks = writer()
    body = chunks.text("Hi") + chunks.reasoning("hm") + chunks.text("")
    first, opened = chunks.open_tool("a", "one")
    second, opened_too = chunks.open_tool("b", "two")
    body += opened + opened_too + chunks.tool_arguments(second, '{"x":') + chunks.tool_arguments(first, "{}")
    body += chunks.tool_arguments(second, "1}")
    body += chunks.finish("tool_calls") + chunks.finish("stop")
    body += chunks.end(ChatUsage(3, 4, {"cached_tokens": 1})) + chunks.end(None)
    heard = hear_stream(body)
    assert heard.text == "Hi"
    assert heard.reasoning == "hm"
    assert heard.tool_calls == [("a", "one", {}), ("b", "two", {"x": 1})]
    assert heard.finish_reason == "tool_calls"
    assert heard.usage is not None
    assert heard.usage.total_tokens == 7


def test_usage_is_written_only_for_a_caller_who_asked() -> None:
    chunks = writer(wants_usage=False)
    body = chunks.text("Hi") + chunks.finish("stop") + chunks.end(ChatUsage(1, 1))
    assert all("usage" not in event for event in events(body)[:-1])


def test_each_choice_has_a_role_and_tools_of_its_own() -> None:
    chunks = writer()
    body = chunks.text("a", choice=0) + chunks.open_tool("x", "f", choice=1)[1] + chunks.open_tool("y", "g")[1]
    entries = [event["choices"][0] for event in events(body)]
    assert [entry["index"] for entry in entries if entry["delta"].get("role")] == [0, 1]
    calls = [entry["delta"]["tool_calls"][0]["index"] for entry in entries if "tool_calls" in entry["delta"]]
    assert calls == [0, 0]


def test_the_old_form_has_room_for_one_call() -> None:
    chunks = writer(legacy_functions=True)
    first, opened = chunks.open_tool("a", "one")
    second, not_opened = chunks.open_tool("b", "two")
    body = opened + not_opened + chunks.tool_arguments(first, "{}") + chunks.tool_arguments(second, "{}")
    deltas = [event["choices"][0] for event in events(body + chunks.finish("tool_calls"))]
    assert [choice["delta"].get("function_call") for choice in deltas] == [
        None,
        {"name": "one", "arguments": ""},
        {"arguments": "{}"},
        None,
    ]
    assert deltas[-1]["finish_reason"] == "function_call"


def test_annotations_are_written_once_before_the_end() -> None:
    # The SDK fails on a second list of entries without an index.
    chunks = writer()
    citation = url_citation(url="https://a", title="A", start_index=0, end_index=2)
    body = chunks.text("Hi")
    chunks.annotate([citation])
    chunks.annotate([citation])
    heard = hear_stream(body + chunks.finish("stop") + chunks.end(None))
    assert heard.annotations == [citation, citation]


def test_nothing_follows_an_error() -> None:
    chunks = writer()
    body = chunks.text("Hi") + chunks.error(TranslatedError("broken", "server_error", "overloaded")) + chunks.end(None)
    assert events(body)[-1] == {
        "error": {"message": "broken", "type": "server_error", "param": None, "code": "overloaded"}
    }


def test_a_whole_answer_is_what_the_sdk_expects() -> None:
    choice = AnsweredChoice(
        finish_reason="tool_calls", reasoning="hm", tool_calls=[CalledTool("a", "one", "{}")], extras={"images": []}
    )
    body = write_completion(id="chatcmpl-1", model="m", choices=[choice], usage=ChatUsage(1, 2), service_tier="default")
    heard = hear_whole(body)
    assert (heard.tool_calls, heard.reasoning) == ([("a", "one", {})], "hm")
    message = json.loads(body)["choices"][0]["message"]
    assert message["content"] is None
    assert message["images"] == []
    legacy = write_completion(id="i", model="m", choices=[choice], usage=None, legacy_functions=True)
    (entry,) = json.loads(legacy)["choices"]
    assert entry["message"]["function_call"] == {"name": "one", "arguments": "{}"}
    assert "tool_calls" not in entry["message"]
    assert entry["finish_reason"] == "function_call"


def test_ids_and_counts_are_made_fit() -> None:
    assert completion_id("msg_1", "req") == "chatcmpl-msg_1"
    assert completion_id(None, "req") == "chatcmpl-req"
    assert [token_count(value) for value in (3, 2.6, None, "4", -1, True, float("nan"))] == [3, 3, 0, 0, 0, 0, 0]
