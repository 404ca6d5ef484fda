"""Editing one member of a request: the bytes of every other value stay as the caller wrote them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tikhub_app.providers.json_body import replace_members

#: Values that a parser would give back in another form.
WRITTEN = [
    b"1.10",
    b"1e2",
    b"1E+400",
    b"-0.0",
    b"123456789012345678901234567890",
    rb'"\u00e9\/\ud83d\ude00"',
    '"é🙂\u2028"'.encode(),
    b'{"b" : 1,"a":2 ,\n"b":3}',
    b"[ 1,\t2 ]",
    b"[]",
    b"null",
    b'""',
]


@pytest.mark.parametrize("value", WRITTEN)
def test_other_values_keep_their_bytes(value: bytes) -> None:
    body = b'{"model":"gpt-4o", "kept" : ' + value + b' ,"n":1}'
    assert replace_members(body, {"model": "gpt-4.1"}) == b'{"model":"gpt-4.1","kept":' + value + b',"n":1}'


def test_members_are_added_replaced_and_taken_out() -> None:
    body = b'{"a":1,"b":2,"c":3}'
    assert replace_members(body, {"b": {"x": [True]}, "c": None, "d": "new", "e": None}) == (
        b'{"a":1,"b":{"x":[true]},"d":"new"}'
    )


def test_of_a_member_given_twice_the_last_one_counts_as_in_every_common_parser() -> None:
    body = b'{"model":"a","temperature":1,"model":"b","temperature":2}'
    assert json.loads(replace_members(body, {"n": 1})) == {"model": "b", "temperature": 2, "n": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)  # times are not asserted here
@given(body=st.dictionaries(st.text(), JSON, max_size=4), name=st.text(), value=JSON, is_ascii=st.booleans())
def test_it_does_what_a_dictionary_does(body: dict[str, Any], name: str, value: Any, is_ascii: bool) -> None:
    expected = {**body, name: value} if value is not None else {key: body[key] for key in body if key != name}
    written = json.dumps(body, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    assert json.loads(replace_members(written, {name: value})) == expected
