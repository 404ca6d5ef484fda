"""Google's errors: the body's form and the words it uses. https://ai.google.dev/gemini-api/docs/troubleshooting"""

import json
from typing import Any

from tikhub_app.sandbox.replies import Refusal

_TYPE = "type.googleapis.com/google.rpc."
_SERVICE = "generativelanguage.googleapis.com"
CONTENT_TYPE = "application/json; charset=UTF-8"

# What the API says for a status when the request itself is not to blame: canonical code, message.
STATUS_WORDS: dict[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    408: ("DEADLINE_EXCEEDED", "The request timed out."),
    409: ("ABORTED", "The operation was aborted."),
    422: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details."),
    500: ("INTERNAL", "An internal error has occurred."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
}


def error_object(status: int, message: str | None, *details: dict[str, Any]) -> dict[str, Any]:
    code, words = STATUS_WORDS.get(status, STATUS_WORDS[500 if status >= 500 else 400])
    error: dict[str, Any] = {"code": status, "message": message or words, "status": code}
    if details:
        error["details"] = list(details)
    return {"error": error}


def body(error: dict[str, Any]) -> bytes:
    """Google indents its answers by two spaces."""
    return json.dumps(error, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def refusal(status: int, message: str, *details: dict[str, Any]) -> Refusal:
    return Refusal(status, body(error_object(status, message, *details)), CONTENT_TYPE)


def invalid(message: str, field: str | None = None) -> Refusal:
    """A 400; with a field it is one of those that name the place in ``fieldViolations``."""
    if field is None:
        return refusal(400, message)
    violation = {"description": message, **({"field": field} if field else {})}
    return refusal(400, message, {"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})


def unknown_key() -> Refusal:
    """Not a 401: "HTTP 400 INVALID_ARGUMENT" with the reason API_KEY_INVALID."""
    message = "API key not valid. Please pass a valid API key."
    reason = {
        "@type": f"{_TYPE}ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": _SERVICE},
    }
    return refusal(400, message, reason, {"@type": f"{_TYPE}LocalizedMessage", "locale": "en-US", "message": message})


def missing_key() -> Refusal:
    return refusal(
        403,
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
        "other form of API consumer identity to call this API.",
    )


def retry_info(seconds: float) -> dict[str, Any]:
    """In place of a Retry-After header, which Google does not send."""
    return {"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{seconds:g}s"}


def in_array(refusal: Refusal) -> Refusal:
    """As the stream that is an array refuses: an array of one."""
    return Refusal(
        refusal.status, b"[" + refusal.body.removesuffix(b"\n") + b"\n]\n", refusal.content_type, refusal.headers
    )
