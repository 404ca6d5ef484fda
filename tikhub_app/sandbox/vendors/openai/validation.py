"""What OpenAI refuses in a chat completion, with its messages, ``param`` and codes.

https://platform.openai.com/docs/api-reference/chat/create — unknown fields pass here, though OpenAI refuses them, so
that what a gateway forwards can be seen at its other end.
"""

import re
from collections.abc import Mapping
from typing import Any

from tikhub_app.sandbox.vendors.openai.errors import invalid
from tikhub_app.sandbox.vendors.openai.models import Model

ROLES = ("system", "assistant", "user", "function", "tool", "developer")
PARTS = ("text", "image_url", "input_audio", "refusal", "audio", "file")
_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]+")

# Field: wanted type in OpenAI's words, smallest and largest value. null counts as absent everywhere.
FIELDS: dict[str, tuple[str, float | None, float | None]] = {
    "messages": ("an array of objects", None, None),
    "max_tokens": ("an integer", 1, None),
    "max_completion_tokens": ("an integer", 1, None),
    "temperature": ("a decimal", 0, 2),
    "top_p": ("a decimal", 0, 1),
    "n": ("an integer", 1, 128),
    "frequency_penalty": ("a decimal", -2, 2),
    "presence_penalty": ("a decimal", -2, 2),
    "logit_bias": ("an object", None, None),
    "logprobs": ("a boolean", None, None),
    "top_logprobs": ("an integer", 0, 20),
    "seed": ("an integer", None, None),
    "stream": ("a boolean", None, None),
    "stream_options": ("an object", None, None),
    "tools": ("an array of objects", None, None),
    "functions": ("an array of objects", None, None),
    "parallel_tool_calls": ("a boolean", None, None),
    "response_format": ("an object", None, None),
    "reasoning_effort": ("a string", None, None),
    "verbosity": ("a string", None, None),
    "modalities": ("an array of strings", None, None),
    "metadata": ("an object", None, None),
    "store": ("a boolean", None, None),
    "service_tier": ("a string", None, None),
    "user": ("a string", None, None),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "reasoning_effort": ("none", "minimal", "low", "medium", "high", "xhigh"),
    "verbosity": ("low", "medium", "high"),
    "service_tier": ("auto", "default", "flex", "scale", "priority", "fast"),
}
_TYPES: dict[str, tuple[type, ...]] = {
    "an integer": (int,),
    "a decimal": (int, float),
    "a boolean": (bool,),
    "a string": (str,),
    "an object": (dict,),
    "an array of objects": (list,),
    "an array of strings": (list,),
}


def validate(document: Mapping[str, Any], model: Model) -> None:
    """Raise the Refusal that OpenAI would answer with."""
    if document.get("messages") is None:
        raise missing("messages")
    for name, (wanted, low, high) in FIELDS.items():
        value = document.get(name)
        if value is not None:
            check_type(value, name, wanted)
            _check_range(value, name, low, high)
    for name, choices in CHOICES.items():
        check_choice(document.get(name), name, choices)
    _check_combinations(document, model)
    _check_stop(document.get("stop"))
    _check_messages(document["messages"])
    _check_tools(document)
    _check_response_format(document)


def missing(param: str) -> Exception:
    return invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def type_words(value: Any) -> str:
    for kind, words in ((bool, "a boolean"), (str, "a string"), (int, "an integer"), (float, "a decimal")):
        if isinstance(value, kind):
            return words
    return "an array" if isinstance(value, list) else "an object" if isinstance(value, dict) else "null"


def check_type(value: Any, param: str, wanted: str) -> None:
    is_type = isinstance(value, _TYPES[wanted]) and (not isinstance(value, bool) or wanted == "a boolean")
    if not is_type:
        raise invalid(
            f"Invalid type for '{param}': expected {wanted}, but got {type_words(value)} instead.",
            param,
            "invalid_type",
        )
    if wanted == "an array of objects":
        for number, item in enumerate(value):
            check_type(item, f"{param}[{number}]", "an object")


