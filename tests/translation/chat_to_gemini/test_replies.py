"""What a caller hears of Gemini's answers, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.translation.chat_caller import Heard, check_order, hear_stream, hear_whole, read_chunks, translate_stream
from tests.translation.chat_to_gemini.gemini import MODEL, answer, event, open_reply, stream, text, tool, whole

PNG = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
URL = "data:image/png;base64,iVBORw0KGgo="
WANTS_USAGE = {"stream_options": {"include_usage": True}}


def _both(*parts: dict[str, Any], asks: Any = None, **fields: Any) -> Heard:
    """The answer, which must be the same streamed and whole."""
    asks = asks or WANTS_USAGE
    streamed = hear_stream(translate_stream(open_reply(**asks), stream(*parts, **fields)))
    assert hear_whole(open_reply(**asks).whole(whole(*parts, **fields))) == streamed
    return streamed


def test_text_thoughts_and_calls() -> None:
    parts = [
        {"text": "h", "thought": True}, {"text": "m", "thought": True}, text("Hi"), text(" you"),
        tool("f", {"x": "\u2028"}, "a"), {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
    ]  # fmt: skip
    heard = _both(*parts)
    assert (heard.reasoning, heard.text, heard.finish_reason) == ("hm", "Hi you", "tool_calls")
    assert heard.tool_calls == [("a", "f", {"x": "\u2028"})]
    assert (heard.id, heard.model) == ("chatcmpl-r1", MODEL)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("IMAGE_RECITATION", "content_filter"),
        ("LANGUAGE", "stop"),
        ("OTHER", "stop"),
        ("NO_IMAGE", "stop"),
        ("A_NEW_ONE", "stop"),
    ],
)
def test_finish_reasons(reason: str, finish: str) -> None:
    assert _both(text("Hi"), finish=reason).finish_reason == finish


def test_a_call_that_was_filtered_or_cut_is_not_called() -> None:
    assert _both(tool("f", id="a"), finish="MAX_TOKENS").finish_reason == "length"
    assert _both(tool("f", id="a"), finish="SAFETY").finish_reason == "content_filter"


@pytest.mark.parametrize("chunk", [{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}])
def test_a_blocked_prompt_is_one_empty_choice(chunk: dict[str, Any]) -> None:
    body = translate_stream(open_reply(), event(chunk))
    for heard in (hear_whole(open_reply().whole(json.dumps(chunk).encode())), hear_stream(body)):
        assert (heard.finish_reason, heard.text, heard.tool_calls, heard.usage) == ("content_filter", "", [], None)
        assert (heard.id, heard.model) == ("chatcmpl-req-1", "any")


@pytest.mark.parametrize(
    "candidate",
    [{"finishReason": "MAX_TOKENS"}, {"content": {}, "finishReason": "MAX_TOKENS"},
     {"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}],
)  # fmt: skip
def test_content_or_parts_may_be_missing(candidate: dict[str, Any]) -> None:
    chunk = {"candidates": [candidate], "responseId": "r"}
    heard = hear_whole(open_reply().whole(json.dumps(chunk).encode()))
    assert heard == hear_stream(translate_stream(open_reply(), event(chunk)))
    assert (heard.text, heard.finish_reason) == ("", "length")


def test_bytes_that_are_no_answer_are_refused() -> None:
    for body in (b"", b"[]", b"{}", b"<html>"):
        with pytest.raises(ValueError, match=r"JSON|candidates"):
            open_reply().whole(body)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"])
def test_an_answer_in_which_the_model_broke_down_is_an_error(reason: str) -> None:
    chunk = answer(finish=reason, finishMessage="print(f(")
    with pytest.raises(ValueError, match=reason):
        open_reply().whole(json.dumps(chunk).encode())
    translator = open_reply()
    (data,) = translator.event(event(chunk)).split(b"\n\n")[:-1]
    error = json.loads(data.removeprefix(b"data: "))["error"]
    assert error["type"] == "server_error"
    assert "print(f(" in error["message"]
    assert translator.event(event(answer(text("more")))) == translator.end() == b""


def test_images_are_told_as_entries_of_images() -> None:
    entries = [{"type": "image_url", "image_url": {"url": URL}, "index": index} for index in (0, 1)]
    (choice,) = json.loads(open_reply().whole(whole(text("Two:"), PNG, PNG)))["choices"]
    assert choice["message"]["images"] == entries
    body = translate_stream(open_reply(), stream(text("Two:"), PNG, PNG))
    deltas = [c.delta.model_extra or {} for chunk in read_chunks(body) for c in chunk.choices]
    assert [image for delta in deltas for image in delta.get("images", [])] == entries
    assert hear_stream(body).text == "Two:"


def test_several_candidates_are_several_choices() -> None:
    first, second = answer(text("A")), answer(tool("f"), index=1)
    both = first | {"candidates": first["candidates"] + second["candidates"]}
    choices = json.loads(open_reply(n=2).whole(json.dumps(both).encode()))["choices"]
    assert [(choice["index"], choice["finish_reason"]) for choice in choices] == [(0, "stop"), (1, "tool_calls")]
    body = translate_stream(open_reply(n=2), event(second) + event(first))
    for index in (0, 1):
        own = [chunk for chunk in read_chunks(body) if chunk.choices[0].index == index]
        check_order(own)
        assert own[-1].choices[0].finish_reason == choices[index]["finish_reason"]


def test_grounding_becomes_citations_in_characters() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a/b", "title": "A"}}, {"retrievedContext": {"text": "no"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 8, "text": "größ"}, "groundingChunkIndices": [0, 1, 9]}
        ],
    }  # fmt: skip
    # "Ä " are three bytes and "größ" six: the number is wrong, the text right.
    heard = _both(text("Ä "), text("größer"), groundingMetadata=grounding)
    (citation,) = heard.annotations
    assert citation["url_citation"] == {"url": "https://a/b", "title": "A", "start_index": 2, "end_index": 6}


def test_sources_of_the_whole_and_of_recitations() -> None:
    sources = {"groundingChunks": [{"maps": {"uri": "https://m/1", "title": "M"}}]}
    cited = {"citationSources": [{"startIndex": 2, "endIndex": 3, "uri": "https://c/1"}, {"uri": "not an address"}]}
    heard = _both(text("Äbc"), groundingMetadata=sources, citationMetadata=cited)
    places = [tuple(annotation["url_citation"].values()) for annotation in heard.annotations]
    assert {(*sorted(map(str, place)),) for place in places} == {
        ("0", "3", "M", "https://m/1"),
        ("", "1", "2", "https://c/1"),
    }


def test_log_probabilities() -> None:
    token = {"token": "Hé", "logProbability": -0.5}
    told = {"chosenCandidates": [token], "topCandidates": [{"candidates": [token, {"token": "x"}]}]}
    body = open_reply().whole(whole(text("Hé"), logprobsResult=told))
    hear_whole(body)
    (entry,) = json.loads(body)["choices"][0]["logprobs"]["content"]
    assert (entry["token"], entry["logprob"], entry["bytes"]) == ("Hé", -0.5, list("Hé".encode()))
    assert [other["logprob"] for other in entry["top_logprobs"]] == [-0.5, -9999.0]
    chunks = read_chunks(translate_stream(open_reply(), stream(text("Hé"), logprobsResult=told)))
    told_logprobs = [c.logprobs.content for chunk in chunks for c in chunk.choices if c.logprobs and c.logprobs.content]
    assert [[token.token for token in tokens] for tokens in told_logprobs] == [["Hé"]]


def test_the_old_form_of_functions_is_answered_in_it() -> None:
    asks = {"functions": [{"name": "f"}]}
    (choice,) = json.loads(open_reply(**asks).whole(whole(tool("f", {"x": 1}))))["choices"]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"x":1}'}
    assert choice["finish_reason"] == "function_call"
    chunks = read_chunks(translate_stream(open_reply(**asks), stream(tool("f", {"x": 1}))))
    calls = [c.delta.function_call for chunk in chunks for c in chunk.choices if c.delta.function_call]
    assert [(call.name, call.arguments) for call in calls] == [("f", '{"x":1}')]


def test_tool_names_and_service_tiers_come_back_in_the_callers_words() -> None:
    asks = {"tools": [{"type": "function", "function": {"name": "9 lives"}}]}
    body = json.loads(open_reply(**asks).whole(whole(tool("lives_x"), usage={"serviceTier": "standard"})))
    assert body["service_tier"] == "default"
    assert "usage" not in body
    from_us = open_reply(**asks)
    sent = from_us._asked.names.outgoing("9 lives")  # type: ignore[attr-defined]
    assert hear_whole(from_us.whole(whole(tool(sent)))).tool_calls[0][1] == "9 lives"
