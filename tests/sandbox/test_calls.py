"""The log of received calls: exactly what came over the wire, within bounds."""

import asyncio
from typing import Any

from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from tests.sandbox.raw_http import post
from tikhub_app.sandbox.calls import MAX_BODY_SHOWN, MAX_REMEMBERED_BYTES, CallLog
from tikhub_app.sandbox.process import SandboxProcess


def test_it_shows_headers_and_body_as_received(sandbox: SandboxProcess, request_body: dict[str, Any]) -> None:
    body = request_body | {"an_unknown_field": {"kept": True}}
    headers = {"Authorization": "Bearer sk-x", "X-Client-Request-Id": "attempt-3", "OpenAI-Organization": "org-1"}
    post(f"{sandbox.openai_url}/chat/completions?trace=1", body, headers)
    seen = sandbox.calls()
    assert (seen["total"], seen["open"], seen["by_status"]) == (1, 0, {"200": 1})
    (call,) = seen["calls"]
    assert '"an_unknown_field": {"kept": true}' in call["body"]
    assert call["headers"]["authorization"] == "Bearer sk-x"
    assert ["OpenAI-Organization", "org-1"] in call["header_lines"]
    assert (call["client_request_id"], call["status"], call["outcome"]) == ("attempt-3", 200, "answered")
    assert call["billed"] == sandbox.bill()[0]["line_id"]


def test_only_the_last_calls_are_shown_and_all_are_counted(
    sandbox: SandboxProcess, request_body: dict[str, Any]
) -> None:
    for number in range(4):
        post(f"{sandbox.openai_url}/chat/completions", request_body, {"X-Client-Request-Id": str(number)})
    seen = sandbox.calls(limit=2)
    assert [call["client_request_id"] for call in seen["calls"]] == ["2", "3"]
    assert seen["total"] == 4


def test_memory_stays_bounded_by_number_and_by_bytes() -> None:
    async def fill() -> CallLog:
        log = CallLog(remember=1000)
        for _ in range(280):
            request = make_mocked_request("POST", "/openai/v1/chat/completions", headers=CIMultiDict())
            call = log.begin("openai", "chat", request)
            log.remember(call, b"x" * 200_000)
            log.end(call, "answered")
        return log

    summary = asyncio.run(fill()).summary(2000)
    assert summary["total"] == 280
    assert summary["calls"][0].body_bytes == 200_000
    assert len(summary["calls"][0].body) == MAX_BODY_SHOWN
    assert sum(len(call.body) for call in summary["calls"]) <= MAX_REMEMBERED_BYTES
