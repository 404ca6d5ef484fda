"""Requests for chat completions. https://platform.openai.com/docs/api-reference/chat/create

Ranges are OpenAI's; a model may accept less. What a provider does not know it refuses itself, with its own words.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from tikhub_app.schemas.chat_message import ChatMessage
from tikhub_app.schemas.wire import WireModel


class FunctionDefinition(WireModel):
    """A function that the model may ask for."""

    name: str = Field(
        max_length=64, description="At most 64 letters, digits, underscores and dashes.", examples=["get_weather"]
    )
    description: str | None = Field(None, description="What it does; the model decides by this.")
    parameters: dict[str, Any] | None = Field(
        None,
        description="JSON Schema of its arguments.",
        examples=[{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}],
    )
    strict: bool | None = Field(None, description="Whether the arguments must follow the schema exactly.")


class CustomToolDefinition(WireModel):
    """A tool that takes free text."""

    name: str = Field(max_length=64, description="Its name.")
    description: str | None = Field(None, description="What it does.")
    format: dict[str, Any] | None = Field(None, description="text, or a grammar (lark or regex).")


class Tool(WireModel):
    """A tool that the model may use."""

    type: str = Field("function", description="function, custom, or a kind that the provider runs itself.")
    function: FunctionDefinition | None = Field(None, description="For type function.")
    custom: CustomToolDefinition | None = Field(None, description="For type custom.")


class NamedTool(WireModel):
    """Name of a tool."""

    name: str


class NamedToolChoice(WireModel):
    """The one tool to use."""

    type: Literal["function", "custom"]
    function: NamedTool | None = Field(None, description="For type function.")
    custom: NamedTool | None = Field(None, description="For type custom.")


class AllowedTools(WireModel):
    """Tools that may be used in this call."""

    mode: Literal["auto", "required"] = Field(description="Whether one of them must be used.")
    tools: list[dict[str, Any]] = Field(description="The tools, by type and name.")


class AllowedToolsChoice(WireModel):
    """Restricts the tools of this call."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class JsonSchemaFormat(WireModel):
    """The schema that an answer must follow."""

    name: str = Field(max_length=64, description="Its name.")
    description: str | None = Field(None, description="What it is for.")
    # `schema` is a (deprecated) attribute of pydantic's own base class, so Python knows it by another name.
    json_schema: dict[str, Any] | None = Field(None, alias="schema", description="JSON Schema.")
    strict: bool | None = Field(None, description="Whether it must be followed exactly.")


class ResponseFormat(WireModel):
    """The form of the answer's text."""

    type: str = Field(description="text, json_object or json_schema.", examples=["json_object"])
    json_schema: JsonSchemaFormat | None = Field(None, description="For type json_schema.")


class StreamOptions(WireModel):
    """Options of a stream; only with ``stream: true``."""

    include_usage: bool | None = Field(None, description="Send one last chunk with the usage and no choices.")
    include_obfuscation: bool | None = Field(None, description="Pad chunks so that their size tells nothing.")


class AudioOptions(WireModel):
    """How audio answers are spoken."""

    voice: str | dict[str, Any] = Field(description="Name of the voice.", examples=["alloy"])
    format: str = Field(description="wav, mp3, flac, opus, aac or pcm16.", examples=["mp3"])


