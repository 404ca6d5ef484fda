"""OpenAI's errors: the body's form and the words it uses. https://platform.openai.com/docs/guides/error-codes"""

import json
from typing import Any

from tikhub_app.sandbox.replies import Refusal

INVALID = "invalid_request_error"

# What the API says for a status when the request itself is not to blame: message, type, code.
STATUS_WORDS: dict[int, tuple[str, str, str | None]] = {
    400: ("Invalid request.", INVALID, None),
    401: ("Incorrect API key provided.", INVALID, "invalid_api_key"),
    403: ("You are not allowed to do this with the current project.", INVALID, "unsupported_country_region_territory"),
    404: ("The requested resource was not found.", INVALID, "not_found"),
    408: ("Request timed out.", "server_error", "request_timeout"),
    409: ("The resource is being modified by another request. Please try again.", INVALID, "conflict"),
    422: ("The request was well-formed but could not be processed.", INVALID, None),
    429: (
        "Rate limit reached for requests. Limit: 3 / min. Please try again in 20s.",
        "requests",
        "rate_limit_exceeded",
    ),
    500: ("The server had an error while processing your request. Sorry about that!", "server_error", None),
    503: ("The engine is currently overloaded, please try again later", "server_error", None),
}


def error_object(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def status_error(status: int, message: str | None) -> dict[str, Any]:
    words, kind, code = STATUS_WORDS.get(status, STATUS_WORDS[500 if status >= 500 else 400])
    return error_object(message or words, kind, None, code)


def body(error: dict[str, Any]) -> bytes:
    """OpenAI indents its error bodies by four spaces."""
    return json.dumps(error, indent=4, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def refusal(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> Refusal:
    content = body(error_object(message, INVALID, param, code))
    return Refusal(status, content, "application/json; charset=utf-8", headers)


def invalid(message: str, param: str | None, code: str | None = None) -> Refusal:
    return refusal(400, message, param=param, code=code)


def masked(key: str) -> str:
    """A refused key as OpenAI shows it: its ends, stars between."""
    if len(key) <= 8:
        return "*" * len(key)
    return key[:8] + "*" * min(max(len(key) - 12, 1), 40) + (key[-4:] if len(key) > 12 else "")
