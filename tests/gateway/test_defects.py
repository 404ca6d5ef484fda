"""A defect of our own after the provider was called: the caller is told, the row is closed, the amount flagged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from tikhub_app.gateway.configuration import store
from tikhub_app.gateway.core import Gateway
from tikhub_app.gateway.dialects import DIALECTS
from tikhub_app.gateway.exchange import Exchange
from tikhub_app.gateway.inbound import InboundCall, Reply
from tikhub_app.gateway.ledger import AttemptRow, Finish, LedgerWriter, RequestRow
from tikhub_app.gateway.ledger.rows import ATTEMPT_FINISH, REQUEST_FINISH
from tikhub_app.gateway.relay import StreamRelay
from tikhub_app.providers.base import StreamReader
from tikhub_app.providers.openai_chat_stream import ChatStreamReader

CHUNK = b'data: {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "12345678"}}]}\n\n'


class Books:
    """In the place of the ledger's writer: keeps what would be written."""

    process_id = 1

    def __init__(self) -> None:
        self.finishes: list[Finish] = []

    def first_byte(self, request: RequestRow) -> None:
        pass

    def finish(self, finish: Finish) -> None:
        self.finishes.append(finish)

    def rows(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The one request that was closed, and its one attempt."""
        (finish,) = self.finishes
        (attempt,) = finish.attempts
        request = dict(zip(REQUEST_FINISH, finish.request, strict=False))
        return request, dict(zip(ATTEMPT_FINISH, attempt, strict=False))


def sent(exchange: Exchange) -> Exchange:
    """The exchange as it is after its first try was sent."""
    exchange.attempt = AttemptRow(request_id=exchange.row.id)
    exchange.row.attempts.append(exchange.attempt)
    return exchange


def make_call() -> InboundCall:
    return InboundCall("openai_chat", "chat", {}, b"x" * 400, "asgi")


class DefectiveReader(ChatStreamReader):
    def read_event(self, data: bytes) -> Any:
        if b"2" in data and self.facts().output_characters:
            raise AttributeError("planted")
        return super().read_event(data)


class Answer:
    """An open reply of two chunks."""

    status = 200
    headers: Mapping[str, str] = {}
    is_closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        yield CHUNK
        yield CHUNK

    async def read(self, limit: int) -> bytes:
        return CHUNK * 2

    def close(self) -> None:
        self.is_closed = True


async def test_it_tells_the_caller_of_a_defect_within_a_stream_and_closes_the_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    books, answer = Books(), Answer()
    exchange = sent(Exchange(make_call(), DIALECTS["openai_chat"], cast(LedgerWriter, books), RequestRow()))
    reader: StreamReader = DefectiveReader(keeps_usage=False, text_limit=0)
    relay = StreamRelay(exchange, answer, reader)

    with caplog.at_level(logging.CRITICAL, "tikhub_app.gateway.relay"):
        await relay.open()
        told = [piece async for piece in relay]

    assert told[0] == CHUNK
    assert told[1].startswith(b'data: {"error":')
    assert len(told) == 2
    request, attempt = books.rows()
    assert (request["status"], attempt["status"]) == ("failed", "failed")
    assert (attempt["usage_source"], attempt["input_uncached"], attempt["output_visible"]) == ("estimated", 100, 2)
    assert answer.is_closed


class DefectiveGateway(Gateway):
    async def _answer(self, exchange: Exchange) -> Reply:
        sent(exchange)
        await asyncio.sleep(0)
        raise AttributeError("planted")


async def test_it_books_a_call_that_a_defect_broke_off_as_an_estimate(caplog: pytest.LogCaptureFixture) -> None:
    books = Books()

    with caplog.at_level(logging.CRITICAL, "tikhub_app.gateway.core"):
        reply = await DefectiveGateway(store, cast(LedgerWriter, books)).handle(make_call())

    assert reply.status == 500
    request, attempt = books.rows()
    assert (request["status"], request["http_status"], attempt["status"]) == ("failed", 500, "failed")
    assert (attempt["usage_source"], attempt["input_uncached"]) == ("estimated", 100)
    assert (request["usage_source"], request["input_tokens"]) == ("estimated", 100)


async def test_it_closes_the_row_of_a_drained_call_that_meets_a_defect(caplog: pytest.LogCaptureFixture) -> None:
    books = Books()
    gateway = DefectiveGateway(store, cast(LedgerWriter, books))
    call = make_call()
    exchange = gateway._open(call)
    task = asyncio.create_task(gateway._answer(exchange))

    with caplog.at_level(logging.CRITICAL, "tikhub_app.gateway.core"):
        await gateway._drain(exchange, task)

    request, attempt = books.rows()
    assert (request["status"], request["departure"]) == ("client_gone", "drained")
    assert attempt["usage_source"] == "estimated"
