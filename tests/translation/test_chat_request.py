from __future__ import annotations

from typing import Any

import pytest

from tikhub_app.exceptions import InvalidRequest, UnsupportedFeature
from tikhub_app.translation.base import TranslationOptions
from tikhub_app.translation.chat_request import (
    OutputFormat,
    ToolChoice,
    Unsupported,
    read_max_tokens,
    read_number,
    read_output_format,
    read_stop,
    read_tool_choice,
    read_tools,
)

F = {"type": "function", "function": {"name": "f"}}
G = {"type": "function", "function": {"name": "g"}}


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice("auto", None, "tool_choice", True)),
        ("none", ToolChoice("none", None, "tool_choice", True)),
        ("required", ToolChoice("required", None, "tool_choice", True)),
        (F, ToolChoice("required", ("f",), "tool_choice", True)),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [G]}},
            ToolChoice("auto", ("g",), "tool_choice", True),
        ),
    ],
)
def test_it_reads_every_tool_choice(choice: Any, read: ToolChoice) -> None:
    assert read_tool_choice({"tools": [F, G], "tool_choice": choice}, ["f", "g"]) == read


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": 3}, "tools"),
        ({"tools": [3]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": 1}}]}, "tools[0].function.parameters"),
        ({"tools": [F, F]}, "tools[0].function.name"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"functions": [{}]}, "functions[0].name"),
        ({"tools": [F], "tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [F], "tool_choice": G}, "tool_choice.function.name"),
        ({"tools": [F], "tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"tools": [F], "tool_choice": {"type": "other"}}, "tool_choice.type"),
        ({"tools": [F], "tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
        (
            {"tools": [F], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [G]}}},
            "tool_choice.allowed_tools.tools[0]",
        ),
    ],
)
def test_a_malformed_tool_field_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_tool_choice(body, [function.name for function in read_tools(body)[0]])
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"type": "xml"}, "response_format.type"),
        ("json", "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, "response_format.json_schema.schema"),
    ],
)
def test_a_malformed_output_format_is_named(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_output_format({"response_format": given})
    assert refused.value.param == param


def test_it_reads_an_output_format() -> None:
    schema = {"type": "object"}
    given = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    assert read_output_format({"response_format": given}) == OutputFormat("json_schema", "n", None, schema, True)
    assert read_output_format({"response_format": None}).kind == "text"


def test_the_current_cap_goes_before_the_old_one() -> None:
    assert read_max_tokens({"max_tokens": 5, "max_completion_tokens": 7}) == 7
    assert read_max_tokens({"max_tokens": 5, "max_completion_tokens": None}) == 5
    assert read_max_tokens({}) is None


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "5"])
def test_a_cap_is_a_positive_integer(value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_max_tokens({"max_tokens": value})
    assert refused.value.param == "max_tokens"


@pytest.mark.parametrize("value", [-0.1, 2.1, "1", True, float("nan")])
def test_a_number_is_within_its_range(value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_number({"temperature": value}, "temperature", 0, 2)
    assert refused.value.param == "temperature"


def test_stop_sequences_of_white_space_are_left_out() -> None:
    assert read_stop({"stop": ["END", "\n", " ", ""]}) == ["END"]
    assert read_stop({"stop": "END"}) == ["END"]
    assert read_stop({}) == []


def test_what_is_not_supported_is_refused_by_name_or_dropped_and_listed() -> None:
    strict = Unsupported(TranslationOptions(), target="Claude")
    with pytest.raises(UnsupportedFeature, match=r"'n' cannot be used .* Claude") as refused:
        strict.refuse_fields({"n": 2}, {"n": (1,)})
    assert (refused.value.param, refused.value.code) == ("n", "unsupported_parameter")
    lenient = Unsupported(TranslationOptions(drops_unsupported=True), target="Claude")
    lenient.refuse_fields({"n": 2, "seed": 0, "logprobs": False}, {"n": (1,), "seed": (), "logprobs": (False,)})
    assert lenient.dropped == ["n", "seed"]


def test_a_tool_with_neither_type_nor_function_is_the_providers_own() -> None:
    functions, others = read_tools({"tools": [{"googleSearch": {}}, {"function": {"name": "f"}}]})
    assert [function.name for function in functions] == ["f"]
    assert others == [{"googleSearch": {}}]
    with pytest.raises(InvalidRequest):
        read_tools({"tools": [{}]})
