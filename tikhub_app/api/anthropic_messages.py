"""POST /v1/messages and /v1/messages/count_tokens. https://platform.claude.com/docs/en/api/messages"""

from __future__ import annotations

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.request import Request

from tikhub_app.api.door import GatewayView
from tikhub_app.api.gateway_schema import GATEWAY_SECURITY, described_errors
from tikhub_app.api.rest import documented
from tikhub_app.gateway.endpoints import MESSAGES, MESSAGES_COUNT_TOKENS
from tikhub_app.schemas import (
    ClaudeErrorResponse,
    ClaudeMessageRequest,
    ClaudeMessageResponse,
    ClaudeStreamEvent,
    ClaudeTokenCountRequest,
    ClaudeTokenCountResponse,
)

_ANSWER = (
    "The answer. With `stream: true`, events: the schema is that of one event's `data`, and the stream ends with the "
    "event `message_stop`."
)


class MessageView(GatewayView):
    endpoint = MESSAGES

    @documented(
        operation_id="createMessage",
        tags=["Claude"],
        summary="Claude message",
        description="Continues a conversation in Claude's own form. The headers `anthropic-version` and "
        "`anthropic-beta` go on to the provider. With `stream: true` the answer is a stream of events, see *Streaming "
        "API*.",
        auth=GATEWAY_SECURITY,
        request={"application/json": ClaudeMessageRequest},
        responses={
            (200, "application/json"): OpenApiResponse(ClaudeMessageResponse, description=_ANSWER),
            (200, "text/event-stream"): OpenApiResponse(ClaudeStreamEvent, description=_ANSWER),
            **described_errors(ClaudeErrorResponse),
        },
        examples=[
            OpenApiExample(
                "One event of a stream",
                value={
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": "Air"},
                },
                media_type="text/event-stream",
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def post(self, request: Request) -> HttpResponseBase:
        return self.answer(request)


class TokenCountView(GatewayView):
    endpoint = MESSAGES_COUNT_TOKENS

    @documented(
        operation_id="countMessageTokens",
        tags=["Models and tokens"],
        summary="Count the tokens of a Claude message",
        description="How many tokens a prompt has for a model. Free of charge.",
        auth=GATEWAY_SECURITY,
        request={"application/json": ClaudeTokenCountRequest},
        responses={
            (200, "application/json"): OpenApiResponse(ClaudeTokenCountResponse, description="The count."),
            **described_errors(ClaudeErrorResponse),
        },
    )
    def post(self, request: Request) -> HttpResponseBase:
        return self.answer(request)
