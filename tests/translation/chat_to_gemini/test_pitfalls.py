"""What real gateways got wrong between chats and Gemini, one test each; numbers are of the issues in their trackers."""

from __future__ import annotations

import json
from typing import Any

from openai.types.completion_usage import CompletionUsage

from tests.translation.chat_caller import hear_stream, read_chunks, translate_stream
from tests.translation.chat_to_gemini.gemini import (
    EARLY,
    USER,
    answer,
    assistant,
    call,
    event,
    function,
    open_reply,
    result,
    stream,
    text,
    thought,
    tool,
    write,
)

WANTS_USAGE = {"stream_options": {"include_usage": True}}


def _translate(body: bytes, **asks: Any) -> bytes:
    return translate_stream(open_reply(**asks), body)


def _usage(*usages: dict[str, Any]) -> CompletionUsage:
    body = b"".join(event(answer(text("a"), finish=None, usage=usage)) for usage in usages)
    told = hear_stream(_translate(body, **WANTS_USAGE)).usage
    assert told is not None
    return told


def test_litellm_16893_the_signature_is_put_back_and_the_id_of_the_call_stays_as_it_was() -> None:
    translator = open_reply()
    heard = hear_stream(translate_stream(translator, stream(tool("f", {"x": 1}, id="a", sign="c2lnbmVk"))))
    assert heard.tool_calls == [("a", "f", {"x": 1})]
    body = write(USER, assistant(call("a", "f", '{"x":1}')), result("a"), kept=translator.kept).body
    assert body["contents"][1]["parts"] == [tool("f", {"x": 1}, id="a", sign="c2lnbmVk")]


def test_new_api_1014_and_portkey_1458_thoughts_are_output() -> None:
    told = _usage({"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 90, "totalTokenCount": 105})
    assert (told.completion_tokens, told.total_tokens) == (95, 105)
    assert told.completion_tokens_details is not None
    assert told.completion_tokens_details.reasoning_tokens == 90


def test_thoughts_that_are_counted_among_the_candidates_are_counted_once() -> None:
    told = _usage(
        {"promptTokenCount": 10, "candidatesTokenCount": 95, "thoughtsTokenCount": 90, "totalTokenCount": 105}
    )
    assert (told.completion_tokens, told.total_tokens) == (95, 105)


def test_new_api_2935_what_a_search_put_before_the_model_is_input() -> None:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "toolUsePromptTokenCount": 900, "totalTokenCount": 915}
    told = _usage(usage)
    assert (told.prompt_tokens, told.completion_tokens, told.total_tokens) == (910, 5, 915)


def test_portkey_1754_the_prompt_includes_the_cache_once() -> None:
    told = _usage({"promptTokenCount": 100, "cachedContentTokenCount": 80, "candidatesTokenCount": 5})
    assert (told.prompt_tokens, told.total_tokens) == (100, 105)
    assert told.prompt_tokens_details is not None
    assert told.prompt_tokens_details.cached_tokens == 80


def test_one_api_2224_the_usage_chunk_comes_last_and_only_when_it_was_asked_for() -> None:
    chunks = read_chunks(_translate(stream(text("Hi")), **WANTS_USAGE))
    assert [len(chunk.choices) for chunk in chunks] == [1] * (len(chunks) - 1) + [0]
    assert chunks[-1].usage is not None
    assert all(chunk.usage is None for chunk in read_chunks(_translate(stream(text("Hi")))))


def test_usage_is_the_last_that_came_and_never_a_sum() -> None:
    told = _usage(
        {"promptTokenCount": 10, "candidatesTokenCount": 5}, {"trafficType": "ON_DEMAND"},
        {"promptTokenCount": 12, "candidatesTokenCount": 9}, {"trafficType": "ON_DEMAND"},
    )  # fmt: skip
    assert (told.prompt_tokens, told.completion_tokens) == (12, 9)


def test_usage_after_the_finish_reason_counts() -> None:
    late = {"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3}}
    body = _translate(event(answer(text("Hi"), usage=None)) + event(late), **WANTS_USAGE)
    told = hear_stream(body).usage
    assert told is not None
    assert (told.prompt_tokens, told.completion_tokens) == (7, 3)


def test_new_api_1761_a_cut_answer_says_so() -> None:
    assert hear_stream(_translate(stream(text("Hi"), finish="MAX_TOKENS"))).finish_reason == "length"


def test_new_api_1503_token_numbers_are_made_whole() -> None:
    told = _usage({"promptTokenCount": 10.4, "candidatesTokenCount": "6"})
    assert (told.prompt_tokens, told.completion_tokens) == (10, 6)


def test_litellm_5231_parallel_calls_of_one_name_are_told_apart_each_in_one_delta() -> None:
    both = event(answer(tool("f", {"x": 1}), tool("f", {"x": 2})))
    for body in (both, stream(thought("hm"), tool("f", {"x": 1}), text("and"), tool("f", {"x": 2}))):
        deltas = [c.delta.tool_calls for chunk in read_chunks(_translate(body)) for c in chunk.choices]
        calls = [call for called in deltas for call in called or []]
        assert [(call.index, call.function.arguments) for call in calls if call.function] == [
            (0, '{"x":1}'),
            (1, '{"x":2}'),
        ]
        assert len({call.id for call in calls}) == 2
        assert hear_stream(_translate(body)).finish_reason == "tool_calls"


def test_a_signature_in_a_trailing_empty_part_is_no_empty_delta() -> None:
    chunks = read_chunks(_translate(stream(text("Hi"), text("", thoughtSignature="s"))))
    deltas = [choice.delta.model_dump(exclude_unset=True) for chunk in chunks for choice in chunk.choices]
    assert [delta.get("content") for delta in deltas] == ["", "Hi", None]


def test_cli_proxy_api_97_no_dollar_schema_goes_along() -> None:
    schema = {"$schema": "x", "type": "object", "properties": {"a": {"type": "string"}}}
    for model in (EARLY, "gemini-2.5-pro"):
        assert "$schema" not in json.dumps(write(tools=[function("f", parameters=schema)], model=model).body)


def test_a_line_separator_does_not_cut_an_event_in_two() -> None:
    body = _translate(stream(text("a\u2028b\u2029c")))
    assert len(body.decode().splitlines()) == body.count(b"\n")
    assert hear_stream(body).text == "a\u2028b\u2029c"
