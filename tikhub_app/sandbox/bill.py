"""The vendor's bill: one line for each accepted call, on disk before the answer's first byte.

A call is accepted when the vendor would charge for it: the work was begun. What the vendor refuses is no line. A line
is two records in a file of JSON lines, ``accepted`` and later ``settled`` with the final amounts; readers merge them by
``line_id``. Two calls with the same X-Client-Request-Id are two lines, so that work done twice is seen.
"""

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tikhub_app.sandbox import wire


@dataclass(slots=True)
class BillLine:
    """An accepted call. Token counts are final once the line is settled."""

    client_request_id: str | None
    vendor: str
    model: str
    operation: str
    stream: bool
    prompt_tokens: int
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    response_id: str | None = None
    fault: str | None = None
    call_number: int = 0
    state: str = "accepted"
    outcome: str | None = None
    accepted_at: float = field(default_factory=time.time)  # seconds since 1970
    at: float = 0.0  # of the last record
    line_id: str = field(default_factory=lambda: uuid.uuid4().hex)


class Bill:
    """Appends to ``path``, or to a temporary file that goes with the process.

    The file is opened with O_APPEND and written with one unbuffered call for each record, so a record that was written
    survives the end of any process, this one included. It is not synced: a loss of power may take the last ones.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            handle, name = tempfile.mkstemp(prefix="sandbox-bill-", suffix=".jsonl")
            os.close(handle)
            self._fd = os.open(name, os.O_RDWR | os.O_APPEND)
            os.unlink(name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            self._end_torn_record()

    def _end_torn_record(self) -> None:
        """A killed process may have left half a record; the next one must not be glued to it."""
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            os.write(self._fd, b"\n")

    def accept(self, line: BillLine) -> None:
        line.at = line.accepted_at
        self._append(line)

    def settle(self, line: BillLine, completion_tokens: int, reasoning_tokens: int, outcome: str) -> None:
        """Write the final amount, once; later calls for the same line change nothing."""
        if line.state == "settled":
            return
        line.state, line.outcome, line.at = "settled", outcome, time.time()
        line.completion_tokens = completion_tokens
        line.reasoning_tokens = min(reasoning_tokens, completion_tokens)
        self._append(
            {
                "line_id": line.line_id,
                "state": line.state,
                "outcome": outcome,
                "completion_tokens": completion_tokens,
                "reasoning_tokens": line.reasoning_tokens,
                "at": line.at,
            }
        )

    def _append(self, record: BillLine | dict[str, Any]) -> None:
        os.write(self._fd, wire.compact(record) + b"\n")

    def lines(self) -> list[dict[str, Any]]:
        """Every line in the order of acceptance, its records merged."""
        merged: dict[str, dict[str, Any]] = {}
        for record in self._records():
            line_id = record["line_id"]
            if "accepted_at" in record:
                merged[line_id] = record
            elif line_id in merged:  # else it was accepted before a reset
                merged[line_id].update(record)
        return list(merged.values())

    def _records(self) -> Iterator[dict[str, Any]]:
        content = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        for raw in content.splitlines():
            try:
                yield wire.decode(raw)
            except wire.MalformedJson:
                continue  # the torn record of a killed process

    def reset(self) -> None:
        os.ftruncate(self._fd, 0)

    def close(self) -> None:
        os.close(self._fd)
