"""A stream passes byte for byte however it was cut, but for the one event that only the gateway had asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tikhub_app.gateway import metrics
from tikhub_app.gateway.attempts import PassedOn
from tikhub_app.gateway.dialects import DIALECTS
from tikhub_app.gateway.exchange import Exchange
from tikhub_app.gateway.inbound import InboundCall
from tikhub_app.gateway.ledger import AttemptRow, Finish, LedgerWriter, RequestRow
from tikhub_app.gateway.relay import StreamRelay
from tikhub_app.providers.openai_chat_stream import ChatStreamReader


class Books(LedgerWriter):
    """A ledger that keeps what it is told to write."""

    def __init__(self) -> None:
        super().__init__()
        self.finished: list[Finish] = []

    def finish(self, finish: Finish) -> None:
        self.finished.append(finish)

    def first_byte(self, request: RequestRow) -> None:
        assert request.status == "streaming"


class Pieces:
    """A reply whose body arrives in these pieces."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.is_closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(0)
            yield piece

    async def read(self, limit: int) -> bytes:
        return b"".join(self._pieces)

    def close(self) -> None:
        self.is_closed = True


class Relayed:
    """One stream relayed to its end, or to its ``leave_after``-th piece."""

    def __init__(self, pieces: list[bytes], *, keeps_usage: bool = False, leave_after: int | None = None) -> None:
        self.reply, self.books = Pieces(pieces), Books()
        call = InboundCall("openai_chat", "chat", {}, b"{}", "asgi")
        self.exchange = Exchange(call, DIALECTS["openai_chat"], self.books, RequestRow())
        self.exchange.attempt = AttemptRow(provider="openai")
        self.exchange.row.attempts.append(self.exchange.attempt)
        self.body = b""
        metrics.call_started()
        reader = ChatStreamReader(keeps_usage=keeps_usage, text_limit=100)
        asyncio.run(self._relay(reader, leave_after))

    async def _relay(self, reader: ChatStreamReader, leave_after: int | None) -> None:
        relay = StreamRelay(self.exchange, self.reply, reader)
        try:
            await relay.open()
            number = 0
            async for data in relay:
                self.body += data
                number += 1
                if number == leave_after:
                    break
        finally:
            await relay.aclose()

    @property
    def row(self) -> RequestRow:
        assert len(self.books.finished) == 1
        return self.exchange.row


def event(content: str, line_end: str = "\n", **fields: Any) -> bytes:
    chunk = {"model": "m", "choices": [{"index": 0, "delta": {"content": content}, **fields}]}
    return f"data: {json.dumps(chunk, ensure_ascii=False)}{line_end * 2}".encode()


def usage_only(line_end: str = "\n") -> bytes:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return f"data: {json.dumps({'choices': [], 'usage': usage})}{line_end * 2}".encode()


def cut(stream: bytes, positions: list[int]) -> list[bytes]:
    return [stream[start:end] for start, end in zip([0, *positions], [*positions, len(stream)], strict=True)]


@settings(deadline=None)  # times are not asserted here
@given(
    texts=st.lists(st.sampled_from(["a", "b", "é", "🙂🙂", "\u2028"]), min_size=1, max_size=5),
    line_end=st.sampled_from(["\n", "\r\n"]),
    keeps_usage=st.booleans(),
    data=st.data(),
)
def test_any_cut_gives_the_same_bytes_and_the_same_books(
    texts: list[str], line_end: str, keeps_usage: bool, data: st.DataObject
) -> None:
    before = b"".join(event(text, line_end) for text in texts) + event("", line_end, finish_reason="stop")
    done = f"data: [DONE]{line_end * 2}".encode()
    stream = before + usage_only(line_end) + done
    positions = data.draw(st.lists(st.integers(1, len(stream) - 1), max_size=20).map(sorted))

    relayed = Relayed(cut(stream, positions), keeps_usage=keeps_usage)

    assert relayed.body == (stream if keeps_usage else before + done)
    row = relayed.row
    assert (row.status, row.error_code, row.response_bytes) == ("done", "", len(relayed.body))
    assert (row.input_uncached, row.output_visible, row.usage_source) == (3, 4, "provider")
    assert relayed.reply.is_closed


def test_events_of_equal_length_are_not_taken_for_the_piece_that_completed_them() -> None:
    """A piece that holds the end of one event and the beginning of the next can be as long as an event is."""
    stream = event("a") + event("b") + event("c") + event("", finish_reason="stop") + b"data: [DONE]\n\n"
    length = len(event("a"))
    assert Relayed(cut(stream, [length - 1, 2 * length - 1, 3 * length - 1])).body == stream


@pytest.mark.parametrize("together", [False, True])
def test_an_error_before_anything_was_sent_is_the_providers_own(together: bool) -> None:
    error = b'{"error":{"message":"overloaded","type":"server_error","code":503}}'
    pieces = [b": ping\n\n" + event("a") + b"data: " + error + b"\n\n"] if together else [b"data: " + error + b"\n\n"]
    with pytest.raises(PassedOn) as caught:
        Relayed(pieces)
    assert (caught.value.status, caught.value.body) == (503, error)


def test_a_stream_without_its_terminator_ends_well_where_every_choice_has_finished() -> None:
    whole = [event("a"), event("", finish_reason="stop")]
    assert Relayed(whole).body == b"".join(whole)
    assert Relayed(whole).row.status == "done"
    cut_short = Relayed(whole[:1])
    assert cut_short.body.startswith(whole[0] + b'data: {"error":')
    assert (cut_short.row.status, cut_short.row.error_code) == ("failed", "upstream_invalid_response")


def test_a_caller_that_leaves_is_on_the_row_and_lets_the_provider_go() -> None:
    relayed = Relayed([event("a"), event("bcde"), event("f")], leave_after=2)
    row = relayed.row
    assert (row.status, row.departure, row.usage_source) == ("client_gone", "cancelled", "estimated")
    assert row.response_bytes == len(relayed.body)
    assert relayed.reply.is_closed


def test_a_caller_that_leaves_after_the_terminator_has_had_its_answer() -> None:
    whole = event("a") + event("", finish_reason="stop") + b"data: [DONE]\n\n"
    relayed = Relayed([whole, b": trailing\n\n"], leave_after=1)
    assert (relayed.row.status, relayed.row.departure) == ("done", "")
