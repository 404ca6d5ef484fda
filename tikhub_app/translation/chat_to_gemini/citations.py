"""What Gemini grounded its answer on, as annotations of a chat.

https://ai.google.dev/gemini-api/docs/google-search#attributing_sources_with_inline_citations
https://ai.google.dev/api/generate-content#citationmetadata

Gemini counts in bytes, within one part or, in a stream, within all text so far; a chat counts in characters of the
content. Where a segment carries its text, that text decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.chat_form import url_citation
from tikhub_app.translation.chat_to_gemini.answer import mapping, mappings, text_of
from tikhub_app.translation.media import is_web_url


def has_sources(candidate: Mapping[str, Any]) -> bool:
    return bool(mapping(candidate.get("groundingMetadata")).get("groundingChunks") or _sources(candidate))


def url_citations(candidate: Mapping[str, Any], content: str) -> list[dict[str, Any]]:
    """One annotation for each source of each segment of the content; sources without a web address have none."""
    grounding = mapping(candidate.get("groundingMetadata"))
    chunks = grounding.get("groundingChunks")
    sources = [_source(mapping(chunk)) for chunk in chunks] if isinstance(chunks, list) else []
    encoded = content.encode("utf-8", "surrogatepass")
    found: list[dict[str, Any]] = []
    supports = mappings(grounding.get("groundingSupports"))
    for support in supports:
        start, end = _place(mapping(support.get("segment")), content, encoded)
        indexes = support.get("groundingChunkIndices")
        for index in indexes if isinstance(indexes, list) else ():
            if isinstance(index, int) and 0 <= index < len(sources):
                _add(found, sources[index], start, end)
    if not supports:  # sources of the whole
        for source in sources:
            _add(found, source, 0, len(content))
    for cited in _sources(candidate):
        start, end = _place(cited, content, encoded)
        _add(found, (text_of(cited.get("uri")), text_of(cited.get("title"))), start, end)
    return found


def _sources(candidate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """citationMetadata; Vertex calls the list "citations"."""
    told = mapping(candidate.get("citationMetadata"))
    return mappings(told.get("citationSources")) or mappings(told.get("citations"))


def _source(chunk: Mapping[str, Any]) -> tuple[str, str]:
    for kind in ("web", "retrievedContext", "maps", "image"):
        told = mapping(chunk.get(kind))
        if url := text_of(told.get("uri")) or text_of(told.get("sourceUri")):
            return url, text_of(told.get("title"))
    return "", ""


def _add(found: list[dict[str, Any]], source: tuple[str, str], start: int, end: int) -> None:
    url, title = source
    if is_web_url(url):
        found.append(url_citation(url=url, title=title, start_index=start, end_index=end))


def _place(segment: Mapping[str, Any], content: str, encoded: bytes) -> tuple[int, int]:
    """Characters from and to; numbers that point beyond the content are cut."""
    start, end = _byte(segment.get("startIndex"), len(encoded)), _byte(segment.get("endIndex"), len(encoded))
    said = text_of(segment.get("text"))
    if said and encoded[start:end] != said.encode("utf-8", "surrogatepass"):
        at = content.find(said)
        if at >= 0:
            return at, at + len(said)
    first = len(encoded[:start].decode("utf-8", "ignore"))
    return first, max(first, len(encoded[:end].decode("utf-8", "ignore")))


def _byte(value: Any, most: int) -> int:
    return min(max(0, value), most) if isinstance(value, int) and not isinstance(value, bool) else 0
