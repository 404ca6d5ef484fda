"""How the gateway paths stand in the OpenAPI document: tags and summaries are the published titles."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from tikhub_app.api.rest import documented
from tikhub_app.schemas import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ErrorResponse,
    WireModel,
)

#: Any of the three headers on any path.
GATEWAY_SECURITY: list[dict[str, list[str]]] = [{"gatewayKey": []}, {"gatewayKeyHeader": []}, {"googleKeyHeader": []}]

SECURITY_SCHEMES: dict[str, dict[str, str]] = {
    "gatewayKey": {"type": "http", "scheme": "bearer", "description": "A key of scope gateway."},
    "gatewayKeyHeader": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same."},
    "googleKeyHeader": {"type": "apiKey", "in": "header", "name": "x-goog-api-key", "description": "The same."},
    "googleKeyQuery": {"type": "apiKey", "in": "query", "name": "key", "description": "The same, on Gemini's paths."},
}

_ERROR_MEANINGS = {
    400: "Malformed JSON, or a missing or wrong field, named in `param`.",
    401: "No key, or a wrong, revoked or expired one, or two different ones.",
    403: "The key does not allow this model or operation.",
    404: "No route serves this model.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "The provider's limit; see `Retry-After`.",
    502: "The provider was not reached, refused the operator's account, or answered nonsense.",
    503: "The call cannot be taken at the moment; nothing was sent.",
    504: "The provider did not answer in time.",
}


def described_errors(body: type[WireModel]) -> dict[Any, OpenApiResponse]:
    """Error answers of every path of a dialect whose errors have this body."""
    return {
        (status, "application/json"): OpenApiResponse(body, description=meaning)
        for status, meaning in _ERROR_MEANINGS.items()
    }


_ANSWER = (
    "The answer. With `stream: true`, events: the schema is that of one event's `data`, and the stream ends with "
    "`data: [DONE]`."
)

document_chat_completion = documented(
    operation_id="createChatCompletion",
    tags=["OpenAI"],
    summary="OpenAI chat completion",
    description="Continues a conversation with any model that a route of the gateway serves. With `stream: true` the "
    "answer is a stream of events, see *Streaming API*.",
    auth=GATEWAY_SECURITY,
    request={"application/json": ChatCompletionRequest},
    responses={
        (200, "application/json"): OpenApiResponse(ChatCompletionResponse, description=_ANSWER),
        (200, "text/event-stream"): OpenApiResponse(ChatCompletionChunk, description=_ANSWER),
        **described_errors(ErrorResponse),
    },
    examples=[
        OpenApiExample(
            "One event of a stream",
            value={
                "id": "chatcmpl-abc123",
                "object": "chat.completion.chunk",
                "created": 1760000000,
                "model": "gpt-4o-mini-2024-07-18",
                "choices": [{"index": 0, "delta": {"content": "Air"}, "finish_reason": None}],
            },
            media_type="text/event-stream",
            response_only=True,
            status_codes=["200"],
        )
    ],
)
