"""Images and files of a chat as Claude's image and document blocks.

https://platform.claude.com/docs/en/build-with-claude/vision
https://platform.claude.com/docs/en/build-with-claude/pdf-support
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.chat_messages import FilePart, ImagePart
from tikhub_app.translation.chat_request import Unsupported, invalid
from tikhub_app.translation.media import Media, is_data_url, is_web_url, read_data_url, read_file_data

#: "We currently support JPEG, PNG, GIF, and WebP".
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})


def image_block(part: ImagePart, unsupported: Unsupported) -> dict[str, Any] | None:
    """The block for an image part; None where it may be dropped. A PDF in an image part is sent as a document."""
    if is_data_url(part.url):
        return _media_block(read_data_url(part.url, part.param), None, part.param, unsupported)
    if is_web_url(part.url):
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    raise invalid(part.param, "an http or https address, or a data URL, is expected")


def file_block(part: FilePart, unsupported: Unsupported) -> dict[str, Any] | None:
    """The block for a file part; None where it may be dropped."""
    if part.file_data is None:
        reason = "an uploaded file is known to the account that holds it only; send file_data"
        unsupported.refuse(f"{part.param}.file_id", reason)
        return None
    param = f"{part.param}.file_data"
    if is_web_url(part.file_data):
        return _titled({"type": "document", "source": {"type": "url", "url": part.file_data}}, part.filename)
    media = read_file_data(part.file_data, part.filename, param)
    return _media_block(media, part.filename, param, unsupported)


def _media_block(media: Media, filename: str | None, param: str, unsupported: Unsupported) -> dict[str, Any] | None:
    source: Mapping[str, Any]
    if media.media_type in _IMAGES:
        return {"type": "image", "source": {"type": "base64", "media_type": media.media_type, "data": media.base64}}
    if media.media_type == _PDF:
        source = {"type": "base64", "media_type": _PDF, "data": media.base64}
        return _titled({"type": "document", "source": source}, filename)
    if media.media_type.startswith("text/") or media.media_type in _TEXTS:
        try:
            source = {"type": "text", "media_type": "text/plain", "data": b64decode(media.base64).decode()}
        except UnicodeDecodeError as error:
            raise invalid(param, "the text is not UTF-8") from error
        return _titled({"type": "document", "source": source}, filename)
    kind = media.media_type or "of an unknown kind"
    unsupported.refuse(param, f"files {kind} are not supported; JPEG, PNG, GIF, WebP, PDF and text are")
    return None


def _titled(block: dict[str, Any], filename: str | None) -> dict[str, Any]:
    return {**block, "title": filename} if filename else block
