"""A stream of GenerateContentResponse chunks as chat.completion.chunk events.

https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.base import TranslatedError
from tikhub_app.translation.chat_form import CalledTool, ChunkWriter, completion_id
from tikhub_app.translation.chat_to_gemini.answer import (
    Asked,
    CandidateReader,
    Said,
    Thought,
    candidate_index,
    chat_logprobs,
    chat_usage,
    counts_tokens,
    failure,
    finish_reason,
    is_blocked,
    mappings,
    service_tier,
    text_of,
)
from tikhub_app.translation.chat_to_gemini.citations import has_sources, url_citations
from tikhub_app.translation.chat_to_gemini.errors import translate_error
from tikhub_app.translation.json_text import decode_object
from tikhub_app.upstream.sse import event_data


class _Growing:
    """One candidate under way. Its sources come, mostly with the last chunk, for all of its text."""

    __slots__ = ("reader", "sources")

    def __init__(self, asked: Asked, index: int) -> None:
        self.reader = CandidateReader(asked, index)
        self.sources: Mapping[str, Any] = {}


class StreamTranslation:
    """State of one stream; see :class:`tikhub_app.translation.base.ReplyTranslator` for the three methods."""

    __slots__ = ("_asked", "_candidates", "_has_begun", "_has_failed", "_usage", "_writer")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._writer = ChunkWriter(
            id=completion_id(None, asked.request_id),
            wants_usage=asked.wants_usage,
            legacy_functions=asked.legacy_functions,
        )
        self._writer.model = asked.model
        self._candidates: dict[int, _Growing] = {}
        self._usage: Mapping[str, Any] = {}
        self._has_begun = False
        self._has_failed = False

    def has_finished(self) -> bool:
        """Whether the finish reason of every choice so far has passed."""
        return bool(self._candidates) and all(self._writer.has_finished(index) for index in self._candidates)

    def kept(self) -> dict[str, Any]:
        """What the answer leaves to be put back."""
        kept: dict[str, Any] = {}
        for growing in self._candidates.values():
            kept |= growing.reader.layout.kept(self._writer.model)
        return kept

    def event(self, event: bytes) -> bytes:
        chunk_text = _chunk_text(event)
        if not chunk_text or self._has_failed:
            return b""
        chunk = decode_object(chunk_text)
        if "error" in chunk:
            self._has_failed = True
            return self._writer.error(translate_error(chunk["error"], None))
        usage = chunk.get("usageMetadata")
        if isinstance(usage, Mapping) and counts_tokens(usage):
            self._usage = usage  # cumulative: the last one counts
        if not self._has_begun:
            self._begin(chunk)
        written = b""
        for candidate in mappings(chunk.get("candidates")):
            told = failure(candidate)
            written += self._on_candidate(candidate)
            if told is not None:
                self._has_failed = True
                return written + self._writer.error(TranslatedError(told, "server_error", "malformed_answer"))
        if is_blocked(chunk) and not self._candidates:
            written += self._writer.finish("content_filter")
        return written

    def end(self) -> bytes:
        if self._has_failed:
            return b""
        written = b""
        for index, growing in self._candidates.items():
            written += self._finish(growing, "", index)
        if not self._candidates:
            written += self._writer.finish("stop")
        return written + self._writer.end(chat_usage(self._usage) if self._usage else None)

    def _begin(self, chunk: Mapping[str, Any]) -> None:
        """All chunks of a chat's stream carry what is known when the first is written."""
        self._has_begun = True
        self._writer.id = completion_id(chunk.get("responseId"), self._asked.request_id)
        self._writer.model = text_of(chunk.get("modelVersion")) or self._asked.model
        self._writer.service_tier = service_tier(chunk.get("usageMetadata"))

    def _on_candidate(self, candidate: Mapping[str, Any]) -> bytes:
        index = candidate_index(candidate)
        growing = self._candidates.setdefault(index, _Growing(self._asked, index))
        if self._writer.has_finished(index):
            return b""
        if has_sources(candidate):
            growing.sources = candidate
        written = b""
        for piece in growing.reader.read(candidate):
            if isinstance(piece, Said):
                written += self._writer.text(piece.text, index)
            elif isinstance(piece, Thought):
                written += self._writer.reasoning(piece.text, index)
            elif isinstance(piece, CalledTool):
                written += self._writer.open_tool(piece.id, piece.name, index, piece.arguments)[1]
            else:
                written += self._writer.extras({"images": [piece.entry]}, index)
        written += self._writer.logprobs(chat_logprobs(candidate), index)
        reason = text_of(candidate.get("finishReason"))
        if reason and failure(candidate) is None:
            written += self._finish(growing, reason, index)
        return written

    def _finish(self, growing: _Growing, reason: str, index: int) -> bytes:
        if self._writer.has_finished(index):
            return b""
        self._writer.annotate(url_citations(growing.sources, growing.reader.text()), index)
        return self._writer.finish(finish_reason(reason, has_calls=growing.reader.has_calls()), index)


def _chunk_text(event: bytes) -> bytes:
    """The JSON of one event; an error in mid-stream may come bare, and wrapped in an array."""
    found = event_data(event).strip()
    if not found and event.lstrip()[:1] in (b"{", b"["):
        found = event.strip()
    if found[:1] == b"[" and found[-1:] == b"]":
        found = found[1:-1].strip()
    return found
