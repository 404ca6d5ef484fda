"""Chat completions, plain and streamed. https://platform.openai.com/docs/api-reference/chat

One Completion holds everything that the call's plain answer and its stream have in common, so both say the same.
"""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from tikhub_app.sandbox import seeds, wire
from tikhub_app.sandbox.generation import Answer, Ask, Piece, ToolCall, generate
from tikhub_app.sandbox.replies import Reply, Send, plain_reply
from tikhub_app.sandbox.settings import Controls

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Completion:
    document: Mapping[str, Any]  # the request
    ask: Ask
    identifier: str
    model: str
    created: int
    fingerprint: str
    prompt_tokens: int
    cached_tokens: int
    all_fields: bool = True  # OpenAI's own host adds annotations and the service tier

    def answers(self, controls: Controls) -> list[Answer]:
        return [generate(self.ask, controls, number) for number in range(self.document.get("n") or 1)]

    def reply(self, controls: Controls) -> Reply:
        answers = self.answers(controls)
        if self.document.get("stream"):
            return Reply(self._events(answers, controls), "text/event-stream; charset=utf-8", streamed=True)
        generated = sum(answer.completion_tokens for answer in answers)
        return plain_reply(wire.pretty(self._plain(answers, controls)), "application/json", generated)

    # The chat completion object: https://platform.openai.com/docs/api-reference/chat/object

    def _plain(self, answers: list[Answer], controls: Controls) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "id": self.identifier,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [
                {
                    "index": number,
                    "message": self._message(answer),
                    "logprobs": self._logprobs(answer.pieces, number),
                    "finish_reason": self._finish_reason(answer),
                }
                for number, answer in enumerate(answers)
            ],
        }
        if controls.usage:
            plain["usage"] = self._usage(answers)
        if self.all_fields:
            plain["service_tier"] = "default"
        plain["system_fingerprint"] = self.fingerprint
        return plain

    def _message(self, answer: Answer) -> dict[str, Any]:
        content = None if answer.refused or answer.tool_calls else answer.text
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if answer.tool_calls and self._legacy:
            call = answer.tool_calls[0]
            message["function_call"] = {"name": call.tool.name, "arguments": call.arguments}
        elif answer.tool_calls:
            message["tool_calls"] = [_whole_call(call) for call in answer.tool_calls]
        message["refusal"] = answer.text if answer.refused else None
        if self.all_fields:
            message["annotations"] = []
        return message

    @property
    def _legacy(self) -> bool:
        """The request used ``functions``, the form before ``tools``."""
        return bool(self.document.get("functions")) and not self.document.get("tools")

    def _finish_reason(self, answer: Answer) -> str:
        return "function_call" if answer.finish == "tool_calls" and self._legacy else answer.finish

    def _usage(self, answers: list[Answer]) -> dict[str, Any]:
        completion_tokens = sum(answer.completion_tokens for answer in answers)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": sum(answer.reasoning_tokens for answer in answers),
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def _logprobs(self, pieces: list[Piece], choice: int) -> dict[str, Any] | None:
        if not self.document.get("logprobs"):
            return None
        rng = seeds.generator(self.ask.fingerprint, "logprobs", choice, "".join(piece.text for piece in pieces))
        width = self.document.get("top_logprobs") or 0
        return {"content": [_token_logprob(rng, piece.text, width) for piece in pieces], "refusal": None}

    # The chunk object: https://platform.openai.com/docs/api-reference/chat-streaming

    def _events(self, answers: list[Answer], controls: Controls) -> Iterator[Send]:
        """Role, pieces and finish of each choice, the choices taking turns; then the usage where it was asked for."""
        options = self.document.get("stream_options") or {}
        with_usage = bool(options.get("include_usage")) and controls.usage
        writer = _ChunkWriter(self, with_usage, bool(options.get("include_obfuscation")))
        generated = 0
        turns = zip_longest(*(self._deltas(answer) for answer in answers))
        for number, delta in chain.from_iterable(map(enumerate, turns)):
            if delta is None:
                continue
            generated += delta.tokens
            logprobs = self._logprobs([delta.piece], number) if delta.piece else None
            yield Send(writer.chunk(number, delta.fields, logprobs, delta.finish_reason), generated)
        if with_usage:
            yield Send(writer.usage_chunk(self._usage(answers)), generated)
        yield Send(DONE, generated)

    def _deltas(self, answer: Answer) -> Iterator["_Delta"]:
        calls_tools = bool(answer.tool_calls)
        first: dict[str, Any] = {"role": "assistant", "content": None if calls_tools else ""}
        yield _Delta({**first, "refusal": None}, answer.reasoning_tokens)
        name = "refusal" if answer.refused else "content"
        for piece in answer.pieces:
            yield _Delta({name: piece.text}, piece.tokens, piece)
        for number, call in enumerate(answer.tool_calls):
            if self._legacy:
                yield _Delta({"function_call": {"name": call.tool.name, "arguments": ""}}, call.overhead_tokens)
                yield from (_Delta({"function_call": {"arguments": part.text}}, part.tokens) for part in call.pieces)
                continue
            kind, field = ("custom", "input") if call.tool.custom else ("function", "arguments")
            head = {"index": number, "id": f"call_{call.identifier}", "type": kind}
            yield _Delta({"tool_calls": [{**head, kind: {"name": call.tool.name, field: ""}}]}, call.overhead_tokens)
            for part in call.pieces:
                yield _Delta({"tool_calls": [{"index": number, kind: {field: part.text}}]}, part.tokens)
        yield _Delta({}, 0, finish_reason=self._finish_reason(answer))


