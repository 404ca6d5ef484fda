"""What Gemini refuses in a generateContent request, in its own words.

The request has its names in camelCase already, see spelling.py; Google's messages name fields in snake_case.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tikhub_app.sandbox.vendors.gemini.errors import invalid
from tikhub_app.sandbox.vendors.gemini.models import Model
from tikhub_app.sandbox.vendors.gemini.signatures import is_of_call
from tikhub_app.sandbox.vendors.gemini.spelling import snake_case

_TOP = frozenset((
    "model", "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig",
    "cachedContent", "labels", "serviceTier", "store", "sandbox",
))  # fmt: skip
_CONFIG = frozenset((
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed", "presencePenalty",
    "frequencyPenalty", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "responseJsonSchema",
    "responseModalities", "mediaResolution", "speechConfig", "imageConfig", "thinkingConfig",
    "enableEnhancedCivicAnswers",
))  # fmt: skip
_TOOLS = frozenset((
    "functionDeclarations", "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "googleMaps",
    "fileSearch", "computerUse", "mcpServers",
))  # fmt: skip
_PART_DATA = frozenset((
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
    "toolCall", "toolResponse",
))  # fmt: skip
_PART = _PART_DATA | {"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"}
_SCHEMA = frozenset((
    "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required",
    "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering",
    "default", "items", "minimum", "maximum",
))  # fmt: skip
_FUNCTION = frozenset((
    "name", "description", "behavior", "parameters", "parametersJsonSchema", "response", "responseJsonSchema",
))  # fmt: skip
_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_RANGES = {"temperature": (0, 2), "topP": (0, 1)}
_INTEGERS = frozenset({"candidateCount", "maxOutputTokens", "seed", "logprobs", "topK"})
_MIME_TYPES = ("application/json", "text/plain", "text/x.enum", "application/xml", "application/yaml")


def validate(document: Mapping[str, Any], model: Model) -> None:
    """Raises Refusal for the first thing that Gemini would not take."""
    _know(document, _TOP, "")
    contents = document.get("contents")
    if not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified\n", "")
    _need_list(contents, "contents")
    for number, content in enumerate(contents):
        _content(content, f"contents[{number}]")
    _pairs(contents)
    if model.has_levels:
        _signatures(contents)
    system = document.get("systemInstruction")
    if isinstance(system, Mapping):
        _content(system, "system_instruction", roles=None)
    _tools(document.get("tools"))
    _config(document.get("generationConfig"), model)


def _know(value: Mapping[str, Any], known: frozenset[str], place: str) -> None:
    for name in value:
        if name not in known:
            at = f" at '{place}'" if place else ""
            message = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            raise invalid(message, place)


def _need_list(value: Any, place: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise invalid(f"Invalid value at '{place}' (TYPE_MESSAGE), {value!r}", place)
    return value


def _need_object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise invalid(f"Invalid value at '{place}' (TYPE_MESSAGE), {value!r}", place)
    return value


# Contents: https://ai.google.dev/api/caching#Content


def _content(content: Any, place: str, roles: tuple[str, ...] | None = ("user", "model", "function")) -> None:
    _know(_need_object(content, place), frozenset({"role", "parts"}), place)
    if roles is not None and content.get("role") not in (None, "", *roles):
        raise invalid("Please use a valid role: user, model.")
    parts = content.get("parts")
    if not parts:
        raise invalid(f"* GenerateContentRequest.{place}.parts: contents.parts must not be empty.\n")
    # A message in place of a list of one is taken, as proto JSON parsers of Google's do.
    for number, part in enumerate(parts if isinstance(parts, list) else [parts]):
        at = f"{place}.parts[{number}]"
        _know(_need_object(part, at), _PART, at)
        given = [name for name in part if name in _PART_DATA]
        if len(given) > 1:
            raise invalid(
                f"Invalid value at '{at}' (oneof), oneof field 'data' is already set. Cannot set "
                f"'{snake_case(given[1])}'",
                at,
            )
        if not given and "thoughtSignature" not in part:
            raise invalid(
                f"* GenerateContentRequest.{place}.parts[{number}].data: required oneof field 'data' must have one "
                "initialized field\n"
            )
        for name in ("functionCall", "functionResponse"):
            if name in part and not part[name].get("name"):
                raise invalid(
                    f"* GenerateContentRequest.{at}.{snake_case(name)}.name: Name cannot be empty.\n",
                )
        if "functionResponse" in part and not isinstance(part["functionResponse"].get("response", {}), Mapping):
            raise invalid(
                f"Invalid value at '{at}.function_response.response' (type.googleapis.com/google.protobuf.Struct)"
            )


def parts_of(content: Mapping[str, Any], kind: str | None = None) -> list[Mapping[str, Any]]:
    parts = content.get("parts") or []
    found = parts if isinstance(parts, list) else [parts]
    return [part for part in found if kind is None or kind in part]


def _pairs(contents: Sequence[Mapping[str, Any]]) -> None:
    """Function calls come after a user's turn, and all their responses right after them."""
    for before, content in zip([None, *contents], contents, strict=False):
        calls, responses = parts_of(content, "functionCall"), parts_of(content, "functionResponse")
        if calls and (before is None or before.get("role") == "model"):
            raise invalid(
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            )
        earlier = parts_of(before, "functionCall") if before is not None else []
        if responses and not earlier:
            raise invalid("Please ensure that function response turn comes immediately after a function call turn.")
        if earlier and len(responses) != len(earlier):
            raise invalid(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )


