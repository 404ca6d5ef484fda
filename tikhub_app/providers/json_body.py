"""Top-level edits of a JSON object that leave every other value's bytes as they came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def replace_members(body: bytes, changes: Mapping[str, Any]) -> bytes:
    """The object with some members replaced or added; a value of None takes the member out.

    Values that stay are copied as raw bytes, so number formats, escapes and unknown fields survive.
    """
    members: dict[str, Any] = _members.decode(body)
    for name, value in changes.items():
        if value is None:
            members.pop(name, None)
        else:
            members[name] = value
    return msgspec.json.encode(members)
