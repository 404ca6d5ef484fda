"""OpenAI chat completions as callers speak them.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import msgspec

from tikhub_app.exceptions import GatewayError, InvalidRequest
from tikhub_app.gateway.dialects.base import Dialect, ParsedCall
from tikhub_app.gateway.inbound import InboundCall


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _ChatRequest(msgspec.Struct):
    """The fields that routing, limits and accounting need. The provider judges all others."""

    model: str
    messages: list[msgspec.Raw]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_ChatRequest)
_stream_options = msgspec.json.Decoder(dict[str, msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MISSING = re.compile(r"missing required field `([^`]+)`")
_WRONG_TYPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_AT_PATH = re.compile(r" - at `\$\.?([^`]*)`")
_TYPE_NAMES = {"str": "a string", "int": "an integer", "bool": "a boolean", "array": "an array", "object": "an object"}
_TYPE_NAMES |= {"null": "null", "float": "a number"}


def _invalid(error: msgspec.ValidationError) -> InvalidRequest:
    """Name the field that is missing or of the wrong type, in OpenAI's manner of speaking."""
    text = str(error)
    path = match.group(1) if (match := _AT_PATH.search(text)) else ""
    if match := _MISSING.search(text):
        name = f"{path}.{match.group(1)}" if path else match.group(1)
        return InvalidRequest(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    name = path.replace("[...]", "[]") or "body"
    if match := _WRONG_TYPE.search(text):
        wanted = " or ".join(_TYPE_NAMES.get(part, part) for part in match.group(1).split(" | ") if part != "null")
        got = _TYPE_NAMES.get(match.group(2), match.group(2))
        message = f"Invalid type for '{name}': expected {wanted}, but got {got} instead."
        return InvalidRequest(message, param=None if name == "body" else name, code="invalid_type")
    return InvalidRequest(
        f"Invalid value for '{name}': {text.partition(' - at ')[0]}.", param=name, code="invalid_value"
    )


class OpenAIChat(Dialect):
    name: ClassVar[str] = "openai_chat"

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
                "We could not parse the JSON body of your request. The body must be a JSON object in UTF-8.",
                code="invalid_json",
            ) from error
        self.check_model_name(request.model)
        if not request.messages:
            raise InvalidRequest(
                "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array.",
                param="messages",
                code="empty_array",
            )
        parsed = ParsedCall(request.model, is_stream=bool(request.stream))
        if parsed.is_stream:
            options = request.stream_options
            parsed.wants_usage = options is not None and options.include_usage is True
            if not parsed.wants_usage:
                parsed.changes["stream_options"] = self._with_usage(body, has_options=options is not None)
        limit = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
        if limit is not None and limit > 0:
            parsed.max_output_tokens = limit * max(1, request.n or 1)
        parsed.end_user = request.safety_identifier or request.user or ""
        if request.metadata:
            parsed.tags = {str(name): str(value) for name, value in request.metadata.items()}
        return parsed

    @staticmethod
    def _with_usage(body: bytes, *, has_options: bool) -> dict[str, Any]:
        """The caller's stream options with include_usage on: without it the provider does not say what it bills."""
        options: dict[str, Any] = {}
        if has_options:
            options = dict(_stream_options.decode(_members.decode(body)["stream_options"]))
        options["include_usage"] = True
        return options

    # https://platform.openai.com/docs/guides/error-codes: every key is present, param and code may be null.

    def error_body(self, error: GatewayError, request_id: str) -> bytes:
        return msgspec.json.encode({"error": self._error(error, request_id)})

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        return b"data: " + self.error_body(error, request_id) + b"\n\n"

    @staticmethod
    def _error(error: GatewayError, request_id: str) -> dict[str, Any]:
        return {
            "message": error.message,
            "type": error.error_type,
            "param": error.param,
            "code": error.code,
            "request_id": request_id,
        }
