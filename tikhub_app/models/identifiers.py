"""Identifiers of ledger rows: UUIDs of version 7, so that order of id is order of time, and their public form."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from random import getrandbits
from uuid import UUID

_lock = threading.Lock()
_last_ms = 0
_counter = 0
_VERSION = 0x7 << 76
_VARIANT = 0x2 << 62


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562): milliseconds, a counter within them, 62 random bits.

    Ids made by one process rise strictly, which keeps the index appends of the ledger together.
    """
    global _last_ms, _counter
    with _lock:
        now = time.time_ns() // 1_000_000
        if now > _last_ms:
            _last_ms, _counter = now, 0
        else:
            _counter += 1
            if _counter > 0xFFF:
                _last_ms, _counter = _last_ms + 1, 0
        milliseconds, counter = _last_ms, _counter
    # An identifier, not a secret: the seeded generator (renewed after a fork) costs a fiftieth of a system call.
    return UUID(int=(milliseconds << 80) | _VERSION | (counter << 64) | _VARIANT | getrandbits(62))


def first_uuid_at(moment: datetime) -> UUID:
    """The smallest id that a row made at or after the moment can have; a range over ids is a range over time."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | _VERSION | _VARIANT)


def public_id(kind: str, identifier: UUID) -> str:
    """``req_`` or ``att_`` and the 32 hex digits."""
    return f"{kind}_{identifier.hex}"


def parse_public_id(kind: str, text: str) -> UUID | None:
    """The UUID in a public id (the bare UUID is accepted too), or None."""
    try:
        return UUID(text.removeprefix(f"{kind}_"))
    except ValueError:
        return None
