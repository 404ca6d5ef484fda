"""What came over the wire: counts of all calls, and the last ones as they were received."""

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MAX_BODY_SHOWN = 64 * 1024
MAX_REMEMBERED_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class ReceivedCall:
    """One call of a vendor's endpoint, refused or not. Headers and body are kept as received, credentials included."""

    number: int
    vendor: str
    operation: str
    method: str
    path: str
    query: str
    headers: dict[str, str]  # lower-case names; repeats joined with ", "
    header_lines: list[tuple[str, str]]  # exactly as received, in order
    client_request_id: str | None
    body: str = ""
    body_bytes: int = 0
    model: str | None = None
    fault: str | None = None
    billed: str | None = None  # line_id of the bill's line
    status: int | None = None  # None until a head was sent, and for ever when none was
    outcome: str = "open"  # open, answered, refused, reset, client_gone, server_stopped, failed
    at: float = field(default_factory=time.time)
    duration_ms: float | None = None


class CallLog:
    """Counts without bound, calls bounded by number and by bytes."""

    def __init__(self, remember: int) -> None:
        self._recent: deque[ReceivedCall] = deque(maxlen=remember)
        self._bytes = 0
        self._number = 0
        self.open = 0
        self._total = 0
        self._by_status: Counter[str] = Counter()
        self._by_outcome: Counter[str] = Counter()
        self._by_vendor: Counter[str] = Counter()
        self._by_fault: Counter[str] = Counter()

    def begin(self, vendor: str, operation: str, request: web.BaseRequest) -> ReceivedCall:
        self._number += 1
        self._total += 1
        self.open += 1
        self._by_vendor[vendor] += 1
        lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        headers: dict[str, str] = {}
        for name, value in lines:
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return ReceivedCall(
            number=self._number,
            vendor=vendor,
            operation=operation,
            method=request.method,
            path=request.path,
            query=request.query_string,
            headers=headers,
            header_lines=lines,
            client_request_id=headers.get("x-client-request-id"),
        )

    def remember(self, call: ReceivedCall, body: bytes) -> None:
        """Keep the call for ``/sandbox/calls``, at the cost of the oldest ones."""
        call.body_bytes = len(body)
        call.body = body[:MAX_BODY_SHOWN].decode("utf-8", "replace")
        recent = self._recent
        if not recent.maxlen:
            return
        if len(recent) == recent.maxlen:
            self._bytes -= _weight(recent.popleft())
        recent.append(call)
        self._bytes += _weight(call)
        while self._bytes > MAX_REMEMBERED_BYTES and len(recent) > 1:
            self._bytes -= _weight(recent.popleft())

    def end(self, call: ReceivedCall, outcome: str) -> None:
        """Count the call under its outcome and status. Only the first end counts."""
        if call.outcome != "open":
            return
        call.outcome = outcome
        call.duration_ms = round((time.time() - call.at) * 1000, 3)
        self.open -= 1
        self._by_outcome[outcome] += 1
        self._by_status[str(call.status) if call.status else "none"] += 1
        if call.fault:
            self._by_fault[call.fault] += 1

    def summary(self, limit: int) -> dict[str, Any]:
        return {
            "total": self._total,
            "open": self.open,
            "by_status": dict(self._by_status),
            "by_outcome": dict(self._by_outcome),
            "by_vendor": dict(self._by_vendor),
            "by_fault": dict(self._by_fault),
            "calls": list(self._recent)[-limit:] if limit else [],
        }

    def reset(self) -> None:
        """Forget what was; calls that are still open are counted when they end."""
        self._recent.clear()
        self._bytes = 0
        self._total = self.open
        for counter in (self._by_status, self._by_outcome, self._by_vendor, self._by_fault):
            counter.clear()


def _weight(call: ReceivedCall) -> int:
    """About the bytes one remembered call takes."""
    return 1024 + len(call.body) + 2 * sum(len(name) + len(value) for name, value in call.header_lines)
