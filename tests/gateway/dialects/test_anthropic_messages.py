"""What the gateway reads of a Messages request, and how it says no in Anthropic's form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tikhub_app.exceptions import (
    AuthenticationFailed,
    GatewayError,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    PermissionRefused,
    ServiceUnavailable,
    UpstreamServerError,
    UpstreamTimeout,
)
from tikhub_app.gateway.dialects import DIALECTS
from tikhub_app.gateway.dialects.base import ParsedCall
from tikhub_app.gateway.inbound import InboundCall

DIALECT = DIALECTS["anthropic_messages"]
WHOLE: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hi"}],
}


def parse(body: bytes | dict[str, Any], operation: str = "messages") -> ParsedCall:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECT.read_call(InboundCall("anthropic_messages", operation, {}, content, "test"))


def test_what_routing_and_accounting_need_is_read() -> None:
    parsed = parse(WHOLE | {"stream": True, "metadata": {"user_id": "user-7", "team": "search"}, "top_k": 3})
    assert parsed == ParsedCall(
        "claude-sonnet-4-5", is_stream=True, max_output_tokens=50, end_user="user-7", tags={"team": "search"}
    )


def test_nothing_of_the_body_is_changed() -> None:
    assert parse(WHOLE | {"stream": True}).changes == {}


def test_counting_tokens_neither_streams_nor_needs_a_limit() -> None:
    counted = {"model": "claude-sonnet-4-5", "messages": WHOLE["messages"], "stream": True, "max_tokens": 9}
    assert parse(counted, "count_tokens") == ParsedCall("claude-sonnet-4-5")


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        ({"max_tokens": 1, "messages": []}, "model: Field required", "model"),
        ({"model": "m"}, "messages: Field required", "messages"),
        (WHOLE | {"model": 3}, "model: Input should be a valid string", "model"),
        (WHOLE | {"messages": "Hi"}, "messages: Input should be a valid list", "messages"),
        (WHOLE | {"messages": []}, "messages: at least one message is required", "messages"),
        (WHOLE | {"stream": "yes"}, "stream: Input should be a valid boolean", "stream"),
        (WHOLE | {"max_tokens": "9"}, "max_tokens: Input should be a valid integer", "max_tokens"),
        (WHOLE | {"metadata": 3}, "metadata: Input should be a valid dictionary", "metadata"),
        (WHOLE | {"model": "x" * 201}, "'model' must be a printable name of 1 to 200 characters.", "model"),
        (b"[]", "body: Input should be a valid dictionary", None),
        (b'{"model": ', "The request body is not valid JSON: it must be one object in UTF-8.", None),
        (b'{"model": "\xff"}', "The request body is not valid JSON: it must be one object in UTF-8.", None),
        (b"", "The request body is not valid JSON: it must be one object in UTF-8.", None),
    ],
)
def test_a_malformed_request_names_its_field(body: Any, message: str, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(body)
    assert (caught.value.message, caught.value.param, caught.value.http_status) == (message, param, 400)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequest("x", param="max_tokens"), 400, "invalid_request_error"),
        (InvalidRequest("x", http_status=405), 405, "invalid_request_error"),
        (AuthenticationFailed("x"), 401, "authentication_error"),
        (PermissionRefused("x"), 403, "permission_error"),
        (NotFound("x"), 404, "not_found_error"),
        (PayloadTooLarge("x"), 413, "request_too_large"),
        (UpstreamServerError("x", http_status=429), 429, "rate_limit_error"),
        (UpstreamServerError("x", http_status=529), 529, "overloaded_error"),
        (UpstreamTimeout("x"), 504, "timeout_error"),
        (ServiceUnavailable("x"), 503, "api_error"),
        (GatewayError("x"), 500, "api_error"),
    ],
)
def test_every_error_has_anthropics_type(error: GatewayError, status: int, kind: str) -> None:
    body = json.loads(DIALECT.error_body(error, "req_1"))
    assert error.http_status == status
    assert (body["type"], body["request_id"]) == ("error", "req_1")
    assert (body["error"]["type"], body["error"]["message"]) == (kind, "x")
    details = {"error_code": error.code, "param": error.param}
    assert body["error"].get("details", {}) == {name: value for name, value in details.items() if value is not None}


def test_an_error_within_a_stream_is_an_event_of_its_own() -> None:
    error = UpstreamServerError("Gone.")
    event = DIALECT.error_event(error, "req_1")
    assert event == b"event: error\ndata: " + DIALECT.error_body(error, "req_1") + b"\n\n"


def test_the_id_stands_in_both_headers() -> None:
    assert DIALECT.identity_headers("req_1") == [("x-request-id", "req_1"), ("request-id", "req_1")]
    assert DIALECTS["openai_chat"].identity_headers("req_1") == [("x-request-id", "req_1")]
