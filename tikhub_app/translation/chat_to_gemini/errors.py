"""Gemini's errors in OpenAI's words.

https://ai.google.dev/gemini-api/docs/troubleshooting
https://google.aip.dev/193
https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.base import TranslatedError
from tikhub_app.translation.chat_to_gemini.answer import mappings, text_of

# Google's status -> OpenAI's type and code.
_TYPES: Mapping[str, tuple[str, str | None]] = {
    "INVALID_ARGUMENT": ("invalid_request_error", None),
    "FAILED_PRECONDITION": ("invalid_request_error", None),
    "OUT_OF_RANGE": ("invalid_request_error", None),
    "UNAUTHENTICATED": ("invalid_request_error", "invalid_api_key"),
    "PERMISSION_DENIED": ("invalid_request_error", "not_allowed"),
    "NOT_FOUND": ("invalid_request_error", "model_not_found"),
    "ALREADY_EXISTS": ("invalid_request_error", "conflict"),
    "ABORTED": ("server_error", None),
    "RESOURCE_EXHAUSTED": ("rate_limit_error", "rate_limit_exceeded"),
    "CANCELLED": ("server_error", None),
    "UNKNOWN": ("server_error", None),
    "INTERNAL": ("server_error", None),
    "UNIMPLEMENTED": ("invalid_request_error", "unsupported"),
    "UNAVAILABLE": ("server_error", "overloaded"),
    "DEADLINE_EXCEEDED": ("server_error", "timeout"),
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TOO_LONG = re.compile(r"token count.{0,40}exceeds the maximum|exceed.{0,20}context (limit|window)", re.IGNORECASE)
#: A wrong key is a 400, INVALID_ARGUMENT; its reason says what it is.
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"})
#: Google's fields, in either spelling and lower case without "_" -> the caller's.
_FIELDS = {
    "contents": "messages",
    "systeminstruction": "messages",
    "tools": "tools",
    "toolconfig": "tool_choice",
    "model": "model",
    "servicetier": "service_tier",
    "temperature": "temperature",
    "topp": "top_p",
    "topk": "top_k",
    "maxoutputtokens": "max_tokens",
    "stopsequences": "stop",
    "candidatecount": "n",
    "seed": "seed",
    "presencepenalty": "presence_penalty",
    "frequencypenalty": "frequency_penalty",
    "responselogprobs": "logprobs",
    "logprobs": "top_logprobs",
    "responsemodalities": "modalities",
    "responsemimetype": "response_format",
    "responsejsonschema": "response_format",
    "responseschema": "response_format",
    "thinkingconfig": "reasoning_effort",
}


def translate_error(error: Any, status: int | None) -> TranslatedError:
    """One ``error`` object of Google's; ``status`` decides where its own status is not known."""
    told = error if isinstance(error, Mapping) else {}
    kind = text_of(told.get("status"))
    if kind not in _TYPES:
        number = told.get("code") if isinstance(told.get("code"), int) else status
        known = status or number or 500
        kind = _STATUSES.get(known, "INVALID_ARGUMENT" if 400 <= known < 500 else "INTERNAL")
    error_type, code = _TYPES[kind]
    message = text_of(told.get("message"))
    details = mappings(told.get("details"))
    if any(detail.get("reason") in _KEY_REASONS for detail in details):
        code = "invalid_api_key"
    elif kind == "INVALID_ARGUMENT" and _TOO_LONG.search(message):
        code = "context_length_exceeded"
    if not message:
        message = f"The provider answered with status {status}." if status else "The provider broke the answer off."
    return TranslatedError(message, error_type, code, _param(details) if kind == "INVALID_ARGUMENT" else None)


def read_error(status: int, body: bytes) -> TranslatedError:
    """A whole error body, which may be wrapped in an array; one that is not Google's is told by its status alone."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    return translate_error(found.get("error") if isinstance(found, Mapping) else None, status)


def _param(details: list[Mapping[str, Any]]) -> str | None:
    """The caller's field for the first that a google.rpc.BadRequest names."""
    for detail in details:
        for violation in mappings(detail.get("fieldViolations")):
            for piece in text_of(violation.get("field")).split("."):
                name = _FIELDS.get(re.sub(r"\[.*", "", piece).replace("_", "").lower())
                if name is not None:
                    return name
    return None
