"""Reads Gemini's answers, streamed and whole: a whole answer is a stream of one chunk.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

from typing import Any

from tikhub_app.providers import gemini_wire as wire
from tikhub_app.providers.base import StreamReader
from tikhub_app.providers.facts import EventVerdict, FilterFinding, ReplyFacts

#: Fields of a candidate that are put together or judged here; all others are kept as the last chunk had them.
_READ_FIELDS = frozenset({"content", "finishReason", "safetyRatings", "index"})
#: Of a part that is text, and may be joined with the one before it.
_TEXT_FIELDS = frozenset({"text", "thought"})
#: A tool of the server and what it was asked; the same repeated in a later chunk is no further use.
_ToolUse = tuple[str, str]


class _GrowingCandidate:
    """One candidate, put together."""

    __slots__ = ("finish_reason", "other", "parts", "ratings", "role")

    def __init__(self) -> None:
        self.role: Any = "model"
        self.parts: list[dict[str, Any]] = []
        self.finish_reason = ""
        self.ratings: dict[Any, dict[str, Any]] = {}
        self.other: dict[str, Any] = {}

    def keep(self, part: dict[str, Any]) -> None:
        last = self.parts[-1] if self.parts else None
        if (
            last is not None
            and part.keys() <= _TEXT_FIELDS
            and last.keys() <= _TEXT_FIELDS
            and isinstance(part.get("text"), str)
            and isinstance(last.get("text"), list)
            and part.get("thought") == last.get("thought")
        ):
            last["text"].append(part["text"])
        elif isinstance(part.get("text"), str):
            # A list while it grows: joining a long text chunk by chunk would copy it each time.
            self.parts.append({**part, "text": [part["text"]]})
        else:
            self.parts.append(part)

    def written(self, index: int) -> dict[str, Any]:
        parts = [
            {**part, "text": "".join(part["text"])} if isinstance(part.get("text"), list) else part
            for part in self.parts
        ]
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": self.role}}
        if self.finish_reason:
            candidate["finishReason"] = self.finish_reason
        candidate["index"] = index
        if self.ratings:
            candidate["safetyRatings"] = list(self.ratings.values())
        return candidate | self.other


class GeminiStreamReader(StreamReader):
    """Reads GenerateContentResponse chunks, of an event stream or of an array.

    :param text_limit: about how many characters to keep for :meth:`assembled`.
    """

    __slots__ = (
        "_candidates", "_characters", "_code_runs", "_feedback", "_has_maps", "_is_blocked", "_kept", "_model",
        "_other", "_text_limit", "_tool_uses", "_usage",
    )  # fmt: skip

    def __init__(self, *, text_limit: int) -> None:
        self._text_limit = text_limit
        self._candidates: dict[int, _GrowingCandidate] = {}
        self._feedback: dict[str, Any] = {}
        self._is_blocked = False
        self._usage: dict[str, Any] | None = None
        self._model = ""
        self._other: dict[str, Any] = {}
        self._characters = 0
        self._kept = 0
        self._tool_uses: set[_ToolUse] = set()
        self._has_maps = False
        self._code_runs = 0

    def read_event(self, data: bytes) -> EventVerdict:
        if not data:
            return EventVerdict.PASS  # the end of an array, or a comment
        chunk = wire.decode_object(data)
        if chunk.get("error"):
            return EventVerdict.ERROR
        self.add(chunk)
        return EventVerdict.PASS

    def add(self, chunk: dict[str, Any]) -> None:
        """Take note of one GenerateContentResponse."""
        if not self._model and isinstance(chunk.get("modelVersion"), str):
            self._model = chunk["modelVersion"]
        usage = chunk.get("usageMetadata")
        if isinstance(usage, dict) and wire.counts_tokens(usage):
            self._usage = usage  # it grows from chunk to chunk: the last one holds, they are never added up
        feedback = wire.mapping(chunk.get("promptFeedback"))
        if feedback:
            self._feedback |= feedback
            self._is_blocked = self._is_blocked or bool(wire.enum_name(feedback.get("blockReason"), wire.BLOCK_REASONS))
        for candidate in wire.objects(chunk.get("candidates")):
            self._add_candidate(candidate)
        for name, value in chunk.items():
            if name not in ("candidates", "usageMetadata", "promptFeedback"):
                self._other[name] = value

    def _add_candidate(self, candidate: dict[str, Any]) -> None:
        index = candidate.get("index")
        if not isinstance(index, int):
            index = 0  # proto JSON leaves out what is 0
        grown = self._candidates.get(index)
        if grown is None:
            grown = self._candidates[index] = _GrowingCandidate()
        content = wire.mapping(candidate.get("content"))
        if content.get("role"):
            grown.role = content["role"]
        for part in wire.objects(content.get("parts")):
            self._add_part(grown, part)
        reason = wire.enum_name(candidate.get("finishReason"), wire.FINISH_REASONS)
        if reason:
            grown.finish_reason = reason
        for rating in wire.objects(candidate.get("safetyRatings")):
            grown.ratings[str(rating.get("category"))] = rating  # repeated on every chunk; the last word holds
        for name, value in candidate.items():
            if name not in _READ_FIELDS and value:
                grown.other[name] = value
        self._add_tools(candidate)

    def _add_part(self, grown: _GrowingCandidate, part: dict[str, Any]) -> None:
        text = part.get("text")
        written = len(text) if isinstance(text, str) else 0
        call, code = part.get("functionCall"), wire.mapping(part.get("executableCode")).get("code")
        if isinstance(call, dict):
            written += len(str(call.get("args") or ""))
        if isinstance(code, str):
            written += len(code)
        if "codeExecutionResult" in part:
            self._code_runs += 1
        self._characters += written
        if self._kept < self._text_limit:
            media = wire.mapping(part.get("inlineData"))
            size = written or (len(str(media.get("data"))) if media else len(str(part)))
            if media and self._kept + size > self._text_limit:
                part, size = {**part, "inlineData": {**media, "data": ""}}, 0
            self._kept += size
            grown.keep(part)

    def _add_tools(self, candidate: dict[str, Any]) -> None:
        """Tools of the server that are billed by use. https://ai.google.dev/gemini-api/docs/grounding"""
        grounding = wire.mapping(candidate.get("groundingMetadata"))
        if grounding:
            queries = grounding.get("webSearchQueries")
            for query in queries if isinstance(queries, list) else ():
                if isinstance(query, str) and query:
                    self._tool_uses.add(("google_search", query))
            if any("maps" in source for source in wire.objects(grounding.get("groundingChunks"))):
                self._has_maps = True
        urls = wire.mapping(candidate.get("urlContextMetadata"))
        for fetched in wire.objects(urls.get("urlMetadata")):
            self._tool_uses.add(("url_context", str(fetched.get("retrievedUrl"))))

    def is_complete(self) -> bool:
        """No terminator: every candidate has its finishReason, or the prompt was blocked."""
        if self._is_blocked:
            return True
        return bool(self._candidates) and all(candidate.finish_reason for candidate in self._candidates.values())

    def is_answer(self) -> bool:
        """Whether anything of a GenerateContentResponse was seen at all."""
        return bool(self._candidates or self._feedback or self._usage)

    def facts(self) -> ReplyFacts:
        findings: list[FilterFinding] = wire.prompt_findings(self._feedback)
        for index, candidate in sorted(self._candidates.items()):
            findings += wire.rating_findings(candidate.ratings.values(), "completion", index)
            withheld = wire.finish_finding(candidate.finish_reason, candidate.other.get("finishMessage"), index)
            if withheld is not None:
                findings.append(withheld)
        first = self._candidates.get(0)
        return ReplyFacts(
            answered_model=self._model,
            finish_reason=first.finish_reason if first is not None else "",
            usage=wire.read_usage(self._usage) if self._usage is not None else None,
            is_usage_provisional=not self.is_complete(),
            findings=findings,
            server_tool_calls=self._tool_calls(),
            output_characters=self._characters,
        )

    def _tool_calls(self) -> dict[str, int]:
        calls: dict[str, int] = {}
        for tool, _ in self._tool_uses:
            calls[tool] = calls.get(tool, 0) + 1
        if self._has_maps:
            calls["google_maps"] = 1  # billed by answer, not by query
        if self._code_runs:
            calls["code_execution"] = self._code_runs
        return dict(sorted(calls.items()))

    def assembled(self) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        if self._candidates:
            answer["candidates"] = [candidate.written(index) for index, candidate in sorted(self._candidates.items())]
        if self._feedback:
            answer["promptFeedback"] = self._feedback
        if self._usage is not None:
            answer["usageMetadata"] = self._usage
        return answer | self._other


def read_answer(body: bytes) -> ReplyFacts:
    """Facts of a whole GenerateContentResponse.

    :raises ValueError: not a JSON object, or nothing of an answer in it.
    """
    reader = GeminiStreamReader(text_limit=0)
    reader.add(wire.decode_object(body))
    if not reader.is_answer():
        raise ValueError("the answer has no candidates")
    return reader.facts()
