"""A stream that is one growing JSON array, cut into its elements without changing a byte.

Gemini answers ``streamGenerateContent`` so where ``alt=sse`` was not asked for.
https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from __future__ import annotations

import re
from enum import Enum, auto

from tikhub_app.upstream.sse import EventTooLarge

_SPACE = b" \t\r\n"
_NOT_SPACE = re.compile(rb"[^ \t\r\n]")
# Within an element only these matter; strings, which may hold megabytes of base64, are skipped at the speed of C.
_STRUCTURE = re.compile(rb'["{}\[\]]')
_STRING_END = re.compile(rb'["\\]')

#: What stands before an element that follows another one, as Google writes it.
SEPARATOR = b",\r\n"


class _Place(Enum):
    BEFORE_ARRAY = auto()
    BEFORE_FIRST = auto()
    WITHIN_ELEMENT = auto()
    AFTER_ELEMENT = auto()
    AFTER_COMMA = auto()
    CLOSED = auto()


#: Where a sign between elements leads; every other sign is not part of an array of objects.
_NEXT = {
    (_Place.BEFORE_ARRAY, b"["): _Place.BEFORE_FIRST,
    # An answer that is no array but one object counts as its only element.
    (_Place.BEFORE_ARRAY, b"{"): _Place.WITHIN_ELEMENT,
    (_Place.BEFORE_FIRST, b"{"): _Place.WITHIN_ELEMENT,
    (_Place.BEFORE_FIRST, b"]"): _Place.CLOSED,
    (_Place.AFTER_ELEMENT, b","): _Place.AFTER_COMMA,
    (_Place.AFTER_ELEMENT, b"]"): _Place.CLOSED,
    (_Place.AFTER_COMMA, b"{"): _Place.WITHIN_ELEMENT,
}


class ArraySplitter:
    """Cuts arriving bytes into pieces, each with one element (an object) and what stood before it.

    A piece is given out as soon as its element is whole; the closing bracket is the last piece. The pieces joined are
    the input, whatever the spaces and line ends between elements.

    :param limit: longest single piece in bytes; :class:`~tikhub_app.upstream.sse.EventTooLarge` beyond it.
    """

    __slots__ = ("_depth", "_error", "_held", "_in_string", "_is_bare", "_limit", "_place", "_position")

    def __init__(self, limit: int) -> None:
        self._held = bytearray()
        self._position = 0  # up to here the held bytes have been read
        self._limit = limit
        self._place = _Place.BEFORE_ARRAY
        self._depth = 0
        self._in_string = False
        self._is_bare = False
        self._error: ValueError | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the end of the array has come."""
        return self._place is _Place.CLOSED

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces completed by these bytes; what is incomplete is held until more comes.

        :raises ValueError: what came is not an array of objects. Pieces before the fault are given out first.
        """
        if self._error is not None:
            raise self._error
        self._held += data
        pieces: list[bytes] = []
        try:
            while self._advance():
                pieces.append(bytes(self._held[: self._position]))
                del self._held[: self._position]
                self._position = 0
            if len(self._held) > self._limit:
                raise EventTooLarge(f"an element of the stream is longer than {self._limit} bytes")
        except ValueError as error:
            self._error = error
            if not pieces:
                raise
        return pieces

    def rest(self) -> bytes:
        """White space after the last piece, when the stream is over.

        :raises ValueError: the stream ended within an element or after a comma.
        """
        if self._error is not None:
            raise self._error
        if self._held.strip(_SPACE):
            raise ValueError("the array ends within an element")
        held, self._held, self._position = bytes(self._held), bytearray(), 0
        return held

    def _advance(self) -> bool:
        """Read on; True where a piece ends at the position that was reached."""
        while True:
            if self._place is _Place.WITHIN_ELEMENT:
                return self._read_element()
            found = _NOT_SPACE.search(self._held, self._position)
            if found is None:
                self._position = len(self._held)
                return False
            sign = found.group()
            place = _NEXT.get((self._place, sign))
            if place is None:
                raise ValueError("the stream is not a JSON array of objects")
            self._position = found.end()
            if place is _Place.WITHIN_ELEMENT:
                self._is_bare = self._place is _Place.BEFORE_ARRAY
                self._position -= 1
            self._place = place
            if place is _Place.CLOSED:
                return True

    def _read_element(self) -> bool:
        held = self._held
        while True:
            if self._in_string:
                found = _STRING_END.search(held, self._position)
                if found is None:
                    self._position = len(held)
                    return False
                if found.group() == b"\\":
                    if found.end() == len(held):
                        self._position = found.start()  # what is escaped is on its way
                        return False
                    self._position = found.end() + 1
                    continue
                self._in_string = False
                self._position = found.end()
                continue
            found = _STRUCTURE.search(held, self._position)
            if found is None:
                self._position = len(held)
                return False
            self._position = found.end()
            sign = found.group()
            if sign == b'"':
                self._in_string = True
            elif sign in b"{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 0:
                    self._place = _Place.CLOSED if self._is_bare else _Place.AFTER_ELEMENT
                    return True


def element_data(piece: bytes) -> bytes:
    """The element within one piece; ``b""`` for the closing bracket and for white space."""
    start = piece.find(b"{")
    return piece[start:] if start >= 0 else b""