@dataclass(frozen=True, slots=True)
class _Delta:
    fields: dict[str, Any]
    tokens: int
    piece: Piece | None = None
    finish_reason: str | None = None


class _ChunkWriter:
    """Writes a completion's chunks. What is the same in all of them is encoded once."""

    def __init__(self, completion: Completion, with_usage: bool, obfuscated: bool) -> None:
        head: dict[str, Any] = {
            "id": completion.identifier,
            "object": "chat.completion.chunk",
            "created": completion.created,
            "model": completion.model,
        }
        if completion.all_fields:
            head["service_tier"] = "default"
        head["system_fingerprint"] = completion.fingerprint
        self._head = b"data: " + wire.compact(head)[:-1] + b',"choices":'
        self._tail = (b',"usage":null' if with_usage else b"") + b"}\n\n"
        self._obfuscation = seeds.generator(completion.ask.fingerprint, "obfuscation") if obfuscated else None

    def chunk(
        self, number: int, delta: dict[str, Any], logprobs: dict[str, Any] | None, finish_reason: str | None
    ) -> bytes:
        choice = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        tail = self._tail
        if self._obfuscation:
            noise = seeds.identifier(self._obfuscation, self._obfuscation.randint(2, 14))
            tail = b',"obfuscation":' + wire.compact(noise) + tail
        return self._head + wire.compact([choice]) + tail

    def usage_chunk(self, usage: dict[str, Any]) -> bytes:
        return self._head + b'[],"usage":' + wire.compact(usage) + b"}\n\n"


def _whole_call(call: ToolCall) -> dict[str, Any]:
    head = {"id": f"call_{call.identifier}"}
    if call.tool.custom:
        return {**head, "type": "custom", "custom": {"name": call.tool.name, "input": call.arguments}}
    return {**head, "type": "function", "function": {"name": call.tool.name, "arguments": call.arguments}}


def _token_logprob(rng: random.Random, token: str, width: int) -> dict[str, Any]:
    chance = rng.uniform(0.3, 0.999)
    entry = _logprob_entry(token, chance)
    top = [_logprob_entry(token, chance)] + [
        _logprob_entry(f" {seeds.identifier(rng, 4)}", (1 - chance) / 2**rank) for rank in range(1, width)
    ]
    return {**entry, "top_logprobs": top if width else []}


def _logprob_entry(token: str, chance: float) -> dict[str, Any]:
    return {"token": token, "logprob": round(math.log(chance), 8), "bytes": list(token.encode())}
