"""One web process of the standalone service, started as ``make run`` starts it, to be killed and started again."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.services import REPOSITORY, find_free_port

READY_WITHIN_S = 90.0
#: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
PR_SET_PDEATHSIG = 1
OPTIONS = (
    "--loop", "uvloop", "--http", "httptools", "--ws", "none", "--no-server-header", "--no-access-log",
    "--log-level", "warning", "--timeout-graceful-shutdown", "10",
)  # fmt: skip


class WebServer:
    """A uvicorn process with the ASGI door on a port of its own; what it prints goes to ``log``."""

    def __init__(self, log: Path) -> None:
        self.port = find_free_port()
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "project.asgi:application", "--port", str(self.port), *OPTIONS]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent
            )

    async def listens(self) -> None:
        """Return once connections are accepted, which is after the start of the application.

        :raises RuntimeError: it ended, or took too long.
        """
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                if self._running.poll() is not None or asyncio.get_running_loop().time() > deadline:
                    raise RuntimeError(f"the web process did not start; see {self.log}") from error
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

    def kill(self) -> int:
        """``kill -9``; returns the id that the process had."""
        process = self._running
        process.kill()
        if process.wait() != -signal.SIGKILL:
            raise RuntimeError(f"the web process had ended by itself; see {self.log}")
        return process.pid

    def stop(self) -> None:
        """SIGTERM; SIGKILL where that is not enough."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the web process was not started")
        return self._process


_parent = os.getpid()
_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """Run between fork and exec: a killed run must not leave its servers behind."""
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != _parent:
            os._exit(1)
