"""A chat completion request as a generateContent request.

https://ai.google.dev/api/generate-content#request-body
https://ai.google.dev/gemini-api/docs/openai says what Google's own chat endpoint makes of each field.

Every field of the chat request has one of four fates:

* carried over: messages, tools, functions, tool_choice, function_call, max_tokens, max_completion_tokens, n, seed,
  stop, stream, temperature, top_p, top_k, presence_penalty, frequency_penalty, logprobs, top_logprobs, modalities
  (text and image), service_tier, reasoning_effort, response_format, and Gemini's own fields, which an SDK sends as
  extra body (:data:`_NATIVE`); the caller's own ``generationConfig`` goes before what is made of the chat's fields;
* a hint or a matter of the gateway's, left out silently: :data:`_HINTS`, and an image's ``detail``;
* refused by name (or dropped and listed) where it asks for something: :data:`_REFUSED`, parallel_tool_calls false;
* unknown: passed on, so that Gemini's next field works on its first day; dropped and listed where the operator drops.

The model and whether the answer is streamed stand in the path: they are no fields of the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.base import TranslatedRequest, TranslationOptions
from tikhub_app.translation.chat_messages import read_messages
from tikhub_app.translation.chat_request import (
    Unsupported,
    invalid,
    read_max_tokens,
    read_number,
    read_output_format,
    read_stop,
)
from tikhub_app.translation.chat_to_gemini.models import Generation, generation_of
from tikhub_app.translation.chat_to_gemini.schema import SchemaNotExpressible, json_schema, openapi_schema
from tikhub_app.translation.chat_to_gemini.thinking import write_thinking
from tikhub_app.translation.chat_to_gemini.tools import tool_names, write_tools
from tikhub_app.translation.chat_to_gemini.turns import write_contents
from tikhub_app.translation.json_text import encode_text

TARGET = "Gemini"
WHOLE = "generate_content"
STREAM = "stream_generate_content"

_CARRIED = frozenset(
    {
        "model", "messages", "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls", "max_tokens",
        "max_completion_tokens", "n", "seed", "stop", "stream", "temperature", "top_p", "top_k", "presence_penalty",
        "frequency_penalty", "logprobs", "top_logprobs", "modalities", "service_tier", "reasoning_effort",
        "response_format", "generationConfig", "generation_config",
    }
)  # fmt: skip
#: They change how an answer is stored, cached, metered or worded, not what is answered.
_HINTS = frozenset(
    {
        "metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "store",
        "stream_options", "user", "verbosity",
    }
)  # fmt: skip
#: Field -> values that ask for nothing.
_REFUSED: Mapping[str, tuple[Any, ...]] = {
    "logit_bias": ({},),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "moderation": (),
}
#: Gemini's own, known to be accepted; the spelling of protocol buffers -> that of JSON.
_NATIVE: Mapping[str, str] = {
    "cachedContent": "cachedContent", "cached_content": "cachedContent", "labels": "labels",
    "safetySettings": "safetySettings", "safety_settings": "safetySettings", "toolConfig": "toolConfig",
    "tool_config": "toolConfig",
}  # fmt: skip
#: OpenAI's tiers -> Gemini's. "auto" is what is used where nothing is said.
_SERVICE_TIERS = {"default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}
_MODALITIES = {"text": "TEXT", "image": "IMAGE"}

_ANSWER_IN_JSON = "Answer with one JSON object that matches this JSON schema:"


def write_request(
    body: Mapping[str, Any], *, model: str, kept: Mapping[str, Any], options: TranslationOptions
) -> TranslatedRequest:
    """The generateContent body for a chat body; see :meth:`tikhub_app.translation.base.Translation.request`."""
    unsupported = Unsupported(options, target=TARGET)
    unsupported.refuse_fields(body, _REFUSED)
    generation = generation_of(model)
    names = tool_names(body)
    written = _passed_on(body, options, unsupported)

    instruction, contents = write_contents(
        read_messages(body), names=names, kept=kept, generation=generation, unsupported=unsupported
    )
    written["contents"] = contents
    tools = write_tools(body, names, generation, unsupported)
    own_tool_config = written.get("toolConfig")
    if isinstance(own_tool_config, dict) and "toolConfig" in tools:
        tools["toolConfig"] = {**own_tool_config, **tools["toolConfig"]}
    written.update(tools)

    output_format, format_instruction = _output_format(body, generation, unsupported)
    system = "\n".join(text for text in (instruction, format_instruction) if text)
    if system:
        written["systemInstruction"] = {"parts": [{"text": system}]}
    config = _generation_config(body, unsupported) | output_format
    thinking = write_thinking(body, generation, unsupported, max_tokens=config.get("maxOutputTokens"))
    if thinking is not None:
        config["thinkingConfig"] = thinking
    config |= _own_generation_config(body)
    if config:
        written["generationConfig"] = config
    if (tier := _SERVICE_TIERS.get(str(body.get("service_tier")))) is not None:
        written["serviceTier"] = tier
    return TranslatedRequest(written, unsupported.dropped, STREAM if body.get("stream") is True else WHOLE)


def _passed_on(body: Mapping[str, Any], options: TranslationOptions, unsupported: Unsupported) -> dict[str, Any]:
    passed = {}
    for name, value in body.items():
        if value is None or name in _CARRIED or name in _HINTS or name in _REFUSED:
            continue
        if name in _NATIVE or not options.drops_unsupported:
            passed[_NATIVE.get(name, name)] = value
        else:
            unsupported.note(name)
    return passed


def _own_generation_config(body: Mapping[str, Any]) -> dict[str, Any]:
    for param in ("generationConfig", "generation_config"):
        own = body.get(param)
        if own is None:
            continue
        if not isinstance(own, dict):
            raise invalid(param, "an object is expected")
        return own
    return {}


# https://ai.google.dev/api/generate-content#generationconfig


def _generation_config(body: Mapping[str, Any], unsupported: Unsupported) -> dict[str, Any]:
    config: dict[str, Any] = {
        "temperature": read_number(body, "temperature", 0, 2),
        "topP": read_number(body, "top_p", 0, 1),
        "topK": _read_integer(body, "top_k", 1),
        "maxOutputTokens": read_max_tokens(body),
        "stopSequences": read_stop(body) or None,
        "seed": _read_integer(body, "seed", None),
        "presencePenalty": read_number(body, "presence_penalty", -2, 2) or None,
        "frequencyPenalty": read_number(body, "frequency_penalty", -2, 2) or None,
        "responseModalities": _modalities(body, unsupported),
    }
    candidates = _read_integer(body, "n", 1)
    if candidates is not None and candidates > 1:
        config["candidateCount"] = candidates
    if body.get("logprobs") is True:
        config["responseLogprobs"] = True
        config["logprobs"] = _read_integer(body, "top_logprobs", 0)
    return {name: value for name, value in config.items() if value is not None}


def _read_integer(body: Mapping[str, Any], param: str, least: int | None) -> int | None:
    value = body.get(param)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        raise invalid(param, "an integer is expected" if least is None else f"an integer from {least} is expected")
    return value


def _modalities(body: Mapping[str, Any], unsupported: Unsupported) -> list[str] | None:
    """Images are asked for as text is; audio would come in a form that a chat has no place for."""
    wanted = body.get("modalities")
    if wanted is None or wanted == []:
        return None
    if not isinstance(wanted, list):
        raise invalid("modalities", "an array is expected")
    if any(modality not in _MODALITIES for modality in wanted):
        unsupported.refuse("modalities", "text and image can be asked for")
    known = list(dict.fromkeys(_MODALITIES[modality] for modality in wanted if modality in _MODALITIES))
    return known if known and known != ["TEXT"] else None


# https://ai.google.dev/gemini-api/docs/structured-output


def _output_format(
    body: Mapping[str, Any], generation: Generation, unsupported: Unsupported
) -> tuple[dict[str, Any], str]:
    """Fields of the generationConfig, and an instruction where the model has no field for the schema."""
    wanted = read_output_format(body)
    if wanted.kind == "text":
        return {}, ""
    written: dict[str, Any] = {"responseMimeType": "application/json"}
    if wanted.kind == "json_object":
        return written, ""
    if generation.has_json_schema:
        return written | {"responseJsonSchema": json_schema(wanted.schema)}, ""
    try:
        return written | {"responseSchema": openapi_schema(wanted.schema)}, ""
    except SchemaNotExpressible as error:
        if wanted.is_strict:
            unsupported.refuse("response_format.json_schema.schema", f"this model cannot enforce {error}")
        return written, f"{_ANSWER_IN_JSON}\n{encode_text(wanted.schema)}"
