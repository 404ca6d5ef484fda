"""Fields of a request: each is carried over, a hint, refused by name, or passed on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translation.chat_to_gemini.gemini import EARLY, config, write
from tikhub_app.exceptions import InvalidRequest, UnsupportedFeature

SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": False}


def _format(**fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, **fields}}


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({"max_tokens": 5}, {"maxOutputTokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"maxOutputTokens": 6}),
        ({"temperature": 2, "top_p": 0.5, "top_k": 3}, {"temperature": 2, "topP": 0.5, "topK": 3}),
        ({"temperature": 0, "seed": 0}, {"temperature": 0, "seed": 0}),
        ({"stop": "a"}, {"stopSequences": ["a"]}),
        ({"stop": ["a", " ", "b"]}, {"stopSequences": ["a", "b"]}),
        ({"n": 3}, {"candidateCount": 3}),
        ({"n": 1, "stop": None}, {}),
        ({"presence_penalty": 0.5, "frequency_penalty": -1}, {"presencePenalty": 0.5, "frequencyPenalty": -1}),
        ({"presence_penalty": 0}, {}),
        ({"logprobs": True, "top_logprobs": 2}, {"responseLogprobs": True, "logprobs": 2}),
        ({"logprobs": True}, {"responseLogprobs": True}),
        ({"logprobs": False, "top_logprobs": None}, {}),
        ({"modalities": ["text"]}, {}),
        ({"modalities": ["image", "text"]}, {"responseModalities": ["IMAGE", "TEXT"]}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}),
        (
            {"response_format": _format(strict=True)},
            {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        ),
        (
            {"response_format": _format(), "model": EARLY},
            {
                "responseMimeType": "application/json",
                "responseSchema": {"type": "OBJECT", "properties": {"x": {"type": "STRING"}}},
            },
        ),
        ({"temperature": 1, "generation_config": {"temperature": 0.5, "new": 1}}, {"temperature": 0.5, "new": 1}),
    ],
)
def test_parameters_of_the_generation_config(fields: dict[str, Any], written: dict[str, Any]) -> None:
    assert config(**fields) == written


def test_a_schema_that_an_older_model_cannot_take_is_told_unless_it_is_strict() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    body = write(model=EARLY, response_format=_format(schema=tree)).body
    assert '"$ref":"#"' in body["systemInstruction"]["parts"][0]["text"]
    assert body["generationConfig"] == {"responseMimeType": "application/json"}
    with pytest.raises(UnsupportedFeature) as refused:
        write(model=EARLY, response_format=_format(schema=tree, strict=True))
    assert refused.value.param == "response_format.json_schema.schema"


def test_the_operation_says_whether_it_is_streamed() -> None:
    assert write(stream=True, stream_options={"include_usage": True}).operation == "stream_generate_content"
    assert write(stream=False).body.keys() == {"contents"}


@pytest.mark.parametrize(
    ("tier", "written"), [("auto", None), ("default", "standard"), ("flex", "flex"), ("priority", "priority")]
)
def test_service_tiers(tier: str, written: str | None) -> None:
    assert write(service_tier=tier).body.get("serviceTier") == written


def test_hints_are_left_out_and_geminis_own_fields_go_along() -> None:
    hints: dict[str, Any] = {"user": "u", "metadata": {}, "store": True, "verbosity": "low", "prompt_cache_key": "k"}
    translated = write(**hints, safety_settings=[], cachedContent="cachedContents/1", drops=True)
    assert translated.body.keys() == {"contents", "safetySettings", "cachedContent"}
    assert translated.dropped == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logit_bias", {"1": 5}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("moderation", {"model": "m"}),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name_or_dropped_and_listed(field: str, value: Any) -> None:
    with pytest.raises(UnsupportedFeature) as refused:
        write(**{field: value})
    assert refused.value.param == field
    translated = write(drops=True, **{field: value})
    assert translated.dropped == [field]
    assert translated.body.keys() == {"contents"}


def test_unknown_fields_are_passed_on_unless_the_operator_drops() -> None:
    assert write(newField=1).body["newField"] == 1
    assert write(newField=1, drops=True).dropped == ["newField"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_k": 0.5}, "top_k"),
        ({"n": 0}, "n"),
        ({"seed": "x"}, "seed"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"modalities": "text"}, "modalities"),
        ({"generationConfig": 1}, "generationConfig"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
    ],
)
def test_a_malformed_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        write(**fields)
    assert refused.value.param == param
