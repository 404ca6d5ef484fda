"""The provider-shaped paths, relative to where the app is mounted."""

from __future__ import annotations

from django.urls import URLPattern, path

from tikhub_app.api.anthropic_messages import MessageView, TokenCountView
from tikhub_app.api.atomicity import never_atomic
from tikhub_app.api.door import GatewayView
from tikhub_app.api.gemini import CountContentTokensView, GenerateContentView, StreamGenerateContentView
from tikhub_app.api.openai_chat import ChatCompletionView


def _gateway_path(view: type[GatewayView], name: str) -> URLPattern:
    return path(view.endpoint.path.removeprefix("/"), never_atomic(view.as_view()), name=name)


#: Other versions of Google's API, served alike; the document shows the usual one only.
_OTHER_VERSIONS = ("v1", "v1alpha")


def _gemini_paths(view: type[GatewayView], name: str) -> list[URLPattern]:
    def route(version: str) -> str:
        return view.endpoint.path.format(version=version, model="<path:model>").removeprefix("/")

    hidden = never_atomic(view.as_view(schema=None))
    return [
        path(route("v1beta"), never_atomic(view.as_view()), name=name),
        *(path(route(version), hidden, {"version": version}) for version in _OTHER_VERSIONS),
    ]


gateway_urlpatterns: list[URLPattern] = [
    _gateway_path(ChatCompletionView, "chat-completions"),
    _gateway_path(MessageView, "messages"),
    _gateway_path(TokenCountView, "messages-count-tokens"),
    *_gemini_paths(GenerateContentView, "generate-content"),
    *_gemini_paths(StreamGenerateContentView, "stream-generate-content"),
    *_gemini_paths(CountContentTokensView, "count-content-tokens"),
]
