"""Cutting a provider's stream where the network has not: what comes together is still told apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from tikhub_app.exceptions import UpstreamInvalidResponse
from tikhub_app.gateway.dialects import DIALECTS
from tikhub_app.gateway.exchange import Exchange
from tikhub_app.gateway.inbound import InboundCall
from tikhub_app.gateway.ledger import LedgerWriter, RequestRow
from tikhub_app.gateway.relay import StreamRelay
from tikhub_app.models import CallStatus
from tikhub_app.providers.openai_chat_stream import ChatStreamReader

FIRST = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Air"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
GARBAGE = b'data: {"id": nope\n\n'


class Reads:
    """A reply whose body comes in these reads; after the last one the provider says nothing and does not end."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, *reads: bytes, ends: bool = True) -> None:
        self._reads = reads
        self._ends = ends

    async def read(self, limit: int) -> bytes:
        raise NotImplementedError

    async def chunks(self) -> AsyncIterator[bytes]:
        for data in self._reads:
            yield data
        if not self._ends:
            await asyncio.Event().wait()

    def close(self) -> None: ...


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Exchange:
    monkeypatch.setattr(LedgerWriter, "finish", lambda *_: None)
    call = InboundCall("openai_chat", "chat", {}, b"{}", "asgi")
    return Exchange(call, DIALECTS["openai_chat"], LedgerWriter(), RequestRow())


def open_relay(exchange: Exchange, reply: Reads) -> StreamRelay:
    return StreamRelay(exchange, reply, ChatStreamReader(keeps_usage=True, text_limit=0))


async def test_events_that_come_together_with_garbage_are_passed_on_before_the_error(exchange: Exchange) -> None:
    relay = open_relay(exchange, Reads(FIRST, TEXT + TEXT + GARBAGE + TEXT))
    await relay.open()
    received = [data async for data in relay]
    assert received[:2] == [FIRST, TEXT + TEXT]
    assert b"upstream_invalid_response" in received[2]
    assert len(received) == 3
    assert exchange.row.status == CallStatus.FAILED


async def test_garbage_that_comes_together_with_the_first_event_is_an_http_error(exchange: Exchange) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        await open_relay(exchange, Reads(FIRST + GARBAGE)).open()


@pytest.mark.parametrize("reads", [(FIRST + TEXT + STOP + DONE,), (FIRST, TEXT + STOP + DONE)], ids=["one", "two"])
async def test_the_terminator_ends_the_stream_although_the_provider_stays(
    exchange: Exchange, reads: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tikhub_app.gateway.relay.END_OF_BODY_S", 0.01)
    relay = open_relay(exchange, Reads(*reads, ends=False))
    await relay.open()
    async with asyncio.timeout(5):
        received = b"".join([data async for data in relay])
    assert received == FIRST + TEXT + STOP + DONE
    assert exchange.row.status == CallStatus.DONE
