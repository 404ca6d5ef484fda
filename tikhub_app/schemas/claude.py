"""Requests of Claude's Messages API. https://platform.claude.com/docs/en/api/messages

Ranges are Anthropic's; a model may accept less. What a provider does not know it refuses itself, with its own words.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from tikhub_app.schemas.wire import WireModel


class ClaudeCacheControl(WireModel):
    """Marks the end of a prefix that is to be cached."""

    type: Literal["ephemeral"]
    ttl: str | None = Field(None, description="How long it is kept: 5m (usual) or 1h.", examples=["5m"])


class ClaudeContentBlock(WireModel):
    """One piece of content; which fields it has depends on its type."""

    type: str = Field(
        description="text, image, document, search_result, thinking, redacted_thinking, tool_use, tool_result, "
        "server_tool_use, or the result of one of the provider's own tools.",
        examples=["text"],
    )
    text: str | None = Field(None, description="For text.")
    citations: list[dict[str, Any]] | dict[str, Any] | None = Field(None, description="Sources of the text.")
    source: dict[str, Any] | str | None = Field(
        None, description="Where an image or document is: base64, url, text, content or file."
    )
    title: str | None = Field(None, description="Of a document or search result.")
    thinking: str | None = Field(None, description="For thinking; empty where it is omitted.")
    signature: str | None = Field(None, description="Proves the thinking; send it back untouched.")
    data: str | None = Field(None, description="For redacted_thinking; send it back untouched.")
    id: str | None = Field(None, description="Of a tool's call.", examples=["toolu_01A09q90qw90lq917835lq9"])
    name: str | None = Field(None, description="Of the tool that is called.")
    input: dict[str, Any] | None = Field(None, description="Arguments of a tool's call.")
    tool_use_id: str | None = Field(None, description="The call that a result answers.")
    content: str | list[dict[str, Any]] | dict[str, Any] | None = Field(None, description="Of a tool's result.")
    is_error: bool | None = Field(None, description="Whether the tool failed.")
    cache_control: ClaudeCacheControl | None = Field(None, description="Cache the prompt up to here.")


class ClaudeMessage(WireModel):
    """One turn of the conversation."""

    role: str = Field(description="user or assistant.", examples=["user"])
    content: str | list[ClaudeContentBlock] = Field(description="Text, or blocks.", examples=["Hello, Claude"])


class ClaudeTool(WireModel):
    """A tool that the model may use: one of yours, with its schema, or one that the provider runs, by its type."""

    type: str | None = Field(None, description="custom, or a dated type such as web_search_20250305.")
    name: str | None = Field(None, max_length=128, description="Its name.", examples=["get_weather"])
    description: str | None = Field(None, description="What it does; the model decides by this.")
    input_schema: dict[str, Any] | None = Field(None, description="JSON Schema of its arguments.")
    strict: bool | None = Field(None, description="Whether arguments must follow the schema exactly.")
    cache_control: ClaudeCacheControl | None = Field(None, description="Cache the tools up to here.")


class ClaudeToolChoice(WireModel):
    """How tools are used."""

    type: str = Field(description="auto, any, tool or none.", examples=["auto"])
    name: str | None = Field(None, description="For type tool.")
    disable_parallel_tool_use: bool | None = Field(None, description="At most one call in an answer.")


class ClaudeThinking(WireModel):
    """Whether and how the model thinks first."""

    type: str = Field(description="adaptive, enabled or disabled, as the model knows them.", examples=["adaptive"])
    budget_tokens: int | None = Field(None, description="For enabled: at least 1024, below max_tokens.")
    display: str | None = Field(None, description="summarized or omitted.")


class ClaudeMetadata(WireModel):
    """About the request."""

    user_id: str | None = Field(None, description="Your own user; the gateway keeps it as end_user.")


class _ClaudePrompt(WireModel):
    model: str = Field(description="A model that a route of the gateway serves.", examples=["claude-sonnet-4-5"])
    messages: list[ClaudeMessage] = Field(min_length=1, description="The conversation so far, oldest first.")
    system: str | list[ClaudeContentBlock] | None = Field(None, description="What the model is to be.")
    tools: list[ClaudeTool] | None = Field(None, description="Tools that the model may use.")
    tool_choice: ClaudeToolChoice | None = Field(None, description="How they are used.")
    thinking: ClaudeThinking | None = Field(None, description="Whether and how the model thinks first.")
    output_config: dict[str, Any] | None = Field(None, description="effort, and format for JSON by a schema.")
    cache_control: ClaudeCacheControl | None = Field(None, description="Cache the prompt up to its last block.")


class ClaudeMessageRequest(_ClaudePrompt):
    """A conversation that the model is to continue. Fields that are not listed are passed on as they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "claude-sonnet-4-5",
                    "max_tokens": 1024,
                    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
                }
            ]
        }
    )

    max_tokens: int = Field(ge=0, description="Most tokens to make, thinking included.", examples=[1024])
    stream: bool | None = Field(None, description="Answer in events as the text is made.")
    temperature: float | None = Field(None, ge=0, le=1, description="1 unless given; not with thinking.")
    top_p: float | None = Field(None, ge=0, le=1, description="Share of probability drawn from.")
    top_k: int | None = Field(None, ge=0, description="Draw from this many tokens only.")
    stop_sequences: list[str] | None = Field(None, description="Texts that end the answer.")
    metadata: ClaudeMetadata | None = Field(None, description="About the request.")
    service_tier: str | None = Field(None, description="auto or standard_only.")


class ClaudeTokenCountRequest(_ClaudePrompt):
    """A prompt whose tokens are to be counted."""


class ClaudeTokenCountResponse(WireModel):
    """How long the prompt is."""

    input_tokens: int = Field(ge=0, description="Tools, system and messages together.", examples=[14])
