"""From a chat completion request to a vendor-neutral Ask, and what its prompt costs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tikhub_app.sandbox import seeds, wire
from tikhub_app.sandbox.generation import Ask, Tool
from tikhub_app.sandbox.tokens import count_tokens
from tikhub_app.sandbox.vendors.openai.errors import invalid
from tikhub_app.sandbox.vendors.openai.models import Model

# Fields that say how the answer travels or who asked, not what it is: a stream says what the plain answer says.
_NOT_CONTENT = frozenset(
    ("stream", "stream_options", "sandbox", "seed", "user", "safety_identifier", "metadata", "store", "service_tier")
)
_MESSAGE_TOKENS = 3  # around each message, and once before the answer
_IMAGE_TOKENS = {"low": 85, "high": 765}
_REASONING_STEPS = {"none": (0, 0), "minimal": (0, 0), "low": (1, 2), "high": (4, 12), "xhigh": (8, 20)}


def read_ask(document: Mapping[str, Any], model: Model, server_seed: int) -> Ask:
    """The request, validated before, as the generator wants it."""
    messages: list[Mapping[str, Any]] = document["messages"]
    content = wire.compact({name: value for name, value in document.items() if name not in _NOT_CONTENT})
    seed = document.get("seed")
    fingerprint = seeds.fingerprint("openai.chat", server_seed if seed is None else seed, content)
    response_format = document.get("response_format") or {}
    schema = (response_format.get("json_schema") or {}).get("schema")
    stop = document.get("stop")
    choice = document.get("tool_choice")
    if document.get("functions"):
        choice = document.get("function_call")
    maximum = document.get("max_completion_tokens")
    return Ask(
        fingerprint=fingerprint,
        prompt=_last_words(messages),
        tool_results=_tool_results(messages),
        tools=_callable_tools(document, choice),
        must_call=(isinstance(choice, Mapping) and choice.get("type") != "allowed_tools") or choice == "required",
        parallel_calls=document.get("parallel_tool_calls") is not False and not document.get("functions"),
        json_object=response_format.get("type") == "json_object",
        json_schema=schema if isinstance(schema, Mapping) else None,
        max_tokens=document.get("max_tokens") if maximum is None else maximum,
        stop=[stop] if isinstance(stop, str) else stop or (),
        reasoning_tokens=_reasoning_tokens(document, model, fingerprint),
    )


def _reasoning_tokens(document: Mapping[str, Any], model: Model, fingerprint: bytes) -> int:
    """Reasoning is counted in steps of 64, as OpenAI reports it."""
    if not model.reasons:
        return 0
    least, most = _REASONING_STEPS.get(document.get("reasoning_effort") or "medium", (1, 6))
    return 64 * seeds.generator(fingerprint, "reasoning").randint(least, most)


def _callable_tools(document: Mapping[str, Any], choice: Any) -> Sequence[Tool]:
    """The tools that ``tool_choice`` leaves. Raises Refusal for a choice that is not among them."""
    tools = [_read_tool(tool) for tool in document.get("tools") or ()]
    tools += [Tool(function["name"], function.get("parameters") or {}) for function in document.get("functions") or ()]
    if choice == "none":
        return ()
    if not isinstance(choice, Mapping):
        return tools
    if choice.get("type") == "allowed_tools":
        allowed = (choice.get("allowed_tools") or {}).get("tools") or ()
        names = {_name_of(tool) for tool in allowed}
    else:
        names = {_name_of(choice)}
    chosen = [tool for tool in tools if tool.name in names]
    if not chosen:
        missing = ", ".join(sorted(map(str, names)))
        raise invalid(f"Tool choice '{missing}' not found in 'tools' parameter.", "tool_choice")
    return chosen


def _read_tool(tool: Mapping[str, Any]) -> Tool:
    if tool["type"] == "custom":
        return Tool(tool["custom"]["name"], custom=True)
    return Tool(tool["function"]["name"], tool["function"].get("parameters") or {})


def _name_of(chosen: Mapping[str, Any]) -> Any:
    """The name in ``{type: function, function: {name}}``, or in the older ``{name}``."""
    named = chosen.get(str(chosen.get("type")))
    return named.get("name") if isinstance(named, Mapping) else chosen.get("name")


# Messages


def content_text(content: Any) -> str:
    """The words of a message's content, be it a string or parts."""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content or () if isinstance(part.get("text"), str))


def _last_words(messages: Sequence[Mapping[str, Any]]) -> str:
    for message in reversed(messages):
        if message["role"] == "user":
            return content_text(message.get("content"))
    return content_text(messages[-1].get("content"))


def _tool_results(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(tool name, result) of the results that stand at the end of the conversation."""
    names = {
        call["id"]: (call.get(str(call.get("type"))) or {}).get("name", "The tool")
        for message in messages
        for call in message.get("tool_calls") or ()
    }
    results: list[tuple[str, str]] = []
    for message in reversed(messages):
        if message["role"] not in ("tool", "function"):
            break
        name = names.get(message.get("tool_call_id")) or message.get("name") or "The tool"
        results.append((name, content_text(message.get("content"))))
    return results[::-1]


# What the prompt costs


def prompt_parts(document: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """(text, tokens) of everything that goes before the answer, in the order in which a cache would see it."""
    if document.get("tools") or document.get("functions"):
        declared = wire.compact(document.get("tools") or document["functions"]).decode()
        yield declared, 8 + count_tokens(declared)
    schema = (document.get("response_format") or {}).get("json_schema")
    if schema:
        declared = wire.compact(schema).decode()
        yield declared, 8 + count_tokens(declared)
    for message in document["messages"]:
        content = message.get("content")
        words = content_text(content)
        said = "".join(
            wire.compact(message[name]).decode() for name in ("tool_calls", "function_call") if message.get(name)
        )
        name_tokens = 1 + count_tokens(str(message["name"])) if message.get("name") else 0
        media = sum(map(_media_tokens, content)) if isinstance(content, list) else 0
        tokens = _MESSAGE_TOKENS + 1 + count_tokens(words) + count_tokens(said) + name_tokens + media
        yield f"{message['role']}\n{words}{said}", tokens


def count_prompt(parts: Sequence[tuple[str, int]]) -> int:
    return _MESSAGE_TOKENS + sum(tokens for _, tokens in parts)


def _media_tokens(part: Mapping[str, Any]) -> int:
    if part.get("type") == "image_url":
        image = part["image_url"]
        detail = image.get("detail") if isinstance(image, Mapping) else None
        return _IMAGE_TOKENS.get(str(detail), _IMAGE_TOKENS["high"])
    if part.get("type") in ("input_audio", "file"):
        return 10 + len(str(part[part["type"]])) // 1000
    return 0
