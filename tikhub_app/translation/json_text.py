"""JSON in and out of translations: reads what providers send, writes what every reader of events survives."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

_decode_any = msgspec.json.Decoder().decode
_LINE_SEPARATOR = "\u2028".encode()
_PARAGRAPH_SEPARATOR = "\u2029".encode()


def decode_object(data: bytes | str) -> dict[str, Any]:
    """One JSON object.

    :raises ValueError: anything else.
    """
    try:
        value = _decode_any(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _decode_loosely(data)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _decode_loosely(data: bytes | str) -> Any:
    """Python's own parser takes half an emoji at the end of one event and the other half in the next."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def decode_arguments(text: str) -> dict[str, Any]:
    """A tool call's arguments; the empty string, which some models send for "none", is an empty object.

    :raises ValueError: not a JSON object.
    """
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError("not valid JSON") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def encode(value: Any) -> bytes:
    """Compact JSON on one line.

    U+2028 and U+2029 are escaped: they are legal in JSON, but readers that split lines as Unicode does cut an event
    in two there.
    """
    try:
        data = msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):  # half an emoji; an integer beyond 64 bits
        return json.dumps(value, separators=(",", ":")).encode()
    if b"\xe2\x80" in data:
        data = data.replace(_LINE_SEPARATOR, b"\\u2028").replace(_PARAGRAPH_SEPARATOR, b"\\u2029")
    return data


def encode_text(value: Any) -> str:
    """The same as a string, for JSON within JSON."""
    return encode(value).decode()
