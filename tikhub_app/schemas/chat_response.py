"""Answers of chat completions, whole and in chunks.

https://platform.openai.com/docs/api-reference/chat/object and https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from tikhub_app.schemas.chat_message import AudioReference, ChatMessage, FunctionCall
from tikhub_app.schemas.content_filter import ContentFilterResults
from tikhub_app.schemas.usage import UsageInfo
from tikhub_app.schemas.wire import WireModel

_FINISH_REASONS = "stop, length, tool_calls, content_filter, or the old function_call."


class PromptFilterResult(WireModel):
    """Azure OpenAI: what its filters said of a prompt."""

    prompt_index: int | None = Field(None, description="Which prompt.")
    content_filter_results: ContentFilterResults | None = Field(None, description="By category.")


class ChatCompletionChoice(WireModel):
    """One answer."""

    index: int = Field(description="Its number, from 0.", examples=[0])
    # Azure leaves the message out where the filter withheld all of it.
    message: ChatMessage | None = Field(None, description="The model's message.")
    finish_reason: str | None = Field(None, description=f"Why it ended: {_FINISH_REASONS}", examples=["stop"])
    logprobs: dict[str, Any] | None = Field(None, description="Probabilities of its tokens, if asked for.")
    content_filter_results: ContentFilterResults | None = Field(
        None, description="What the provider's content filters said, where it has them."
    )


class ChatCompletionResponse(WireModel):
    """A whole answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "chatcmpl-abc123",
                    "object": "chat.completion",
                    "created": 1760000000,
                    "model": "gpt-4o-mini-2024-07-18",
                    "choices": [
                        {
                            "index": 0,
                            "message": {
                                "role": "assistant",
                                "content": "Air scatters blue light more than red.",
                                "refusal": None,
                            },
                            "logprobs": None,
                            "finish_reason": "stop",
                        }
                    ],
                    "usage": {"prompt_tokens": 24, "completion_tokens": 9, "total_tokens": 33},
                }
            ]
        }
    )

    id: str = Field(description="The provider's id of the answer.", examples=["chatcmpl-abc123"])
    object: str = Field(description="chat.completion", examples=["chat.completion"])
    created: int = Field(description="Unix time in seconds.")
    model: str = Field(description="The model that answered, as the provider names it.")
    choices: list[ChatCompletionChoice] = Field(description="The answers; one unless n was given.")
    usage: UsageInfo | None = Field(None, description="What the call used.")
    system_fingerprint: str | None = Field(None, description="The provider's configuration; pairs with seed.")
    service_tier: str | None = Field(None, description="The tier that was used.")
    prompt_filter_results: list[PromptFilterResult] | None = Field(
        None, description="Azure OpenAI: what its filters said of the prompt."
    )


class FunctionDelta(WireModel):
    """A piece of a function call."""

    name: str | None = Field(None, description="Only in the first piece.")
    arguments: str | None = Field(None, description="The next piece of the JSON text.")


class ToolCallDelta(WireModel):
    """A piece of a tool call; pieces belong together by ``index``."""

    index: int = Field(description="Which call of the answer.")
    id: str | None = Field(None, description="Only in the first piece.")
    type: str | None = Field(None, description="Only in the first piece.")
    function: FunctionDelta | None = Field(None, description="The piece.")


class AudioDelta(AudioReference):
    """A piece of audio."""

    id: str | None = Field(None, description="Id of the audio.")  # type: ignore[assignment]  # only in the first piece


class ChatCompletionChunkDelta(WireModel):
    """What this chunk adds to a choice's message."""

    role: str | None = Field(None, description="Only in the first chunk.", examples=["assistant"])
    content: str | None = Field(None, description="The next piece of text.")
    refusal: str | None = Field(None, description="The next piece of a refusal.")
    reasoning_content: str | None = Field(None, description="DeepSeek and others: the next piece of reasoning.")
    tool_calls: list[ToolCallDelta] | None = Field(None, description="Pieces of tool calls.")
    function_call: FunctionCall | FunctionDelta | None = Field(None, description="Old form.", deprecated=True)
    audio: AudioDelta | None = Field(None, description="The next piece of audio.")


class ChatCompletionChunkChoice(WireModel):
    """A piece of one answer."""

    index: int = Field(description="Number of the answer.")
    # Azure's asynchronous filter sends choices with filter results and no delta.
    delta: ChatCompletionChunkDelta | None = Field(None, description="What is new.")
    finish_reason: str | None = Field(None, description=f"Null until the last chunk: {_FINISH_REASONS}")
    logprobs: dict[str, Any] | None = Field(None, description="Probabilities of the new tokens, if asked for.")
    content_filter_results: ContentFilterResults | None = Field(None, description="As in a whole answer.")


class ChatCompletionChunk(WireModel):
    """One event of a stream. The stream ends with the text ``[DONE]`` in place of a chunk."""

    id: str = Field(description="The same in all chunks of one answer (Azure's first chunk has none).")
    object: str = Field(description="chat.completion.chunk", examples=["chat.completion.chunk"])
    created: int = Field(description="Unix time in seconds.")
    model: str = Field(description="The model that answers.")
    choices: list[ChatCompletionChunkChoice] = Field(description="Empty in the chunk that carries the usage.")
    usage: UsageInfo | None = Field(None, description="Only with include_usage, in the last chunk; null before it.")
    system_fingerprint: str | None = Field(None, description="The provider's configuration.")
    service_tier: str | None = Field(None, description="The tier that was used.")
    prompt_filter_results: list[PromptFilterResult] | None = Field(
        None, description="Azure OpenAI, first chunk: what its filters said of the prompt."
    )
    obfuscation: str | None = Field(None, description="Padding without meaning.")
