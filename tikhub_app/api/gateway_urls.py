"""The provider-shaped paths, relative to where the app is mounted."""

from __future__ import annotations

from django.urls import URLPattern, path

from tikhub_app.api.atomicity import never_atomic
from tikhub_app.api.door import GatewayView
from tikhub_app.api.openai_chat import ChatCompletionView


def _gateway_path(view: type[GatewayView], name: str) -> URLPattern:
    return path(view.endpoint.path.removeprefix("/"), never_atomic(view.as_view()), name=name)


gateway_urlpatterns: list[URLPattern] = [
    _gateway_path(ChatCompletionView, "chat-completions"),
]
