"""Details of trying candidates; the trying itself is in test_faults.py, through real servers."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from tests.gateway.views import a_route, an_upstream
from tikhub_app.exceptions import UnsupportedFeature
from tikhub_app.gateway.attempts import find_acceptance, retry_after_s
from tikhub_app.gateway.dialects import DIALECTS, ParsedCall
from tikhub_app.gateway.exchange import Exchange
from tikhub_app.gateway.inbound import InboundCall
from tikhub_app.gateway.ledger import LedgerWriter, RequestRow
from tikhub_app.gateway.routing import RestingUpstreams
from tikhub_app.providers.base import Account, ProviderCall
from tikhub_app.providers.openai import OpenAI
from tikhub_app.upstream.aiohttp_transport import AiohttpTransport
from tikhub_app.upstream.values import UpstreamRequest


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Wed, 01 Jan 2025 00:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue, 31 Dec 2024 23:59:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_the_wait_is_read_in_every_form(headers: dict[str, Any], seconds: float | None) -> None:
    with time_machine.travel("2025-01-01T00:00:00Z", tick=False):
        assert retry_after_s(headers) == seconds


@pytest.mark.parametrize(
    ("body", "is_object"),
    [
        (b'{"error":{}}', True),
        (b"[]", False),
        (b"", False),
        (b"<html>", False),
        (b"\xff", False),
        (b"[" * 99_999, False),
    ],
)
def test_only_a_json_object_is_passed_on(body: bytes, is_object: bool) -> None:
    assert DIALECTS["openai_chat"].is_readable_error(body) is is_object


class Mute(OpenAI):
    def build_request(self, account: Account, call: ProviderCall) -> UpstreamRequest:
        raise UnsupportedFeature("cannot say that")


async def test_what_a_provider_cannot_express_is_a_refused_call_without_an_attempt() -> None:
    """An attempt on the row would mean that the row was begun, and the refusal would never be written."""
    call = InboundCall("openai_chat", "chat", {}, b"{}", "asgi")
    exchange = Exchange(call, DIALECTS["openai_chat"], LedgerWriter(), RequestRow())
    exchange.parsed = ParsedCall("gpt-4o")
    route = a_route("gpt-4o", an_upstream(provider=Mute()))
    with pytest.raises(UnsupportedFeature):
        await find_acceptance(exchange, [route], AiohttpTransport(), RestingUpstreams())
    assert (exchange.row.attempts, exchange.attempt) == ([], None)
