"""Answers of Claude's Messages API, whole and in events, and its errors.

https://platform.claude.com/docs/en/api/messages and https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from tikhub_app.schemas.claude import ClaudeContentBlock
from tikhub_app.schemas.wire import WireModel


class ClaudeCacheCreation(WireModel):
    """Tokens written to the cache, by lifetime."""

    ephemeral_5m_input_tokens: int | None = Field(None, ge=0, description="Kept for five minutes.")
    ephemeral_1h_input_tokens: int | None = Field(None, ge=0, description="Kept for an hour.")


class ClaudeUsage(WireModel):
    """What a call used. Input is the sum of its three counts."""

    input_tokens: int | None = Field(None, ge=0, description="Tokens in, those of the cache not included.")
    cache_creation_input_tokens: int | None = Field(None, ge=0, description="Tokens written to the cache.")
    cache_read_input_tokens: int | None = Field(None, ge=0, description="Tokens read from the cache.")
    cache_creation: ClaudeCacheCreation | None = Field(None, description="The written ones by lifetime.")
    output_tokens: int | None = Field(None, ge=0, description="Tokens out, thinking included.")
    output_tokens_details: dict[str, Any] | None = Field(None, description="thinking_tokens: those spent on thinking.")
    server_tool_use: dict[str, Any] | None = Field(None, description="Calls of the provider's own tools.")
    service_tier: str | None = Field(None, description="standard, priority or batch.")


class ClaudeStopDetails(WireModel):
    """More about why the answer ended."""

    type: str = Field(description="refusal.", examples=["refusal"])
    category: str | None = Field(None, description="The policy that was touched, where one has a name.")
    explanation: str | None = Field(None, description="In words.")


class ClaudeMessageResponse(WireModel):
    """A whole answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
                    "type": "message",
                    "role": "assistant",
                    "model": "claude-sonnet-4-5-20250929",
                    "content": [{"type": "text", "text": "Air scatters blue light more than red."}],
                    "stop_reason": "end_turn",
                    "stop_sequence": None,
                    "usage": {"input_tokens": 14, "output_tokens": 11},
                }
            ]
        }
    )

    id: str = Field(description="Of the answer.", examples=["msg_01XFDUDYJgAACzvnptvVoYEL"])
    type: str = Field(description="message.", examples=["message"])
    role: str = Field(description="assistant.", examples=["assistant"])
    model: str = Field(description="The model that answered.", examples=["claude-sonnet-4-5-20250929"])
    content: list[ClaudeContentBlock] = Field(description="What it wrote, in order.")
    stop_reason: str | None = Field(
        None,
        description="Why it ended: end_turn, max_tokens, stop_sequence, tool_use, pause_turn, refusal or "
        "model_context_window_exceeded.",
        examples=["end_turn"],
    )
    stop_sequence: str | None = Field(None, description="The text that ended it, for stop_sequence.")
    stop_details: ClaudeStopDetails | None = Field(None, description="For refusal.")
    container: dict[str, Any] | None = Field(None, description="Where code ran, if a tool used one.")
    usage: ClaudeUsage | None = Field(None, description="What it used.")


class ClaudeStreamEvent(WireModel):
    """One event of a stream; which fields it has depends on its type."""

    type: str = Field(
        description="message_start, content_block_start, content_block_delta, content_block_stop, message_delta, "
        "message_stop, ping or error.",
        examples=["content_block_delta"],
    )
    message: ClaudeMessageResponse | None = Field(None, description="message_start: the answer, still empty.")
    index: int | None = Field(None, description="Which block, from 0.")
    content_block: ClaudeContentBlock | None = Field(None, description="content_block_start: the block, still empty.")
    delta: dict[str, Any] | None = Field(None, description="What is added to the block, or how the answer ended.")
    usage: ClaudeUsage | None = Field(None, description="message_delta: totals so far.")
    error: dict[str, Any] | None = Field(None, description="error: type and message.")


class ClaudeErrorDetail(WireModel):
    """What went wrong."""

    type: str = Field(description="Class of the error.", examples=["invalid_request_error"])
    message: str = Field(description="In words.", examples=["max_tokens: Field required"])
    details: dict[str, Any] | None = Field(None, description="error_code, and param: the field at fault.")


class ClaudeErrorResponse(WireModel):
    """Body of every answer with status 400 or above."""

    type: str = Field(description="error.", examples=["error"])
    error: ClaudeErrorDetail = Field(description="What went wrong.")
    request_id: str | None = Field(None, description="The id under which the ledger knows the call.")
