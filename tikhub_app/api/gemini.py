"""POST /v1beta/models/{model}:generateContent, :streamGenerateContent and :countTokens.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework.request import Request

from tikhub_app.api.door import GatewayView
from tikhub_app.api.gateway_schema import GATEWAY_SECURITY, described_errors
from tikhub_app.api.rest import documented
from tikhub_app.gateway.endpoints import COUNT_CONTENT_TOKENS, GENERATE_CONTENT, STREAM_GENERATE_CONTENT
from tikhub_app.schemas import (
    GeminiCountTokensRequest,
    GeminiCountTokensResponse,
    GeminiErrorResponse,
    GeminiGenerateContentArray,
    GeminiGenerateContentRequest,
    GeminiGenerateContentResponse,
)

_MODEL = OpenApiParameter(
    "model", OpenApiTypes.STR, OpenApiParameter.PATH, description="Any model that a route of the gateway serves."
)
_ALT = OpenApiParameter(
    "alt",
    OpenApiTypes.STR,
    description="`sse` for an event stream; without it the answer is one JSON array that grows chunk by chunk.",
    enum=["sse", "json"],
)
_SECURITY = [*GATEWAY_SECURITY, {"googleKeyQuery": []}]
_CHUNKS = "Chunks. Each has what is new; the last one of a candidate has its `finishReason`."


class GenerateContentView(GatewayView):
    endpoint = GENERATE_CONTENT

    @documented(
        operation_id="generateContent",
        tags=["Gemini"],
        summary="Gemini content",
        description="Continues a conversation in Gemini's own form.",
        auth=_SECURITY,
        parameters=[_MODEL],
        request={"application/json": GeminiGenerateContentRequest},
        responses={
            (200, "application/json"): OpenApiResponse(GeminiGenerateContentResponse, description="The answer."),
            **described_errors(GeminiErrorResponse),
        },
    )
    def post(self, request: Request, model: str, version: str = "v1beta") -> HttpResponseBase:
        return self.answer(request, version=version, model=model)


class StreamGenerateContentView(GatewayView):
    endpoint = STREAM_GENERATE_CONTENT

    @documented(
        operation_id="streamGenerateContent",
        tags=["Gemini"],
        summary="Gemini content, streamed",
        description="The same, piece by piece, see *Streaming API*.",
        auth=_SECURITY,
        parameters=[_MODEL, _ALT],
        request={"application/json": GeminiGenerateContentRequest},
        responses={
            (200, "text/event-stream"): OpenApiResponse(GeminiGenerateContentResponse, description=_CHUNKS),
            (200, "application/json"): OpenApiResponse(GeminiGenerateContentArray, description=_CHUNKS),
            **described_errors(GeminiErrorResponse),
        },
        examples=[
            OpenApiExample(
                "One event of a stream",
                value={
                    "candidates": [{"content": {"parts": [{"text": "Air"}], "role": "model"}, "index": 0}],
                    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 1, "totalTokenCount": 8},
                    "modelVersion": "gemini-2.5-flash",
                    "responseId": "NMoLaoiyAvKIz7IPyp6D",
                },
                media_type="text/event-stream",
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def post(self, request: Request, model: str, version: str = "v1beta") -> HttpResponseBase:
        return self.answer(request, version=version, model=model)


class CountContentTokensView(GatewayView):
    endpoint = COUNT_CONTENT_TOKENS

    @documented(
        operation_id="countContentTokens",
        tags=["Models and tokens"],
        summary="Count the tokens of Gemini content",
        description="How many tokens a prompt has for a model. Free of charge.",
        auth=_SECURITY,
        parameters=[_MODEL],
        request={"application/json": GeminiCountTokensRequest},
        responses={
            (200, "application/json"): OpenApiResponse(GeminiCountTokensResponse, description="The count."),
            **described_errors(GeminiErrorResponse),
        },
    )
    def post(self, request: Request, model: str, version: str = "v1beta") -> HttpResponseBase:
        return self.answer(request, version=version, model=model)
