"""Messages of a chat in Gemini's order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translation.chat_to_gemini.gemini import EARLY, USER, assistant, call, function, result, text, write
from tikhub_app.exceptions import InvalidRequest, UnsupportedFeature

PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjc="
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
INLINE = {"inlineData": {"mimeType": "image/png", "data": PNG}}


def _contents(*messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = write(*messages, **fields).body["contents"]
    return found


def test_system_and_developer_messages_are_joined_and_moved_to_the_system_instruction() -> None:
    body = write(
        {"role": "system", "content": "One."},
        USER,
        {"role": "developer", "content": [{"type": "text", "text": "Two."}]},
        {"role": "system", "content": ""},
    ).body
    assert body["systemInstruction"] == {"parts": [{"text": "One.\nTwo."}]}
    assert body["contents"] == [{"role": "user", "parts": [text("Hello")]}]
    assert "systemInstruction" not in write({"role": "system", "content": " "}, USER).body


def test_adjacent_turns_of_one_role_are_merged() -> None:
    contents = _contents(
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}], "name": "Ann"},
        {"role": "assistant", "content": "c"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "d"}]},
        {"role": "user", "content": "e"},
    )
    assert contents == [
        {"role": "user", "parts": [text("a"), text("b")]},
        {"role": "model", "parts": [text("c"), text("d")]},
        {"role": "user", "parts": [text("e")]},
    ]


def test_a_chat_that_begins_with_the_assistant_gets_a_user_turn_before_it() -> None:
    roles = [turn["role"] for turn in _contents({"role": "assistant", "content": "Hi"}, USER)]
    assert roles == ["user", "model", "user"]


@pytest.mark.parametrize("messages", [[{"role": "system", "content": "x"}], [{"role": "user", "content": ""}]])
def test_a_chat_in_which_nobody_speaks_is_refused(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        write(*messages)
    assert refused.value.param == "messages"


def test_results_of_parallel_calls_stand_together_in_the_order_of_the_calls_with_their_names() -> None:
    contents = _contents(
        USER,
        assistant(call("a", "look", '{"x":1}'), call("b", "find", ""), content="Let me see."),
        {"role": "user", "content": "Quick."},
        result("b", '{"rows":[1]}'),
        result("a", [{"type": "text", "text": "[1,"}, {"type": "text", "text": "2]"}]),
        model=EARLY,
    )
    assert contents[1]["parts"] == [
        text("Let me see."),
        {"functionCall": {"name": "look", "args": {"x": 1}}},
        {"functionCall": {"name": "find", "args": {}}},
    ]
    assert [list(part) for part in contents[2]["parts"]] == [["functionResponse"], ["functionResponse"], ["text"]]
    assert contents[2]["parts"][:2] == [
        {"functionResponse": {"name": "look", "response": {"output": "[1,2]"}}},
        {"functionResponse": {"name": "find", "response": {"rows": [1]}}},
    ]


@pytest.mark.parametrize(
    ("content", "response"),
    [
        ("done", {"output": "done"}),
        ("", {"output": ""}),
        ("007", {"output": "007"}),
        ('["a"]', {"output": '["a"]'}),
        ("{not json", {"output": "{not json"}),
        ('{"x": NaN}', {"output": '{"x": NaN}'}),
        ('{"x": 1}', {"x": 1}),
    ],
)
def test_a_result_that_is_no_object_is_wrapped(content: str, response: dict[str, Any]) -> None:
    contents = _contents(USER, assistant(call("a", "f")), result("a", content))
    assert contents[2]["parts"] == [{"functionResponse": {"name": "f", "response": response}}]


def test_a_call_without_a_result_gets_a_stub_and_a_result_without_a_call_is_listed() -> None:
    translated = write(
        result("cut-off"), USER, assistant(call("a", "f"), call("b", "g")), result("b"), result("b"), USER
    )
    assert translated.dropped == ["messages[0]", "messages[4]"]
    stub, answered, said = translated.body["contents"][2]["parts"]
    assert stub["functionResponse"] == {"name": "f", "response": {"error": "No result of this call is known."}}
    assert answered["functionResponse"]["name"] == "g"
    assert said == text("Hello")
    last = write(USER, assistant(call("c", "f"))).body["contents"][-1]
    assert "error" in last["parts"][0]["functionResponse"]["response"]


def test_the_old_form_of_a_call_and_its_result() -> None:
    contents = _contents(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"x":1}'}},
        {"role": "function", "name": "f", "content": "done"},
        functions=[{"name": "f"}],
        model=EARLY,
    )
    assert contents[1]["parts"] == [{"functionCall": {"name": "f", "args": {"x": 1}}}]
    assert contents[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"output": "done"}}}]


def test_arguments_that_are_no_json_are_refused_by_name() -> None:
    with pytest.raises(InvalidRequest) as refused:
        write(USER, assistant(call("a", "f", '{"x":')), result("a"))
    assert refused.value.param == "messages[1].tool_calls[0].function.arguments"


def test_names_that_gemini_refuses_are_replaced_everywhere_alike() -> None:
    body = write(
        USER, assistant(call("a", "9 lives")), result("a"), tools=[function("9 lives")], tool_choice="auto"
    ).body
    (declared,) = body["tools"][0]["functionDeclarations"]
    called, answered = (body["contents"][turn]["parts"][0] for turn in (1, 2))
    assert declared["name"].startswith("lives_")
    assert declared["name"] == called["functionCall"]["name"] == answered["functionResponse"]["name"]


# Media.


def _part(kind: str, **value: Any) -> dict[str, Any]:
    return {"type": kind, kind: value}


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (IMAGE, INLINE),
        (
            _part("image_url", url="https://generativelanguage.googleapis.com/v1beta/files/abc", detail="low"),
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        ),
        (_part("image_url", url="https://youtu.be/x"), {"fileData": {"fileUri": "https://youtu.be/x"}}),
        (
            _part("image_url", url="gs://bucket/a.png"),
            {"fileData": {"fileUri": "gs://bucket/a.png", "mimeType": "image/png"}},
        ),
        (
            _part("file", file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf"),
            {"inlineData": {"mimeType": "application/pdf", "data": PDF}},
        ),
        (_part("file", file_data=PDF), {"inlineData": {"mimeType": "application/pdf", "data": PDF}}),
        (
            _part("file", file_data="e30=", filename="a.json"),
            {"inlineData": {"mimeType": "text/plain", "data": "e30="}},
        ),
        (_part("input_audio", data="AAAA", format="wav"), {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}),
        (_part("input_audio", data="AAAA", format="mp3"), {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}}),
    ],
)
def test_media_go_along_by_value_or_by_an_address_that_google_knows(
    part: dict[str, Any], written: dict[str, Any]
) -> None:
    assert _contents({"role": "user", "content": [part]})[0]["parts"] == [written]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (_part("image_url", url="https://example.com/i.png"), "image_url.url"),
        (_part("image_url", url="https://youtube.com.example/i.png"), "image_url.url"),
        (_part("file", file_id="file-1"), "file.file_id"),
        (_part("file", file_data="AAAA"), "file.file_data"),
    ],
)
def test_media_that_gemini_cannot_get_are_refused_by_name_or_dropped_and_listed(
    part: dict[str, Any], param: str
) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}
    with pytest.raises(UnsupportedFeature) as refused:
        write(message)
    assert refused.value.param == f"messages[0].content[1].{param}"
    translated = write(message, drops=True)
    assert translated.dropped == [refused.value.param]
    assert translated.body["contents"][0]["parts"] == [text("What is it?")]


@pytest.mark.parametrize(("url", "param"), [("ftp://a/b", "url"), ("data:image/png;base64,!", "url")])
def test_an_address_that_is_none_is_malformed(url: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        write({"role": "user", "content": [_part("image_url", url=url)]}, drops=True)
    assert refused.value.param == f"messages[0].content[0].image_url.{param}"


def test_an_image_in_a_result_stands_in_the_response_or_where_models_cannot_after_it() -> None:
    messages = [USER, assistant(call("a", "f")), result("a", [{"type": "text", "text": "see"}, IMAGE])]
    (answered,) = _contents(*messages)[2]["parts"]
    assert answered["functionResponse"] == {"name": "f", "response": {"output": "see"}, "parts": [INLINE]}
    answered, image = _contents(*messages, model=EARLY)[2]["parts"]
    assert "parts" not in answered["functionResponse"]
    assert image == INLINE


def test_images_of_an_earlier_answer_go_back_as_they_came() -> None:
    contents = _contents(
        USER, {"role": "assistant", "content": "Here.", "images": [IMAGE]}, USER, model="gemini-2.5-flash-image"
    )
    assert contents[1] == {"role": "model", "parts": [text("Here."), INLINE]}
