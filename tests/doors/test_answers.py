"""What a caller gets through every door: the provider's own answer, as it comes, and a row for it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import openai
import pytest

from tests.doors.conftest import SANDBOX_KEY
from tests.doors.furnish import secret
from tests.doors.ledger import OPEN, client_request_id, request_id
from tests.doors.servers import DoorServer
from tests.doors.wire import RawReply, call, send
from tests.sandbox.raw_http import post
from tikhub_app.sandbox.process import SandboxProcess

MESSAGES: list[Any] = [{"role": "user", "content": "Where does the Danube meet the sea?"}]
CALL: dict[str, Any] = {"model": "gpt-4o-mini", "messages": MESSAGES, "some_field_of_tomorrow": {"é": [1, 2]}}
STREAMED = CALL | {"stream": True}
WITH_USAGE = STREAMED | {"stream_options": {"include_usage": True}}


def directly(sandbox: SandboxProcess, body: dict[str, Any]) -> RawReply:
    return post(f"{sandbox.openai_url}/chat/completions", body, {"Authorization": f"Bearer {SANDBOX_KEY}"})


def test_a_plain_answer_has_the_providers_bytes(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str]
) -> None:
    reply = call(server.url, CALL, headers)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.complete
    assert reply.body == directly(sandbox, CALL).body


def test_the_provider_gets_the_callers_bytes_and_the_operators_credential(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
) -> None:
    body = json.dumps(CALL, indent=3, ensure_ascii=False).encode()
    call(server.url, body, headers | {"Cookie": "session=secret", "OpenAI-Organization": "org-of-the-caller"})
    [received] = sandbox.calls()["calls"]
    assert received["body"].encode() == body
    assert received["headers"]["authorization"] == f"Bearer {SANDBOX_KEY}"
    assert not {"cookie", "x-tikhub-tags", "openai-organization"} & set(received["headers"])
    [attempt] = server.ledger.attempts(server.ledger.finished(tag))
    assert received["client_request_id"] == client_request_id(attempt)


def test_a_stream_with_usage_has_the_providers_bytes(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str]
) -> None:
    reply = call(server.url, WITH_USAGE, headers)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.complete or "transfer-encoding" not in reply.headers  # the end of the connection ends the body
    assert reply.body == directly(sandbox, WITH_USAGE).body


def test_a_stream_lacks_only_the_usage_that_was_not_asked_for(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
) -> None:
    reply, whole = call(server.url, STREAMED, headers), directly(sandbox, WITH_USAGE)
    *chunks, usage_chunk, done = whole.events
    assert json.loads(usage_chunk.removeprefix(b"data: "))["choices"] == []
    assert reply.events == [*chunks, done]
    usage = json.loads(usage_chunk.removeprefix(b"data: "))["usage"]
    row = server.ledger.finished(tag)
    assert (row["input_tokens"], row["output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert row["usage_source"] == "provider"


def test_events_cut_in_their_midst_arrive_whole_and_unchanged(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str]
) -> None:
    cut = WITH_USAGE | {"sandbox": {"split_bytes": 7, "tokens": 12, "text": "Größe 😀 \u2028 naïve " * 2}}
    assert call(server.url, cut, headers).body == directly(sandbox, cut).body


def test_the_first_event_is_out_before_the_providers_last(
    server: DoorServer, sandbox: SandboxProcess, client: openai.OpenAI
) -> None:
    paced = {"sandbox": {"pace_ms": 60, "tokens": 12}}
    stream = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True, extra_body=paced)
    seen: list[Any] = []
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content and len(seen) < 3:
            seen.append(chunk)
            # The provider is still speaking, so nobody on the way can have waited for its end.
            assert sandbox.calls(1)["calls"][0]["outcome"] == "open"
    assert len(seen) == 3
    assert sandbox.calls(1)["calls"][0]["outcome"] == "answered"


def test_the_row_tells_of_the_call(
    server: DoorServer, sandbox: SandboxProcess, client: openai.OpenAI, tag: str
) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini",
        messages=MESSAGES,
        user="someone",
        metadata={"team": "search"},
        extra_headers={"x-stainless-retry-count": "2"},
    )
    completion = raw.parse()
    row = server.ledger.finished(tag)
    assert raw.headers["x-request-id"] == request_id(row)
    assert raw.headers["x-tikhub-model"] == completion.model == row["answered_model"]
    assert completion.usage is not None
    told = {
        "door": server.kind.door,
        "dialect": "openai_chat",
        "operation": "chat",
        "status": "done",
        "http_status": 200,
        "asked_model": "gpt-4o-mini",
        "upstream_name": "main",
        "attempts_count": 1,
        "finish_reason": "stop",
        "total_tokens": completion.usage.total_tokens,
        "usage_source": "provider",
        "departure": "",
        "end_user": "someone",
        "client_retry": 2,
        "response_bytes": len(raw.content),
    }
    assert {name: row[name] for name in told} == told
    tags = row["tags"] if isinstance(row["tags"], dict) else json.loads(row["tags"])
    assert tags == {"team": "search", "test": tag}
    assert row["cost_usd"] > 0
    assert 0 < row["first_byte_ms"] <= row["duration_ms"]
    [line] = sandbox.bill()
    [attempt] = server.ledger.attempts(row)
    assert line["client_request_id"] == client_request_id(attempt)
    assert line["completion_tokens"] == completion.usage.completion_tokens


def test_the_row_is_there_while_the_stream_runs(
    server: DoorServer, sandbox: SandboxProcess, client: openai.OpenAI, tag: str
) -> None:
    with client.chat.completions.with_streaming_response.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, extra_body={"sandbox": {"pace_ms": 40, "tokens": 20}}
    ) as response:
        identity = response.headers["x-request-id"]
        lines = response.iter_lines()
        next(lines)
        [open_row] = server.ledger.find(tag)
        assert open_row["status"] in OPEN
        assert "data: [DONE]" in list(lines)
    row = server.ledger.finished(tag)
    assert (row["status"], row["id"], request_id(row)) == ("done", open_row["id"], identity)


def test_calls_run_side_by_side(server: DoorServer, sandbox: SandboxProcess) -> None:
    async def talk() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key=secret("main"), max_retries=0, timeout=30
        ) as client:

            async def one(number: int) -> str:
                stream = await client.chat.completions.create(
                    model="gpt-4o-mini",
                    messages=[{"role": "user", "content": f"Say {number}."}],
                    stream=True,
                    extra_body={"sandbox": {"text": f"Number {number}.", "pace_ms": 100}},
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

            return list(await asyncio.gather(*(one(number) for number in range(6))))

    started = time.monotonic()
    assert asyncio.run(talk()) == [f"Number {number}." for number in range(6)]
    one_after_the_other = 6 * 4 * 0.1
    assert time.monotonic() - started < one_after_the_other


@pytest.mark.parametrize("header", ["x-api-key", "x-goog-api-key"])
def test_other_sdks_headers_carry_the_key_too(server: DoorServer, sandbox: SandboxProcess, header: str) -> None:
    assert call(server.url, CALL, {header: secret("main")}).status == 200


def test_a_chunked_body_is_read(server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str]) -> None:
    content = json.dumps(CALL).encode()
    halves = (content[:40], content[40:])
    body = b"".join(b"%x\r\n%b\r\n" % (len(half), half) for half in (*halves, b""))
    head = ["POST /v1/chat/completions HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Connection: close"]
    head += ["Content-Type: application/json", "Transfer-Encoding: chunked"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    reply = send(server.port, "\r\n".join(head).encode() + b"\r\n\r\n" + body)
    if server.kind.name == "django-runserver":  # which does not read them
        assert (reply.status, json.loads(reply.body)["error"]["code"]) == (411, "length_required")
    else:
        assert reply.status == 200, reply


def test_calls_share_a_connection(server: DoorServer, sandbox: SandboxProcess, client: openai.OpenAI) -> None:
    for body in (CALL, STREAMED, CALL):
        assert client.post("/chat/completions", body=body, cast_to=object) is not None
