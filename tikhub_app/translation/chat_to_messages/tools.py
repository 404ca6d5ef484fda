"""Functions of a chat as Claude's tools.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.chat_messages import ChatMessage
from tikhub_app.translation.chat_request import (
    FunctionTool,
    ToolChoice,
    Unsupported,
    function_names,
    read_tool_choice,
    read_tools,
    uses_legacy_functions,
)
from tikhub_app.translation.chat_to_messages.models import Generation
from tikhub_app.translation.chat_to_messages.schema import SchemaNotExpressible, clean_schema, object_schema
from tikhub_app.translation.tool_names import ToolNames

_ALLOWED_NAME = re.compile(r"[A-Za-z0-9_-]+")
#: Claude's own fields of a tool, which callers may add to theirs.
_OWN_FIELDS = ("cache_control", "defer_loading", "allowed_callers", "input_examples", "eager_input_streaming")


def tool_names(body: Mapping[str, Any]) -> ToolNames:
    """Both ways between the caller's tool names and Claude's; reads whatever well-formed names there are."""
    return ToolNames(function_names(body), allowed=_ALLOWED_NAME)


def write_tools(
    body: Mapping[str, Any],
    messages: list[ChatMessage],
    names: ToolNames,
    generation: Generation,
    unsupported: Unsupported,
) -> dict[str, Any]:
    """``tools`` and ``tool_choice`` of the request, each only where there is something to say.

    :raises InvalidRequest: malformed.
    :raises UnsupportedFeature: a custom tool, or a call that cannot be forced.
    """
    functions, native = read_tools(body)
    choice = read_tool_choice(body, [function.name for function in functions])
    if choice.only is not None and not _names_one(choice):
        # "allowed_tools": Claude has no such choice, so the others are not shown.
        functions = [function for function in functions if function.name in choice.only]
    tools = [_definition(function, names, generation) for function in functions]
    tools += native
    if not tools:
        return _tools_of_history(messages, names)
    written: dict[str, Any] = {"tools": tools}
    if choice.mode == "required" and not generation.takes_forced_tools:
        unsupported.refuse(choice.param, "this model decides itself whether to call a tool")
        choice = ToolChoice(param=choice.param)
    calls_one_by_one = body.get("parallel_tool_calls") is False or uses_legacy_functions(body)
    if choice.is_given or calls_one_by_one:
        written["tool_choice"] = _choice(choice, names)
        if calls_one_by_one and choice.mode != "none":
            written["tool_choice"]["disable_parallel_tool_use"] = True
    return written


def _names_one(choice: ToolChoice) -> bool:
    return choice.mode == "required" and choice.only is not None and len(choice.only) == 1


def forces_tools(written: Mapping[str, Any]) -> bool:
    """Whether a request that has been written forces a call."""
    choice = written.get("tool_choice")
    return isinstance(choice, Mapping) and choice.get("type") in ("any", "tool")


def _definition(function: FunctionTool, names: ToolNames, generation: Generation) -> dict[str, Any]:
    tool: dict[str, Any] = {"name": names.outgoing(function.name)}
    if function.description is not None:
        tool["description"] = function.description
    tool["input_schema"] = object_schema(function.parameters)
    if function.strict and function.parameters and generation.has_output_format:
        try:
            tool["input_schema"] = object_schema(clean_schema(function.parameters))
            tool["strict"] = True
        except SchemaNotExpressible:
            pass  # the tool works all the same; Claude's own chat endpoint ignores "strict" altogether
    tool.update((name, function.extras[name]) for name in _OWN_FIELDS if name in function.extras)
    return tool


def _choice(choice: ToolChoice, names: ToolNames) -> dict[str, Any]:
    if choice.mode == "none":
        return {"type": "none"}
    if choice.mode == "required":
        if choice.only is not None and _names_one(choice):
            return {"type": "tool", "name": names.outgoing(choice.only[0])}
        return {"type": "any"}
    return {"type": "auto"}


def _tools_of_history(messages: list[ChatMessage], names: ToolNames) -> dict[str, Any]:
    """Tools that were called once must be defined, even where none may be called any more."""
    called = dict.fromkeys(names.outgoing(call.name) for message in messages for call in message.tool_calls)
    if not called:
        return {}
    tools = [{"name": name, "input_schema": object_schema(None)} for name in called]
    return {"tools": tools, "tool_choice": {"type": "none"}}
