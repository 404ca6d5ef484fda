"""A chat completion request as a Messages request.

https://platform.claude.com/docs/en/api/messages
https://platform.claude.com/docs/en/api/openai-sdk says what Claude's own chat endpoint makes of each field; this goes
further where Messages can carry more, and refuses where silence would change the answer.

Every field of the chat request has one of four fates:

* carried over: messages, tools, functions, tool_choice, function_call, parallel_tool_calls, max_tokens,
  max_completion_tokens, temperature, top_p, stop, stream, user, safety_identifier, service_tier, reasoning_effort,
  response_format, and Claude's own fields, which an SDK sends as extra body (:data:`_NATIVE`);
* a hint or a matter of the gateway's, left out silently: :data:`_HINTS`;
* refused by name (or dropped and listed) where it asks for something: :data:`_REFUSED`;
* unknown: passed on, so that Claude's next field works on its first day; dropped and listed where the operator drops.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.base import TranslatedRequest, TranslationOptions
from tikhub_app.translation.chat_messages import read_messages
from tikhub_app.translation.chat_request import (
    Unsupported,
    read_end_user,
    read_max_tokens,
    read_number,
    read_output_format,
    read_stop,
)
from tikhub_app.translation.chat_to_messages.models import Generation, generation_of
from tikhub_app.translation.chat_to_messages.schema import SchemaNotExpressible, clean_schema
from tikhub_app.translation.chat_to_messages.thinking import thinking_room, write_thinking
from tikhub_app.translation.chat_to_messages.tools import forces_tools, tool_names, write_tools
from tikhub_app.translation.chat_to_messages.turns import write_turns
from tikhub_app.translation.json_text import encode_text

TARGET = "Claude"

_CARRIED = frozenset(
    {
        "model", "messages", "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls", "max_tokens",
        "max_completion_tokens", "temperature", "top_p", "stop", "stream", "user", "safety_identifier", "service_tier",
        "reasoning_effort", "response_format",
    }
)  # fmt: skip
#: They change how an answer is stored, cached, metered or worded, not what is answered.
_HINTS = frozenset(
    {
        "metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "store", "stream_options",
        "verbosity",
    }
)  # fmt: skip
#: Field -> values that ask for nothing.
_REFUSED: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"], []),
    "audio": (),
    "prediction": (),
    "seed": (),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "web_search_options": (),
    "moderation": (),
}
#: Claude's own, known to be accepted.
_NATIVE = frozenset(
    {
        "cache_control", "container", "context_management", "diagnostics", "fallbacks", "inference_geo", "mcp_servers",
        "output_config", "speed", "thinking", "top_k",
    }
)  # fmt: skip
#: OpenAI's tiers -> Claude's. "priority" is what "auto" uses where the account has it; others have no counterpart.
_SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only", "priority": "auto"}

_ANSWER_IN_JSON = "Answer with one JSON object and nothing else: no words around it and no code fence."
_OPAQUE = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{1,256}")


def write_request(
    body: Mapping[str, Any], *, model: str, kept: Mapping[str, Any], options: TranslationOptions
) -> TranslatedRequest:
    """The Messages body for a chat body; see :meth:`tikhub_app.translation.base.Translation.request`."""
    unsupported = Unsupported(options, target=TARGET)
    unsupported.refuse_fields(body, _REFUSED)
    generation = generation_of(model)
    written: dict[str, Any] = {"model": model}
    written.update(_passed_on(body, options, unsupported))

    messages = read_messages(body)
    names = tool_names(body)
    turns = write_turns(messages, names=names, kept=kept, model=model, generation=generation, unsupported=unsupported)
    written["messages"] = turns.messages
    tools = write_tools(body, messages, names, generation, unsupported)
    written.update(tools)

    written["max_tokens"] = max_tokens = _max_tokens(body, generation, options)
    thinking, effort = write_thinking(
        body,
        generation,
        unsupported,
        max_tokens=max_tokens,
        forces_tools=forces_tools(tools),
        ends_in_bare_tool_turn=turns.ends_in_bare_tool_turn,
    )
    if thinking is not None:
        written["thinking"] = thinking
    output_format, instruction = _output_format(body, generation, unsupported)
    system = _with_instruction(turns.system, instruction)
    if system is not None:
        written["system"] = system
    output_config = {"effort": effort, "format": output_format}
    added = {name: value for name, value in output_config.items() if value is not None}
    if added:
        own = body.get("output_config")
        written["output_config"] = {**(own if isinstance(own, dict) else {}), **added}
    thinks = thinking is not None and thinking.get("type") in ("enabled", "adaptive")
    written.update(_sampling(body, generation, unsupported, thinks=thinks))
    if sequences := read_stop(body):
        written["stop_sequences"] = sequences
    if end_user := read_end_user(body):
        written["metadata"] = {"user_id": _opaque(end_user)}
    if (tier := _SERVICE_TIERS.get(str(body.get("service_tier")))) is not None:
        written["service_tier"] = tier
    if body.get("stream") is True:
        written["stream"] = True
    return TranslatedRequest(written, unsupported.dropped, "messages")


def _passed_on(body: Mapping[str, Any], options: TranslationOptions, unsupported: Unsupported) -> dict[str, Any]:
    passed = {}
    for name, value in body.items():
        if value is None or name in _CARRIED or name in _HINTS or name in _REFUSED:
            continue
        if name in _NATIVE or not options.drops_unsupported:
            passed[name] = value
        else:
            unsupported.note(name)
    return passed


def _max_tokens(body: Mapping[str, Any], generation: Generation, options: TranslationOptions) -> int:
    """Claude insists on a cap, and thinking counts within it."""
    given = read_max_tokens(body)
    if given is not None:
        return given
    wanted = options.default_max_tokens + thinking_room(body, generation)
    return min(wanted, generation.most_output_tokens)


def _sampling(
    body: Mapping[str, Any], generation: Generation, unsupported: Unsupported, *, thinks: bool
) -> dict[str, Any]:
    """Temperature and top_p; their default, 1, is not sent where the model takes no other.

    "Thinking isn't compatible with temperature or top_k modifications", and newer models take neither at all.
    """
    sampling: dict[str, Any] = {}
    temperature = read_number(body, "temperature", 0, 2)
    top_p = read_number(body, "top_p", 0, 1)
    takes_any = generation.takes_sampling and not thinks
    if temperature is not None:
        if takes_any:
            sampling["temperature"] = min(temperature, 1)
        elif temperature < 1:
            reason = "the model reasons" if generation.takes_sampling else "the model has a fixed one"
            unsupported.refuse("temperature", reason)
    if top_p is not None and top_p < 1:
        if not generation.takes_sampling or (thinks and top_p < 0.95):
            unsupported.refuse(
                "top_p", "the model reasons" if generation.takes_sampling else "the model has a fixed one"
            )
        elif "temperature" in sampling and not generation.takes_temperature_with_top_p:
            unsupported.refuse("top_p", "the model takes temperature or top_p, not both")
        else:
            sampling["top_p"] = top_p
    return sampling


def _output_format(
    body: Mapping[str, Any], generation: Generation, unsupported: Unsupported
) -> tuple[dict[str, Any] | None, str]:
    """Claude's ``format``, and an instruction where the model has none for it."""
    wanted = read_output_format(body)
    if wanted.kind == "text":
        return None, ""
    if wanted.kind == "json_object":
        return None, _ANSWER_IN_JSON
    instruction = f"{_ANSWER_IN_JSON} It must match this JSON schema:\n{encode_text(wanted.schema)}"
    if not generation.has_output_format:
        if wanted.is_strict:
            unsupported.note("response_format.json_schema.strict")
        return None, instruction
    try:
        return {"type": "json_schema", "schema": clean_schema(wanted.schema)}, ""
    except SchemaNotExpressible as error:
        if wanted.is_strict:
            unsupported.refuse("response_format.json_schema.schema", f"Claude cannot enforce {error}")
        return None, instruction


def _with_instruction(system: str | list[dict[str, Any]] | None, instruction: str) -> str | list[dict[str, Any]] | None:
    if not instruction:
        return system
    if isinstance(system, list):
        return [*system, {"type": "text", "text": instruction}]
    return f"{system}\n{instruction}" if system else instruction


def _opaque(end_user: str) -> str:
    """ "Do not include any identifying information such as name, email address, or phone number": anything that does
    not look like an opaque id goes as a digest, which is the same each time."""
    if _OPAQUE.fullmatch(end_user):
        return end_user
    return hashlib.sha256(end_user.encode("utf-8", "surrogatepass")).hexdigest()
