"""Reading a chat completion request beside its messages: tools, tool choice, output format, limits.

https://platform.openai.com/docs/api-reference/chat/create

Errors name the field. A field that is null counts as not given, as it does at OpenAI.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tikhub_app.exceptions import InvalidRequest, UnsupportedFeature
from tikhub_app.translation.base import TranslationOptions

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class Unsupported:
    """What the target cannot express: refused by name, or, where the operator says so, dropped and listed."""

    __slots__ = ("_drops", "_target", "dropped")

    def __init__(self, options: TranslationOptions, *, target: str) -> None:
        self._drops = options.drops_unsupported
        self._target = target
        self.dropped: list[str] = []

    def refuse(self, param: str, reason: str = "") -> None:
        """Drop the field and list it, or refuse the call.

        :raises UnsupportedFeature: fields are not to be dropped.
        """
        if not self._drops:
            why = reason or f"it is not supported by {self._target}"
            raise UnsupportedFeature(
                f"'{param}' cannot be used with this model: {why}.", param=param, code="unsupported_parameter"
            )
        self.note(param)

    def note(self, param: str) -> None:
        """List a field that had to be left out whatever the options say: without it the call is still a right one."""
        if param not in self.dropped:
            self.dropped.append(param)

    def refuse_fields(self, body: Mapping[str, Any], harmless: Mapping[str, Iterable[Any]]) -> None:
        """Refuse each field that is given with a value that asks for something.

        :param harmless: field -> values, beside null, that ask for nothing.
        """
        for name, values in harmless.items():
            value = body.get(name)
            if value is not None and not any(value == known for known in values):
                self.refuse(name)


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """One function that the model may call; ``parameters`` is None where the caller gave no schema."""

    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool
    param: str
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which tools may or must be called.

    ``mode`` is auto, required or none. ``only`` names the tools that may be called, None for all: one name with
    ``required`` is a forced call. ``is_given`` is False where the caller left the choice out.
    """

    mode: str = "auto"
    only: tuple[str, ...] | None = None
    param: str = "tool_choice"
    is_given: bool = False


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """``kind`` is text, json_object or json_schema; the other fields belong to json_schema."""

    kind: str = "text"
    name: str = ""
    description: str | None = None
    schema: dict[str, Any] = field(default_factory=dict)
    is_strict: bool = False


