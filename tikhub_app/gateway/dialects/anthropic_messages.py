"""Claude's Messages as callers speak them.

https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from tikhub_app.exceptions import GatewayError, InvalidRequest
from tikhub_app.gateway.dialects.base import Dialect, ParsedCall
from tikhub_app.gateway.inbound import InboundCall


class _MessagesRequest(msgspec.Struct):
    """The fields that routing, limits and accounting need. The provider judges all others."""

    model: str
    messages: list[msgspec.Raw]
    max_tokens: int | None = None
    stream: bool | None = None
    metadata: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_MessagesRequest)
_MISSING = re.compile(r"missing required field `([^`]+)`")
_WRONG_TYPE = re.compile(r"Expected `([^`]+)`")
_AT_PATH = re.compile(r" - at `\$\.?([^`]*)`")
_TYPE_NAMES = {"str": "string", "int": "integer", "bool": "boolean", "array": "list", "object": "dictionary"}


def _invalid(error: msgspec.ValidationError) -> InvalidRequest:
    """Name the field that is missing or of the wrong type, in Anthropic's manner of speaking."""
    text = str(error)
    path = match.group(1) if (match := _AT_PATH.search(text)) else ""
    if match := _MISSING.search(text):
        name = f"{path}.{match.group(1)}" if path else match.group(1)
        return InvalidRequest(f"{name}: Field required", param=name, code="missing_required_parameter")
    name = path.replace("[...]", "")
    wanted = match.group(1).split(" | ")[0] if (match := _WRONG_TYPE.search(text)) else "object"
    message = f"{name or 'body'}: Input should be a valid {_TYPE_NAMES.get(wanted, wanted)}"
    return InvalidRequest(message, param=name or None, code="invalid_type")


class AnthropicMessages(Dialect):
    name: ClassVar[str] = "anthropic_messages"
    # https://platform.claude.com/docs/en/api/errors#request-id: "Every API response includes a unique request-id
    # header"; the SDKs show it as _request_id.
    request_id_headers: ClassVar[tuple[str, ...]] = ("x-request-id", "request-id")

    def read_call(self, call: InboundCall) -> ParsedCall:
        body = call.body
        try:
            if not body.isascii():
                body.decode()  # JSON is UTF-8; fields that we pass unread must be as well
            request = _decoder.decode(body)
        except msgspec.ValidationError as error:
            raise _invalid(error) from error
        except RecursionError as error:
            raise InvalidRequest("The JSON body is nested too deep.", code="json_too_deep") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(
                "The request body is not valid JSON: it must be one object in UTF-8.", code="invalid_json"
            ) from error
        self.check_model_name(request.model)
        if not request.messages:
            raise InvalidRequest("messages: at least one message is required", param="messages", code="empty_array")
        parsed = ParsedCall(request.model)
        if call.operation == "messages":
            parsed.is_stream = bool(request.stream)
            if request.max_tokens is not None and request.max_tokens > 0:
                parsed.max_output_tokens = request.max_tokens
        if request.metadata:
            # "user_id: an external identifier for the user who is associated with the request".
            parsed.end_user = str(request.metadata.get("user_id") or "")
            parsed.tags = {str(name): str(value) for name, value in request.metadata.items() if name != "user_id"}
        return parsed

    # https://platform.claude.com/docs/en/api/errors

    #: "529 - overloaded_error" and its like; what is not here is api_error from 500 on, else invalid_request_error.
    ERROR_TYPES: ClassVar[Mapping[int, str]] = {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        409: "conflict_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    }

    def error_body(self, error: GatewayError, request_id: str) -> bytes:
        status = error.http_status
        kind = self.ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        described: dict[str, Any] = {"type": kind, "message": error.message}
        # "error_code names the cause; branch on it rather than on message."
        details = {"error_code": error.code, "param": error.param}
        if named := {name: value for name, value in details.items() if value is not None}:
            described["details"] = named
        return msgspec.json.encode({"type": "error", "error": described, "request_id": request_id})

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        return b"event: error\ndata: " + self.error_body(error, request_id) + b"\n\n"
