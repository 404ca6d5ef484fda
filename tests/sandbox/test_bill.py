"""The bill: a line for each accepted call, on disk before the first byte, whatever happens afterwards."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.sandbox.raw_http import open_call, post
from tikhub_app.sandbox.bill import Bill, BillLine
from tikhub_app.sandbox.process import SandboxProcess


def _line(name: str) -> BillLine:
    return BillLine(name, "openai", "gpt-4o", "chat", stream=True, prompt_tokens=9)


def test_a_line_says_what_the_call_cost(sandbox: SandboxProcess, request_body: dict[str, Any]) -> None:
    reply = post(f"{sandbox.openai_url}/chat/completions", request_body, {"X-Client-Request-Id": "attempt-7"})
    usage = json.loads(reply.body)["usage"]
    (line,) = sandbox.bill()
    assert {name: line[name] for name in ("client_request_id", "vendor", "model", "operation", "stream", "state")} == {
        "client_request_id": "attempt-7",
        "vendor": "openai",
        "model": "gpt-4o-mini-2024-07-18",
        "operation": "chat",
        "stream": False,
        "state": "settled",
    }
    assert (line["prompt_tokens"], line["completion_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert line["response_id"] == json.loads(reply.body)["id"]
    assert line["accepted_at"] <= line["at"] <= time.time()


def test_work_done_twice_is_two_lines(sandbox: SandboxProcess, request_body: dict[str, Any]) -> None:
    for _ in range(2):
        post(f"{sandbox.openai_url}/chat/completions", request_body, {"X-Client-Request-Id": "same"})
    assert [line["client_request_id"] for line in sandbox.bill()] == ["same", "same"]
    sandbox.reset()
    assert sandbox.bill() == []


def test_a_caller_who_leaves_is_billed_for_what_was_generated(
    sandbox: SandboxProcess, request_body: dict[str, Any]
) -> None:
    body = request_body | {"stream": True, "sandbox": {"tokens": 500, "pace_ms": 10}}
    with open_call(f"{sandbox.openai_url}/chat/completions", body) as connection:
        received = b""
        while received.count(b"data: ") < 8:
            received += connection.recv(4096)
    deadline = time.monotonic() + 5
    while sandbox.bill()[0]["state"] != "settled":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (line,) = sandbox.bill()
    assert line["outcome"] == "client_gone"
    assert 7 <= line["completion_tokens"] < 200
    assert sandbox.calls()["by_outcome"] == {"client_gone": 1}


def test_an_accepted_call_is_on_disk_before_its_first_byte_and_survives_a_kill(
    tmp_path: Path, request_body: dict[str, Any]
) -> None:
    path = tmp_path / "bill.jsonl"
    body = request_body | {"sandbox": {"first_byte_ms": 60_000}}
    with SandboxProcess(bill=path) as sandbox:
        url = f"{sandbox.openai_url}/chat/completions"
        post(url, request_body, {"X-Client-Request-Id": "whole"})
        with open_call(url, body, {"X-Client-Request-Id": "cut off"}):
            while len(sandbox.bill()) < 2:
                time.sleep(0.01)
            os.kill(sandbox.pid, signal.SIGKILL)
    with path.open("ab") as file:
        file.write(b'{"line_id": "to')  # as if the kill had torn a record
    with SandboxProcess(bill=path) as sandbox:
        post(f"{sandbox.openai_url}/chat/completions", request_body, {"X-Client-Request-Id": "later"})
        assert [(line["client_request_id"], line["state"]) for line in sandbox.bill()] == [
            ("whole", "settled"),
            ("cut off", "accepted"),
            ("later", "settled"),
        ]


def test_a_line_is_settled_once(tmp_path: Path) -> None:
    bill = Bill(tmp_path / "bill.jsonl")
    line = _line("one")
    bill.accept(line)
    bill.settle(line, 12, 40, "answered")
    bill.settle(line, 99, 0, "client_gone")
    (written,) = bill.lines()
    assert (written["completion_tokens"], written["reasoning_tokens"], written["outcome"]) == (12, 12, "answered")
    assert len((tmp_path / "bill.jsonl").read_bytes().splitlines()) == 2
    bill.close()


def test_the_end_of_a_call_from_before_a_reset_makes_no_line() -> None:
    bill = Bill()
    line = _line("before")
    bill.accept(line)
    bill.reset()
    bill.settle(line, 1, 0, "answered")
    assert bill.lines() == []
    bill.close()
