"""Images, sounds and files of a chat as Gemini's inlineData and fileData.

https://ai.google.dev/gemini-api/docs/image-understanding
https://ai.google.dev/gemini-api/docs/files
https://ai.google.dev/gemini-api/docs/video-understanding#youtube

Gemini fetches nothing from the web but YouTube's videos; other addresses are refused by name.
"""

from __future__ import annotations

import mimetypes
from typing import Any
from urllib.parse import urlsplit

from tikhub_app.translation.chat_messages import AudioPart, FilePart, ImagePart
from tikhub_app.translation.chat_request import Unsupported, invalid
from tikhub_app.translation.media import Media, is_data_url, is_web_url, read_data_url, read_file_data

_FILES_HOST = "generativelanguage.googleapis.com"
_VIDEO_HOSTS = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"})
#: Text by another name: only text/* is read.
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})


def image_part(part: ImagePart, unsupported: Unsupported) -> dict[str, Any] | None:
    """The part for an image; None where it may be dropped. A data URL may hold any other kind of file."""
    if is_data_url(part.url):
        return _inline(read_data_url(part.url, part.param), part.param, unsupported)
    return _at_address(part.url, part.param, unsupported)


def file_part(part: FilePart, unsupported: Unsupported) -> dict[str, Any] | None:
    """The part for a file; None where it may be dropped."""
    if part.file_data is None:
        reason = "an uploaded file is known to the account that holds it only; send file_data"
        unsupported.refuse(f"{part.param}.file_id", reason)
        return None
    param = f"{part.param}.file_data"
    if is_web_url(part.file_data) or part.file_data.startswith("gs://"):
        return _at_address(part.file_data, param, unsupported)
    return _inline(read_file_data(part.file_data, part.filename, param), param, unsupported)


def audio_part(part: AudioPart, unsupported: Unsupported) -> dict[str, Any] | None:
    """The part for a sound."""
    media = read_data_url(f"data:audio/{part.format};base64,{part.data}", f"{part.param}.data")
    return _inline(media, f"{part.param}.data", unsupported)


def _inline(media: Media, param: str, unsupported: Unsupported) -> dict[str, Any] | None:
    if not media.media_type:
        unsupported.refuse(param, "its kind is not told; send a data URL with a media type")
        return None
    kind = "text/plain" if media.media_type in _TEXTS else media.media_type
    return {"inlineData": {"mimeType": kind, "data": media.base64}}


def _at_address(url: str, param: str, unsupported: Unsupported) -> dict[str, Any] | None:
    if url.startswith("gs://") or _is_known_to_google(url):
        file: dict[str, Any] = {"fileUri": url}
        kind = mimetypes.guess_type(urlsplit(url).path)[0]
        if kind is not None:
            file["mimeType"] = kind
        return {"fileData": file}
    if not is_web_url(url):
        raise invalid(param, "an http or https address, or a data URL, is expected")
    unsupported.refuse(
        param, "Gemini fetches no files from the web but YouTube's videos; send a data URL or the URI of its Files API"
    )
    return None


def _is_known_to_google(url: str) -> bool:
    try:
        address = urlsplit(url)
        host = address.hostname
    except ValueError:
        return False
    if address.scheme.lower() not in ("http", "https"):
        return False
    return host in _VIDEO_HOSTS or (host == _FILES_HOST and "/files/" in address.path)
