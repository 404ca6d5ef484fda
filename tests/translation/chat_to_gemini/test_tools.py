"""Functions and the choice among them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translation.chat_to_gemini.gemini import EARLY, function, write
from tikhub_app.exceptions import InvalidRequest, UnsupportedFeature

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"x": {"type": ["integer", "null"], "exclusiveMinimum": 0}},
    "required": ["x"],
    "additionalProperties": False,
}
F, G = function("f", parameters=SCHEMA), function("g", description="Does.")


def test_a_schema_goes_as_it_is_where_the_model_reads_it() -> None:
    (tools,) = write(tools=[F, G]).body["tools"]
    schema = {name: value for name, value in SCHEMA.items() if name != "$schema"}
    assert tools["functionDeclarations"] == [
        {"name": "f", "parametersJsonSchema": schema},
        {"name": "g", "description": "Does."},
    ]


def test_an_older_model_gets_the_subset() -> None:
    (tools,) = write(tools=[F], model=EARLY).body["tools"]
    (declared,) = tools["functionDeclarations"]
    assert declared["parameters"] == {
        "type": "OBJECT",
        "properties": {"x": {"type": "INTEGER", "nullable": True, "description": "(exclusiveMinimum: 0)"}},
        "required": ["x"],
    }


@pytest.mark.parametrize("parameters", [{}, {"type": "object", "properties": {}, "additionalProperties": False}])
def test_a_function_without_parameters_has_none(parameters: dict[str, Any]) -> None:
    (tools,) = write(tools=[function("f", parameters=parameters)]).body["tools"]
    assert tools["functionDeclarations"] == [{"name": "f"}]


def test_an_object_with_free_keys_is_no_empty_one() -> None:
    free = {"type": "object", "additionalProperties": {"type": "string"}}
    (tools,) = write(tools=[function("f", parameters=free)]).body["tools"]
    assert tools["functionDeclarations"][0]["parametersJsonSchema"] == free


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "g"}}, {"mode": "ANY", "allowedFunctionNames": ["g"]}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [F, G]}},
            {"mode": "ANY", "allowedFunctionNames": ["f", "g"]},
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [G]}},
            {"mode": "VALIDATED", "allowedFunctionNames": ["g"]},
        ),
    ],
)
def test_the_choice_among_tools(choice: Any, config: dict[str, Any]) -> None:
    assert write(tools=[F, G], tool_choice=choice).body["toolConfig"] == {"functionCallingConfig": config}


def test_no_choice_is_no_config() -> None:
    assert "toolConfig" not in write(tools=[F]).body


def test_the_old_form_of_functions() -> None:
    body = write(functions=[{"name": "f"}], function_call={"name": "f"}).body
    assert body["tools"] == [{"functionDeclarations": [{"name": "f"}]}]
    assert body["toolConfig"]["functionCallingConfig"] == {"mode": "ANY", "allowedFunctionNames": ["f"]}


def test_geminis_own_tools_go_along() -> None:
    own = {"includeServerSideToolInvocations": True}
    body = write(tools=[{"googleSearch": {}}, G], tool_choice="auto", tool_config=own).body
    assert body["tools"][1] == {"googleSearch": {}}
    assert body["toolConfig"] == {**own, "functionCallingConfig": {"mode": "AUTO"}}
    assert write(tools=[{"googleSearch": {}}]).body["tools"] == [{"googleSearch": {}}]


def test_calls_one_by_one_cannot_be_asked_for() -> None:
    assert write(tools=[F], parallel_tool_calls=True).dropped == []
    assert write(parallel_tool_calls=False).dropped == []
    with pytest.raises(UnsupportedFeature) as refused:
        write(tools=[F], parallel_tool_calls=False)
    assert refused.value.param == "parallel_tool_calls"
    assert write(tools=[F], parallel_tool_calls=False, drops=True).dropped == ["parallel_tool_calls"]


def test_a_tool_that_is_not_there_cannot_be_chosen() -> None:
    with pytest.raises(InvalidRequest) as refused:
        write(tools=[F], tool_choice={"type": "function", "function": {"name": "h"}})
    assert refused.value.param == "tool_choice.function.name"


def test_a_recursive_schema_is_refused_by_name_where_the_model_cannot_take_it() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert write(tools=[function("f", parameters=tree)]).dropped == []
    with pytest.raises(UnsupportedFeature) as refused:
        write(tools=[function("f", parameters=tree)], model=EARLY)
    assert refused.value.param == "tools[0].function.parameters"
