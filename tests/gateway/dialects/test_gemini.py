"""How Gemini's callers are read and answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tikhub_app.exceptions import (
    AuthenticationFailed,
    GatewayError,
    InvalidRequest,
    NotFound,
    ServiceUnavailable,
    UnsupportedFeature,
    UpstreamAuthError,
    UpstreamInvalidResponse,
    UpstreamServerError,
    UpstreamTimeout,
)
from tikhub_app.gateway.dialects import ParsedCall
from tikhub_app.gateway.dialects.gemini import Gemini
from tikhub_app.gateway.inbound import InboundCall


def read(
    body: dict[str, Any] | bytes, operation: str = "generate_content", model: str = "gemini-x", **query: str
) -> ParsedCall:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    parameters = {"version": "v1beta", "model": model}
    return Gemini().read_call(InboundCall("gemini", operation, {}, content, "asgi", query, parameters))


def test_model_and_streaming_are_read_from_the_path() -> None:
    assert read({}).model == "gemini-x"
    assert not read({}).is_stream
    assert not read({}, "count_tokens").is_stream
    assert read({}, "stream_generate_content").is_stream
    assert read({}, model="models/models/gemini-x").model == "gemini-x"
    with pytest.raises(InvalidRequest, match="'model' must be"):
        read({}, model="models/")


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"generationConfig": {"maxOutputTokens": 100}}, 100),
        ({"generation_config": {"max_output_tokens": 100, "candidate_count": 3}}, 300),
        ({"generationConfig": {"maxOutputTokens": "100", "candidateCount": 2.0}}, 200),
        ({"generationConfig": {"maxOutputTokens": -1}}, None),
        ({"generationConfig": {"maxOutputTokens": True}}, None),
        ({"generationConfig": "none"}, None),
        ({}, None),
    ],
)
def test_limits_are_read_in_both_spellings_and_as_proto_json_writes_numbers(
    body: dict[str, Any], limit: int | None
) -> None:
    assert read(body).max_output_tokens == limit


def test_labels_become_tags() -> None:
    assert read({"labels": {"team": "search"}}).tags == {"team": "search"}


def test_the_query_goes_on_without_credentials() -> None:
    query = {"key": "sk-1", "access_token": "t", "$key": "sk-1", "alt": "sse", "prettyPrint": "false", "pace_ms": "3"}
    parsed = read({}, "stream_generate_content", **query)
    assert parsed.query == {"alt": "sse", "prettyPrint": "false", "pace_ms": "3"}
    assert read({}, **{"$alt": "json;enum-encoding=int"}).query == {"$alt": "json;enum-encoding=int"}


@pytest.mark.parametrize(
    ("operation", "name", "value"),
    [
        ("generate_content", "fields", "candidates"),
        ("generate_content", "$fields", "candidates"),
        ("generate_content", "callback", "f"),
        ("generate_content", "alt", "sse"),
        ("generate_content", "alt", "proto"),
        ("stream_generate_content", "alt", "media"),
    ],
)
def test_a_query_that_would_hide_the_usage_is_a_named_error(operation: str, name: str, value: str) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        read({}, operation, **{name: value})
    assert caught.value.param == name


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"contents": [}', b'{"contents": "\xff"}', b"{" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        read(body)


@pytest.mark.parametrize(
    ("error", "code", "status", "reason"),
    [
        (AuthenticationFailed("No."), 401, "UNAUTHENTICATED", "API_KEY_INVALID"),
        (AuthenticationFailed("No.", code="revoked_api_key"), 401, "UNAUTHENTICATED", "REVOKED_API_KEY"),
        (NotFound("No.", code="model_not_found"), 404, "NOT_FOUND", "MODEL_NOT_FOUND"),
        (ServiceUnavailable("No."), 503, "UNAVAILABLE", "SERVICE_UNAVAILABLE"),
        (UpstreamTimeout("No."), 504, "DEADLINE_EXCEEDED", "UPSTREAM_TIMEOUT"),
        (UpstreamAuthError("No."), 502, "INTERNAL", "UPSTREAM_AUTH_ERROR"),
        (UpstreamInvalidResponse("No."), 502, "UNAVAILABLE", "UPSTREAM_INVALID_RESPONSE"),
        (GatewayError("No."), 500, "INTERNAL", "INTERNAL_ERROR"),
    ],
)
def test_errors_have_googles_form(error: GatewayError, code: int, status: str, reason: str) -> None:
    body = json.loads(Gemini().error_body(error, "req_1"))
    assert body == {
        "error": {
            "code": code,
            "message": "No.",
            "status": status,
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": reason,
                    "domain": "tikhub-ai-gateway",
                    "metadata": {"request_id": "req_1"},
                }
            ],
        }
    }


def test_an_error_names_the_field_and_how_long_to_wait() -> None:
    error = UpstreamServerError("Slow down.", http_status=429, param="contents", retry_after_s=7.2)
    details = json.loads(Gemini().error_body(error, "req_1"))["error"]["details"]
    assert details[1]["fieldViolations"] == [{"field": "contents", "description": "Slow down."}]
    assert details[2] == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}


def test_an_error_event_begins_as_googles_sdk_looks_for_it() -> None:
    event = Gemini().error_event(UpstreamInvalidResponse("Broken."), "req_1")
    assert event.startswith(b'data: {"error":')
    assert event.endswith(b"}\r\n\r\n")


def test_an_error_in_an_array_is_readable_too() -> None:
    dialect = Gemini()
    assert dialect.is_readable_error(b'{"error": {}}')
    assert dialect.is_readable_error(b'[{"error": {}}]')
    assert not dialect.is_readable_error(b"[]")
    assert not dialect.is_readable_error(b"<html>")
