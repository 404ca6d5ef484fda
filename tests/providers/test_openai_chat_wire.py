"""Reading chat completions: usage as disjoint counters, filter findings, and answers that differ in details."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tikhub_app.providers.facts import FilterFinding, Usage
from tikhub_app.providers.openai_chat_wire import read_completion, read_usage

DETAILS_IN, DETAILS_OUT = "prompt_tokens_details", "completion_tokens_details"


def given_usage(prompt: Any, completion: Any, total: Any = None, **details: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, **details}
    return usage if total is None else usage | {"total_tokens": total}


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (given_usage(7, 5, 12), Usage(input_uncached=7, output_visible=5)),
        (given_usage(7, 5), Usage(input_uncached=7, output_visible=5)),
        (
            given_usage(10, 9, 19, **{DETAILS_IN: {"cached_tokens": 4}, DETAILS_OUT: {"reasoning_tokens": 6}}),
            Usage(input_uncached=6, cache_read=4, output_visible=3, reasoning=6),
        ),
        (
            given_usage(
                20,
                9,
                29,
                **{
                    DETAILS_IN: {"cached_tokens": 1, "audio_tokens": 2, "image_tokens": 3, "cache_write_tokens": 4},
                    DETAILS_OUT: {"audio_tokens": 5, "reasoning_tokens": 1, "accepted_prediction_tokens": 2},
                },
            ),
            Usage(
                input_uncached=10,
                cache_read=1,
                cache_write_5m=4,
                image_input=3,
                audio_input=2,
                output_visible=3,
                reasoning=1,
                audio_output=5,
            ),
        ),
        # Nulls, fractions and words, as hosts have sent them.
        (given_usage(7.0, 5.4, 12, **{DETAILS_IN: None, DETAILS_OUT: []}), Usage(input_uncached=7, output_visible=5)),
        (given_usage(None, None, None), Usage()),
        (given_usage("7", True, 0), Usage()),
        (given_usage(-3, 5, 5), Usage(output_visible=5)),
        (given_usage(float("inf"), float("nan"), 0), Usage()),
        (
            given_usage(7, 5, 12, **{DETAILS_IN: {"cached_tokens": None}, DETAILS_OUT: {"reasoning_tokens": -1}}),
            Usage(input_uncached=7, output_visible=5),
        ),
        # Reasoning counted beside completion_tokens rather than within.
        (given_usage(7, 5, 21, **{DETAILS_OUT: {"reasoning_tokens": 9}}), Usage(7, output_visible=5, reasoning=9)),
        # Figures that do not add up are kept as they are, and flagged.
        (given_usage(7, 5, 13), Usage(7, output_visible=5, is_mismatch=True)),
        (
            given_usage(7, 5, 12, **{DETAILS_IN: {"cached_tokens": 9}}),
            Usage(cache_read=9, output_visible=5, is_mismatch=True),
        ),
        (
            given_usage(7, 5, 12, **{DETAILS_OUT: {"reasoning_tokens": 9}}),
            Usage(7, reasoning=9, is_mismatch=True),
        ),
    ],
)
def test_a_usage_object_is_read_as_disjoint_counters(usage: dict[str, Any], read: Usage) -> None:
    assert read_usage(usage) == read


@settings(deadline=None)  # times are not asserted here
@given(
    usage=st.fixed_dictionaries(
        {},
        optional={
            name: st.none() | st.integers() | st.floats() | st.text() | st.dictionaries(st.text(), st.integers())
            for name in ("prompt_tokens", "completion_tokens", "total_tokens", DETAILS_IN, DETAILS_OUT)
        },
    )
)
def test_no_usage_object_breaks_a_call_or_overflows_a_column(usage: dict[str, Any]) -> None:
    read = read_usage(usage)
    assert 0 <= read.input_tokens < 2**31 / 3
    assert 0 <= read.output_tokens < 2**31 / 3


def completion(**fields: Any) -> bytes:
    return json.dumps({"id": "chatcmpl-1", "model": "gpt-4o", "choices": [], **fields}).encode()


def test_a_plain_answer_is_read() -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}
    facts = read_completion(completion(choices=[choice], usage=given_usage(7, 5, 12)))
    assert (facts.answered_model, facts.finish_reason, facts.output_characters) == ("gpt-4o", "stop", 5)
    assert facts.usage == Usage(input_uncached=7, output_visible=5)
    assert facts.findings == []


def test_an_estimate_counts_everything_that_the_model_wrote() -> None:
    message = {
        "content": None,
        "refusal": "no",
        "reasoning_content": "hmm",
        "function_call": {"name": "f", "arguments": "{}"},
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{'a'}"}},
            {"id": "2", "type": "custom", "custom": {"name": "g", "input": "1234"}},
        ],
    }
    assert read_completion(completion(choices=[{"index": 0, "message": message}])).output_characters == 16


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"{}", b"<html></html>", b'{"choices":null}'])
def test_what_is_no_answer_is_not_read_as_one(body: bytes) -> None:
    with pytest.raises(ValueError, match="answer"):
        read_completion(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":7,"choices":[],"usage":[]}',
        b'{"model":"m","choices":[{"index":"0","message":{"content":[{"type":"text"}]}}]}',
        b'{"model":"m","choices":[null, 3, {"message":"text"}]}',
        b'{"model":"m","choices":[{"message":{"content":"x"},"logprobs":NaN}]}',
        rb'{"model":"m","choices":[{"message":{"content":"half an emoji \ud83d"}}]}',
        b'{"choices":[],"prompt_filter_results":[{"content_filter_results":7},3],"moderation":{"input":[]}}',
    ],
)
def test_a_field_of_another_type_never_breaks_a_call(body: bytes) -> None:
    assert read_completion(body).usage is None


def test_azures_findings_are_read_from_both_sides_and_nothing_is_inferred() -> None:
    custom = {"custom_blocklists": {"filtered": True, "details": []}, "protected_material_code": {"detected": False}}
    strange = {"violence": {"filtered": "yes", "severity": "extreme"}, "profanity": True}
    body = completion(
        prompt_filter_results=[{"prompt_index": 0, "content_filter_results": custom}],
        choices=[{"index": 1, "finish_reason": "content_filter", "content_filter_results": strange}],
    )
    assert read_completion(body).findings == [
        FilterFinding("prompt", "custom_blocklists", None, True, None, None, custom["custom_blocklists"]),
        FilterFinding("prompt", "protected_material_code", None, None, False, None, {"detected": False}),
        FilterFinding("completion", "violence", 1, None, None, None, strange["violence"]),
        FilterFinding("completion", "profanity", 1, None, None, None, True),
        FilterFinding("completion", "content_filter", 1, True, None, None, {"finish_reason": "content_filter"}),
    ]


def test_openais_moderation_and_refusal_are_findings() -> None:
    result = {"flagged": True, "categories": {"violence": True, "hate": False}}
    body = completion(
        moderation={"input": {"results": [result]}, "output": {"results": []}},
        choices=[{"index": 0, "finish_reason": "stop", "message": {"content": None, "refusal": "I cannot."}}],
    )
    assert read_completion(body).findings == [
        FilterFinding("prompt", "violence", None, None, True, None, result),
        FilterFinding("completion", "refusal", 0, None, True, None, {"refusal": "I cannot."}),
    ]
