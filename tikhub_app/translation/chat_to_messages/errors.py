"""Claude's errors in OpenAI's words.

https://platform.claude.com/docs/en/api/errors
https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.base import TranslatedError
from tikhub_app.translation.chat_to_messages.answer import text_of
from tikhub_app.translation.json_text import decode_object

# Claude's type -> OpenAI's type and code.
_TYPES: Mapping[str, tuple[str, str | None]] = {
    "invalid_request_error": ("invalid_request_error", None),
    "authentication_error": ("invalid_request_error", "invalid_api_key"),
    "billing_error": ("insufficient_quota", "insufficient_quota"),
    "permission_error": ("invalid_request_error", "not_allowed"),
    "not_found_error": ("invalid_request_error", "model_not_found"),
    "conflict_error": ("invalid_request_error", "conflict"),
    "request_too_large": ("invalid_request_error", "request_too_large"),
    "rate_limit_error": ("rate_limit_error", "rate_limit_exceeded"),
    "timeout_error": ("server_error", "timeout"),
    "overloaded_error": ("server_error", "overloaded"),
    "api_error": ("server_error", None),
}
_STATUSES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TOO_LONG = re.compile(r"prompt is too long|exceed.{0,20}context (limit|window)", re.IGNORECASE)
#: Fields at the beginning of a message ("max_tokens: 9 > 4, ...") -> the caller's field.
_FIELDS = {
    "messages": "messages",
    "system": "messages",
    "model": "model",
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "thinking": "reasoning_effort",
    "output_config.effort": "reasoning_effort",
    "output_config.format": "response_format",
    "metadata": "user",
    "service_tier": "service_tier",
}


def translate_error(error: Any, status: int | None) -> TranslatedError:
    """One error object of Claude's; ``status`` decides where its type is not known."""
    told = error if isinstance(error, Mapping) else {}
    kind = text_of(told.get("type"))
    if kind not in _TYPES:
        kind = _STATUSES.get(status or 500, "invalid_request_error" if 400 <= (status or 500) < 500 else "api_error")
    error_type, code = _TYPES[kind]
    message = text_of(told.get("message"))
    if kind in ("invalid_request_error", "request_too_large") and _TOO_LONG.search(message):
        code = "context_length_exceeded"
    if not message:
        message = f"The provider answered with status {status}." if status else "The provider broke the answer off."
    return TranslatedError(message, error_type, code, _param(message) if kind == "invalid_request_error" else None)


def read_error(status: int, body: bytes) -> TranslatedError:
    """A whole error body; one that is not Claude's, from an edge before it, is told by its status alone."""
    try:
        error = decode_object(body).get("error")
    except ValueError:
        error = None
    return translate_error(error, status)


def _param(message: str) -> str | None:
    field, colon, _ = message.partition(": ")
    if not colon or not re.fullmatch(r"[a-z_0-9.\[\]]+", field):
        return None
    pieces = field.split(".")
    return _FIELDS.get(".".join(pieces[:2])) or _FIELDS.get(pieces[0])