def invalid(param: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid '{param}': {reason}.", param=param, code="invalid_value")


def uses_legacy_functions(body: Mapping[str, Any]) -> bool:
    """Whether the caller speaks the old form, and so must be answered in it."""
    return bool(body.get("functions")) and not body.get("tools")


def wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


# Tools: https://platform.openai.com/docs/guides/function-calling


def read_tools(body: Mapping[str, Any]) -> tuple[list[FunctionTool], list[dict[str, Any]]]:
    """The caller's functions, and the entries that are none: tools in the provider's own words, passed on as they are.

    :raises InvalidRequest: malformed, or two functions have one name.
    :raises UnsupportedFeature: a custom tool in OpenAI's form.
    """
    field_name = "functions" if uses_legacy_functions(body) else "tools"
    entries = body.get(field_name)
    if entries is None:
        return [], []
    if not isinstance(entries, list):
        raise invalid(field_name, "an array is expected")
    functions: list[FunctionTool] = []
    others: list[dict[str, Any]] = []
    for index, entry in enumerate(entries):
        param = f"{field_name}[{index}]"
        if not isinstance(entry, dict):
            raise invalid(param, "an object is expected")
        if field_name == "functions":
            functions.append(_read_function(entry, param, {}))
        elif entry and not entry.keys() & {"type", "function"}:
            others.append(entry)  # Gemini names a tool of its own by its one key
        elif entry.get("type", "function") == "function":
            extras = {name: value for name, value in entry.items() if name not in ("type", "function")}
            functions.append(_read_function(entry.get("function"), f"{param}.function", extras))
        elif entry.get("type") == "custom" and "custom" in entry:
            raise UnsupportedFeature("Custom tools are not supported for this model.", param=f"{param}.type")
        else:
            others.append(entry)
    names = [function.name for function in functions]
    for function in functions:
        if names.count(function.name) > 1:
            raise invalid(f"{function.param}.name", f"the name {function.name!r} is given twice")
    return functions, others


def _read_function(function: Any, param: str, extras: Mapping[str, Any]) -> FunctionTool:
    if not isinstance(function, dict):
        raise invalid(param, "an object is expected")
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise invalid(f"{param}.name", "a name is expected")
    description = function.get("description")
    if description is not None and not isinstance(description, str):
        raise invalid(f"{param}.description", "a string is expected")
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise invalid(f"{param}.parameters", "a JSON schema is expected")
    more = {k: v for k, v in function.items() if k not in ("name", "description", "parameters", "strict")}
    return FunctionTool(
        name, description or None, parameters or None, function.get("strict") is True, param, {**extras, **more}
    )


def function_names(body: Mapping[str, Any]) -> list[str]:
    """Names of the caller's functions; whatever well-formed names there are."""
    names: list[str] = []
    for field_name, inner in (("tools", "function"), ("functions", None)):
        entries = body.get(field_name)
        for entry in entries if isinstance(entries, list) else ():
            function = entry.get(inner) if inner is not None and isinstance(entry, dict) else entry
            if isinstance(function, dict) and isinstance(function.get("name"), str):
                names.append(function["name"])
    return names


def read_tool_choice(body: Mapping[str, Any], names: Iterable[str]) -> ToolChoice:
    """The caller's choice, checked against the names of its functions.

    :raises InvalidRequest: malformed, it names a tool that is not there, or it forces a call where there are no tools.
    :raises UnsupportedFeature: a custom tool.
    """
    legacy = uses_legacy_functions(body)
    param = "function_call" if legacy else "tool_choice"
    choice = body.get(param)
    known = frozenset(names)
    if choice is None:
        return ToolChoice(param=param)
    if isinstance(choice, str):
        if choice not in ("auto", "none") and (legacy or choice != "required"):
            raise invalid(param, "none, auto, required or an object is expected")
        if choice == "required" and not known and not body.get("tools"):
            raise invalid(param, "it needs tools")
        return ToolChoice(choice, None, param, True)
    if not isinstance(choice, dict):
        raise invalid(param, "a string or an object is expected")
    if legacy:
        return ToolChoice("required", (_chosen(choice, f"{param}.name", known),), param, True)
    kind = choice.get("type")
    if kind == "function":
        name = _chosen(choice.get("function"), f"{param}.function.name", known)
        return ToolChoice("required", (name,), param, True)
    if kind == "allowed_tools":
        allowed = choice.get("allowed_tools")
        where = f"{param}.allowed_tools"
        if not isinstance(allowed, dict) or not isinstance(allowed.get("tools"), list):
            raise invalid(where, "an object with tools is expected")
        if allowed.get("mode") not in ("auto", "required"):
            raise invalid(f"{where}.mode", "auto or required is expected")
        only = tuple(
            _chosen(tool.get("function", tool) if isinstance(tool, dict) else None, f"{where}.tools[{index}]", known)
            for index, tool in enumerate(allowed["tools"])
        )
        if not only:
            raise invalid(f"{where}.tools", "at least one tool is expected")
        return ToolChoice(allowed["mode"], only, param, True)
    if kind == "custom":
        raise UnsupportedFeature("Custom tools are not supported for this model.", param=f"{param}.type")
    raise invalid(f"{param}.type", "function or allowed_tools is expected")


def _chosen(function: Any, param: str, known: frozenset[str]) -> str:
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise invalid(param, "the name of a tool is expected")
    if name not in known:
        raise invalid(param, f"{name!r} is not among the tools")
    return name


# Output: https://platform.openai.com/docs/guides/structured-outputs


def read_output_format(body: Mapping[str, Any]) -> OutputFormat:
    """:raises InvalidRequest: malformed."""
    given = body.get("response_format")
    if given is None:
        return OutputFormat()
    kind = given.get("type") if isinstance(given, dict) else None
    if kind in ("text", "json_object"):
        return OutputFormat(kind)
    if kind != "json_schema":
        raise invalid("response_format.type", "text, json_object or json_schema is expected")
    wrapped = given.get("json_schema")
    if not isinstance(wrapped, dict):
        raise invalid("response_format.json_schema", "an object is expected")
    schema = wrapped.get("schema")
    if not isinstance(schema, dict):
        raise invalid("response_format.json_schema.schema", "a JSON schema is expected")
    name, description = wrapped.get("name"), wrapped.get("description")
    return OutputFormat(
        "json_schema",
        name if isinstance(name, str) else "",
        description if isinstance(description, str) else None,
        schema,
        wrapped.get("strict") is True,
    )


# Limits and sampling: https://platform.openai.com/docs/api-reference/chat/create


def read_max_tokens(body: Mapping[str, Any]) -> int | None:
    """The cap on output tokens, reasoning included; the current name goes before the old one."""
    for param in ("max_completion_tokens", "max_tokens"):
        value = body.get(param)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise invalid(param, "a positive integer is expected")
        return value
    return None


def read_number(body: Mapping[str, Any], param: str, least: float, most: float) -> float | None:
    value = body.get(param)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise invalid(param, f"a number from {least:g} to {most:g} is expected")
    return value


def read_stop(body: Mapping[str, Any]) -> list[str]:
    """Stop sequences; those of white space only are left out, since providers refuse them."""
    value = body.get("stop")
    if value is None:
        return []
    sequences = [value] if isinstance(value, str) else value
    if not isinstance(sequences, list) or not all(isinstance(sequence, str) for sequence in sequences):
        raise invalid("stop", "a string or an array of strings is expected")
    return [sequence for sequence in sequences if sequence.strip()]


def read_effort(body: Mapping[str, Any]) -> str | None:
    value = body.get("reasoning_effort")
    if value is not None and value not in _EFFORTS:
        raise invalid("reasoning_effort", f"one of {', '.join(_EFFORTS)} is expected")
    return value


def read_end_user(body: Mapping[str, Any]) -> str | None:
    """Who stands behind the caller, by the current field or the old one."""
    for param in ("safety_identifier", "user"):
        value = body.get(param)
        if value is not None and not isinstance(value, str):
            raise invalid(param, "a string is expected")
        if value:
            return str(value)
    return None
