"""What Anthropic refuses in the messages of a request: roles, empty blocks, unanswered tools, foreign thoughts."""

from collections.abc import Mapping, Sequence
from typing import Any

from tikhub_app.sandbox.vendors.anthropic.errors import invalid
from tikhub_app.sandbox.vendors.anthropic.models import Model
from tikhub_app.sandbox.vendors.anthropic.thinking import is_signed, starts_with_thinking

# Block: the field that it cannot be without.
_NEEDED = {
    "text": "text",
    "image": "source",
    "document": "source",
    "tool_use": "id",
    "tool_result": "tool_use_id",
    "thinking": "signature",
    "redacted_thinking": "data",
}


def check_messages(messages: Sequence[Any], model: Model, *, must_replay_thinking: bool) -> None:
    if not messages:
        raise invalid("messages: at least one message is required")
    for number, message in enumerate(messages):
        _check_message(message, number, is_last=number == len(messages) - 1)
    if messages[0]["role"] != "user":
        raise invalid('messages: first message must use the "user" role')
    _check_tool_results(messages)
    last = messages[-1]
    if last["role"] == "assistant":
        if not model.takes_prefill:
            raise invalid(
                "This model does not support assistant message prefill. The conversation must end with a user message."
            )
        text = last["content"] if isinstance(last["content"], str) else str(last["content"][-1].get("text", ""))
        if text != text.rstrip():
            raise invalid("messages: final assistant content cannot end with trailing whitespace")
    if must_replay_thinking:
        _check_replayed_thinking(messages)


def _check_message(message: Any, number: int, *, is_last: bool) -> None:
    path = f"messages.{number}"
    if not isinstance(message, Mapping):
        raise invalid(f"{path}: Input should be a valid dictionary")
    for field in ("role", "content"):
        if message.get(field) is None:
            raise invalid(f"{path}.{field}: Field required")
    if message["role"] == "system":
        raise invalid(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not '
            '"system" as an input message role.'
        )
    if message["role"] not in ("user", "assistant"):
        raise invalid(f'messages: Unexpected role "{message["role"]}". Allowed roles are "user" or "assistant"')
    content = message["content"]
    if not isinstance(content, (str, list)):
        raise invalid(f"{path}.content: Input should be a valid list")
    if not content and not (is_last and message["role"] == "assistant"):
        raise invalid(
            f"{path}: all messages must have non-empty content except for the optional final assistant message"
        )
    for position, block in enumerate(content if isinstance(content, list) else ()):
        _check_block(block, f"{path}.content.{position}")


def _check_block(block: Any, path: str) -> None:
    if not isinstance(block, Mapping):
        raise invalid(f"{path}: Input should be a valid dictionary")
    kind = block.get("type")
    if kind is None:
        raise invalid(f"{path}.type: Field required")
    needed = _NEEDED.get(str(kind))
    if needed is None:
        return  # a kind that other parts of the API know
    if block.get(needed) is None:
        raise invalid(f"{path}.{kind}.{needed}: Field required")
    if kind == "text" and not block["text"]:
        raise invalid("messages: text content blocks must be non-empty")
    if kind == "text" and not str(block["text"]).strip():
        raise invalid("messages: text content blocks must contain non-whitespace text")
    if kind == "tool_use" and not isinstance(block.get("input"), Mapping):
        raise invalid(f"{path}.tool_use.input: Input should be a valid dictionary")
    if kind == "thinking" and not is_signed(str(block.get("thinking", "")), str(block["signature"])):
        raise invalid(f"{path}: Invalid `signature` in `thinking` block")


def _ids(message: Mapping[str, Any], kind: str, field: str) -> list[str]:
    content = message["content"] if isinstance(message["content"], list) else ()
    return [block[field] for block in content if block["type"] == kind]


def _check_tool_results(messages: Sequence[Mapping[str, Any]]) -> None:
    """Each tool_use has its tool_result in the very next message, and the other way round."""
    asked: list[str] = []
    for number, message in enumerate(messages):
        answered = _ids(message, "tool_result", "tool_use_id")
        foreign = [identifier for identifier in answered if identifier not in asked]
        if foreign:
            raise invalid(
                f"messages.{number}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {foreign[0]}. "
                "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        missing = [identifier for identifier in asked if identifier not in answered]
        if missing:
            raise invalid(
                f"messages.{number - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )
        asked = _ids(message, "tool_use", "id")
    if asked:
        raise invalid(
            f"messages.{len(messages) - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(asked)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message."
        )


def _check_replayed_thinking(messages: Sequence[Mapping[str, Any]]) -> None:
    """With thinking on, the turn that called the tools has to come back with its thoughts."""
    if not _ids(messages[-1], "tool_result", "tool_use_id"):
        return
    number = max(index for index, message in enumerate(messages) if message["role"] == "assistant")
    content = messages[number]["content"]
    if isinstance(content, list) and not starts_with_thinking(content):
        raise invalid(
            f"messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
            f"`{content[0]['type']}`. When `thinking` is enabled, a final `assistant` message must start with a "
            "thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
        )
