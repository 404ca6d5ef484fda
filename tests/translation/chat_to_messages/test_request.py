"""Parameters of a chat request in a Messages request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.translation.chat_to_messages.claude import MODEL, PAIR, USER, write
from tikhub_app.exceptions import InvalidRequest, UnsupportedFeature
from tikhub_app.translation.base import TranslationOptions

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}


def _schema(schema: Any = None, strict: bool = True) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema or SCHEMA, "strict": strict}}


def test_the_least_request() -> None:
    assert write().body == {"model": MODEL, "messages": [USER], "max_tokens": 8192}


def test_everything_that_is_carried_over() -> None:
    body = write(
        model="claude-sonnet-4-0",
        max_completion_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop=["END", "\n"],
        user="user-1",
        service_tier="default",
        stream=True,
        stream_options={"include_usage": True},
    ).body
    assert body == {
        "model": "claude-sonnet-4-0",
        "messages": [USER],
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "user-1"},
        "service_tier": "standard_only",
        "stream": True,
    }


def test_the_cap_is_the_operators_default_or_the_models_own() -> None:
    options = TranslationOptions(default_max_tokens=20_000)
    body = {"messages": [USER]}
    for model, cap in (("claude-sonnet-4-5", 20_000), ("claude-3-5-haiku-latest", 8_192), ("claude-3-opus", 4_096)):
        assert PAIR.request(body, model=model, kept={}, options=options).body["max_tokens"] == cap


def test_a_temperature_above_one_is_one() -> None:
    assert write(temperature=1.7).body["temperature"] == 1


def test_hints_are_left_out_silently() -> None:
    translated = write(
        metadata={"a": "b"}, store=True, prompt_cache_key="k", prompt_cache_retention="24h", verbosity="low",
        service_tier="flex", stream_options={"include_obfuscation": False}, logprobs=False, n=1, seed=None,
        presence_penalty=0, frequency_penalty=0.0, logit_bias={}, modalities=["text"], stop=[],
    )  # fmt: skip
    assert translated.body == {"model": MODEL, "messages": [USER], "max_tokens": 8192}
    assert translated.dropped == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"1": 5}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("seed", 0),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -0.5),
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
    assert field not in translated.body


def test_unknown_fields_are_passed_on_unless_the_operator_drops() -> None:
    assert write(new_field=1, speed="fast").body["new_field"] == 1
    translated = write(new_field=1, speed="fast", drops=True)
    assert translated.dropped == ["new_field"]
    assert translated.body["speed"] == "fast"


@pytest.mark.parametrize(
    ("user", "opaque"), [("ann@example.com", False), ("+49 151 1234567", False), ("01511234567", False), ("u_1", True)]
)
def test_an_end_user_who_could_be_known_goes_as_a_digest(user: str, opaque: bool) -> None:
    sent = write(user=user).body["metadata"]["user_id"]
    assert (sent == user) is opaque
    assert sent == write(safety_identifier=user, user="other").body["metadata"]["user_id"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"stop": 3}, "stop"),
        ({"user": 3}, "user"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
    ],
)
def test_a_malformed_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        write(**fields)
    assert refused.value.param == param


# Sampling by generation.


def test_models_without_sampling_get_none() -> None:
    assert write(model="claude-opus-4-7", temperature=1, top_p=1).body.keys() == {"model", "messages", "max_tokens"}
    halves: list[dict[str, Any]] = [{"temperature": 0.5}, {"top_p": 0.5}]
    for fields in halves:
        with pytest.raises(UnsupportedFeature) as refused:
            write(model="claude-opus-4-7", **fields)
        assert refused.value.param in fields
    assert write(model="claude-opus-4-7", temperature=0.5, drops=True).dropped == ["temperature"]


def test_models_that_take_temperature_or_top_p_get_one() -> None:
    assert write(temperature=0.5, top_p=1).body["temperature"] == 0.5
    assert write(top_p=0.5).body["top_p"] == 0.5
    with pytest.raises(UnsupportedFeature) as refused:
        write(temperature=0.5, top_p=0.5)
    assert refused.value.param == "top_p"


# JSON.


def test_a_json_schema_is_enforced_and_cleaned() -> None:
    body = write(response_format=_schema()).body
    assert body["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": "(minimum: 1)"}},
                "required": ["n"],
                "additionalProperties": False,
            },
        }
    }
    assert "system" not in body


def test_an_older_model_is_told_the_schema() -> None:
    translated = write(
        {"role": "system", "content": "Be brief."}, USER, response_format=_schema(), model="claude-3-7-sonnet-latest"
    )
    assert "output_config" not in translated.body
    told = translated.body["system"]
    assert told.startswith("Be brief.\nAnswer with one JSON object")
    assert told.endswith(json.dumps(SCHEMA, separators=(",", ":")))
    assert translated.dropped == ["response_format.json_schema.strict"]


def test_a_schema_with_free_keys_is_told_where_it_need_not_be_enforced() -> None:
    free = {"type": "object", "additionalProperties": {"type": "string"}}
    body = write(response_format=_schema(free, strict=False)).body
    assert "output_config" not in body
    assert "additionalProperties" in body["system"]
    with pytest.raises(UnsupportedFeature) as refused:
        write(response_format=_schema(free))
    assert refused.value.param == "response_format.json_schema.schema"


def test_a_json_object_is_an_instruction_after_the_callers_own() -> None:
    body = write({"role": "system", "content": "Be brief."}, USER, response_format={"type": "json_object"}).body
    assert body["system"].startswith("Be brief.\nAnswer with one JSON object")
    marked = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    body = write({"role": "system", "content": marked}, USER, response_format={"type": "json_object"}).body
    assert body["system"][0] == marked[0]
    assert body["system"][1]["text"].startswith("Answer with one JSON object")


def test_format_and_effort_join_what_the_caller_had_configured() -> None:
    body = write(
        model="claude-opus-4-6",
        output_config={"task_budget": 1},
        response_format=_schema(),
        reasoning_effort="low",
    ).body
    assert body["output_config"].keys() == {"task_budget", "format", "effort"}