def _check_range(value: Any, param: str, low: float | None, high: float | None) -> None:
    kind = "integer" if FIELDS[param][0] == "an integer" else "decimal"
    if low is not None and value < low:
        message = (
            f"Invalid '{param}': {kind} below minimum value. Expected a value >= {low:g}, but got {value} instead."
        )
        raise invalid(message, param, f"{kind}_below_min_value")
    if high is not None and value > high:
        message = (
            f"Invalid '{param}': {kind} above maximum value. Expected a value <= {high:g}, but got {value} instead."
        )
        raise invalid(message, param, f"{kind}_above_max_value")


def check_choice(value: Any, param: str, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise invalid(f"Invalid value: '{value}'. Supported values are: {_listed(choices)}.", param, "invalid_value")


def _listed(choices: tuple[str, ...]) -> str:
    quoted = [f"'{choice}'" for choice in choices]
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}" if len(quoted) > 2 else " and ".join(quoted)


def _check_combinations(document: Mapping[str, Any], model: Model) -> None:
    if document.get("max_tokens") is not None and document.get("max_completion_tokens") is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise invalid(message, "max_tokens", "invalid_parameter_combination")
    if document.get("stream_options") is not None and not document.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise invalid(message, "stream_options")
    if document.get("top_logprobs") is not None and not document.get("logprobs"):
        raise invalid("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs")
    if not model.vendor_rules:
        return
    cap_name = "max_tokens" if document.get("max_tokens") is not None else "max_completion_tokens"
    cap = document.get(cap_name)
    if model.reasons:
        if document.get("max_tokens") is not None:
            message = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            raise invalid(f"Unsupported parameter: {message}", "max_tokens", "unsupported_parameter")
        for name in ("logprobs", "top_logprobs", "stop"):
            if document.get(name):
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                raise invalid(message, name, "unsupported_parameter")
        for name in ("temperature", "top_p"):
            value = document.get(name)
            if value is not None and value != 1:
                message = (
                    f"Unsupported value: '{name}' does not support {value} with this model. "
                    "Only the default (1) value is supported."
                )
                raise invalid(message, name, "unsupported_value")
    if cap is not None and cap > model.output_tokens:
        message = (
            f"{cap_name} is too large: {cap}. This model supports at most {model.output_tokens} completion tokens, "
            f"whereas you provided {cap}."
        )
        raise invalid(message, cap_name, "invalid_value")


def _check_stop(stop: Any) -> None:
    if stop is None or isinstance(stop, str):
        return
    if not isinstance(stop, list) or not all(isinstance(sequence, str) for sequence in stop):
        words = type_words(stop)
        message = f"Invalid type for 'stop': expected one of a string or array of strings, but got {words} instead."
        raise invalid(message, "stop", "invalid_type")
    if len(stop) > 4:
        message = (
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length "
        )
        raise invalid(f"{message}{len(stop)} instead.", "stop", "array_above_max_length")


def _check_messages(messages: list[dict[str, Any]]) -> None:
    if not messages:
        words = "empty array. Expected an array with minimum length 1, but got an empty array instead."
        raise invalid(f"Invalid 'messages': {words}", "messages", "empty_array")
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        param = f"messages[{number}]"
        role = message.get("role")
        if role is None:
            raise missing(f"{param}.role")
        check_choice(role, f"{param}.role", ROLES)
        _check_content(message, role, param)
        if role == "tool":
            if message.get("tool_call_id") is None:
                raise missing(f"{param}.tool_call_id")
            if message["tool_call_id"] not in open_calls:
                rule = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise invalid(f"Invalid parameter: {rule}", f"messages.[{number}].role")
            open_calls.discard(message["tool_call_id"])
            continue
        _refuse_open_calls(open_calls, number)
        if role == "assistant":
            open_calls = _tool_call_ids(message, param)
    _refuse_open_calls(open_calls, len(messages))


def _refuse_open_calls(open_calls: set[str], number: int) -> None:
    if open_calls:
        raise invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: "
            f"{', '.join(sorted(open_calls))}",
            f"messages.[{number}].role",
        )


