"""Callers that leave, and callers that do not read: the provider is let go, the memory bounded, the row written."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from tests.doors.conftest import Site
from tests.doors.ledger import request_id
from tests.doors.servers import ASGI, DJANGO_GUNICORN, DJANGO_UVICORN, DoorServer, Kind
from tests.doors.test_answers import CALL, STREAMED
from tests.doors.wire import OpenStream, call
from tikhub_app.sandbox.process import SandboxProcess

PACE_S = 0.1
#: Promised are 0.1 s where the server reports a departure, else the second write after it; here five times as much.
REPORTED_WITHIN_S = 5 * 0.1
FOUND_WITHIN_S = 5 * 2 * PACE_S


def let_go(sandbox: SandboxProcess, number: int = 1) -> list[float]:
    """When the provider lost each of its callers, as ``time.time()``; waits until it has lost so many."""
    deadline = time.monotonic() + 20
    while True:
        calls = sandbox.calls()["calls"]
        gone = [one["at"] + one["duration_ms"] / 1000 for one in calls if one["outcome"] == "client_gone"]
        if len(gone) >= number:
            return gone
        assert time.monotonic() < deadline, calls
        time.sleep(0.02)


def paced(**controls: Any) -> dict[str, Any]:
    return STREAMED | {"sandbox": {"pace_ms": PACE_S * 1000, "tokens": 600, **controls}}


def bound_s(server: DoorServer) -> float:
    return REPORTED_WITHIN_S if server.kind.reports_departure else FOUND_WITHIN_S


def test_a_caller_that_leaves_mid_stream(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
) -> None:
    stream = OpenStream(server.url, paced(), headers)
    head, _, _ = stream.read_until(b"data: ").partition(b"\r\n\r\n")
    stream.read_until(b'"content":" ')
    left_at = stream.leave()
    [gone_at] = let_go(sandbox)
    assert gone_at - left_at < bound_s(server)
    row = server.ledger.finished(tag)
    told = {"status": "client_gone", "departure": "cancelled", "usage_source": "estimated", "cost_is_estimate": 1}
    assert {name: row[name] for name in told} == told
    assert request_id(row).encode() in head
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0
    assert row["cost_usd"] > 0
    [attempt] = server.ledger.attempts(row)
    assert attempt["status"] == "client_gone"
    [line] = sandbox.bill()
    assert line["outcome"] == "client_gone"


def test_a_caller_that_leaves_before_the_first_byte(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
) -> None:
    wait_ms = 1_000
    stream = OpenStream(server.url, paced(first_byte_ms=wait_ms), headers)
    while not sandbox.calls()["open"]:
        time.sleep(0.01)
    left_at = stream.leave()
    [gone_at] = let_go(sandbox)
    # Who has to write to find out, can only do so once there is something to write.
    waited_s = 0 if server.kind.reports_departure else wait_ms / 1000
    assert gone_at - left_at < waited_s + bound_s(server)
    row = server.ledger.finished(tag)
    assert (row["status"], row["departure"]) == ("client_gone", "cancelled")
    assert row["usage_source"] == "estimated"


def test_a_caller_that_leaves_a_plain_call(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
) -> None:
    stream = OpenStream(server.url, CALL | {"sandbox": {"first_byte_ms": 1_000}}, headers)
    while not sandbox.calls()["open"]:
        time.sleep(0.01)
    left_at = stream.leave()
    row = server.ledger.finished(tag)
    if server.kind.reports_departure:
        [gone_at] = let_go(sandbox)
        assert gone_at - left_at < bound_s(server)
        assert (row["status"], row["departure"], row["usage_source"]) == ("client_gone", "cancelled", "estimated")
    else:
        # There is nothing to write before the whole answer is here, and then it is paid for and counted.
        assert (row["status"], row["usage_source"]) == ("done", "provider")


@pytest.mark.parametrize("kind", [ASGI, DJANGO_UVICORN, DJANGO_GUNICORN], ids=lambda kind: kind.name)
def test_an_abandoned_answer_is_read_to_its_end_where_the_operator_wants_exact_usage(
    site: Site, sandbox: SandboxProcess, kind: Kind, headers: dict[str, str], tag: str
) -> None:
    with site.make(kind, settings="tests.doors.draining") as server:
        for number, call in enumerate((paced(tokens=12), CALL | {"sandbox": {"first_byte_ms": 300, "tokens": 12}})):
            stream = OpenStream(server.url, call, headers | {"x-tikhub-tags": f"{number}-{tag}"})
            while not sandbox.calls()["open"]:
                time.sleep(0.01)
            if not number:
                stream.read_until(b"data: ")
            stream.leave()
            row = server.ledger.finished(f"{number}-{tag}")
            assert (row["usage_source"], row["output_tokens"]) == ("provider", 12)
            if not number or kind.reports_departure:
                assert (row["status"], row["departure"]) == ("client_gone", "drained")
    assert [line["outcome"] for line in sandbox.bill()] == ["answered", "answered"]


def test_callers_that_leave_at_once_take_nothing_with_them(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
) -> None:
    """Many departures at moments of their own; afterwards every call has its row and nothing is held open."""
    for number in range(24):
        stream = OpenStream(server.url, paced(first_byte_ms=5, tokens=20, pace_ms=20), headers)
        time.sleep(0.002 * number)
        stream.leave()
    deadline = time.monotonic() + 15
    while True:
        rows, calls = server.ledger.find(tag), sandbox.calls()
        if not calls["open"] and all(row["status"] in ("client_gone", "done") for row in rows):
            break
        assert time.monotonic() < deadline, (rows, calls)
        time.sleep(0.05)
    billed = {line["client_request_id"].removeprefix("att_") for line in sandbox.bill()}
    tried = {str(attempt["id"]).replace("-", "") for row in rows for attempt in server.ledger.attempts(row)}
    assert billed <= tried


def test_a_caller_that_does_not_read_holds_the_provider_back(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
) -> None:
    endless = STREAMED | {"sandbox": {"tokens": 200_000}}  # about fifty megabytes of events
    before = server.resident_bytes()
    with OpenStream(server.url, endless, headers) as stream:
        stream.read_until(b"data: ")
        settled, deadline = -1, time.monotonic() + 20
        while (written := _unread(sandbox)) != settled:  # until nothing moves any more
            settled = written
            assert time.monotonic() < deadline
            time.sleep(0.4)
        assert sandbox.calls()["calls"][0]["outcome"] == "open"
        assert server.resident_bytes() - before < 24 * 1024 * 1024
    let_go(sandbox)
    row = server.ledger.finished(tag)
    assert (row["status"], row["departure"]) == ("client_gone", "cancelled")


def _unread(sandbox: SandboxProcess) -> int:
    """Bytes that the sandbox's sockets could not get rid of yet, which tells whether it still writes."""
    port = int(sandbox.base_url.rpartition(":")[2])
    total = 0
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in list(table)[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "01":
                total += int(fields[4].partition(":")[0], 16)
    return total


def test_half_a_request_is_nobodys_call(
    server: DoorServer, sandbox: SandboxProcess, headers: dict[str, str], tag: str
) -> None:
    lines = ["POST /v1/chat/completions HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Content-Length: 1000"]
    lines += ["Content-Type: application/json", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode() + b'\r\n\r\n{"model": "gpt-4o-mini", "mess')
    assert call(server.url, CALL, headers | {"x-tikhub-tags": "after"}).status == 200
    assert all(row["status"] == "failed" for row in server.ledger.find(tag))
    assert sandbox.calls()["total"] == 1
