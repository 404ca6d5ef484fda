"""Claude's Messages through every door: Anthropic's SDK finds what it expects, and the row is written."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.doors.conftest import SANDBOX_KEY
from tests.doors.furnish import secret
from tests.doors.ledger import client_request_id, request_id
from tests.doors.servers import DoorServer
from tikhub_app.sandbox.process import SandboxProcess

MESSAGES: list[Any] = [{"role": "user", "content": "Where does the Danube meet the sea?"}]
CALL: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 500, "messages": MESSAGES}


@pytest.fixture
def claude(server: DoorServer, tag: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        api_key=secret("main"),
        base_url=server.url,
        max_retries=0,
        timeout=30,
        default_headers={"x-tikhub-tags": f"test={tag}"},
    ) as client:
        yield client


def directly(sandbox: SandboxProcess) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=SANDBOX_KEY, base_url=sandbox.anthropic_url, max_retries=0)


def test_a_message_has_the_providers_bytes(
    server: DoorServer, sandbox: SandboxProcess, claude: anthropic.Anthropic, tag: str
) -> None:
    raw = claude.messages.with_raw_response.create(**CALL)
    with directly(sandbox) as client:
        assert raw.read() == client.messages.with_raw_response.create(**CALL).read()
    row = server.ledger.finished(tag)
    assert raw.headers["request-id"] == raw.headers["x-request-id"] == request_id(row)
    assert (row["dialect"], row["operation"], row["door"]) == ("anthropic_messages", "messages", server.kind.door)
    (attempt,) = server.ledger.attempts(row)
    (line,) = sandbox.bill(client_request_id(attempt))
    assert (row["input_tokens"], row["output_tokens"]) == (line["prompt_tokens"], line["completion_tokens"])


def test_a_stream_has_the_providers_bytes(
    server: DoorServer, sandbox: SandboxProcess, claude: anthropic.Anthropic, tag: str
) -> None:
    def bytes_of(client: anthropic.Anthropic) -> bytes:
        with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            return b"".join(response.iter_bytes())

    with directly(sandbox) as client:
        assert bytes_of(claude) == bytes_of(client)
    row = server.ledger.finished(tag)
    assert (row["status"], row["finish_reason"], row["usage_source"]) == ("done", "end_turn", "provider")


def test_tokens_are_counted(server: DoorServer, claude: anthropic.Anthropic, tag: str) -> None:
    counted = claude.messages.count_tokens(model="claude-haiku-4-5", messages=MESSAGES)
    assert counted.input_tokens > 5
    row = server.ledger.finished(tag)
    assert (row["operation"], row["status"], row["total_tokens"]) == ("count_tokens", "done", 0)


def test_an_error_has_anthropics_form_and_both_ids(
    server: DoorServer, sandbox: SandboxProcess, claude: anthropic.Anthropic
) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        claude.messages.create(**CALL | {"model": "nobody-knows"})
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["error"]["type"] == "not_found_error"
    headers = caught.value.response.headers
    assert body["request_id"] == headers["request-id"] == headers["x-request-id"] == caught.value.request_id

    sandbox.fault("status_529")
    with pytest.raises(anthropic.OverloadedError):
        claude.messages.create(**CALL)


def test_what_a_door_refuses_itself_has_anthropics_form(server: DoorServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/v1/messages", headers={"x-api-key": secret("main")})
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    assert (response.status, response.headers["allow"]) == (405, "POST")
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert body["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]
