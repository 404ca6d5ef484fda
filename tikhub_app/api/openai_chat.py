"""POST /v1/chat/completions. https://platform.openai.com/docs/api-reference/chat/create"""

from __future__ import annotations

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from tikhub_app.api.door import GatewayView
from tikhub_app.api.gateway_schema import document_chat_completion
from tikhub_app.gateway.endpoints import CHAT_COMPLETIONS


class ChatCompletionView(GatewayView):
    endpoint = CHAT_COMPLETIONS

    @document_chat_completion
    def post(self, request: Request) -> HttpResponseBase:
        return self.answer(request)
