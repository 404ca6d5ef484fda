"""Messages of a chat in Claude's order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translation.chat_to_messages.claude import USER, assistant, call, function, result, text, write
from tikhub_app.exceptions import InvalidRequest, UnsupportedFeature

MARK = {"type": "ephemeral"}


def _roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


def test_system_and_developer_messages_are_joined_and_moved_to_the_front() -> None:
    body = write(
        {"role": "system", "content": "One."},
        USER,
        {"role": "developer", "content": [{"type": "text", "text": "Two."}, {"type": "text", "text": "Three."}]},
        {"role": "system", "content": ""},
    ).body
    assert body["system"] == "One.\nTwo.\nThree."
    assert body["messages"] == [USER]


@pytest.mark.parametrize("content", ["", " \n", [], None])
def test_an_empty_system_prompt_is_left_out(content: Any) -> None:
    assert "system" not in write({"role": "system", "content": content}, USER).body


def test_adjacent_turns_of_one_role_are_merged() -> None:
    body = write(
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "d"}]},
        {"role": "user", "content": "e", "name": "Ann"},
    ).body
    assert body["messages"] == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("c"), text("d")]},
        {"role": "user", "content": "e"},
    ]


def test_a_chat_that_begins_with_the_assistant_gets_a_user_turn_before_it() -> None:
    body = write({"role": "assistant", "content": "Hi, I am Claude."}, USER).body
    assert _roles(body) == ["user", "assistant", "user"]


def test_a_prefill_stays_without_the_white_space_that_claude_refuses() -> None:
    body = write(USER, {"role": "assistant", "content": "The answer is \n"}).body
    assert body["messages"][-1] == {"role": "assistant", "content": "The answer is"}


@pytest.mark.parametrize("messages", [[{"role": "system", "content": "x"}], [{"role": "user", "content": " "}]])
def test_a_chat_in_which_nobody_speaks_is_refused(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        write(*messages)
    assert refused.value.param == "messages"


def test_results_of_parallel_calls_stand_together_before_any_text() -> None:
    body = write(
        USER,
        assistant(call("a", "f", '{"x":1}'), call("b", "f", ""), content="Let me see."),
        result("a", "one"),
        {"role": "user", "content": "Quick, please."},
        result("b", [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]),
        tools=[function("f")],
    ).body
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                text("Let me see."),
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "one"},
                {"type": "tool_result", "tool_use_id": "b", "content": [text("two"), text("three")]},
                text("Quick, please."),
            ],
        },
    ]


def test_calls_told_in_two_messages_are_one_turn() -> None:
    body = write(USER, assistant(call("a", "f")), assistant(call("b", "f")), result("a"), result("b")).body
    assert _roles(body) == ["user", "assistant", "user"]
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == ["a", "b"]


def test_a_call_without_a_result_gets_a_stub() -> None:
    body = write(USER, assistant(call("a", "f"), call("b", "f")), result("b"), USER, assistant(call("c", "f"))).body
    assert _roles(body) == ["user", "assistant", "user", "assistant", "user"]
    answered, stub, _ = body["messages"][2]["content"]
    assert (answered["tool_use_id"], stub["tool_use_id"], stub["is_error"]) == ("b", "a", True)
    assert body["messages"][4]["content"][0]["tool_use_id"] == "c"


def test_a_result_without_a_call_is_left_out_and_listed() -> None:
    translated = write(
        result("cut-off"), USER, assistant(call("a", "f")), result("a", "one"), result("a", "again"), USER
    )
    assert translated.dropped == ["messages[0]", "messages[4]"]
    assert [message["role"] for message in translated.body["messages"]] == ["user", "assistant", "user"]


def test_an_empty_result_has_no_content() -> None:
    body = write(USER, assistant(call("a", "f")), result("a", "")).body
    assert body["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "a"}]


def test_ids_that_claude_refuses_are_written_in_its_alphabet_in_call_and_result_alike() -> None:
    body = write(USER, assistant(call("call:1|x", "f")), result("call:1|x")).body
    (used,) = body["messages"][1]["content"]
    assert used["id"] == "tkhid-63616c6c3a317c78"
    assert body["messages"][2]["content"][0]["tool_use_id"] == used["id"]


def test_an_id_used_twice_is_told_apart() -> None:
    turn = [assistant(call("call_0", "f")), result("call_0")]
    body = write(USER, *turn, *turn).body
    used = [message["content"][0]["id"] for message in body["messages"] if message["role"] == "assistant"]
    answered = [message["content"][0]["tool_use_id"] for message in body["messages"][2::2]]
    assert used == answered == ["call_0", "call_0-2"]


def test_arguments_that_are_no_json_are_refused_by_name() -> None:
    with pytest.raises(InvalidRequest) as refused:
        write(USER, assistant(call("a", "f", '{"x":')), result("a"))
    assert refused.value.param == "messages[1].tool_calls[0].function.arguments"


def test_the_old_form_of_a_call_and_its_result() -> None:
    body = write(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"x":1}'}},
        {"role": "function", "name": "f", "content": "done"},
        functions=[{"name": "f"}],
    ).body
    (used,) = body["messages"][1]["content"]
    (answered,) = body["messages"][2]["content"]
    assert (used["name"], used["input"], answered["content"]) == ("f", {"x": 1}, "done")
    assert used["id"] == answered["tool_use_id"]


def test_cache_breakpoints_are_carried_over() -> None:
    body = write(
        {"role": "system", "content": [{"type": "text", "text": "Long.", "cache_control": MARK}]},
        {"role": "user", "content": [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
        {"role": "user", "content": "b", "cache_control": MARK},
        tools=[function("f") | {"cache_control": MARK}],
        cache_control=MARK,
    ).body
    assert body["system"] == [text("Long.", cache_control=MARK)]
    assert body["messages"][0]["content"] == [text("a", cache_control=MARK), text("b", cache_control=MARK)]
    assert body["tools"][0]["cache_control"] == MARK
    assert body["cache_control"] == MARK


# Media.

PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjc="


def _part(kind: str, **value: Any) -> dict[str, Any]:
    return {"type": kind, kind: value}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            _part("image_url", url=f"data:image/png;base64,{PNG}", detail="high"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        ),
        (
            _part("image_url", url="https://example.com/i.png"),
            {"type": "image", "source": {"type": "url", "url": "https://example.com/i.png"}},
        ),
        (
            _part("file", file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            },
        ),
        (
            _part("file", file_data=PDF),
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        ),
        (
            _part("file", file_data="https://example.com/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        ),
        (
            _part("file", file_data="data:text/csv;base64,YSxi", filename="a.csv"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a,b"},
                "title": "a.csv",
            },
        ),
    ],
)
def test_images_and_documents(part: dict[str, Any], block: dict[str, Any]) -> None:
    body = write({"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}).body
    assert body["messages"][0]["content"] == [text("What is it?"), block]


def test_an_image_in_a_tool_result() -> None:
    image = _part("image_url", url="https://example.com/i.png")
    body = write(USER, assistant(call("a", "f")), result("a", [image])).body
    assert body["messages"][2]["content"][0]["content"][0]["type"] == "image"


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (_part("input_audio", data="AA==", format="wav"), "messages[0].content[1].input_audio"),
        (_part("file", file_id="file-1"), "messages[0].content[1].file.file_id"),
        (_part("image_url", url="data:image/tiff;base64,AAAA"), "messages[0].content[1].image_url.url"),
        (_part("file", file_data="AAAA", filename="a.zip"), "messages[0].content[1].file.file_data"),
    ],
)
def test_media_that_claude_does_not_take_are_refused_by_name_or_dropped(part: dict[str, Any], param: str) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}
    with pytest.raises(UnsupportedFeature) as refused:
        write(message)
    assert refused.value.param == param
    translated = write(message, drops=True)
    assert translated.dropped == [param]
    assert translated.body["messages"] == [{"role": "user", "content": "What is it?"}]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gs://bucket/i.png", "i.png", "data:image/png;base64,%"])
def test_an_address_that_is_none_is_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        write({"role": "user", "content": [_part("image_url", url=url)]})
    assert refused.value.param == "messages[0].content[0].image_url.url"
