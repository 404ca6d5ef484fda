"""Answers of Gemini's content methods, whole and in chunks, and Google's errors.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, RootModel

from tikhub_app.schemas.gemini import GeminiContent, GeminiModel


class GeminiSafetyRating(GeminiModel):
    """How probable harm of one category is."""

    category: str = Field(description="Of harm.", examples=["HARM_CATEGORY_HARASSMENT"])
    probability: str | None = Field(None, description="NEGLIGIBLE, LOW, MEDIUM or HIGH.")
    blocked: bool | None = Field(None, description="Whether content was withheld for it.")


class GeminiPromptFeedback(GeminiModel):
    """What the safety filters said of the prompt."""

    block_reason: str | None = Field(None, description="Why it was blocked; then there are no candidates.")
    safety_ratings: list[GeminiSafetyRating] | None = Field(None, description="By category.")


class GeminiCandidate(GeminiModel):
    """One answer, or in a stream what a chunk adds to it."""

    content: GeminiContent | None = Field(None, description="What it says; may be missing.")
    finish_reason: str | None = Field(
        None, description="Why it ended: STOP, MAX_TOKENS, SAFETY, RECITATION and others.", examples=["STOP"]
    )
    finish_message: str | None = Field(None, description="The same in words.")
    index: int | None = Field(None, description="Its number; left out for 0.")
    safety_ratings: list[GeminiSafetyRating] | None = Field(None, description="By category.")
    citation_metadata: dict[str, Any] | None = Field(None, description="Sources that it recites.")
    grounding_metadata: dict[str, Any] | None = Field(None, description="Sources that it rests on.")
    url_context_metadata: dict[str, Any] | None = Field(None, description="Pages that were fetched for it.")
    avg_logprobs: float | None = Field(None, description="Mean probability of its tokens, as a logarithm.")
    logprobs_result: dict[str, Any] | None = Field(None, description="Probabilities of its tokens.")


class GeminiModalityTokenCount(GeminiModel):
    """Tokens of one kind."""

    modality: str = Field(description="TEXT, IMAGE, VIDEO, AUDIO or DOCUMENT.", examples=["TEXT"])
    # proto JSON leaves out what is 0.
    token_count: int | None = Field(None, description="How many.")


class GeminiUsageMetadata(GeminiModel):
    """What a call used. In a stream the last one holds for the whole."""

    prompt_token_count: int | None = Field(None, description="Tokens in, cached ones included.")
    cached_content_token_count: int | None = Field(None, description="Of them, those read from a cache.")
    candidates_token_count: int | None = Field(None, description="Tokens of the answers, without thoughts.")
    thoughts_token_count: int | None = Field(None, description="Tokens spent on thinking.")
    tool_use_prompt_token_count: int | None = Field(None, description="Tokens in that Google's tools added.")
    total_token_count: int | None = Field(None, description="The sum.")
    prompt_tokens_details: list[GeminiModalityTokenCount] | None = Field(None, description="Of the prompt, by kind.")
    cache_tokens_details: list[GeminiModalityTokenCount] | None = Field(None, description="Of the cache, by kind.")
    candidates_tokens_details: list[GeminiModalityTokenCount] | None = Field(None, description="Of the answers.")
    tool_use_prompt_tokens_details: list[GeminiModalityTokenCount] | None = Field(None, description="Of the tools.")


class GeminiGenerateContentResponse(GeminiModel):
    """A whole answer, or one chunk of a stream."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "candidates": [
                        {
                            "content": {
                                "parts": [{"text": "Air scatters blue light more than red."}],
                                "role": "model",
                            },
                            "finishReason": "STOP",
                            "index": 0,
                        }
                    ],
                    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 9, "totalTokenCount": 16},
                    "modelVersion": "gemini-2.5-flash",
                    "responseId": "NMoLaoiyAvKIz7IPyp6D",
                }
            ]
        }
    )

    candidates: list[GeminiCandidate] | None = Field(None, description="The answers; missing if the prompt is blocked.")
    prompt_feedback: GeminiPromptFeedback | None = Field(None, description="What the filters said of the prompt.")
    usage_metadata: GeminiUsageMetadata | None = Field(None, description="What the call used.")
    model_version: str | None = Field(None, description="The model that answered.", examples=["gemini-2.5-flash"])
    response_id: str | None = Field(None, description="Google's id of the answer.")


class GeminiGenerateContentArray(RootModel[list[GeminiGenerateContentResponse]]):
    """A stream without ``alt=sse``, when it has ended."""


class GeminiCountTokensResponse(GeminiModel):
    """The count."""

    total_tokens: int | None = Field(None, description="How many tokens the prompt has.", examples=[7])
    cached_content_token_count: int | None = Field(None, description="Of them, those of the cached beginning.")
    prompt_tokens_details: list[GeminiModalityTokenCount] | None = Field(None, description="By kind.")


class GeminiErrorDetail(GeminiModel):
    """What went wrong. https://google.aip.dev/193"""

    code: int = Field(description="The HTTP status.", examples=[400])
    message: str = Field(description="For people.")
    status: str = Field(description="The canonical code.", examples=["INVALID_ARGUMENT"])
    details: list[dict[str, Any]] | None = Field(
        None, description="ErrorInfo with a `reason`, BadRequest with `fieldViolations`, RetryInfo, each with `@type`."
    )


class GeminiErrorResponse(GeminiModel):
    """An error in Google's form."""

    error: GeminiErrorDetail = Field(description="What went wrong.")
