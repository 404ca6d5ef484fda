"""Token counts of chat completions. https://platform.openai.com/docs/api-reference/chat/object#chat-object-usage"""

from __future__ import annotations

from pydantic import Field

from tikhub_app.schemas.wire import WireModel


class PromptTokensDetails(WireModel):
    """Parts of ``prompt_tokens``."""

    cached_tokens: int | None = Field(None, ge=0, description="Tokens read from a prompt cache.")
    cache_write_tokens: int | None = Field(None, ge=0, description="Tokens written to a prompt cache.")
    audio_tokens: int | None = Field(None, ge=0, description="Tokens of audio input.")
    image_tokens: int | None = Field(None, ge=0, description="Tokens of image input.")
    text_tokens: int | None = Field(None, ge=0, description="Tokens of text input.")


class CompletionTokensDetails(WireModel):
    """Parts of ``completion_tokens``."""

    reasoning_tokens: int | None = Field(None, ge=0, description="Tokens spent on reasoning, not shown.")
    audio_tokens: int | None = Field(None, ge=0, description="Tokens of audio output.")
    text_tokens: int | None = Field(None, ge=0, description="Tokens of text output.")
    accepted_prediction_tokens: int | None = Field(None, ge=0, description="Predicted tokens that were used.")
    rejected_prediction_tokens: int | None = Field(
        None, ge=0, description="Predicted tokens that were not used; they are billed as well."
    )


class UsageInfo(WireModel):
    """What a call used."""

    prompt_tokens: int = Field(ge=0, description="Everything in, cached and audio tokens included.", examples=[19])
    completion_tokens: int = Field(
        0, ge=0, description="Everything out, reasoning and rejected predictions included.", examples=[10]
    )
    total_tokens: int = Field(ge=0, description="The sum of both.", examples=[29])
    prompt_tokens_details: PromptTokensDetails | None = Field(None, description="Parts of the input.")
    completion_tokens_details: CompletionTokensDetails | None = Field(None, description="Parts of the output.")
    # https://api-docs.deepseek.com/guides/kv_cache
    prompt_cache_hit_tokens: int | None = Field(None, ge=0, description="DeepSeek: input tokens read from its cache.")
    prompt_cache_miss_tokens: int | None = Field(None, ge=0, description="DeepSeek: input tokens not in its cache.")
