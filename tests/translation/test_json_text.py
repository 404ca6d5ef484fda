from __future__ import annotations

import json

import pytest

from tikhub_app.translation.json_text import decode_arguments, decode_object, encode


def test_line_separators_within_strings_are_escaped() -> None:
    written = encode({"text": "a\u2028b\u2029c\n\u201cd\u201d"})
    assert json.loads(written) == {"text": "a\u2028b\u2029c\n\u201cd\u201d"}
    assert len(written.decode().splitlines()) == 1
    assert "\u201cd\u201d".encode() in written


def test_half_an_emoji_and_huge_integers_pass() -> None:
    for text in (b'{"a":"\\ud83d"}', b'{"a":123456789012345678901234567890}'):
        assert json.loads(encode(decode_object(text))) == json.loads(text)


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_no_arguments_are_an_empty_object(text: str) -> None:
    assert decode_arguments(text) == {}


@pytest.mark.parametrize("text", ["{", "[1]", "null", '{"a": NaN}', "[" * 100_000])
def test_arguments_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        decode_arguments(text)
