"""generateContent and streamGenerateContent: what is said, and its wire form, plain, as events and as an array.

https://ai.google.dev/api/generate-content — one Generation holds everything that plain answer and stream have in
common, so both say the same.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any, Literal

from tikhub_app.sandbox import seeds, text, wire
from tikhub_app.sandbox.generation import Answer, Ask, ToolCall, generate
from tikhub_app.sandbox.replies import Reply, Send, plain_reply
from tikhub_app.sandbox.settings import Controls
from tikhub_app.sandbox.tokens import count_tokens
from tikhub_app.sandbox.vendors.gemini.errors import CONTENT_TYPE
from tikhub_app.sandbox.vendors.gemini.images import draw_image
from tikhub_app.sandbox.vendors.gemini.models import Model
from tikhub_app.sandbox.vendors.gemini.reading import config_of
from tikhub_app.sandbox.vendors.gemini.signatures import sign_call, sign_text

#: How the answer travels: whole, as server-sent events, or as one growing array.
Form = Literal["whole", "events", "array"]
Json = dict[str, Any]

_IMAGE_TOKENS = 1290  # "each generated image is 1290 tokens"
_CATEGORIES = ("HATE_SPEECH", "DANGEROUS_CONTENT", "HARASSMENT", "SEXUALLY_EXPLICIT")


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What one chunk adds to a candidate, and the visible and thought tokens that it brings."""

    parts: list[Json]
    tokens: int = 0
    thoughts: int = 0
    finish: Json | None = None  # the candidate's last fields


