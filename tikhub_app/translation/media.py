"""Media inside JSON: data URLs and bare base64.

https://www.rfc-editor.org/rfc/rfc2397
"""

from __future__ import annotations

import binascii
import mimetypes
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from tikhub_app.exceptions import InvalidRequest

#: What people write -> what providers accept.
_OTHER_NAMES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "application/x-pdf": "application/pdf"}
# First characters of the base64 of each kind's first bytes.
_BEGINNINGS = {
    "JVBERi": "application/pdf",
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}


@dataclass(frozen=True, slots=True)
class Media:
    """A file by value: its media type in lower case without parameters ("" when not told), and standard base64."""

    media_type: str
    base64: str


def is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def is_web_url(url: str) -> bool:
    return url[:8].lower().startswith(("http://", "https://"))


def read_data_url(url: str, param: str) -> Media:
    """The content of a data URL.

    :raises InvalidRequest: it has no comma, or its base64 is broken; ``param`` is named.
    """
    head, comma, content = url[5:].partition(",")
    if not comma:
        raise InvalidRequest(f"Invalid '{param}': the data URL has no comma.", param=param, code="invalid_data_url")
    kind, *parameters = (piece.strip().lower() for piece in head.split(";"))
    if "base64" in parameters:
        encoded = _checked(content, param)
    else:
        encoded = b64encode(unquote_to_bytes(content)).decode()
        kind = kind or "text/plain"
    return Media(_OTHER_NAMES.get(kind, kind) or _kind_by_beginning(encoded), encoded)


def read_file_data(file_data: str, filename: str | None, param: str) -> Media:
    """A file as chat completions carry it: a data URL, or bare base64 whose kind its name or its beginning tells.

    :raises InvalidRequest: the base64 is broken; ``param`` is named.
    """
    if is_data_url(file_data):
        return read_data_url(file_data, param)
    encoded = _checked(file_data, param)
    kind = _kind_by_beginning(encoded) or (mimetypes.guess_type(filename or "")[0] or "")
    return Media(_OTHER_NAMES.get(kind, kind), encoded)


def _checked(encoded: str, param: str) -> str:
    """Standard base64 without white space, padded."""
    compact = "".join(encoded.split()) if any(char in encoded for char in " \n\r\t") else encoded
    if "%" in compact:
        compact = unquote_to_bytes(compact).decode("latin-1")
    compact = compact.replace("-", "+").replace("_", "/")
    compact += "=" * (-len(compact) % 4)
    try:
        binascii.a2b_base64(compact, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"Invalid '{param}': not valid base64.", param=param, code="invalid_base64") from error
    if not compact:
        raise InvalidRequest(f"Invalid '{param}': it is empty.", param=param, code="invalid_base64")
    return compact


def _kind_by_beginning(encoded: str) -> str:
    return next((kind for beginning, kind in _BEGINNINGS.items() if encoded.startswith(beginning)), "")
