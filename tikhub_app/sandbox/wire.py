"""JSON and event-stream bytes, as every vendor's module writes and reads them."""

from typing import Any

import msgspec


class MalformedJson(ValueError):
    """The body is not JSON, or is nested deeper than the parser goes."""


def decode(body: bytes) -> Any:
    """The JSON value in ``body``. Raises MalformedJson."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedJson(str(error)) from error


def compact(value: object) -> bytes:
    return msgspec.json.encode(value)


def pretty(value: object) -> bytes:
    """Two-space indented, with a closing newline: the form of OpenAI's plain answers."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def event(value: object) -> bytes:
    """One event of a stream: a ``data:`` line and a blank one."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def clean_text(text: str) -> str:
    """``text`` without lone surrogates, which JSON can smuggle in and UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
