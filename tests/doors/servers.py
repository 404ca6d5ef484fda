"""Real servers in processes of their own, one for each way in."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.doors.ledger import Ledger
from tests.services import REPOSITORY, find_free_port

UVICORN = ("-m", "uvicorn", "{app}", "--port", "{port}", "--loop", "uvloop", "--http", "httptools", "--ws", "none")
UVICORN_QUIET = ("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "20")
GUNICORN = ("-m", "gunicorn", "{app}", "--bind", "127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "8")
GUNICORN_QUIET = ("--no-control-socket", "--graceful-timeout", "20", "--log-level", "warning")
RUNSERVER = ("manage.py", "runserver", "127.0.0.1:{port}", "--noreload", "--skip-checks")


@dataclass(frozen=True, slots=True)
class Kind:
    """A door on a server."""

    name: str
    #: As the row names it.
    door: str
    command: tuple[str, ...]
    app: str = ""
    #: Whether the server tells the application that a caller has left, or the application has to find out by writing.
    reports_departure: bool = True
    database: str = "sqlite"


ASGI = Kind("asgi-uvicorn", "asgi", UVICORN + UVICORN_QUIET, "project.asgi:application")
ASGI_POSTGRES = Kind("asgi-uvicorn-postgres", "asgi", ASGI.command, ASGI.app, database="postgres")
DJANGO_UVICORN = Kind("django-uvicorn", "django", UVICORN + UVICORN_QUIET, "project.asgi:django_application")
DJANGO_GUNICORN = Kind(
    "django-gunicorn", "django", GUNICORN + GUNICORN_QUIET, "project.wsgi:application", reports_departure=False
)
DJANGO_RUNSERVER = Kind("django-runserver", "django", RUNSERVER, reports_departure=False)

KINDS = (ASGI, ASGI_POSTGRES, DJANGO_UVICORN, DJANGO_GUNICORN, DJANGO_RUNSERVER)


class DoorServer:
    """A running server; ``stop`` or the end of a ``with`` ends it with SIGTERM."""

    def __init__(
        self,
        kind: Kind,
        database_url: str,
        log: Path,
        *options: str,
        settings: str = "tests.doors.settings",
        ready_path: str = "/healthz",
    ) -> None:
        self.kind = kind
        self._ready_path = ready_path
        self.port = find_free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ledger = Ledger(database_url)
        self.log = log
        self.database_url = database_url
        self._command = [part.format(app=kind.app, port=self.port) for part in (*kind.command, *options)]
        self._environment: Mapping[str, str] = os.environ | {
            "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": settings,
            "TIKHUB_VAR_DIR": str(log.parent),
            "PYTHONUNBUFFERED": "1",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, within_s: float = 60.0) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._command], cwd=REPOSITORY, env=self._environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + within_s
        while not self._answers(self._ready_path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"{self.kind.name} did not start:\n{self.log.read_text()}")
            time.sleep(0.05)
        return self

    def _answers(self, path: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def terminate(self) -> None:
        """Ask it to stop, and return at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def stop(self, within_s: float = 30.0) -> int | None:
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.terminate()
        try:
            return process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def resident_bytes(self) -> int:
        """Memory of the server and its workers."""
        assert self.process is not None
        return sum(_resident_bytes(pid) for pid in _family(self.process.pid))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.stop()


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
