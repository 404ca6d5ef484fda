"""What a warm call on the ASGI door does not do: start a thread, ask the database, hop to a thread and back."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import AsyncToSync, SyncToAsync
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from tests.doors.conftest import SANDBOX_KEY
from tests.doors.furnish import secret
from tests.doors.test_answers import CALL, STREAMED
from tikhub_app.asgi import gateway_asgi
from tikhub_app.gateway.core import gateway
from tikhub_app.models import ApiKey, GatewayRequest, Route, Upstream
from tikhub_app.sandbox.process import SandboxProcess

WARM_CALLS = 50


@pytest.fixture
def furnished(transactional_db: None) -> Iterator[SandboxProcess]:
    """This process's own database leads to a sandbox."""
    with SandboxProcess("--require-key", SANDBOX_KEY) as sandbox:
        upstream = Upstream(name="main", provider="openai", base_url=sandbox.openai_url)
        upstream.set_credential(SANDBOX_KEY)
        upstream.save()
        Route.objects.create(pattern="gpt-*", upstream=upstream)
        ApiKey.issue(secret=secret("main"), name="main")
        gateway.configuration.stop()
        try:
            yield sandbox
        finally:
            # Their threads hold connections to a database that is emptied next.
            gateway.writer.stop()
            gateway.configuration.stop()


class Counting:
    """Counts calls of patched functions: all of them, or those from the thread of the event loop."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        self._patch = patch
        self._loop_thread = threading.get_ident()

    def watch(self, owner: Any, name: str, *, anywhere: bool = False) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def counted(*arguments: Any, **keywords: Any) -> Any:
            if anywhere or threading.get_ident() == self._loop_thread:
                self.counts[f"{getattr(owner, '__name__', owner)}.{name}"] += 1
            return original(*arguments, **keywords)

        self._patch.setattr(owner, name, counted)


async def request(body: dict[str, Any]) -> bytes:
    """One call of the ASGI application on this loop."""
    application = gateway_asgi(None)
    content = json.dumps(body).encode()
    messages = [{"type": "http.request", "body": content}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()  # the caller stays
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {"host": "testserver", "content-type": "application/json", "authorization": f"Bearer {secret('main')}"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await application(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return b"".join(message["body"] for message in sent[1:])


def _count_rows() -> int:
    try:
        return GatewayRequest.objects.count()
    finally:
        connection.close()  # this thread's own


async def test_warm_calls_start_no_thread_ask_no_database_and_hop_nowhere(
    furnished: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for body in (CALL, STREAMED, CALL):
        await request(body)
    counting = Counting(monkeypatch)
    counting.watch(threading.Thread, "start", anywhere=True)
    counting.watch(concurrent.futures.ThreadPoolExecutor, "submit", anywhere=True)
    counting.watch(SyncToAsync, "__call__", anywhere=True)
    counting.watch(AsyncToSync, "__call__", anywhere=True)
    counting.watch(asyncio, "to_thread", anywhere=True)
    counting.watch(asyncio.BaseEventLoop, "run_in_executor", anywhere=True)
    counting.watch(BaseDatabaseWrapper, "cursor")
    for name in ("execute", "executemany"):
        counting.watch(CursorWrapper, name)
    for _ in range(WARM_CALLS):
        assert json.loads(await request(CALL))["object"] == "chat.completion"
        assert (await request(STREAMED)).endswith(b"data: [DONE]\n\n")
    assert counting.counts == Counter()
    monkeypatch.undo()
    # The watch itself works.
    counting.watch(asyncio, "to_thread", anywhere=True)
    counting.watch(CursorWrapper, "execute", anywhere=True)
    assert await asyncio.to_thread(_count_rows) >= 2 * WARM_CALLS
    assert set(counting.counts) == {"asyncio.to_thread", "CursorWrapper.execute"}
    await gateway.transport.close()
