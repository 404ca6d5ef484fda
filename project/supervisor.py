"""``make run``: prepares the database, starts web server, background cluster and sandbox, and keeps them running.

``python -m project.supervisor`` is one thread that starts processes and watches them. Ctrl-C or SIGTERM stops all of
them in order; a second Ctrl-C does not wait. Should the supervisor be killed, its children end with it (on Linux).
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import IO

from django.core.exceptions import ImproperlyConfigured

from project.environment import REPOSITORY, Environment
from project.greeting import greeting
from project.prepare import ADMINISTRATOR, Prepared
from project.processes import Child, stop_all

#: How long the web process may take to become ready before the reason is shown.
READY_WITHIN_S = 60.0
#: How long running calls may go on after SIGTERM; streams that take longer are cut off.
DRAIN_S = 20
TICK_S = 0.1


class CannotStart(Exception):
    """The service cannot be started as asked; the message says what to change."""


class Supervisor:
    """Owns the processes of one running service."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.stops_asked = 0
        self.has_greeted = False

    def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # What the caller had ignored stays ignored: that is how nohup works.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._ask_to_stop)
        with self._lock():
            self._require_ports()
            prepared = self._prepare()
            if prepared is not None:
                self._serve(prepared)
        say("stopped")

    def _serve(self, prepared: Prepared) -> None:
        web, others = self._web(), [self._worker(), *self._sandbox()]
        try:
            self._watch([web, *others], prepared)
        finally:
            # The web process first: calls that still run may need the others until they have ended.
            stop_all([web], DRAIN_S + 5, self._insists)
            stop_all(others, 10, self._insists)
            if prepared.admin_password and not self.has_greeted:
                # It is stored nowhere, so this is the only time that it can be told.
                say(f"the console's user {ADMINISTRATOR} was made with the password {prepared.admin_password}")

    # The processes

    def _web(self) -> Child:
        options = ["--host", self.environment.host.strip("[]"), "--port", str(self.environment.port)]
        options += ["--loop", "uvloop", "--http", "httptools", "--ws", "none", "--no-server-header"]
        # A request line may hold a key in its query string, so it is never logged.
        options += ["--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", str(DRAIN_S)]
        return self._child("web", "-m", "uvicorn", "project.asgi:application", *options)

    def _worker(self) -> Child:
        # The cluster asks the database all the time, so it keeps its connections. The web process cannot: ASGI gives
        # every request of the console a thread of its own, and connections belong to threads.
        return self._child("worker", "manage.py", "qcluster", DATABASE_CONN_MAX_AGE="60")

    def _sandbox(self) -> list[Child]:
        if not self.environment.sandbox:
            return []
        # The pace of a quick model, so that a stream looks like one.
        options = ("--pace-ms", "15", "--first-byte-ms", "150", "--parent-pid", str(os.getpid()))
        return [
            self._child("sandbox", "-m", "tikhub_app.sandbox", "--port", str(self.environment.sandbox_port), *options)
        ]

    def _child(self, name: str, *arguments: str, **variables: str) -> Child:
        return Child(name, [sys.executable, *arguments], child_environment() | variables, report=say)

    # The run

    def _lock(self) -> IO[str]:
        """Hold ``var/supervisor.lock``, so that one database has one supervisor; it is let go when closed."""
        self.environment.var_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Opened for appending, because the number of the one who holds it must stay readable.
        lock = (self.environment.var_dir / "supervisor.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise CannotStart(f"it already runs on {self.environment.var_dir} (process {holder})") from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        return lock

    def _require_ports(self) -> None:
        require_port("PORT", self.environment.host.strip("[]"), self.environment.port)
        if self.environment.sandbox:
            require_port("SANDBOX_PORT", "127.0.0.1", self.environment.sandbox_port)

    def _prepare(self) -> Prepared | None:
        """Bring the database up to date; None when it had to be broken off."""
        say("preparing the database")
        command = [sys.executable, "-m", "project.prepare"]
        # A group of its own, so that Ctrl-C does not tear a migration off in the middle.
        preparing = subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=REPOSITORY, env=child_environment(), process_group=0
        )
        while True:
            try:
                printed, _ = preparing.communicate(timeout=TICK_S)
                break
            except subprocess.TimeoutExpired:
                if self._insists():
                    preparing.kill()
        if self._insists():
            return None
        if preparing.returncode != 0:
            raise CannotStart("the database could not be prepared; the reason stands above")
        return Prepared(**json.loads(printed))

    def _watch(self, children: Sequence[Child], prepared: Prepared) -> None:
        """Keep the children alive until asked to stop, and greet once the service answers."""
        patience_ends = time.monotonic() + READY_WITHIN_S
        while not self.stops_asked:
            for child in children:
                child.keep_alive()
            if not self.has_greeted:
                problem = readiness_problem(self.environment)
                if problem is None:
                    self.has_greeted = True
                    sys.stdout.write(greeting(self.environment, prepared))
                    sys.stdout.flush()
                elif time.monotonic() > patience_ends:
                    say(f"not ready after {READY_WITHIN_S:g} s: {problem}")
                    patience_ends = time.monotonic() + READY_WITHIN_S
            time.sleep(TICK_S)

    def _insists(self) -> bool:
        return self.stops_asked > 1

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stops_asked += 1
        if self.stops_asked == 1:
            say("stopping; once more to stop at once")


def child_environment() -> dict[str, str]:
    """What every process of the service is given: the supervisor's own environment, and this project's settings."""
    return dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONUNBUFFERED": "1"}


def require_port(variable: str, host: str, port: int) -> None:
    """Raise CannotStart where ``host:port`` cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the server does it: a port whose last connections are still being closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"cannot listen on {host} port {port} ({error.strerror}); choose another: {variable}=... make run"
            ) from error


def readiness_problem(environment: Environment) -> str | None:
    """Why the service is not ready yet, or None when it is."""
    address = environment.local_url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(2000).decode("utf-8", "replace")
        if answer.status != http.HTTPStatus.OK:
            return f"/readyz answers {answer.status}: {body}"
        if environment.sandbox:
            socket.create_connection(("127.0.0.1", environment.sandbox_port), timeout=5).close()
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    finally:
        connection.close()
    return None


def say(text: str) -> None:
    """A line to the terminal, apart from the processes' own logs."""
    try:
        sys.stderr.write(f"tikhub: {text}\n")
        sys.stderr.flush()
    except OSError:
        pass  # the terminal is gone, which must not keep the processes from being stopped


def main() -> int:
    try:
        Supervisor(Environment.read(os.environ)).run()
    except (CannotStart, ImproperlyConfigured) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
