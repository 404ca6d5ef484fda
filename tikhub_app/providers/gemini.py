"""Gemini, on Google's Gemini API.

https://ai.google.dev/api
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec

from tikhub_app.exceptions import UnsupportedFeature
from tikhub_app.providers import gemini_wire as wire
from tikhub_app.providers.base import USER_AGENT, Account, Provider, ProviderCall, StreamReader
from tikhub_app.providers.facts import ReplyFacts, StreamForm
from tikhub_app.providers.gemini_stream import GeminiStreamReader, read_answer
from tikhub_app.providers.json_body import replace_members
from tikhub_app.upstream.values import Timeouts, UpstreamRequest

STREAM = "stream_generate_content"
DEFAULT_VERSION = "v1beta"

#: Reasons of an ErrorInfo that are about the account's key, not about the request.
#: https://docs.cloud.google.com/apis/docs/error-reasons
KEY_REASONS = frozenset({
    "API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "API_KEY_HTTP_REFERRER_BLOCKED",
    "API_KEY_IP_ADDRESS_BLOCKED", "API_KEY_ANDROID_APP_BLOCKED", "API_KEY_IOS_APP_BLOCKED",
})  # fmt: skip
#: A 403 that a caller earns by naming what is not there or not the account's, in Google's words.
CALLERS_MISTAKES = ("You do not have permission to access the File", "CachedContent not found")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Gemini(Provider):
    name: ClassVar[str] = "gemini"
    label: ClassVar[str] = "Gemini"
    docs_url: ClassVar[str] = "https://ai.google.dev/api"
    default_base_url: ClassVar[str] = "https://generativelanguage.googleapis.com"
    dialects: ClassVar[Mapping[str, frozenset[str]]] = {
        "gemini": frozenset({"generate_content", STREAM, "count_tokens"})
    }
    model_patterns: ClassVar[tuple[str, ...]] = ("gemini-*",)

    VERBS: ClassVar[Mapping[str, str]] = {
        "generate_content": "generateContent",
        STREAM: "streamGenerateContent",
        "count_tokens": "countTokens",
    }

    # Authentication: https://ai.google.dev/gemini-api/docs/api-key

    def headers(self, account: Account) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if account.credential:
            headers["x-goog-api-key"] = account.credential
        return headers

    # Generating content: https://ai.google.dev/api/generate-content
    # Counting tokens: https://ai.google.dev/api/tokens

    def prepare_body(self, body: bytes, changes: Mapping[str, Any]) -> bytes:
        """The model stands in the path; only where the body repeats it, it changes there too."""
        kept = {name: value for name, value in changes.items() if name != "model"}
        if "model" in changes and b'"model"' in body:
            kept |= self._renamed(_members.decode(body), resource_name(changes["model"]))
        return replace_members(body, kept) if kept else body

    @staticmethod
    def _renamed(members: Mapping[str, msgspec.Raw], resource: str) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        if "model" in members:
            changed["model"] = resource
        # "generateContentRequest": countTokens takes a whole request, whose "model" must be that of the path.
        for name in ("generateContentRequest", "generate_content_request"):
            if name in members:
                inner = bytes(members[name])
                if inner.startswith(b"{") and "model" in _members.decode(inner):
                    changed[name] = msgspec.Raw(replace_members(inner, {"model": resource}))
        return changed

    def build_request(self, account: Account, call: ProviderCall) -> UpstreamRequest:
        verb = self.VERBS.get(call.operation)
        if verb is None:
            raise UnsupportedFeature(f"{self.label} does not support {call.operation}.")
        version = (call.path_parameters or {}).get("version", DEFAULT_VERSION)
        query = call.query
        if query is None:
            query = {"alt": "sse"} if call.operation == STREAM else {}
        url = f"{account.base_url}/{version}/{_path_of(call.model)}:{verb}"
        if query:
            url += "?" + urlencode(query)
        headers = self.headers(account)
        headers["Content-Type"] = "application/json"
        is_events = query.get("alt", query.get("$alt", "")).startswith("sse")
        headers["Accept"] = "text/event-stream" if is_events else "application/json"
        # Google has no such header; a gateway or the sandbox in its place joins its bill by it.
        headers["X-Client-Request-Id"] = call.attempt_id
        headers.update(call.headers)
        return UpstreamRequest("POST", url, headers, call.body, account.timeouts)

    def read_reply(self, operation: str, body: bytes) -> ReplyFacts:
        if operation == "count_tokens":
            wire.decode_object(body)
            return ReplyFacts()
        return read_answer(body)

    def stream_form(self, operation: str, content_type: str) -> StreamForm | None:
        """Without ``alt=sse`` a stream is one JSON array, sent piece by piece."""
        if operation == STREAM and "application/json" in content_type:
            return StreamForm.JSON_ARRAY
        return super().stream_form(operation, content_type)

    def open_stream(self, operation: str, *, keeps_usage: bool, text_limit: int) -> StreamReader:
        return GeminiStreamReader(text_limit=text_limit)

    # Errors: https://ai.google.dev/gemini-api/docs/troubleshooting

    def is_account_refusal(self, status: int, body: bytes) -> bool:
        """Google answers 400 to a key that it does not know, with the reason API_KEY_INVALID."""
        error = wire.read_google_error(body)
        if status == 403 and str(error.get("message", "")).startswith(CALLERS_MISTAKES):
            return False
        if status == 400:
            return any(info.get("reason") in KEY_REASONS for info in wire.error_details(error, "ErrorInfo"))
        return super().is_account_refusal(status, body)

    def read_retry_after(self, status: int, body: bytes) -> float | None:
        """Google sends no Retry-After; its ``RetryInfo`` names a ``retryDelay`` such as "48s"."""
        for info in wire.error_details(wire.read_google_error(body), "RetryInfo"):
            seconds = wire.duration_s(info.get("retryDelay"))
            if seconds is not None:
                return seconds
        return None

    # List models: https://ai.google.dev/api/models#method:-models.list

    def build_connection_test(self, account: Account) -> UpstreamRequest:
        limits = Timeouts(connect_s=account.timeouts.connect_s, first_byte_s=15.0, idle_s=15.0)
        url = f"{account.base_url}/{DEFAULT_VERSION}/models?pageSize=1"
        return UpstreamRequest("GET", url, self.headers(account), b"", limits)


def resource_name(model: str) -> str:
    """The model's name with its collection: ``models/...``, or ``tunedModels/...`` as the operator wrote it."""
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


def _path_of(model: str) -> str:
    """The same for a URL; whatever else is in the name stays within its segment."""
    collection, _, name = resource_name(model).partition("/")
    return f"{collection}/{quote(name, safe='')}"
