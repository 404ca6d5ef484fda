"""Gemini's paths through every door: the provider's bytes in each form, keys in the query, Google's errors."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.doors.conftest import SANDBOX_KEY
from tests.doors.furnish import secret
from tests.doors.ledger import request_id
from tests.doors.servers import DoorServer
from tests.doors.test_departures import PACE_S, bound_s, let_go
from tests.sandbox.raw_http import RawReply, open_call, post
from tikhub_app.sandbox.process import SandboxProcess

MODELS = "/v1beta/models"
BODY: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Where does the Danube meet the sea?"}]}],
    "generation_config": {"thinking_config": {"include_thoughts": True}},
}


def call(server: DoorServer, path: str, headers: dict[str, str], body: Any = BODY) -> RawReply:
    return post(f"{server.url}{path}", body, headers)


def directly(sandbox: SandboxProcess, path: str) -> RawReply:
    return post(f"{sandbox.gemini_url}{path}", BODY, {"x-goog-api-key": SANDBOX_KEY})


def error_of(reply: RawReply) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(reply.body)["error"]
    assert set(error) == {"code", "message", "status", "details"}
    assert error["code"] == reply.status
    return error


@pytest.mark.parametrize(
    "verb", ["generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent", "countTokens"]
)
def test_every_form_of_answer_has_the_providers_bytes(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str, verb: str
) -> None:
    path = f"{MODELS}/gemini-3-flash-preview:{verb}"
    if verb == "countTokens":
        path = path.replace("/v1beta/", "/v1/")
    reply = call(server, path, headers)
    assert reply.status == 200, reply.body
    direct = directly(sandbox, path)
    assert reply.body == direct.body
    assert reply.headers["content-type"] == direct.headers["content-type"]
    row = server.ledger.finished(tag)
    assert (row["dialect"], row["status"], row["door"]) == ("gemini", "done", server.kind.door)
    assert reply.headers["x-request-id"] == request_id(row)
    bill = sandbox.bill()
    if verb == "countTokens":
        assert (bill, row["total_tokens"], row["cost_usd"]) == ([], 0, 0)
        return
    line = bill[0]
    assert (row["input_tokens"], row["output_tokens"]) == (line["prompt_tokens"], line["completion_tokens"])
    assert (row["reasoning"], row["usage_source"]) == (line["reasoning_tokens"], "provider")
    assert row["cost_usd"] > 0


def test_a_key_may_stand_in_the_query_and_goes_no_further(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str]
) -> None:
    key = secret("other")
    given = {name: value for name, value in headers.items() if name != "Authorization"}
    path = f"{MODELS}/models/gemini-2.5-flash%3AstreamGenerateContent?alt=sse&key={key}&prettyPrint=false"
    assert call(server, path, given).status == 200
    [received] = sandbox.calls()["calls"]
    assert received["path"] == f"/gemini{MODELS}/gemini-2.5-flash:streamGenerateContent"
    assert received["query"] == "alt=sse&prettyPrint=false"
    assert received["headers"]["x-goog-api-key"] == SANDBOX_KEY
    assert key not in json.dumps(received)
    assert key not in server.log.read_text()


def test_errors_are_googles(server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str]) -> None:
    path = f"{MODELS}/gemini-2.5-flash:generateContent"
    cases: list[tuple[RawReply, int, str, str]] = [
        (call(server, path, {}), 401, "UNAUTHENTICATED", "MISSING_API_KEY"),
        (call(server, path, headers | {"x-goog-api-key": secret("other")}), 401, "UNAUTHENTICATED", "CONFLICTING"),
        (call(server, path, {"x-goog-api-key": secret("mini-only")}), 403, "PERMISSION_DENIED", "MODEL_NOT_ALLOWED"),
        (call(server, f"{MODELS}/nobody:generateContent", headers), 404, "NOT_FOUND", "MODEL_NOT_FOUND"),
        (call(server, path, headers, b"{"), 400, "INVALID_ARGUMENT", "INVALID_JSON"),
        (call(server, f"{path}?fields=candidates", headers), 400, "INVALID_ARGUMENT", "UNSUPPORTED_FEATURE"),
        (call(server, path, headers, b" " * 300_000), 413, "INVALID_ARGUMENT", "REQUEST_TOO_LARGE"),
        (call(server, f"{MODELS}/locked-out-gemini:generateContent", headers), 502, "INTERNAL", "UPSTREAM_AUTH"),
    ]
    for reply, status, code, reason in cases:
        error = error_of(reply)
        assert (reply.status, error["status"]) == (status, code)
        assert error["details"][0]["reason"].startswith(reason)
    assert sandbox.bill() == []


@pytest.mark.parametrize("query", ["?alt=sse&", "?"])
def test_a_caller_that_leaves_lets_the_provider_go(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str, query: str
) -> None:
    path = f"{MODELS}/gemini-2.5-flash:streamGenerateContent{query}pace_ms={PACE_S * 1000}&tokens=600"
    received = b""
    with open_call(f"{server.url}{path}", BODY, headers) as connection:
        while received.count(b'"candidates"') < 3:
            received += connection.recv(4096)
    left_at = time.time()
    [gone_at] = let_go(sandbox)
    assert gone_at - left_at < bound_s(server)
    row = server.ledger.finished(tag)
    assert (row["status"], row["departure"], row["usage_source"]) == ("client_gone", "cancelled", "estimated")
    assert row["output_tokens"] > 0
