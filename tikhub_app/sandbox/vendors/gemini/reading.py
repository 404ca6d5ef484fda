"""From a generateContent request to a vendor-neutral Ask, and what its prompt costs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tikhub_app.sandbox import seeds, wire
from tikhub_app.sandbox.generation import Ask, Tool
from tikhub_app.sandbox.tokens import count_tokens
from tikhub_app.sandbox.vendors.gemini.errors import invalid
from tikhub_app.sandbox.vendors.gemini.models import Model
from tikhub_app.sandbox.vendors.gemini.validation import parts_of

# Fields that say who asked or how, not what the answer is.
_NOT_CONTENT = frozenset({"sandbox", "labels", "store", "serviceTier", "model"})
_MESSAGE_TOKENS = 2
#: "Images are counted as 258 tokens", audio and video by the second, documents by the page.
#: https://ai.google.dev/gemini-api/docs/tokens
_MEDIA_TOKENS = {"IMAGE": 258, "AUDIO": 64, "VIDEO": 526, "DOCUMENT": 258}
_THOUGHTS = {"MINIMAL": (0, 0), "LOW": (20, 80), "MEDIUM": (60, 200), "HIGH": (80, 400)}


def config_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return document.get("generationConfig") or {}


def read_ask(document: Mapping[str, Any], model: Model, server_seed: int) -> Ask:
    """The request, validated before, as the generator wants it."""
    contents: Sequence[Mapping[str, Any]] = document["contents"]
    config = config_of(document)
    seed = config.get("seed")
    content = wire.compact({name: value for name, value in document.items() if name not in _NOT_CONTENT})
    fingerprint = seeds.fingerprint("gemini.generate", model.name, server_seed if seed is None else seed, content)
    tools, must_call = _callable_tools(document)
    is_json = config.get("responseMimeType") == "application/json"
    schema = config.get("responseJsonSchema")
    if schema is None and isinstance(config.get("responseSchema"), Mapping):
        schema = as_json_schema(config["responseSchema"])
    return Ask(
        fingerprint=fingerprint,
        prompt=_last_words(contents),
        tool_results=_tool_results(contents),
        tools=tools,
        must_call=must_call,
        json_object=is_json,
        json_schema=schema if isinstance(schema, Mapping) and is_json else None,
        max_tokens=int(config["maxOutputTokens"]) if config.get("maxOutputTokens") else None,
        stop=config.get("stopSequences") or (),
        reasoning_tokens=_thoughts(config.get("thinkingConfig") or {}, model, fingerprint),
    )


def _thoughts(config: Mapping[str, Any], model: Model, fingerprint: bytes) -> int:
    budget = config.get("thinkingBudget")
    if model.thinking == "never" or (model.thinking == "if_told" and not budget):
        return 0
    if budget == 0 and model.thinking == "unless_told":
        return 0
    least, most = _THOUGHTS.get(str(config.get("thinkingLevel", "")).upper(), (30, 300))
    tokens = seeds.generator(fingerprint, "thoughts").randint(least, most)
    return min(tokens, int(budget)) if isinstance(budget, int) and budget > 0 else tokens


# Function calling: https://ai.google.dev/gemini-api/docs/function-calling


def _callable_tools(document: Mapping[str, Any]) -> tuple[Sequence[Tool], bool]:
    """The functions that the mode leaves, and whether one must be called."""
    declared = [
        Tool(function["name"], _parameters(function))
        for tool in document.get("tools") or ()
        for function in tool.get("functionDeclarations") or ()
    ]
    calling = (document.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode = str(calling.get("mode") or "AUTO").upper()
    if mode == "NONE":
        return (), False
    allowed = calling.get("allowedFunctionNames")
    if allowed:
        if mode not in ("ANY", "VALIDATED"):
            raise invalid(
                "Invalid allowed_function_names. allowed_function_names should only be set when the mode is ANY or "
                "VALIDATED."
            )
        missing = set(allowed) - {tool.name for tool in declared}
        if missing:
            raise invalid(f"Allowed function name(s) not declared: {', '.join(sorted(missing))}")
        declared = [tool for tool in declared if tool.name in allowed]
    return declared, mode == "ANY" and bool(declared)


def _parameters(function: Mapping[str, Any]) -> Mapping[str, Any]:
    if "parametersJsonSchema" in function:
        return function["parametersJsonSchema"] or {}
    return as_json_schema(function.get("parameters") or {})


def as_json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Google's Schema, with its types in capitals and its numbers as strings, as a JSON schema."""
    converted: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "type":
            converted[name] = str(value).lower()
        elif name == "properties" and isinstance(value, Mapping):
            converted[name] = {key: as_json_schema(inner) for key, inner in value.items()}
        elif name == "items" and isinstance(value, Mapping):
            converted[name] = as_json_schema(value)
        elif name == "anyOf" and isinstance(value, list):
            converted[name] = [as_json_schema(inner) for inner in value]
        elif name in ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"):
            converted[name] = int(value)
        elif name not in ("nullable", "propertyOrdering", "example"):
            converted[name] = value
    return converted


# Contents


def text_of(content: Mapping[str, Any]) -> str:
    texts = [part["text"] for part in parts_of(content, "text") if not part.get("thought")]
    return " ".join(text for text in texts if isinstance(text, str))


def _last_words(contents: Sequence[Mapping[str, Any]]) -> str:
    for content in reversed(contents):
        if content.get("role") != "model" and (text := text_of(content)):
            return text
    return text_of(contents[-1])


def _tool_results(contents: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(function, result) of the responses that stand at the end of the conversation."""
    responses = [part["functionResponse"] for part in parts_of(contents[-1], "functionResponse")]
    return [(each["name"], wire.compact(each.get("response") or {}).decode()) for each in responses]


# What the prompt costs: https://ai.google.dev/gemini-api/docs/tokens


def prompt_parts(document: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    """(text, tokens, modality) of everything before the answer, in the order in which a cache would see it."""
    for name in ("systemInstruction", "tools"):
        if document.get(name):
            declared = wire.compact(document[name]).decode()
            words = text_of(document[name]) if name == "systemInstruction" else declared
            yield declared, _MESSAGE_TOKENS + count_tokens(words), "TEXT"
    schema = config_of(document).get("responseSchema") or config_of(document).get("responseJsonSchema")
    if schema:
        declared = wire.compact(schema).decode()
        yield declared, count_tokens(declared), "TEXT"
    for content in document["contents"]:
        for part in parts_of(content):
            modality = _modality(part)
            said = (
                part["text"] if isinstance(part.get("text"), str) else wire.compact(_without_signature(part)).decode()
            )
            tokens = _MESSAGE_TOKENS + count_tokens(said) if modality == "TEXT" else _MEDIA_TOKENS[modality]
            yield f"{content.get('role', 'user')}\n{said}", tokens, modality


def _without_signature(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "thoughtSignature"}


def _modality(part: Mapping[str, Any]) -> str:
    media = part.get("inlineData") or part.get("fileData")
    if not isinstance(media, Mapping):
        return "TEXT"
    kind = str(media.get("mimeType") or "video/mp4").partition("/")[0].upper()
    return kind if kind in _MEDIA_TOKENS else "TEXT" if kind == "TEXT" else "DOCUMENT"
