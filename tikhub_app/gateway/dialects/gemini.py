"""Gemini's generateContent, streamGenerateContent and countTokens as callers speak them.

https://ai.google.dev/api/generate-content
https://ai.google.dev/api/tokens
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from tikhub_app.exceptions import GatewayError, InvalidRequest, UnsupportedFeature
from tikhub_app.gateway.dialects.base import Dialect, ParsedCall
from tikhub_app.gateway.inbound import InboundCall


class _GenerateRequest(msgspec.Struct):
    """The fields that accounting needs; Google judges all others. It takes camelCase and snake_case alike."""

    generationConfig: Any = None
    generation_config: Any = None
    labels: Any = None


_decoder = msgspec.json.Decoder(_GenerateRequest)

# System parameters of Google's APIs: https://docs.cloud.google.com/apis/docs/system-parameters; each may be written
# with a "$" before it.
#: Credentials. The caller's stays here, the account's goes in a header.
_SECRET_PARAMETERS = frozenset({"key", "access_token", "oauth_token"})
#: They would leave out or wrap what has to be read of the answer for the books.
_REFUSED_PARAMETERS = frozenset({"fields", "callback"})

# https://google.aip.dev/193 and https://docs.cloud.google.com/apis/design/errors: HTTP status -> canonical code.
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "INVALID_ARGUMENT",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
#: Codes of ours that Google has a word for.
_REASONS = {"invalid_api_key": "API_KEY_INVALID", "expired_api_key": "API_KEY_EXPIRED"}
_DOMAIN = "tikhub-ai-gateway"


class Gemini(Dialect):
    name: ClassVar[str] = "gemini"
    takes_key_from_query: ClassVar[bool] = True

    def read_call(self, call: InboundCall) -> ParsedCall:
        body = call.body
        try:
            if not body.isascii():
                body.decode()  # JSON is UTF-8; fields that we pass unread must be as well
            request = _decoder.decode(body)
        except RecursionError as error:
            raise InvalidRequest("The JSON body is nested too deep.", code="json_too_deep") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError too: the body is no object
            raise InvalidRequest(
                "Invalid JSON payload received. The body must be a JSON object in UTF-8.", code="invalid_json"
            ) from error
        # Some clients put the resource's whole name where the model's belongs.
        model = call.path_parameters.get("model", "")
        while model.startswith("models/"):
            model = model.removeprefix("models/")
        self.check_model_name(model)
        parsed = ParsedCall(model, is_stream=call.operation == "stream_generate_content")
        parsed.query = self._forwarded_query(call)
        given = request.generationConfig if request.generationConfig is not None else request.generation_config
        config = given if isinstance(given, dict) else {}
        limit = _whole_number(config.get("maxOutputTokens", config.get("max_output_tokens")))
        if limit > 0:
            candidates = _whole_number(config.get("candidateCount", config.get("candidate_count")))
            parsed.max_output_tokens = limit * max(1, candidates)
        if isinstance(request.labels, dict):
            parsed.tags = {str(name): str(value) for name, value in request.labels.items()}
        return parsed

    @staticmethod
    def _forwarded_query(call: InboundCall) -> Mapping[str, str]:
        """The query without credentials.

        :raises UnsupportedFeature: a parameter that makes of the answer something else than whole JSON (named).
        """
        query: dict[str, str] = {}
        for name, value in call.query.items():
            plain = name.removeprefix("$").lower()
            if plain in _SECRET_PARAMETERS:
                continue
            if plain in _REFUSED_PARAMETERS:
                raise UnsupportedFeature(
                    f"The query parameter '{name}' is not supported here: the gateway reads the whole answer for its "
                    "ledger.",
                    param=name,
                )
            if plain == "alt":
                form = value.partition(";")[0].strip().lower()
                allowed = ("json", "sse") if call.operation == "stream_generate_content" else ("json",)
                if form not in allowed:
                    raise UnsupportedFeature(
                        f"The query parameter '{name}' must be {' or '.join(allowed)} here, not '{form[:40]}'.",
                        param=name,
                    )
            query[name] = value
        return query

    # Errors: https://ai.google.dev/gemini-api/docs/troubleshooting

    def is_readable_error(self, body: bytes) -> bool:
        """streamGenerateContent wraps its errors in an array of one."""
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return False
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        return isinstance(found, dict)

    def error_body(self, error: GatewayError, request_id: str) -> bytes:
        return msgspec.json.encode({"error": self._error(error, request_id)})

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        # Google's SDK takes a chunk for an error by its beginning, {"error":, and chokes on comment lines.
        return b"data: " + self.error_body(error, request_id) + b"\r\n\r\n"

    @staticmethod
    def _error(error: GatewayError, request_id: str) -> dict[str, Any]:
        code = error.http_status
        status = _STATUSES.get(code)
        if status is None:
            status = "INVALID_ARGUMENT" if code < 500 else "UNAVAILABLE" if error.retryable else "INTERNAL"
        details: list[dict[str, Any]] = []
        if error.code:
            reason = _REASONS.get(error.code, error.code.upper())
            info = {"reason": reason, "domain": _DOMAIN, "metadata": {"request_id": request_id}}
            details.append(_detail("ErrorInfo", info))
        if error.param:
            violation = {"field": error.param, "description": error.message}
            details.append(_detail("BadRequest", {"fieldViolations": [violation]}))
        if error.retry_after_s is not None:
            details.append(_detail("RetryInfo", {"retryDelay": f"{max(0, round(error.retry_after_s))}s"}))
        return {"code": code, "message": error.message, "status": status, "details": details}


def _detail(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}


def _whole_number(value: Any) -> int:
    """An int32 of proto JSON, which may be written as a number or as a string; 0 where it is neither."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        return int(value)
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value) if abs(value) < 2**31 else 0
    return 0
