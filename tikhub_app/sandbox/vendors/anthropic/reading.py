"""From a Messages request to a vendor-neutral Ask, and what its prompt costs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tikhub_app.sandbox import seeds, wire
from tikhub_app.sandbox.generation import Ask, Tool
from tikhub_app.sandbox.tokens import count_tokens
from tikhub_app.sandbox.vendors.anthropic.errors import invalid
from tikhub_app.sandbox.vendors.anthropic.models import Model
from tikhub_app.sandbox.vendors.anthropic.prompt_cache import Part
from tikhub_app.sandbox.vendors.anthropic.thinking import thinking_tokens

# Fields that say how the answer travels or who asked, not what it is: a stream says what the plain answer says.
_NOT_CONTENT = frozenset(("stream", "sandbox", "metadata", "service_tier", "cache_control", "inference_geo"))
_MESSAGE_TOKENS = 3  # around each message, and once before the answer
_TOOLS_TOKENS = 290  # the system prompt that tells the model about its tools
_IMAGE_TOKENS = 1_300


def read_ask(document: Mapping[str, Any], model: Model, server_seed: int) -> Ask:
    """The request, validated before, as the generator wants it."""
    messages: list[Mapping[str, Any]] = document["messages"]
    content = wire.compact({name: value for name, value in sorted(document.items()) if name not in _NOT_CONTENT})
    fingerprint = seeds.fingerprint("anthropic.messages", server_seed, content)
    choice: Mapping[str, Any] = document.get("tool_choice") or {}
    output: Mapping[str, Any] = document.get("output_config") or {}
    form = output.get("format") or document.get("output_format") or {}
    return Ask(
        fingerprint=fingerprint,
        prompt=_last_words(messages),
        tool_results=_tool_results(messages),
        tools=_callable_tools(document.get("tools") or (), choice),
        must_call=choice.get("type") in ("any", "tool"),
        parallel_calls=not choice.get("disable_parallel_tool_use"),
        json_schema=form.get("schema"),
        max_tokens=document["max_tokens"],
        stop=document.get("stop_sequences") or (),
        reasoning_tokens=thinking_tokens(fingerprint, asked_thinking(document, model), output.get("effort")),
    )


def asked_thinking(document: Mapping[str, Any], model: Model) -> Mapping[str, Any] | None:
    """How the model is to think, or None for not at all."""
    thinking = document.get("thinking")
    if not isinstance(thinking, Mapping):
        return {"type": "adaptive"} if model.thinks_unasked else None
    return None if thinking.get("type") == "disabled" else thinking


def _callable_tools(tools: Sequence[Mapping[str, Any]], choice: Mapping[str, Any]) -> Sequence[Tool]:
    """The caller's own tools that ``tool_choice`` leaves; the vendor's server tools are never used here."""
    own = [Tool(tool["name"], tool["input_schema"]) for tool in tools if tool.get("type", "custom") == "custom"]
    if choice.get("type") == "none":
        return ()
    if choice.get("type") != "tool":
        return own
    chosen = [tool for tool in own if tool.name == choice.get("name")]
    if not chosen:
        raise invalid(f"tool_choice: Tool '{choice.get('name')}' not found in provided tools")
    return chosen


# Messages


def blocks_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A message's content as blocks, be it a string or a list."""
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())


def _words(blocks: Sequence[Mapping[str, Any]]) -> str:
    return " ".join(block["text"] for block in blocks if block.get("type") == "text")


def _last_words(messages: Sequence[Mapping[str, Any]]) -> str:
    for message in reversed(messages):
        if message["role"] == "user" and (words := _words(blocks_of(message))):
            return words
    return ""


def _tool_results(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(tool name, result) of the results in the last message."""
    names = {
        block["id"]: block["name"]
        for message in messages
        for block in blocks_of(message)
        if block.get("type") == "tool_use"
    }
    return [
        (names.get(block["tool_use_id"], "The tool"), _result_text(block.get("content")))
        for block in blocks_of(messages[-1])
        if block.get("type") == "tool_result"
    ]


def _result_text(content: Any) -> str:
    return content if isinstance(content, str) else _words(content or ())


# What the prompt costs


def prompt_parts(document: Mapping[str, Any]) -> list[Part]:
    """Everything that goes before the answer, in the order of the cache: tools, system, messages."""
    parts = list(_parts(document))
    if _ttl(document) is not None and parts:
        last = parts[-1]
        parts[-1] = Part(last.text, last.tokens, last.ttl or _ttl(document))
    return parts


def _parts(document: Mapping[str, Any]) -> Iterator[Part]:
    tools = document.get("tools") or ()
    for number, tool in enumerate(tools):
        declared = wire.compact({name: value for name, value in tool.items() if name != "cache_control"}).decode()
        yield Part(declared, count_tokens(declared) + (_TOOLS_TOKENS if number == 0 else 0), _ttl(tool))
    system = document.get("system")
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system or ():
        yield Part(f"system\n{block['text']}", _MESSAGE_TOKENS + count_tokens(block["text"]), _ttl(block))
    form = (document.get("output_config") or {}).get("format") or document.get("output_format")
    if form:
        declared = wire.compact(form).decode()
        yield Part(declared, 8 + count_tokens(declared))
    for message in document["messages"]:
        for number, block in enumerate(blocks_of(message)):
            tokens = _block_tokens(block) + (_MESSAGE_TOKENS if number == 0 else 0)
            shown = wire.compact({name: value for name, value in block.items() if name != "cache_control"}).decode()
            yield Part(f"{message['role']}\n{shown}", tokens, _ttl(block))


def count_prompt(parts: Sequence[Part]) -> int:
    return _MESSAGE_TOKENS + sum(part.tokens for part in parts)


def _ttl(marked: Mapping[str, Any]) -> str | None:
    control = marked.get("cache_control")
    return str(control.get("ttl") or "5m") if isinstance(control, Mapping) else None


def _block_tokens(block: Mapping[str, Any]) -> int:
    kind = block.get("type")
    if kind == "text":
        return count_tokens(block["text"])
    if kind == "image":
        return _IMAGE_TOKENS
    if kind == "document":
        source = block.get("source") or {}
        data = str(source.get("data") or source.get("url") or "")
        return 10 + (count_tokens(data) if source.get("type") == "text" else len(data) // 100)
    if kind == "tool_result":
        content = block.get("content")
        return 10 + (count_tokens(content) if isinstance(content, str) else sum(map(_block_tokens, content or ())))
    return 10 + count_tokens(wire.compact({name: block[name] for name in block if name != "signature"}).decode())
