"""What the sandbox's model says, before any vendor's form is put on it.

A vendor's module reads its request into an Ask and writes the Answer in its own wire format, plain or as a stream. The
answer depends on the ask and its seed alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from tikhub_app.sandbox import seeds, text, wire
from tikhub_app.sandbox.json_instances import JsonInstances
from tikhub_app.sandbox.settings import Controls
from tikhub_app.sandbox.tokens import count_tokens, tokenize

CALL_OVERHEAD_TOKENS = 7  # what a tool call costs besides its name and arguments

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


class Piece(NamedTuple):
    """A run of text that a stream sends as one, and what it costs."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    custom: bool = False  # takes free text instead of arguments


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, read. ``fingerprint`` decides everything that is chosen by chance."""

    fingerprint: bytes
    prompt: str  # the words to answer
    tool_results: Sequence[tuple[str, str]] = ()  # (tool name, result), when they came last
    tools: Sequence[Tool] = ()  # those that may be called
    must_call: bool = False
    parallel_calls: bool = True
    json_object: bool = False
    json_schema: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    identifier: str  # 24 characters, without the vendor's prefix
    tool: Tool
    pieces: list[Piece]
    overhead_tokens: int

    @property
    def arguments(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def tokens(self) -> int:
        return self.overhead_tokens + sum(piece.tokens for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice. Reasoning comes first, then text, then tool calls; all of it is in ``completion_tokens``."""

    finish: Finish
    reasoning_tokens: int = 0
    pieces: list[Piece] = field(default_factory=list)
    refused: bool = False  # the text is a refusal
    tool_calls: list[ToolCall] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def completion_tokens(self) -> int:
        visible = sum(piece.tokens for piece in self.pieces) + sum(call.tokens for call in self.tool_calls)
        return self.reasoning_tokens + visible


def generate(ask: Ask, controls: Controls, choice: int) -> Answer:
    """The answer of choice number ``choice``."""
    rng = seeds.generator(ask.fingerprint, choice)
    room = ask.max_tokens
    if room is not None and room <= ask.reasoning_tokens and ask.reasoning_tokens:
        # A reasoning model that runs out while it thinks says nothing, and charges for all of it.
        return Answer("length", reasoning_tokens=room)
    left = None if room is None else room - ask.reasoning_tokens
    if controls.outcome == "refusal":
        pieces, cut = _cut(_pieces(tokenize(text.REFUSAL), controls), left)
        return Answer("length" if cut else "stop", ask.reasoning_tokens, pieces, refused=True)
    calls_wanted = _how_many_calls(ask, controls)
    if calls_wanted:
        calls, cut = _call_tools(ask, controls, rng, calls_wanted, left)
        return Answer("length" if cut else "tool_calls", ask.reasoning_tokens, tool_calls=calls)
    tokens = _text_tokens(ask, controls, rng)
    if ask.stop:
        tokens = _stop(tokens, ask.stop)
    if controls.outcome == "content_filter":
        half = _pieces(tokens[: max(1, len(tokens) // 2)], controls)
        return Answer("content_filter", ask.reasoning_tokens, _cut(half, left)[0])
    pieces, cut = _cut(_pieces(tokens, controls), left)
    return Answer("length" if cut else "stop", ask.reasoning_tokens, pieces)


def _text_tokens(ask: Ask, controls: Controls, rng: Any) -> list[str]:
    if controls.text is not None:
        return tokenize(wire.clean_text(controls.text))
    words = text.key_words(ask.prompt)
    if ask.json_schema is not None:
        return tokenize(wire.compact(JsonInstances(rng, words).make(ask.json_schema)).decode())
    if ask.json_object:
        prose = "".join(text.answer_prompt(rng, ask.prompt, controls.tokens))
        return tokenize(wire.compact({"answer": prose, "topics": words[:3], "source": "sandbox"}).decode())
    if ask.tool_results:
        return text.answer_tool_results(rng, ask.prompt, ask.tool_results, controls.tokens)
    return text.answer_prompt(rng, ask.prompt, controls.tokens)


def _how_many_calls(ask: Ask, controls: Controls) -> int:
    """With tools at hand the sandbox calls them, once results are there it answers; two at most unless told."""
    if not ask.tools or (ask.tool_results and not ask.must_call):
        return 0
    wanted = min(len(ask.tools), 2) if controls.tool_calls is None else controls.tool_calls
    if not ask.parallel_calls:
        wanted = min(wanted, 1)
    return max(wanted, 1) if ask.must_call else wanted


def _call_tools(ask: Ask, controls: Controls, rng: Any, wanted: int, room: int | None) -> tuple[list[ToolCall], bool]:
    words = text.key_words(ask.prompt)
    calls = []
    for number in range(wanted):
        tool = ask.tools[number % len(ask.tools)]
        if tool.custom:
            arguments = " ".join(words)
        else:
            arguments = wire.compact(JsonInstances(rng, words, number).make({"type": "object", **tool.schema})).decode()
        overhead = CALL_OVERHEAD_TOKENS + count_tokens(tool.name)
        pieces, cut = _pieces(tokenize(arguments), controls), False
        if room is not None:
            pieces, cut = _cut(pieces, max(0, room - overhead))
            overhead = min(overhead, room)
        call = ToolCall(seeds.identifier(rng, 24), tool, pieces, overhead)
        calls.append(call)
        if room is not None:
            room -= call.tokens
            if cut or (room <= 0 and number + 1 < wanted):
                return calls, True
    return calls, False


def _pieces(tokens: list[str], controls: Controls) -> list[Piece]:
    pieces = [Piece(token, 1) for token in tokens]
    if controls.chunk_bytes:
        pieces = list(_gather(pieces, controls.chunk_bytes))
    if controls.huge_bytes:
        huge = "sandbox " * max(1, controls.huge_bytes // 8)
        pieces.insert(min(2, len(pieces)), Piece(huge, count_tokens(huge)))
    return pieces


def _gather(pieces: list[Piece], least: int) -> Iterator[Piece]:
    """Pieces joined until each has at least so many bytes."""
    joined, tokens, size = [], 0, 0
    for piece in pieces:
        joined.append(piece.text)
        tokens += piece.tokens
        size += len(piece.text.encode())
        if size >= least:
            yield Piece("".join(joined), tokens)
            joined, tokens, size = [], 0, 0
    if joined:
        yield Piece("".join(joined), tokens)


def _cut(pieces: list[Piece], room: int | None) -> tuple[list[Piece], bool]:
    """The pieces that fit into ``room`` tokens, and whether anything had to go."""
    if room is None:
        return pieces, False
    kept: list[Piece] = []
    for piece in pieces:
        if piece.tokens > room:
            head = tokenize(piece.text)[:room]
            if head:
                kept.append(Piece("".join(head), len(head)))
            return kept, True
        kept.append(piece)
        room -= piece.tokens
    return kept, False


def _stop(tokens: list[str], stop: Sequence[str]) -> list[str]:
    """The tokens before the first stop sequence, which itself is not sent."""
    whole = "".join(tokens)
    ends = [end for end in (whole.find(sequence) for sequence in stop if sequence) if end >= 0]
    return tokenize(whole[: min(ends)]) if ends else tokens
