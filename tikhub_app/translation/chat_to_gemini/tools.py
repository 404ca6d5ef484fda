"""Functions of a chat as Gemini's function declarations.

https://ai.google.dev/gemini-api/docs/function-calling
https://ai.google.dev/api/caching#FunctionDeclaration
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.chat_request import (
    FunctionTool,
    ToolChoice,
    Unsupported,
    function_names,
    read_tool_choice,
    read_tools,
)
from tikhub_app.translation.chat_to_gemini.models import Generation
from tikhub_app.translation.chat_to_gemini.schema import SchemaNotExpressible, json_schema, openapi_schema
from tikhub_app.translation.tool_names import ToolNames

#: What every host of Gemini admits, in 64 characters; some admit more.
_ALLOWED_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def tool_names(body: Mapping[str, Any]) -> ToolNames:
    """Both ways between the caller's tool names and Gemini's."""
    return ToolNames(function_names(body), allowed=_ALLOWED_NAME)


def write_tools(
    body: Mapping[str, Any], names: ToolNames, generation: Generation, unsupported: Unsupported
) -> dict[str, Any]:
    """``tools`` and ``toolConfig`` of the request, each only where there is something to say.

    Entries that are no functions, such as ``{"googleSearch": {}}``, go along as they are.

    :raises InvalidRequest: malformed.
    :raises UnsupportedFeature: a custom tool, calls one by one, or a schema that the model cannot take.
    """
    functions, native = read_tools(body)
    choice = read_tool_choice(body, [function.name for function in functions])
    tools = list(native)
    if functions:
        tools.insert(0, {"functionDeclarations": [_declaration(f, names, generation, unsupported) for f in functions]})
        if body.get("parallel_tool_calls") is False:
            unsupported.refuse("parallel_tool_calls", "Gemini decides itself how many tools it calls at once")
    if not tools:
        return {}
    written: dict[str, Any] = {"tools": tools}
    if functions and choice.is_given:
        written["toolConfig"] = {"functionCallingConfig": _choice(choice, names)}
    return written


def _declaration(
    function: FunctionTool, names: ToolNames, generation: Generation, unsupported: Unsupported
) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": names.outgoing(function.name)}
    if function.description is not None:
        declaration["description"] = function.description
    if not function.parameters or _is_empty(function.parameters):
        return declaration
    if generation.has_json_schema:
        declaration["parametersJsonSchema"] = json_schema(function.parameters)
        return declaration
    try:
        declaration["parameters"] = openapi_schema(function.parameters)
    except SchemaNotExpressible as error:
        unsupported.refuse(f"{function.param}.parameters", f"this model cannot take {error}")
    return declaration


def _is_empty(parameters: Mapping[str, Any]) -> bool:
    """An object without properties, which the older form refuses, is said by leaving the parameters out."""
    told = {name for name, value in parameters.items() if value not in ({}, [], False, None)}
    return told <= {"type", "title", "$schema"}


def _choice(choice: ToolChoice, names: ToolNames) -> dict[str, Any]:
    if choice.mode == "none":
        return {"mode": "NONE"}
    config: dict[str, Any] = {"mode": "ANY" if choice.mode == "required" else "AUTO"}
    if choice.only is not None:
        # Names are taken with ANY and VALIDATED only; the latter leaves the model free to answer in words.
        config["mode"] = "ANY" if choice.mode == "required" else "VALIDATED"
        config["allowedFunctionNames"] = [names.outgoing(name) for name in choice.only]
    return config
