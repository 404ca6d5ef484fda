"""The sandbox as a server: routes, socket, signals."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from tikhub_app.sandbox.control_api import ControlApi
from tikhub_app.sandbox.exchange import Exchange
from tikhub_app.sandbox.settings import SandboxSettings
from tikhub_app.sandbox.state import Sandbox
from tikhub_app.sandbox.vendors import Vendor
from tikhub_app.sandbox.vendors.base import Operation

MAX_BODY_BYTES = 64 * 1024 * 1024
BACKLOG = 4096
STOP_S = 1.0  # what open streams get before they are cut
PARENT_CHECK_S = 0.5

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(sandbox: Sandbox) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes(ControlApi(sandbox).routes())
    for vendor in sandbox.vendors:
        for operation in vendor.operations():
            handler = _handler(sandbox, vendor, operation)
            app.router.add_route(operation.method, vendor.prefix + operation.path, handler)
        # Everything else below the prefix, wrong methods included, is refused in the vendor's own words.
        app.router.add_route("*", vendor.prefix + "/{unknown:.*}", _handler(sandbox, vendor, None))
    return app


def _handler(sandbox: Sandbox, vendor: Vendor, operation: Operation | None) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await Exchange(sandbox, vendor, operation, request).run()

    return handle


async def serve(settings: SandboxSettings, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, or until the parent ends where that was asked for.

    ``on_ready`` is called with the base URL once connections are accepted.
    """
    sandbox = Sandbox(settings)
    # Cancellation is how a handler learns, between two chunks, that its client has left.
    runner = web.AppRunner(build_app(sandbox), handler_cancellation=True, access_log=None, shutdown_timeout=STOP_S)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    parent = settings.parent_pid
    watch = asyncio.create_task(_watch_parent(parent, stop)) if parent is not None else None
    await runner.setup()
    try:
        listener = _listen(settings.host, settings.port)
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        on_ready(f"http://{host}:{listener.getsockname()[1]}")
        await stop.wait()
    finally:
        sandbox.stopping = True
        if watch is not None:
            watch.cancel()
        await runner.cleanup()
        sandbox.bill.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


async def _watch_parent(parent: int, stop: asyncio.Event) -> None:
    """A killed test run must not leave its sandbox behind."""
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel sends no event for it
        await asyncio.sleep(PARENT_CHECK_S)
    stop.set()
