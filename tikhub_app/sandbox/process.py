"""The sandbox as a subprocess, for tests and chaos runs.

with SandboxProcess("--seed", "7") as sandbox:
    client = openai.OpenAI(api_key="any", base_url=sandbox.openai_url)
    sandbox.fault("status_500", count=2)
    ...
    assert len(sandbox.bill()) == 1
"""

import http.client
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tikhub_app.sandbox import wire

_READY = "sandbox ready on "
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class SandboxFailed(RuntimeError):
    """The sandbox did not start, or refused an order."""


class SandboxProcess:
    """Starts ``python -m tikhub_app.sandbox`` on a free port and stops it at the end.

    ``arguments`` are further options of its command line. It also ends by itself when this process is killed.
    """

    def __init__(self, *arguments: str, bill: Path | None = None, port: int = 0, start_timeout_s: float = 20.0) -> None:
        self._arguments = ["--port", str(port), "--parent-pid", str(os.getpid()), *arguments]
        if bill is not None:
            self._arguments += ["--bill", str(bill)]
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self.base_url = ""

    def start(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - our own module with a fixed command
            [sys.executable, "-m", "tikhub_app.sandbox", *self._arguments], stdout=subprocess.PIPE, cwd=_PACKAGE_ROOT
        )
        try:
            self.base_url = self._read_ready_line(self._process)
        except SandboxFailed:
            self.stop()
            raise
        return self

    def _read_ready_line(self, process: subprocess.Popen[bytes]) -> str:
        if process.stdout is None:
            raise SandboxFailed("the sandbox has no output")
        deadline = time.monotonic() + self._start_timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                line = process.stdout.readline().decode()
                if line.startswith(_READY):
                    return line.removeprefix(_READY).strip()
                if not line:
                    raise SandboxFailed(f"the sandbox ended at once, with status {process.wait()}")
        raise SandboxFailed(f"the sandbox was not ready within {self._start_timeout_s} s")

    @property
    def pid(self) -> int:
        if self._process is None:
            raise SandboxFailed("the sandbox is not running")
        return self._process.pid

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI's SDK, ``/v1`` included."""
        return f"{self.base_url}/openai/v1"

    @property
    def anthropic_url(self) -> str:
        """The base URL for Anthropic's SDK, without ``/v1``."""
        return f"{self.base_url}/anthropic"

    @property
    def gemini_url(self) -> str:
        """The base URL for Google's SDK, without a version."""
        return f"{self.base_url}/gemini"

    def bill(self, client_request_id: str | None = None) -> list[dict[str, Any]]:
        """The bill's lines in the order of acceptance, see bill.BillLine for their fields."""
        lines = self._ask("GET", "/sandbox/bill")["lines"]
        if client_request_id is not None:
            lines = [line for line in lines if line["client_request_id"] == client_request_id]
        return list(lines)

    def calls(self, limit: int = 100) -> dict[str, Any]:
        """Counts of all calls and, in ``calls``, the last ones as received; see calls.ReceivedCall."""
        return dict(self._ask("GET", f"/sandbox/calls?limit={limit}"))

    def fault(self, name: str, count: int = 1, match: Mapping[str, Any] | None = None, **parameters: Any) -> None:
        """The next ``count`` calls (that match) meet the fault; ``parameters`` as in faults.FaultParameters."""
        order = {"fault": name, "count": count, "match": dict(match or {}), "parameters": parameters}
        self._ask("POST", "/sandbox/faults", order)

    def reset(self) -> None:
        """Forget the bill, the calls and the armed faults."""
        for name in ("bill", "calls", "faults"):
            self._ask("DELETE", f"/sandbox/{name}")

    def _ask(self, method: str, path: str, order: object = None) -> Any:
        connection = http.client.HTTPConnection(self.base_url.removeprefix("http://"), timeout=30)
        try:
            body = None if order is None else wire.compact(order)
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            answer = wire.decode(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            raise SandboxFailed(str(answer))
        return answer

    def stop(self, timeout_s: float = 10.0) -> int | None:
        """End it with SIGTERM and return its exit status; SIGKILL after ``timeout_s``."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            if process.stdout is not None:
                process.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
