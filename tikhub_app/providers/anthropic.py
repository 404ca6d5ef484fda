"""Anthropic: Claude's Messages API.

https://platform.claude.com/docs/en/api/overview
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tikhub_app.exceptions import UnsupportedFeature
from tikhub_app.providers import anthropic_wire as wire
from tikhub_app.providers.anthropic_stream import MessagesStreamReader
from tikhub_app.providers.base import USER_AGENT, Account, Provider, ProviderCall, StreamReader
from tikhub_app.providers.facts import FilterFinding, ReplyFacts
from tikhub_app.providers.json_body import replace_members
from tikhub_app.upstream.values import Timeouts, UpstreamRequest


class Anthropic(Provider):
    name: ClassVar[str] = "anthropic"
    label: ClassVar[str] = "Anthropic"
    docs_url: ClassVar[str] = "https://platform.claude.com/docs/en/api/overview"
    # Without /v1, as ANTHROPIC_BASE_URL is given to its own SDK.
    default_base_url: ClassVar[str] = "https://api.anthropic.com"
    dialects: ClassVar[Mapping[str, frozenset[str]]] = {"anthropic_messages": frozenset({"messages", "count_tokens"})}
    model_patterns: ClassVar[tuple[str, ...]] = ("claude-*",)
    # The caller's SDK knows which version and which betas it speaks; workspace and profile belong to the operator.
    forwarded_headers: ClassVar[frozenset[str]] = frozenset({"anthropic-version", "anthropic-beta"})
    request_id_header: ClassVar[str] = "request-id"

    PATHS: ClassVar[Mapping[str, str]] = {
        "messages": "/v1/messages",
        "count_tokens": "/v1/messages/count_tokens",
    }
    # https://platform.claude.com/docs/en/api/versioning: "you must send an anthropic-version request header".
    VERSION: ClassVar[str] = "2023-06-01"

    # Authentication: https://platform.claude.com/docs/en/api/overview#authentication

    def headers(self, account: Account) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "anthropic-version": self.VERSION}
        if account.credential:
            headers["x-api-key"] = account.credential
        return headers

    # Messages: https://platform.claude.com/docs/en/api/messages
    # Token counting: https://platform.claude.com/docs/en/api/messages-count-tokens

    def prepare_body(self, body: bytes, changes: Mapping[str, Any]) -> bytes:
        return replace_members(body, changes)

    def build_request(self, account: Account, call: ProviderCall) -> UpstreamRequest:
        path = self.PATHS.get(call.operation)
        if path is None:
            raise UnsupportedFeature(f"{self.label} does not support {call.operation}.")
        headers = self.headers(account)
        headers["Content-Type"] = "application/json"
        headers["Accept"] = "text/event-stream" if call.is_stream else "application/json"
        # Anthropic takes no id of ours; the header is for relays and for our own sandbox, which join their bill by it.
        headers["X-Client-Request-Id"] = call.attempt_id
        headers.update(call.headers)
        return UpstreamRequest("POST", account.base_url + path, headers, call.body, account.timeouts)

    def read_reply(self, operation: str, body: bytes) -> ReplyFacts:
        return wire.read_token_count(body) if operation == "count_tokens" else wire.read_message(body)

    # Streaming: https://platform.claude.com/docs/en/build-with-claude/streaming

    def open_stream(self, operation: str, *, keeps_usage: bool, text_limit: int) -> StreamReader:
        # Usage is always sent, in message_start and message_delta, so there is none to take out again.
        return MessagesStreamReader(text_limit=text_limit)

    # Errors: https://platform.claude.com/docs/en/api/errors

    def read_error(self, status: int, body: bytes) -> list[FilterFinding]:
        try:
            return wire.error_findings(wire.decode_object(body))
        except ValueError:
            return []

    # List models: https://platform.claude.com/docs/en/api/models-list

    def build_connection_test(self, account: Account) -> UpstreamRequest:
        limits = Timeouts(connect_s=account.timeouts.connect_s, first_byte_s=15.0, idle_s=15.0)
        return UpstreamRequest("GET", account.base_url + "/v1/models?limit=1", self.headers(account), b"", limits)
