"""A whole Message as a chat.completion.

https://platform.claude.com/docs/en/api/messages#response
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.chat_form import AnsweredChoice, CalledTool, completion_id, write_completion
from tikhub_app.translation.chat_to_messages.answer import (
    BETWEEN_THOUGHTS,
    Asked,
    UsageTotal,
    fallback_model,
    finish_reason,
    refusal_of,
    service_tier,
    text_of,
    url_citations,
)
from tikhub_app.translation.chat_to_messages.kept_thinking import TurnLayout
from tikhub_app.translation.json_text import decode_object, encode_text


def translate_message(body: bytes, asked: Asked) -> tuple[bytes, dict[str, Any]]:
    """The chat.completion, and what is to be kept.

    Blocks of server tools have no place in a chat and are left out; what the model made of them is in its text.

    :raises ValueError: not a Message.
    """
    message = decode_object(body)
    if not isinstance(message.get("content"), list):
        raise ValueError("the answer has no content")
    model = text_of(message.get("model"))
    layout = TurnLayout()
    choice = AnsweredChoice(
        finish_reason=finish_reason(message.get("stop_reason")),
        refusal=refusal_of(message.get("stop_reason"), message.get("stop_details")),
    )
    for block in message["content"]:
        if isinstance(block, Mapping):
            model = fallback_model(block) or model
            _add_block(block, choice, layout, asked)
    usage = UsageTotal()
    usage.add(message.get("usage"))
    written = write_completion(
        id=completion_id(message.get("id"), asked.request_id),
        model=model,
        choices=[choice],
        usage=usage.as_chat(model),
        service_tier=service_tier(message.get("usage")),
        legacy_functions=asked.legacy_functions,
    )
    return written, layout.kept(model)


def _add_block(block: Mapping[str, Any], choice: AnsweredChoice, layout: TurnLayout, asked: Asked) -> None:
    kind = block.get("type")
    if kind == "text":
        start = len(choice.text)
        choice.text += text_of(block.get("text"))
        choice.annotations += url_citations(block.get("citations"), start, len(choice.text))
        layout.text(len(choice.text) - start)
    elif kind == "tool_use":
        call_id, given = text_of(block.get("id")), block.get("input")
        arguments = encode_text(given if isinstance(given, dict) else {})
        choice.tool_calls.append(CalledTool(call_id, asked.names.original(text_of(block.get("name"))), arguments))
        layout.tool_use(call_id)
    elif kind in ("thinking", "redacted_thinking"):
        layout.thinking(block)
        thought = text_of(block.get("thinking"))
        if thought:
            choice.reasoning += (BETWEEN_THOUGHTS if choice.reasoning else "") + thought