def _tool_call_ids(message: Mapping[str, Any], param: str) -> set[str]:
    calls = message.get("tool_calls")
    if calls is None:
        return set()
    check_type(calls, f"{param}.tool_calls", "an array of objects")
    for number, call in enumerate(calls):
        if not isinstance(call.get("id"), str):
            raise missing(f"{param}.tool_calls[{number}].id")
    return {call["id"] for call in calls}


def _check_content(message: Mapping[str, Any], role: str, param: str) -> None:
    content = message.get("content")
    if content is None:
        if role in ("assistant", "function"):
            return
        if "content" not in message:
            raise missing(f"{param}.content")
        raise invalid("Invalid value for 'content': expected a string, got null.", f"messages.{param[8:]}.content")
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        words = f"expected one of a string or array of objects, but got {type_words(content)} instead."
        raise invalid(f"Invalid type for '{param}.content': {words}", f"{param}.content", "invalid_type")
    for number, part in enumerate(content):
        name = f"{param}.content[{number}]"
        check_type(part, name, "an object")
        if part.get("type") is None:
            raise missing(f"{name}.type")
        check_choice(part["type"], f"{name}.type", PARTS)
        value = part.get("text") if part["type"] == "text" else part.get(part["type"])
        if value is None and part["type"] != "refusal":
            raise missing(f"{name}.{part['type']}")
        if part["type"] == "text":
            check_type(value, f"{name}.text", "a string")


def _check_tools(document: Mapping[str, Any]) -> None:
    tools = document.get("tools")
    for number, tool in enumerate(tools or ()):
        param = f"tools[{number}]"
        if tool.get("type") is None:
            raise missing(f"{param}.type")
        check_choice(tool["type"], f"{param}.type", ("function", "custom"))
        kind = tool["type"]
        if not isinstance(tool.get(kind), dict):
            raise missing(f"{param}.{kind}")
        _check_name(tool[kind].get("name"), f"{param}.{kind}.name")
        if tool[kind].get("parameters") is not None:
            check_type(tool[kind]["parameters"], f"{param}.{kind}.parameters", "an object")
    for number, function in enumerate(document.get("functions") or ()):
        _check_name(function.get("name"), f"functions[{number}].name")
    choice = document.get("tool_choice")
    if choice is None:
        return
    if not tools and choice != "none":
        message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        raise invalid(message, "tool_choice")
    if isinstance(choice, str):
        check_choice(choice, "tool_choice", ("none", "auto", "required"))
    elif not isinstance(choice, dict):
        words = f"expected one of a string or object, but got {type_words(choice)} instead."
        raise invalid(f"Invalid type for 'tool_choice': {words}", "tool_choice", "invalid_type")


def _check_name(name: Any, param: str) -> None:
    if name is None:
        raise missing(param)
    check_type(name, param, "a string")
    if not _FUNCTION_NAME.fullmatch(name):
        words = "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        raise invalid(f"Invalid '{param}': {words}", param, "invalid_value")


def _check_response_format(document: Mapping[str, Any]) -> None:
    wanted = document.get("response_format")
    if wanted is None:
        return
    if wanted.get("type") is None:
        raise missing("response_format.type")
    check_choice(wanted["type"], "response_format.type", ("json_object", "json_schema", "text"))
    if wanted["type"] == "json_object" and "json" not in str(document["messages"]).lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise invalid(message, "messages")
    if wanted["type"] == "json_schema":
        form = wanted.get("json_schema")
        if not isinstance(form, dict):
            raise missing("response_format.json_schema")
        _check_name(form.get("name"), "response_format.json_schema.name")
        schema = form.get("schema")
        if schema is not None:
            check_type(schema, "response_format.json_schema.schema", "an object")
        open_object = schema and schema.get("type") == "object" and schema.get("additionalProperties") is not False
        if form.get("strict") and open_object:
            message = (
                f"Invalid schema for response_format '{form['name']}': In context=(), 'additionalProperties' is "
                "required to be supplied and to be false."
            )
            raise invalid(message, "response_format")
