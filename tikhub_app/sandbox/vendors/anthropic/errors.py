"""Anthropic's errors: the body's form and the words it uses. https://platform.claude.com/docs/en/api/errors"""

import uuid
from typing import Any

from tikhub_app.sandbox import wire
from tikhub_app.sandbox.replies import Refusal

INVALID = "invalid_request_error"

# What the API says for a status when the request itself is not to blame: type, message.
STATUS_WORDS: dict[int, tuple[str, str]] = {
    400: (INVALID, "Invalid request."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not found"),
    409: ("conflict_error", "The request conflicts with the current state of the resource."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    422: (INVALID, "Unprocessable request."),
    429: ("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
    500: ("api_error", "Internal server error"),
    503: ("api_error", "Service unavailable"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}


def new_request_id() -> str:
    return f"req_011C{uuid.uuid4().hex[:20]}"


def words(status: int) -> tuple[str, str]:
    return STATUS_WORDS.get(status, STATUS_WORDS[500 if status >= 500 else 400])


def error_object(kind: str, message: str, request_id: str | None) -> dict[str, Any]:
    error: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
    return error if request_id is None else {**error, "request_id": request_id}


def refusal(
    status: int, message: str | None = None, *, kind: str | None = None, headers: dict[str, str] | None = None
) -> Refusal:
    usual_kind, usual_message = words(status)
    request_id = new_request_id()
    body = wire.compact(error_object(kind or usual_kind, message or usual_message, request_id))
    return Refusal(status, body, "application/json", {**(headers or {}), "request-id": request_id})


def invalid(message: str) -> Refusal:
    return refusal(400, message)