def _signatures(contents: Sequence[Mapping[str, Any]]) -> None:
    """Gemini 3: the first call of each step of the current turn must carry the signature that it came with."""
    begin = 0
    for number, content in enumerate(contents):
        if content.get("role") != "model" and not parts_of(content, "functionResponse"):
            begin = number
    for number, content in enumerate(contents[begin:], start=begin):
        for position, part in enumerate(parts_of(content, "functionCall")[:1]):
            call = part["functionCall"]
            if is_of_call(part.get("thoughtSignature"), call["name"], call.get("args") or {}):
                continue
            if part.get("thoughtSignature"):
                raise invalid("Corrupted thought signature.")
            raise invalid(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{call['name']}` , position {number + position + 1}. Please refer to "
                "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
            )


# Tools: https://ai.google.dev/api/caching#Tool


def _tools(tools: Any) -> None:
    names: set[str] = set()
    for number, tool in enumerate(_need_list(tools, "tools") if tools is not None else ()):
        place = f"tools[{number}]"
        _know(_need_object(tool, place), _TOOLS, place)
        for position, function in enumerate(tool.get("functionDeclarations") or ()):
            at = f"{place}.function_declarations[{position}]"
            _know(_need_object(function, at), _FUNCTION, at)
            name = function.get("name")
            if not isinstance(name, str) or not _FUNCTION_NAME.fullmatch(name):
                raise invalid(
                    f"* GenerateContentRequest.{at}.name: Invalid function name. Must start with a letter or an "
                    "underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes "
                    "(-), with a maximum length of 128.\n"
                )
            if name in names:
                raise invalid(f"Duplicate function declaration found: {name}")
            names.add(name)
            if "parameters" in function and "parametersJsonSchema" in function:
                raise invalid("Both parameters and parameters_json_schema are set. Only one of them can be set.")
            if "parameters" in function:
                _schema(function["parameters"], f"{at}.parameters")


def _schema(schema: Any, place: str) -> None:
    """The subset of OpenAPI that ``parameters`` and ``responseSchema`` take. https://ai.google.dev/api/caching#Schema"""
    _know(_need_object(schema, place), _SCHEMA, place)
    kind = schema.get("type")
    if kind is not None and (not isinstance(kind, str) or kind.upper() not in _TYPES):
        raise invalid(f"Invalid value at '{place}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type)")
    properties = schema.get("properties")
    if isinstance(kind, str) and kind.upper() == "OBJECT" and properties is not None and not properties:
        raise invalid(f"* GenerateContentRequest.{place}.properties: should be non-empty for OBJECT type\n")
    if isinstance(kind, str) and kind.upper() == "ARRAY" and not schema.get("items"):
        raise invalid(f"* GenerateContentRequest.{place}.items: missing field.\n")
    for value in schema.get("enum") or ():
        if not isinstance(value, str):
            raise invalid(f"Invalid value at '{place}.enum[0]' (TYPE_STRING), {value!r}", place)
    for name in schema.get("required") or ():
        if name not in (properties or {}):
            raise invalid(f"* GenerateContentRequest.{place}.required[0]: property is not defined\n")
    for name, inner in (properties or {}).items():
        _schema(inner, f"{place}.properties[{name}]")
    if schema.get("items") is not None:
        _schema(schema["items"], f"{place}.items")
    for number, inner in enumerate(schema.get("anyOf") or ()):
        _schema(inner, f"{place}.any_of[{number}]")


_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", "TYPE_UNSPECIFIED"})


# The configuration: https://ai.google.dev/api/generate-content#generationconfig


def _config(config: Any, model: Model) -> None:
    if config is None:
        return
    _know(_need_object(config, "generation_config"), _CONFIG, "generation_config")
    for name in (*_RANGES, *_INTEGERS):
        value = config.get(name)
        if value is None:
            continue
        place = f"generation_config.{snake_case(name)}"
        kind = "TYPE_INT32" if name in _INTEGERS else "TYPE_FLOAT"
        try:
            number = float(value) if not isinstance(value, bool) else None
        except (TypeError, ValueError):
            number = None
        if number is None or (name in _INTEGERS and number != int(number)):
            raise invalid(f"Invalid value at '{place}' ({kind}), {value!r}", place)
        if name in _RANGES and not _RANGES[name][0] <= number <= _RANGES[name][1]:
            low, high = _RANGES[name]
            raise invalid(
                f"* GenerateContentRequest.{place}: {snake_case(name)} must be in the range [{low:.1f}, {high:.1f}].\n"
            )
    if not 1 <= int(config.get("candidateCount") or 1) <= 8:
        raise invalid("* GenerateContentRequest.generation_config.candidate_count: must be in the range [1, 8].\n")
    if len(config.get("stopSequences") or ()) > 5:
        raise invalid(
            "* GenerateContentRequest.generation_config.stop_sequences: the number of stop sequences is limited to 5.\n"
        )
    mime_type = config.get("responseMimeType")
    if mime_type and mime_type not in _MIME_TYPES:
        raise invalid(
            "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, "
            "`application/json`, `application/xml`, `application/yaml` and `text/x.enum`.\n"
        )
    if "responseSchema" in config:
        _schema(config["responseSchema"], "generation_config.response_schema")
    if ("responseSchema" in config or "responseJsonSchema" in config) and mime_type in (None, "", "text/plain"):
        raise invalid("Response schema requires response_mime_type application/json or text/x.enum.")
    _thinking(config.get("thinkingConfig"), model)


def _thinking(config: Any, model: Model) -> None:
    """https://ai.google.dev/gemini-api/docs/thinking"""
    if config is None:
        return
    place = "generation_config.thinking_config"
    _know(_need_object(config, place), frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"}), place)
    if "thinkingBudget" in config and "thinkingLevel" in config:
        raise invalid("You can only set only one of thinking budget and thinking level.")
    if model.thinking == "never" and config:
        raise invalid("Thinking is not supported for this model.")
    if "thinkingLevel" in config and not model.has_levels:
        raise invalid("Thinking level is not supported for this model.")
    if config.get("thinkingBudget") == 0 and model.thinking == "always" and not model.has_levels:
        raise invalid("Budget 0 is invalid. This model only works in thinking mode.")