@dataclass(frozen=True, slots=True)
class Generation:
    document: Mapping[str, Any]  # the request, in camelCase
    ask: Ask
    model: Model
    identifier: str
    prompt_by_modality: Mapping[str, int]
    cached_tokens: int
    tool_prompt_tokens: int  # what a search puts before the model

    @property
    def prompt_tokens(self) -> int:
        return sum(self.prompt_by_modality.values())

    def reply(self, form: Form, controls: Controls) -> Reply:
        if controls.outcome == "refusal":
            return self._blocked(form, controls)
        candidates = int(config_of(self.document).get("candidateCount") or 1)
        answers = [self._answer(controls, number) for number in range(candidates)]
        rows = [list(self._chunks(answer, number, controls)) for number, answer in enumerate(answers)]
        if form == "whole":
            return self._whole(rows, controls)
        return _stream(form, self._documents(rows, controls))

    def _answer(self, controls: Controls, number: int) -> Answer:
        config = config_of(self.document)
        if config.get("responseMimeType") == "text/x.enum" and controls.text is None:
            names = (config.get("responseSchema") or config.get("responseJsonSchema") or {}).get("enum") or ["none"]
            controls = replace(controls, text=seeds.generator(self.ask.fingerprint, "enum", number).choice(names))
        return generate(self.ask, controls, number)

    # The parts of a candidate

    def _chunks(self, answer: Answer, number: int, controls: Controls) -> Iterator[_Chunk]:
        """Thoughts, then text, image or calls; the finish stands on the last."""
        thoughts = answer.reasoning_tokens
        if thoughts and self._shows_thoughts:
            yield _Chunk([{"text": self._thought(number), "thought": True}], thoughts=thoughts)
            thoughts = 0
        for piece in answer.pieces:
            yield _Chunk([{"text": piece.text}], piece.tokens, thoughts)
            thoughts = 0
        tokens, parts = 0, []
        if self._draws and answer.finish == "stop":
            parts, tokens = [draw_image(self.ask.fingerprint, number)], _IMAGE_TOKENS
        calls = [call for call in answer.tool_calls if _arguments(call) is not None]
        if calls:
            parts = [self._call(call, is_first=position == 0) for position, call in enumerate(calls)]
        tokens += sum(call.tokens for call in answer.tool_calls)
        if self.model.has_levels and answer.pieces and answer.reasoning_tokens:
            parts.append({"text": "", "thoughtSignature": sign_text(answer.text)})
        yield _Chunk(parts, tokens, thoughts, self._finish(answer, calls))

    @property
    def _shows_thoughts(self) -> bool:
        return bool((config_of(self.document).get("thinkingConfig") or {}).get("includeThoughts"))

    def _thought(self, number: int) -> str:
        words = text.key_words(self.ask.prompt)
        rng = seeds.generator(self.ask.fingerprint, "thought", number)
        return f"**Considering {words[0]}**\n\n" + "".join(text.answer_prompt(rng, self.ask.prompt, None)) + "\n\n\n"

    def _call(self, call: ToolCall, *, is_first: bool) -> Json:
        arguments = _arguments(call)
        made: Json = {"name": call.tool.name, "args": arguments}
        if self.model.has_levels:
            made["id"] = call.identifier[:8].lower()
        part: Json = {"functionCall": made}
        if is_first and self.ask.reasoning_tokens:
            part["thoughtSignature"] = sign_call(call.tool.name, arguments)
        return part

    @property
    def _draws(self) -> bool:
        wanted = config_of(self.document).get("responseModalities")
        return self.model.makes_images and (wanted is None or "IMAGE" in [str(name).upper() for name in wanted])

    def _finish(self, answer: Answer, calls: list[ToolCall]) -> Json:
        if answer.finish == "content_filter":
            return {"finishReason": "SAFETY", "safetyRatings": _ratings(blocked="DANGEROUS_CONTENT")}
        finish: Json = {"finishReason": "MAX_TOKENS" if answer.finish == "length" else "STOP"}
        if calls:
            finish["finishMessage"] = "Model generated function call(s)."
        elif self.tool_prompt_tokens:
            finish["groundingMetadata"] = self._grounding(answer)
        return finish

    def _grounding(self, answer: Answer) -> Json:
        """https://ai.google.dev/gemini-api/docs/google-search"""
        query = " ".join(text.key_words(self.ask.prompt, 5))
        return {
            "searchEntryPoint": {"renderedContent": f'<div class="container"><a class="chip">{query}</a></div>'},
            "groundingChunks": [{"web": {"uri": "https://example.com/sandbox", "title": "example.com"}}],
            "groundingSupports": [
                {
                    "segment": {"endIndex": len(answer.text.encode()), "text": answer.text},
                    "groundingChunkIndices": [0],
                }
            ],
            "webSearchQueries": [query],
        }

    # The wire form

    def _whole(self, rows: list[list[_Chunk]], controls: Controls) -> Reply:
        candidates = []
        for number, row in enumerate(rows):
            content: Json = {"role": "model"}
            if parts := _joined([part for chunk in row for part in chunk.parts]):
                content = {"parts": parts, "role": "model"}
            candidates.append({"content": content, **(row[-1].finish or {}), "index": number})
        spent = [chunk for row in rows for chunk in row]
        tokens, thoughts = sum(chunk.tokens for chunk in spent), sum(chunk.thoughts for chunk in spent)
        document = self._document(candidates, tokens, thoughts, controls)
        return plain_reply(pretty(document), CONTENT_TYPE, tokens + thoughts)

    def _documents(self, rows: list[list[_Chunk]], controls: Controls) -> Iterator[tuple[Json, int]]:
        """The chunks of a stream with the tokens generated so far, the candidates taking turns."""
        tokens = thoughts = 0
        for number, chunk in chain.from_iterable(map(enumerate, zip_longest(*rows))):
            if chunk is None:
                continue
            tokens, thoughts = tokens + chunk.tokens, thoughts + chunk.thoughts
            # As Google does, where there is nothing more to say: an empty text.
            content = {"parts": chunk.parts or [{"text": ""}], "role": "model"}
            candidate = {"content": content, **(chunk.finish or {}), "index": number}
            yield self._document([candidate], tokens, thoughts, controls), tokens + thoughts

    def _document(self, candidates: list[Json], tokens: int, thoughts: int, controls: Controls, **more: Any) -> Json:
        document: Json = {"candidates": candidates} if candidates else {}
        document |= more
        if controls.usage:
            document["usageMetadata"] = self._usage(tokens, thoughts)
        return document | {"modelVersion": self.model.answers_as, "responseId": self.identifier}

    def _usage(self, tokens: int, thoughts: int) -> Json:
        """https://ai.google.dev/api/generate-content#UsageMetadata — what is 0 is left out."""
        usage: Json = {"promptTokenCount": self.prompt_tokens}
        if tokens:
            usage["candidatesTokenCount"] = tokens
        usage["totalTokenCount"] = self.prompt_tokens + tokens + self.tool_prompt_tokens + thoughts
        if self.cached_tokens:
            usage["cachedContentTokenCount"] = self.cached_tokens
        usage["promptTokensDetails"] = _details(self.prompt_by_modality)
        if self.cached_tokens:
            usage["cacheTokensDetails"] = _details({"TEXT": self.cached_tokens})
        if self._draws and tokens:
            usage["candidatesTokensDetails"] = _details({"IMAGE": tokens - tokens % _IMAGE_TOKENS})
        if self.tool_prompt_tokens:
            usage["toolUsePromptTokenCount"] = self.tool_prompt_tokens
            usage["toolUsePromptTokensDetails"] = _details({"TEXT": self.tool_prompt_tokens})
        if thoughts:
            usage["thoughtsTokenCount"] = thoughts
        return usage | {"serviceTier": "standard"}

    def _blocked(self, form: Form, controls: Controls) -> Reply:
        """A prompt that the filter stops: HTTP 200, and no candidates."""
        feedback = {"blockReason": "SAFETY", "safetyRatings": _ratings(blocked="DANGEROUS_CONTENT")}
        document = self._document([], 0, 0, controls, promptFeedback=feedback)
        if form == "whole":
            return plain_reply(pretty(document), CONTENT_TYPE)
        return _stream(form, iter([(document, 0)]))


