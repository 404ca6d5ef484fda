"""Functions of a chat as Claude's tools."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translation.chat_to_messages.claude import USER, assistant, call, function, result, write
from tikhub_app.exceptions import InvalidRequest, UnsupportedFeature

SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}, "required": ["city"]}
F, G = function("f", description="Does f.", parameters=SCHEMA), function("g")
FORCED: dict[str, Any] = {"type": "function", "function": {"name": "f"}}


def test_definitions() -> None:
    assert write(tools=[F, G, function("h", parameters={"properties": {}})]).body["tools"] == [
        {"name": "f", "description": "Does f.", "input_schema": SCHEMA},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        {"name": "h", "input_schema": {"type": "object", "properties": {}}},
    ]


def test_a_strict_function_is_strict_where_the_model_can_be() -> None:
    tools = [function("f", parameters=SCHEMA | {"additionalProperties": False}, strict=True)]
    (tool,) = write(tools=tools, model="claude-sonnet-4-5").body["tools"]
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    assert "minLength" not in tool["input_schema"]["properties"]["city"]
    (older,) = write(tools=tools, model="claude-3-5-haiku-latest").body["tools"]
    assert older == {"name": "f", "input_schema": tools[0]["function"]["parameters"]}


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        ("auto", {"type": "auto"}),
        ("required", {"type": "any"}),
        ("none", {"type": "none"}),
        (FORCED, {"type": "tool", "name": "f"}),
    ],
)
def test_choices(choice: Any, written: dict[str, Any]) -> None:
    body = write(tools=[F, G], tool_choice=choice).body
    assert body["tool_choice"] == written
    assert len(body["tools"]) == 2


def test_no_choice_is_left_to_claude() -> None:
    assert "tool_choice" not in write(tools=[F]).body


@pytest.mark.parametrize(("mode", "kind"), [("auto", "auto"), ("required", "any")])
def test_allowed_tools_are_the_only_ones_shown(mode: str, kind: str) -> None:
    allowed = {"mode": mode, "tools": [function("f"), function("h")]}
    body = write(tools=[F, G, function("h")], tool_choice={"type": "allowed_tools", "allowed_tools": allowed}).body
    assert [tool["name"] for tool in body["tools"]] == ["f", "h"]
    assert body["tool_choice"] == {"type": kind}


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        (FORCED, {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
    ],
)
def test_one_call_at_a_time(choice: Any, written: dict[str, Any]) -> None:
    body = write(tools=[F], tool_choice=choice, parallel_tool_calls=False).body
    assert body["tool_choice"] == written


def test_parallel_calls_without_tools_say_nothing() -> None:
    assert "tool_choice" not in write(parallel_tool_calls=False).body


def test_the_old_form_allows_one_call() -> None:
    body = write(functions=[F["function"]], function_call={"name": "f"}).body
    assert body["tools"][0]["input_schema"] == SCHEMA
    assert body["tool_choice"] == {"type": "tool", "name": "f", "disable_parallel_tool_use": True}
    body = write(functions=[F["function"]]).body
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_names_beyond_the_limits_are_replaced_everywhere() -> None:
    name = "weather.today"
    body = write(
        USER,
        assistant(call("a", name)),
        result("a"),
        tools=[function(name)],
        tool_choice={"type": "function", "function": {"name": name}},
    ).body
    (tool,) = body["tools"]
    assert tool["name"] == body["tool_choice"]["name"] == body["messages"][1]["content"][0]["name"] != name


def test_tools_that_were_called_once_are_defined_though_none_may_be_called() -> None:
    body = write(USER, assistant(call("a", "f"), call("b", "g")), result("a"), result("b")).body
    assert body["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert body["tool_choice"] == {"type": "none"}


def test_claudes_own_tools_are_passed_on() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    assert write(tools=[search, G]).body["tools"][-1] == search


def test_custom_tools_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedFeature) as refused:
        write(tools=[F, {"type": "custom", "custom": {"name": "c"}}])
    assert refused.value.param == "tools[1].type"


def test_a_choice_that_names_no_tool_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest) as refused:
        write(tools=[G], tool_choice=FORCED)
    assert refused.value.param == "tool_choice.function.name"


def test_a_model_that_cannot_be_forced_says_so() -> None:
    with pytest.raises(UnsupportedFeature) as refused:
        write(tools=[F], tool_choice="required", model="claude-opus-5-5")
    assert refused.value.param == "tool_choice"
    translated = write(tools=[F], tool_choice="required", model="claude-opus-5-5", drops=True)
    assert translated.dropped == ["tool_choice"]
    assert "tool_choice" not in translated.body
