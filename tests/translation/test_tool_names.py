from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tikhub_app.translation.chat_messages import CallIds
from tikhub_app.translation.tool_names import ToolNames

ALLOWED = re.compile(r"[A-Za-z0-9_-]+")


@given(st.sets(st.text(min_size=1, max_size=90), max_size=8))
def test_every_name_comes_back_and_goes_out_in_the_providers_alphabet(names: set[str]) -> None:
    both_ways = ToolNames(names, allowed=ALLOWED)
    for name in names:
        sent = both_ways.outgoing(name)
        assert ALLOWED.fullmatch(sent)
        assert len(sent) <= 64
        assert both_ways.original(sent) == name


def test_a_name_that_is_admitted_is_kept() -> None:
    assert ToolNames([], allowed=ALLOWED).outgoing("get_weather-2") == "get_weather-2"
    assert ToolNames([], allowed=ALLOWED).original("never_sent") == "never_sent"


def test_a_replaced_name_can_still_be_read() -> None:
    assert re.fullmatch(r"weather_today_[0-9a-f]{10}", ToolNames([], allowed=ALLOWED).outgoing("weather.today"))


@given(st.text(min_size=1))
def test_every_call_id_comes_back(call_id: str) -> None:
    ids = CallIds(ALLOWED)
    sent = ids.outgoing(call_id)
    assert ALLOWED.fullmatch(sent)
    assert ids.original(sent) == call_id
