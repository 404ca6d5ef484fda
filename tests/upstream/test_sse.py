"""Cutting bytes into events: the same events however the bytes arrive, and not one byte changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tikhub_app.upstream.sse import EventSplitter, EventTooLarge, event_data

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.sampled_from(
    [b"data: one", b"data:two", b"data:  x", "data: é→🙂".encode(), b": ping", b"event: e", b"id: 3"]
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Events of any line ends, mixed ones included, with and without a separator behind the last."""
    parts = []
    style = draw(st.none() | LINE_ENDS)
    for lines in draw(st.lists(st.lists(LINES, min_size=1, max_size=3), max_size=5)):
        for line in [*lines, b""]:
            parts += [line, style or draw(LINE_ENDS)]
    tail = draw(st.sampled_from([b"", b"data: cut", b"data: [DONE]\n", b"\n"]))
    return b"".join(parts) + tail


def data_by_the_standard(stream: bytes) -> list[bytes]:
    """Data of each event, as the standard's own line-wise algorithm finds it; an unfinished event counts too."""
    found: list[bytes] = []
    lines: list[bytes] = []
    for line in [*stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
        elif not line and lines:
            found.append(b"\n".join(lines))
            lines = []
    return found


def split(stream: bytes, positions: list[int]) -> list[bytes]:
    splitter, events = EventSplitter(limit=10_000), []
    for start, end in zip([0, *positions], [*positions, len(stream)], strict=True):
        events += splitter.feed(stream[start:end])
    return [*events, rest] if (rest := splitter.rest()) else events


@settings(deadline=None)  # times are not asserted here
@given(stream=streams(), data=st.data())
def test_any_split_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    events = split(stream, positions)
    assert b"".join(events) == stream
    assert [found for event in events if (found := event_data(event))] == data_by_the_standard(stream)
    assert events == split(stream, []) == split(stream, list(range(1, len(stream))))


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"data: a\n\n", b"data: b\n\n"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"data: a\r\n\r\n", b"data: b\r\n\r\n"]),
        (b"data: a\r\rdata: b\r\r", [b"data: a\r\r", b"data: b\r\r"]),
        (b"data: a\n\ndata: b", [b"data: a\n\n", b"data: b"]),
        (b"", []),
    ],
)
def test_events_keep_their_separators(stream: bytes, events: list[bytes]) -> None:
    assert split(stream, []) == events


def test_an_event_is_given_out_as_soon_as_its_separator_is_there() -> None:
    splitter = EventSplitter(limit=100)
    assert splitter.feed(b"data: a\n") == []
    assert splitter.feed(b"\n") == [b"data: a\n\n"]
    assert splitter.feed(b"data: b\r\n\r") == []
    assert splitter.feed(b"\n") == [b"data: b\r\n\r\n"]


def test_an_event_beyond_the_limit_is_refused_and_many_small_ones_are_not() -> None:
    splitter = EventSplitter(limit=100)
    assert len(splitter.feed(b"data: a\n\n" * 1_000)) == 1_000
    splitter.feed(b"data: " + b"x" * 94)
    with pytest.raises(EventTooLarge):
        splitter.feed(b"x")


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\rdata: b\n\n", b"a\nb"),
        (b"event: x\r\ndata: a\r\n\r\n", b"a"),
        (b"event: x\ndata: a\n\n", b"a"),
        (b"event: x\ndata: a\ndata: b\n\n", b"a\nb"),
        (b"event: x\nid: 1\ndata: a\n\n", b"a"),
        (b"event: x\n\n", b""),
        (b": ping\n\n", b""),
        ("data: a\u2028b\u0085c\n\n".encode(), "a\u2028b\u0085c".encode()),
        (b"data: a", b"a"),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes) -> None:
    assert event_data(event) == data
