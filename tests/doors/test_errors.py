"""What callers may do wrong, and what may go wrong behind the gateway: the answer, the exception, the row."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.doors.furnish import secret
from tests.doors.ledger import request_id
from tests.doors.servers import DoorServer
from tests.doors.settings import MAX_BODY_BYTES
from tests.doors.test_answers import CALL, MESSAGES, STREAMED
from tests.doors.wire import RawReply, call, error_of, send
from tikhub_app.sandbox.process import SandboxProcess


def assert_refused(reply: RawReply, status: int, code: str | None, param: str | None = None) -> dict[str, Any]:
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"].startswith("req_")
    error = error_of(reply)
    assert (error["code"], error["param"]) == (code, param), error
    return error


# The caller's own mistakes: nothing is sent upstream.


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"Authorization": "Bearer nobody-has-issued-this-key"}, "invalid_api_key"),
        ({"Authorization": "Bearer sk-tkh-with-a-checksum-that-is-wrong"}, "invalid_api_key"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "invalid_api_key"),
        ({"Authorization": f"Bearer {secret('main')}", "x-api-key": secret("other")}, "conflicting_api_keys"),
        ({"Authorization": f"Bearer {secret('revoked')}"}, "revoked_api_key"),
        ({"Authorization": f"Bearer {secret('expired')}"}, "expired_api_key"),
    ],
    ids=["none", "unknown", "checksum", "basic", "two", "revoked", "expired"],
)
def test_without_a_valid_key_nothing_is_done(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], code: str
) -> None:
    error = assert_refused(call(server.url, CALL, headers), 401, code)
    assert error["type"] == "authentication_error"
    assert sandbox.calls()["total"] == 0


@pytest.mark.parametrize(
    ("key", "code", "param"),
    [
        ("mini-only", "model_not_allowed", "model"),
        ("embed-only", "operation_not_allowed", None),
        ("manage", "wrong_key_scope", None),
    ],
)
def test_a_key_is_held_to_what_it_may_do(
    server: DoorServer, sandbox: SandboxProcess, tag: str, key: str, code: str, param: str | None
) -> None:
    headers = {"Authorization": f"Bearer {secret(key)}", "x-tikhub-tags": tag}
    reply = call(server.url, CALL | {"model": "gpt-4o"}, headers)
    assert_refused(reply, 403, code, param)
    assert sandbox.calls()["total"] == 0
    if key == "mini-only":  # refused once the request was read, so the row says what was asked
        row = server.ledger.finished(tag)
        assert (row["status"], row["error_code"], row["attempts_count"]) == ("failed", code, 0)
        assert request_id(row) == reply.headers["x-request-id"]


def test_an_unknown_model_is_told_with_the_nearest_names(
    server: DoorServer, sandbox: SandboxProcess, client: openai.OpenAI, tag: str
) -> None:
    with pytest.raises(openai.NotFoundError, match=r"Did you mean gpt-4o-mini") as raised:
        client.chat.completions.create(model="gtp-4o-mini", messages=MESSAGES)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    row = server.ledger.finished(tag)
    assert (row["status"], row["http_status"], row["asked_model"]) == ("failed", 404, "gtp-4o-mini")
    assert raised.value.request_id == request_id(row)
    assert sandbox.calls()["total"] == 0


def _nested(depth: int) -> bytes:
    return b'{"model": "gpt-4o", "messages": ' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b'{"model": "gpt-4o", "messages": [', "invalid_json", None),
        (b'{"model": "gpt-4o", "messages": [1], "x": "\xff"}', "invalid_json", None),
        (b"[]", "invalid_type", None),
        (_nested(50_000), "json_too_deep", None),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "missing_required_parameter", "model"),
        (b'{"model": "gpt-4o"}', "missing_required_parameter", "messages"),
        (b'{"model": 4, "messages": [1]}', "invalid_type", "model"),
        (b'{"model": "gpt-4o", "messages": "x"}', "invalid_type", "messages"),
        (b'{"model": "gpt-4o", "messages": []}', "empty_array", "messages"),
        (b'{"model": "gpt-4o", "messages": [1], "stream": "yes"}', "invalid_type", "stream"),
        (
            b'{"model": "gpt-4o", "messages": [1], "stream": true, "stream_options": {"include_usage": 1}}',
            "invalid_type",
            "stream_options.include_usage",
        ),
    ],
    ids=[
        "empty", "cut", "encoding", "list", "deep", "no-model", "no-messages", "model-type", "messages-type",
        "no-message", "stream-type", "nested-type",
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_named(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], body: bytes, code: str, param: str | None
) -> None:
    error = assert_refused(call(server.url, body, headers), 400, code, param)
    assert error["type"] == "invalid_request_error"
    assert sandbox.calls()["total"] == 0


def test_what_we_do_not_read_is_the_providers_to_refuse(
    server: DoorServer, sandbox: SandboxProcess, client: openai.OpenAI, tag: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, temperature=9)
    assert raised.value.param == "temperature"
    assert server.ledger.finished(tag)["error_code"] == "upstream_refused"


@pytest.mark.parametrize(
    "extra",
    [{"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data; boundary=x"}, {"Content-Encoding": "gzip"}],
    ids=["text", "form", "gzip"],
)
def test_only_plain_json_is_taken(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], extra: dict[str, str]
) -> None:
    assert_refused(call(server.url, CALL, headers | extra), 415, "unsupported_media_type")


def test_accept_never_matters(server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str]) -> None:
    reply = call(server.url, CALL, headers | {"Accept": "application/pdf"})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")


def test_a_body_is_taken_up_to_the_limit_and_not_beyond(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str]
) -> None:
    def body(size: int) -> bytes:
        start, end = json.dumps(CALL | {"padding": "%"}).encode().split(b"%")
        return start + b"x" * (size - len(start) - len(end)) + end

    assert call(server.url, body(MAX_BODY_BYTES), headers).status == 200
    assert_refused(call(server.url, body(MAX_BODY_BYTES + 1), headers), 413, "request_too_large")
    assert sandbox.calls()["total"] == 1


def test_headers_beyond_the_limit_are_refused(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str]
) -> None:
    many = {f"X-Padding-{number}": "x" * 4_000 for number in range(9)}
    assert_refused(call(server.url, CALL, headers | many), 431, "headers_too_large")


def test_a_foreign_host_name_is_refused(server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str]) -> None:
    content = json.dumps(CALL).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: evil.example", "Connection: close"]
    lines += [f"Content-Length: {len(content)}", *(f"{name}: {value}" for name, value in headers.items())]
    assert send(server.port, "\r\n".join(lines).encode() + b"\r\n\r\n" + content).status == 400
    assert sandbox.calls()["total"] == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_only_post_is_allowed(server: DoorServer, sandbox: SandboxProcess, method: str) -> None:
    reply = call(server.url, b"", {}, method=method)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        assert_refused(reply, 405, "method_not_allowed")


# The provider's failures.


@pytest.mark.parametrize(
    ("fault", "exception", "code"),
    [
        ("status_400", openai.BadRequestError, "upstream_refused"),
        ("status_404", openai.NotFoundError, "upstream_refused"),
        ("status_409", openai.ConflictError, "upstream_refused"),
        ("status_422", openai.UnprocessableEntityError, "upstream_refused"),
        ("status_429", openai.RateLimitError, "upstream_rate_limited"),
        ("status_500", openai.InternalServerError, "upstream_error"),
        ("status_503", openai.InternalServerError, "upstream_error"),
    ],
)
def test_the_providers_refusal_is_passed_on(
    server: DoorServer,
    sandbox: SandboxProcess,
    client: openai.OpenAI,
    tag: str,
    fault: str,
    exception: type[openai.APIStatusError],
    code: str,
) -> None:
    sandbox.fault(fault, message="In the provider's own words.", retry_after=7)
    with pytest.raises(exception, match=r"In the provider's own words\.") as raised:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    status = int(fault.removeprefix("status_"))
    assert raised.value.status_code == status
    assert raised.value.response.headers.get("retry-after") == ("7" if status in (429, 503) else None)
    row = server.ledger.finished(tag)
    assert (row["status"], row["http_status"], row["error_code"]) == ("failed", status, code)
    assert raised.value.request_id == request_id(row)
    assert row["cost_usd"] == 0
    assert sandbox.bill() == []


def test_an_account_that_is_refused_is_the_operators_matter(
    server: DoorServer, sandbox: SandboxProcess, client: openai.OpenAI, tag: str
) -> None:
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="locked-out", messages=MESSAGES)
    assert (raised.value.status_code, raised.value.code) == (502, "upstream_auth_error")
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert "key" not in raised.value.message.lower()
    assert server.ledger.finished(tag)["error_code"] == "upstream_auth_error"


@pytest.mark.parametrize(
    ("model", "fault", "status", "code"),
    [
        ("unreachable", "", 502, "upstream_unreachable"),
        ("impatient", "hang", 504, "upstream_timeout"),
        ("gpt-4o-mini", "reset_before_headers", 502, "upstream_invalid_response"),
        ("gpt-4o-mini", "malformed_json", 502, "upstream_invalid_response"),
        ("gpt-4o-mini", "truncated_json", 502, "upstream_invalid_response"),
        ("gpt-4o-mini", "empty_body", 502, "upstream_invalid_response"),
        ("gpt-4o-mini", "wrong_content_type", 502, "upstream_invalid_response"),
        ("gpt-4o-mini", "status_502", 502, "upstream_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_failure_before_the_first_event_is_an_http_error(
    server: DoorServer,
    sandbox: SandboxProcess,
    client: openai.OpenAI,
    tag: str,
    model: str,
    fault: str,
    status: int,
    code: str,
    stream: bool,
) -> None:
    if fault:
        sandbox.fault(fault, after_chunks=0)
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model=model, messages=MESSAGES, stream=stream)
    assert (raised.value.status_code, raised.value.code) == (status, code)
    row = server.ledger.finished(tag)
    assert (row["status"], row["http_status"], row["error_code"]) == ("failed", status, code)
    assert raised.value.request_id == request_id(row)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("reset_mid_stream", "upstream_invalid_response"),
        ("end_mid_stream", "upstream_invalid_response"),
        ("malformed_json", "upstream_invalid_response"),
        ("stall_mid_stream", "upstream_timeout"),
        ("error_event_mid_stream", None),
    ],
)
def test_death_in_mid_stream_is_an_error_event_and_never_a_clean_end(
    server: DoorServer, sandbox: SandboxProcess, client: openai.OpenAI, tag: str, fault: str, code: str | None
) -> None:
    sandbox.fault(fault, after_chunks=3)
    headers = {"Authorization": f"Bearer {secret('main')}", "x-tikhub-tags": tag}
    # At a pace: an error that comes together with the first event is a proper HTTP error still.
    body = STREAMED | {"model": "impatient", "sandbox": {"pace_ms": 20}}
    reply = call(server.url, body, headers)
    *events, last = reply.events
    assert reply.status == 200
    assert len(events) >= 3
    assert b"[DONE]" not in reply.body
    error = json.loads(last.removeprefix(b"data: "))["error"]
    row = server.ledger.finished(tag)
    assert (row["status"], row["http_status"]) == ("failed", 200)
    assert row["usage_source"] == "estimated"
    assert row["output_tokens"] > 0
    if code is not None:
        assert (error["code"], error["request_id"]) == (code, request_id(row))
        assert row["error_code"] == code
    # And so the SDK sees it.
    sandbox.fault(fault, after_chunks=3)
    with pytest.raises(openai.APIError):
        for _ in client.chat.completions.create(
            model="impatient", messages=MESSAGES, stream=True, extra_body={"sandbox": {"pace_ms": 20}}
        ):
            pass


def test_a_huge_event_passes(server: DoorServer, sandbox: SandboxProcess, client: openai.OpenAI, tag: str) -> None:
    sandbox.fault("huge_event", bytes=3_000_000)
    stream = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert len(text) > 3_000_000
    assert server.ledger.finished(tag)["status"] == "done"
