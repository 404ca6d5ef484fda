"""Server-sent events as bytes: cut a stream into whole events and read their data, without changing a byte.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re

# Two line ends in a row close an event. Atomic groups, or "\r\n" alone would pass for two ends.
_EVENT_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventTooLarge(ValueError):
    """One event is longer than the limit."""


class EventSplitter:
    """Cuts arriving bytes into events; each piece keeps its separator, so the pieces joined are the input.

    :param limit: longest single event in bytes; :class:`EventTooLarge` beyond it.
    """

    __slots__ = ("_held", "_limit", "_scanned")

    def __init__(self, limit: int) -> None:
        self._held = b""
        self._scanned = 0
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """The events completed by these bytes; what is incomplete is held until more comes."""
        held = self._held + data if self._held else data
        events: list[bytes] = []
        start = 0
        if b"\r" not in held:
            position = self._scanned
            while (end := held.find(b"\n\n", position)) >= 0:
                events.append(held[start : end + 2])
                start = position = end + 2
        else:
            for match in _EVENT_END.finditer(held, self._scanned):
                if match.end() == len(held) and held.endswith(b"\r"):
                    break  # the "\n" of this "\r\n" may be on its way
                events.append(held[start : match.end()])
                start = match.end()
        self._held = held[start:] if start else held
        if len(self._held) > self._limit:
            raise EventTooLarge(f"an event of the stream is longer than {self._limit} bytes")
        # A separator may be cut in its midst: look again at the last three bytes.
        self._scanned = max(0, len(self._held) - 3)
        return events

    def rest(self) -> bytes:
        """What came after the last separator, when the stream is over."""
        held, self._held, self._scanned = self._held, b"", 0
        return held


def event_data(event: bytes) -> bytes:
    """The data of one event: its ``data:`` lines joined by newlines; ``b""`` when it has none."""
    if event.startswith(b"data: "):
        first_end = event.find(b"\n")
        if first_end == len(event) - 2 and event.endswith(b"\n\n") and b"\r" not in event:
            return event[6:first_end]
        if first_end == len(event) - 3 and event.endswith(b"\r\n\r\n") and event.find(b"\r") == first_end - 1:
            return event[6:-4]
    elif event.startswith(b"event: ") and event.endswith(b"\n\n") and b"\r" not in event:
        name_end = event.find(b"\n")
        if event.startswith(b"data: ", name_end + 1) and event.find(b"\n", name_end + 1) == len(event) - 2:
            return event[name_end + 7 : -2]
    lines = []
    for line in _LINE_END.split(event):
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines)