class ChatCompletionRequest(WireModel):
    """A conversation that the model is to continue. Fields that are not listed are passed on as they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "gpt-4o-mini",
                    "messages": [
                        {"role": "developer", "content": "Answer in one sentence."},
                        {"role": "user", "content": "Why is the sky blue?"},
                    ],
                },
                {
                    "model": "gpt-4o-mini",
                    "messages": [{"role": "user", "content": "Count to five."}],
                    "stream": True,
                    "stream_options": {"include_usage": True},
                },
            ]
        }
    )

    model: str = Field(description="A model that a route of the gateway serves.", examples=["gpt-4o-mini"])
    messages: list[ChatMessage] = Field(min_length=1, description="The conversation so far, oldest first.")
    max_completion_tokens: int | None = Field(None, ge=1, description="Most tokens to make, reasoning included.")
    max_tokens: int | None = Field(
        None, ge=1, description="Older name of the cap; reasoning models of OpenAI do not accept it.", deprecated=True
    )
    temperature: float | None = Field(
        None, ge=0, le=2, description="0 is the most predictable; 1 unless given. Change this or top_p."
    )
    top_p: float | None = Field(None, ge=0, le=1, description="Share of probability drawn from; 1 unless given.")
    n: int | None = Field(None, ge=1, le=128, description="How many answers; each one is billed.")
    stop: str | list[str] | None = Field(
        None, description="Up to 4 texts that end the answer (DeepSeek: 16). Newest reasoning models refuse it."
    )
    frequency_penalty: float | None = Field(None, ge=-2, le=2, description="Against repeating frequent tokens.")
    presence_penalty: float | None = Field(None, ge=-2, le=2, description="Against repeating any token.")
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(
        None, description="Token id to bias, -100 to 100."
    )
    logprobs: bool | None = Field(None, description="Return the probability of each token.")
    top_logprobs: int | None = Field(None, ge=0, le=20, description="And of this many others; needs logprobs.")
    seed: int | None = Field(
        None, ge=-(2**63), lt=2**63, description="Ask for the same answer to the same call; best effort."
    )
    stream: bool | None = Field(None, description="Answer in events as the text is made.")
    stream_options: StreamOptions | None = Field(None, description="Only with stream.")
    tools: list[Tool] | None = Field(None, description="Tools that the model may use.")
    tool_choice: str | NamedToolChoice | AllowedToolsChoice | dict[str, Any] | None = Field(
        None, description="none, auto, required, the tool to use, or the tools that are allowed."
    )
    parallel_tool_calls: bool | None = Field(None, description="Whether one answer may hold several calls.")
    response_format: ResponseFormat | None = Field(None, description="Text, any JSON object, or JSON by a schema.")
    reasoning_effort: str | None = Field(
        None, description="none, minimal, low, medium, high, xhigh or max, as the model knows them.", examples=["low"]
    )
    verbosity: str | None = Field(None, description="low, medium or high.")
    modalities: list[str] | None = Field(None, description="text, audio.")
    audio: AudioOptions | None = Field(None, description="Needed where modalities has audio.")
    prediction: dict[str, Any] | None = Field(None, description="Text that the answer is expected to repeat.")
    store: bool | None = Field(None, description="Whether the provider keeps the answer; false unless given.")
    metadata: dict[str, Any] | None = Field(
        None,
        max_length=16,
        description="Up to 16 labels, key 64 and value 512 characters; the gateway keeps them as the request's tags.",
    )
    service_tier: str | None = Field(None, description="auto, default, flex, scale, priority or fast.")
    user: str | None = Field(None, description="Your own user; the gateway keeps it as end_user.")
    safety_identifier: str | None = Field(None, max_length=64, description="Stable id of your user, for abuse reports.")
    prompt_cache_key: str | None = Field(None, description="Calls with the same key share a cache more often.")
    prompt_cache_options: dict[str, Any] | None = Field(None, description="Mode and lifetime of the prompt cache.")
    moderation: dict[str, Any] | None = Field(None, description="Ask for moderation results beside the answer.")
    web_search_options: dict[str, Any] | None = Field(None, description="Let the model search the web.")
    functions: list[FunctionDefinition] | None = Field(None, description="Old form of tools.", deprecated=True)
    function_call: str | NamedTool | None = Field(None, description="Old form of tool_choice.", deprecated=True)
    thinking: dict[str, Any] | None = Field(
        None, description='DeepSeek and Claude: {"type": "enabled"} or {"type": "disabled"}.'
    )
