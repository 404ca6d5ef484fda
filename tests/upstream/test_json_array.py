"""Cutting a growing JSON array into its elements: the same ones however the bytes arrive, and not one byte changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tikhub_app.upstream.json_array import SEPARATOR, ArraySplitter, element_data
from tikhub_app.upstream.sse import EventTooLarge

SPACE = st.text(" \t\r\n", max_size=3)
#: Strings with everything that has a meaning in JSON, or takes several bytes.
TEXTS = st.text(st.sampled_from('"\\{}[],: é🙂\u2028\n'), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[bytes, list[dict[str, Any]]]:
    """An array with any white space between its elements, and what it holds."""
    elements = draw(st.lists(OBJECTS, max_size=4))
    written = [
        json.dumps(element, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 2])))
        for element in elements
    ]
    text = draw(SPACE) + "[" + draw(SPACE)
    for number, element in enumerate(written):
        text += ("," + draw(SPACE) if number else "") + element + draw(SPACE)
    return (text + "]" + draw(SPACE)).encode(), elements


def split(stream: bytes, positions: list[int]) -> list[bytes]:
    splitter, pieces = ArraySplitter(limit=10_000), []
    for start, end in zip([0, *positions], [*positions, len(stream)], strict=True):
        pieces += splitter.feed(stream[start:end])
    assert splitter.is_closed
    return [*pieces, splitter.rest()]


@given(array=arrays(), data=st.data())
def test_any_split_gives_the_same_elements(array: tuple[bytes, list[dict[str, Any]]], data: st.DataObject) -> None:
    stream, elements = array
    positions = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    pieces = split(stream, positions)
    assert b"".join(pieces) == stream
    assert [json.loads(found) for piece in pieces if (found := element_data(piece))] == elements
    assert pieces == split(stream, []) == split(stream, list(range(1, len(stream))))


@given(array=arrays(), data=st.data())
def test_an_array_that_is_cut_short_is_never_closed(
    array: tuple[bytes, list[dict[str, Any]]], data: st.DataObject
) -> None:
    stream = array[0].rstrip(b" \t\r\n")[:-1]
    end = data.draw(st.integers(0, len(stream)))
    splitter = ArraySplitter(limit=10_000)
    pieces = splitter.feed(stream[:end])
    assert not splitter.is_closed
    for piece in pieces:
        json.loads(element_data(piece))


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=4).map(sorted))
def test_bytes_that_are_no_array_are_refused_and_raise_nothing_else(noise: bytes, positions: list[int]) -> None:
    splitter = ArraySplitter(limit=10_000)
    try:
        for start, end in zip([0, *positions], [*positions, len(noise)], strict=True):
            splitter.feed(noise[start:end])
        splitter.rest()
    except ValueError:
        return
    assert splitter.is_closed or b"}" in noise or not noise.strip(b" \t\r\n")


def test_an_element_is_given_out_as_soon_as_it_is_whole() -> None:
    splitter = ArraySplitter(limit=100)
    assert splitter.feed(b'[{\n "a": "}') == []
    assert splitter.feed(b'"}') == [b'[{\n "a": "}"}']
    assert splitter.feed(b"\n" + SEPARATOR + b'{"b": 1') == []
    assert splitter.feed(b"}\n]") == [b'\n,\r\n{"b": 1}', b"\n]"]
    assert splitter.is_closed
    assert splitter.rest() == b""


def test_an_object_in_place_of_the_array_is_its_only_element() -> None:
    splitter = ArraySplitter(limit=100)
    assert splitter.feed(b'{"error": {"code": 500}}\n') == [b'{"error": {"code": 500}}']
    assert splitter.is_closed
    assert splitter.rest() == b"\n"


@pytest.mark.parametrize(
    ("stream", "given_out"),
    [
        (b"<html>", []),
        (b"[1, 2]", []),
        (b'[{"a":1} {"b":2}]', [b'[{"a":1}']),
        (b'[{"a":1},]', [b'[{"a":1}']),
        (b'[{"a":1}],', [b'[{"a":1}', b"]"]),
        (b"data: {}\n\n", []),
    ],
)
def test_what_came_before_a_fault_is_given_out_first(stream: bytes, given_out: list[bytes]) -> None:
    splitter = ArraySplitter(limit=100)
    if given_out:
        assert splitter.feed(stream) == given_out
    with pytest.raises(ValueError, match="not a JSON array"):
        splitter.feed(stream if not given_out else b"")


@pytest.mark.parametrize("stream", [b'[{"a":', b'[{"a":1},', b'[{"a":"\\', b'[{"a":1}, {'])
def test_a_stream_that_ends_within_an_element_is_told_from_one_between_two(stream: bytes) -> None:
    splitter = ArraySplitter(limit=100)
    splitter.feed(stream)
    with pytest.raises(ValueError, match="ends within an element"):
        splitter.rest()
    between = ArraySplitter(limit=100)
    between.feed(b'[{"a":1}\n')
    assert between.rest() == b"\n"
    assert not between.is_closed


def test_an_element_beyond_the_limit_is_refused_and_many_small_ones_are_not() -> None:
    with pytest.raises(EventTooLarge):
        ArraySplitter(limit=10).feed(b'[{"a":"0123456789"')
    small = b"[" + b",".join([b'{"a":1}'] * 50) + b"]"
    assert len(ArraySplitter(limit=10).feed(small)) == 51
