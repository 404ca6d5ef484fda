"""The pictures that an image model of the sandbox draws: small squares of colour, as PNG.

https://ai.google.dev/gemini-api/docs/image-generation
"""

import base64
import struct
import zlib
from typing import Any

from tikhub_app.sandbox import seeds

_SIDE = 16


def draw_image(fingerprint: bytes, number: int) -> dict[str, Any]:
    """A part with the picture."""
    rng = seeds.generator(fingerprint, "image", number)
    colours = [rng.randbytes(3) for _ in range(4)]
    rows = b"".join(
        b"\x00" + b"".join(colours[2 * (y * 2 // _SIDE) + x * 2 // _SIDE] for x in range(_SIDE)) for y in range(_SIDE)
    )
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(png).decode()}}


def _chunk(kind: bytes, content: bytes) -> bytes:
    """https://www.w3.org/TR/png-3/#5Chunk-layout"""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
