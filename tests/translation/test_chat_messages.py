from __future__ import annotations

from typing import Any

import pytest

from tikhub_app.exceptions import InvalidRequest, UnsupportedFeature
from tikhub_app.translation.chat_messages import (
    AudioPart,
    FilePart,
    ImagePart,
    TextPart,
    history_call_ids,
    read_messages,
)


def test_it_reads_every_documented_part() -> None:
    content = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "https://i", "detail": "low"}},
        {"type": "image_url", "image_url": "https://j"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_data": "AA==", "filename": "f.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    (message,) = read_messages({"messages": [{"role": "user", "content": content, "name": "Ann"}]})
    assert message.name == "Ann"
    assert message.parts == [
        TextPart("a", "messages[0].content[0].text", {"cache_control": {"type": "ephemeral"}}),
        ImagePart("https://i", "low", "messages[0].content[1].image_url.url"),
        ImagePart("https://j", None, "messages[0].content[2].image_url.url"),
        AudioPart("AA==", "wav", "messages[0].content[3].input_audio"),
        FilePart("AA==", None, "f.pdf", "messages[0].content[4].file"),
        FilePart(None, "file-1", None, "messages[0].content[5].file"),
    ]


def _assistant(**fields: Any) -> dict[str, Any]:
    return {"role": "assistant", **fields}


def _call(**fields: Any) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}} | fields


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("hello", "messages[0]"),
        ({"role": "robot", "content": "x"}, "messages[0].role"),
        ({"role": "user", "content": 3}, "messages[0].content"),
        ({"role": "user", "content": [3]}, "messages[0].content[0]"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "messages[0].content[0].image_url.url"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "messages[0].content[0].file"),
        ({"role": "user", "content": [{"type": "video"}]}, "messages[0].content[0].type"),
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        (_assistant(tool_calls="x"), "messages[0].tool_calls"),
        (_assistant(tool_calls=[_call(id=None)]), "messages[0].tool_calls[0].id"),
        (_assistant(tool_calls=[_call(function={})]), "messages[0].tool_calls[0].function.name"),
        (_assistant(tool_calls=[_call(type="custom")]), "messages[0].tool_calls[0].type"),
        (
            _assistant(tool_calls=[_call(function={"name": "f", "arguments": "{"})]),
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)
def test_a_malformed_field_is_named(message: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_messages({"messages": [message]})
    assert refused.value.param == param
    assert param in refused.value.message or isinstance(refused.value, UnsupportedFeature)


@pytest.mark.parametrize("messages", [None, [], "x"])
def test_messages_are_needed(messages: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_messages({"messages": messages})
    assert refused.value.param == "messages"


def test_the_old_form_is_read_as_a_call_and_its_result() -> None:
    call, result = read_messages(
        {
            "messages": [
                _assistant(content=None, function_call={"name": "f", "arguments": '{"a": 1}'}),
                {"role": "function", "name": "f", "content": "done"},
            ]
        }
    )
    (called,) = call.tool_calls
    assert (called.name, called.arguments) == ("f", {"a": 1})
    assert (result.role, result.tool_call_id, result.text()) == ("tool", called.id, "done")


def test_ids_of_the_history_come_once_each_in_order() -> None:
    calls = [_call(id="b"), _call(id="a"), _call(id=None), "x"]
    assert history_call_ids(
        {"messages": [_assistant(tool_calls=calls), _assistant(tool_calls=[_call(id="b")]), 3]}
    ) == [
        "b",
        "a",
    ]
    assert history_call_ids({}) == []
