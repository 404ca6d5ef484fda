"""OpenAI.

https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tikhub_app.exceptions import UnsupportedFeature
from tikhub_app.providers import openai_chat_wire as chat_wire
from tikhub_app.providers.base import USER_AGENT, Account, Provider, ProviderCall, StreamReader
from tikhub_app.providers.facts import FilterFinding, ReplyFacts
from tikhub_app.providers.json_body import replace_members
from tikhub_app.providers.openai_chat_stream import ChatStreamReader
from tikhub_app.upstream.values import Timeouts, UpstreamRequest


class OpenAI(Provider):
    name: ClassVar[str] = "openai"
    label: ClassVar[str] = "OpenAI"
    docs_url: ClassVar[str] = "https://platform.openai.com/docs/api-reference"
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
    dialects: ClassVar[Mapping[str, frozenset[str]]] = {"openai_chat": frozenset({"chat"})}
    model_patterns: ClassVar[tuple[str, ...]] = (
        "gpt-*",
        "chatgpt-*",
        "o1*",
        "o3*",
        "o4*",
        "text-embedding-*",
        "whisper-*",
    )
    # "OpenAI-Beta" switches features on; organization and project belong to the operator's account, not the caller's.
    forwarded_headers: ClassVar[frozenset[str]] = frozenset({"openai-beta"})

    PATHS: ClassVar[Mapping[str, str]] = {"chat": "/chat/completions"}

    # Authentication: https://platform.openai.com/docs/api-reference/authentication

    def headers(self, account: Account) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if account.credential:
            headers["Authorization"] = f"Bearer {account.credential}"
        if organization := account.options.get("organization"):
            headers["OpenAI-Organization"] = str(organization)
        if project := account.options.get("project"):
            headers["OpenAI-Project"] = str(project)
        return headers

    # Chat completions: https://platform.openai.com/docs/api-reference/chat/create

    def prepare_body(self, body: bytes, changes: Mapping[str, Any]) -> bytes:
        return replace_members(body, changes)

    def build_request(self, account: Account, call: ProviderCall) -> UpstreamRequest:
        path = self.PATHS.get(call.operation)
        if path is None:
            raise UnsupportedFeature(f"{self.label} does not support {call.operation}.")
        headers = self.headers(account)
        headers["Content-Type"] = "application/json"
        headers["Accept"] = "text/event-stream" if call.is_stream else "application/json"
        # "X-Client-Request-Id": our id in OpenAI's logs.
        # https://platform.openai.com/docs/api-reference/debugging-requests
        headers["X-Client-Request-Id"] = call.attempt_id
        headers.update(call.headers)
        return UpstreamRequest("POST", account.base_url + path, headers, call.body, account.timeouts)

    def read_reply(self, operation: str, body: bytes) -> ReplyFacts:
        return chat_wire.read_completion(body)

    def open_stream(self, operation: str, *, keeps_usage: bool, text_limit: int) -> StreamReader:
        return ChatStreamReader(keeps_usage=keeps_usage, text_limit=text_limit)

    # Errors: https://platform.openai.com/docs/guides/error-codes

    def read_error(self, status: int, body: bytes) -> list[FilterFinding]:
        return chat_wire.read_error_findings(body)

    # List models: https://platform.openai.com/docs/api-reference/models/list

    def build_connection_test(self, account: Account) -> UpstreamRequest:
        limits = Timeouts(connect_s=account.timeouts.connect_s, first_byte_s=15.0, idle_s=15.0)
        return UpstreamRequest("GET", account.base_url + "/models", self.headers(account), b"", limits)
