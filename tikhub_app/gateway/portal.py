"""One event loop in a thread of its own, for callers that have none: WSGI servers and synchronous Python.

Started by its first call, forgotten in a forked child (which starts its own), stopped when the process ends.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from tikhub_app.gateway.core import gateway

T = TypeVar("T")


class Portal:
    """Thread-safe. ``before_stop`` runs on the loop just before it ends."""

    def __init__(self, before_stop: Callable[[], Awaitable[object]]) -> None:
        self._before_stop = before_stop
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._portal: BlockingPortal | None = None

    def call(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run a coroutine function on the loop and wait for what it returns or raises."""
        future = self._running().start_task_soon(function, *arguments)
        try:
            return future.result()
        except BaseException:
            # Interrupted while waiting (a server that gives this thread up): nobody wants the answer any more. Where
            # the call itself has failed this does nothing.
            future.cancel()
            raise

    def _running(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                # Not anyio's start_blocking_portal: what it leaves in this thread stops the portal when it is
                # collected, and waits for ever where that happens in a forked child.
                started: Future[BlockingPortal] = Future()
                self._thread = threading.Thread(target=_run, args=(started,), name="tikhub-portal", daemon=True)
                self._thread.start()
                self._portal = started.result()
            return self._portal

    def stop(self) -> None:
        """Cancel what still runs and end the thread; a later call starts another one."""
        with self._lock:
            portal, self._portal = self._portal, None
            thread, self._thread = self._thread, None
        if portal is not None and thread is not None:
            portal.call(self._before_stop)
            portal.call(portal.stop, True)
            thread.join()

    def forget(self) -> None:
        """Begin anew: after a fork, the parent's thread is not in this process."""
        self._lock = threading.Lock()
        self._thread = self._portal = None


def _run(started: Future[BlockingPortal]) -> None:
    async def serve() -> None:
        async with BlockingPortal() as portal:
            started.set_result(portal)
            await portal.sleep_until_stopped()

    try:
        anyio.run(serve, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


portal = Portal(gateway.transport.close)
os.register_at_fork(after_in_child=portal.forget)
# Runs before the ledger's own last flush, which was registered earlier and so comes later.
atexit.register(portal.stop)