def _stream(form: Form, documents: Iterator[tuple[Json, int]]) -> Reply:
    if form == "events":
        events = (Send(as_event(spaced(document)), generated) for document, generated in documents)
        return Reply(events, "text/event-stream", streamed=True)
    return Reply(_elements(documents), CONTENT_TYPE, streamed=True, frame_error=as_element)


def _elements(documents: Iterator[tuple[Json, int]]) -> Iterator[Send]:
    generated = 0
    for number, (document, generated) in enumerate(documents):
        element = pretty(document)
        yield Send(as_element(element) if number else b"[" + element, generated)
    yield Send(b"]", generated)


def as_event(data: bytes) -> bytes:
    """One event: Google's lines end with CRLF."""
    return b"data: " + data + b"\r\n\r\n"


def as_element(element: bytes) -> bytes:
    return b",\r\n" + element


def pretty(value: object) -> bytes:
    """Two-space indented, with a closing newline: the form of Google's plain answers and of array elements."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def spaced(value: object) -> bytes:
    """The form of Google's events: a space after each colon, none after commas."""
    return json.dumps(value, separators=(",", ": "), ensure_ascii=False).encode("utf-8", "replace")


def _joined(parts: list[Json]) -> list[Json]:
    """Parts with neighbouring texts in one, as a plain answer has them."""
    joined: list[Json] = []
    for part in parts:
        last = joined[-1] if joined else {}
        if "text" in part and "text" in last and part.get("thought") == last.get("thought"):
            joined[-1] = {**last, **part, "text": last["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


def _arguments(call: ToolCall) -> Any:
    """The call's arguments; None where the limit of tokens cut them."""
    try:
        return wire.decode(call.arguments.encode())
    except wire.MalformedJson:
        return None


def _details(tokens: Mapping[str, int]) -> list[Json]:
    return [{"modality": modality, "tokenCount": count} for modality, count in tokens.items() if count]


def _ratings(blocked: str) -> list[Json]:
    return [
        {"category": f"HARM_CATEGORY_{name}", "probability": "HIGH" if name == blocked else "NEGLIGIBLE"}
        | ({"blocked": True} if name == blocked else {})
        for name in _CATEGORIES
    ]


def count_search_tokens(document: Mapping[str, Any], prompt: str) -> int:
    """What Google's search puts before the model, where the request has it."""
    if not any("googleSearch" in tool for tool in document.get("tools") or ()):
        return 0
    return 40 + 3 * count_tokens(prompt)
