"""A caller with the plain OpenAI SDK: it reads what a translation wrote, strictly, and says what it heard."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageFunctionToolCall
from openai.types.completion_usage import CompletionUsage

from tikhub_app.translation.base import ReplyTranslator
from tikhub_app.upstream.sse import EventSplitter


@dataclass
class Heard:
    """One answer as a caller understands it."""

    id: str
    model: str
    text: str
    reasoning: str
    refusal: str | None
    #: (id, name, parsed arguments; the raw text where the model was cut off)
    tool_calls: list[tuple[str, str, Any]]
    finish_reason: str
    usage: CompletionUsage | None
    annotations: list[dict[str, Any]] = field(default_factory=list)


def _client(body: bytes, content_type: str) -> openai.OpenAI:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(
        api_key="k", base_url="http://caller/v1", http_client=transport, _strict_response_validation=True
    )


_QUESTION: Any = {"model": "any", "messages": [{"role": "user", "content": "?"}]}


def hear_whole(body: bytes) -> Heard:
    """Read a whole answer; a field that OpenAI's types do not admit is an error."""
    ChatCompletion.model_validate_json(body, strict=True)
    with _client(body, "application/json") as client:
        return _heard(client.chat.completions.create(**_QUESTION))


def read_chunks(body: bytes) -> list[ChatCompletionChunk]:
    with _client(body, "text/event-stream") as client:
        return list(client.chat.completions.create(**_QUESTION, stream=True))


def hear_stream(body: bytes) -> Heard:
    """Read a stream, checking the order of its chunks, and let the SDK put the answer together."""
    events = [event for event in body.split(b"\n\n") if event]
    assert events[-1] == b"data: [DONE]"
    for event in events[:-1]:
        ChatCompletionChunk.model_validate_json(event.removeprefix(b"data: "), strict=True)
    chunks = read_chunks(body)
    check_order(chunks)
    state: Any = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    snapshot = state.current_completion_snapshot
    heard = _heard(snapshot)
    heard.usage = next((chunk.usage for chunk in chunks if chunk.usage is not None), None)
    heard.annotations = [
        annotation
        for chunk in chunks
        for choice in chunk.choices
        for annotation in (choice.delta.model_extra or {}).get("annotations") or []
    ]
    heard.reasoning = "".join(
        (choice.delta.model_extra or {}).get("reasoning_content") or "" for chunk in chunks for choice in chunk.choices
    )
    return heard


def check_order(chunks: list[ChatCompletionChunk]) -> None:
    """One id, model and time; the role first and once; tools numbered from 0 as they open; one finish; usage last."""
    assert len({(chunk.id, chunk.model, chunk.created) for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert [choice.delta.role for choice in choices] == ["assistant"] + [None] * (len(choices) - 1)
    assert [bool(choice.finish_reason) for choice in choices] == [False] * (len(choices) - 1) + [True]
    for chunk in chunks[:-1]:
        assert chunk.choices
        assert chunk.usage is None
    opened = [call for choice in choices for call in choice.delta.tool_calls or [] if call.id is not None]
    assert [call.index for call in opened] == list(range(len(opened)))
    assert all(choice.delta.content != "" for choice in choices[1:])


def _heard(completion: ChatCompletion) -> Heard:
    (choice,) = completion.choices
    message = choice.message
    extra = message.model_extra or {}
    calls: list[tuple[str, str, Any]] = []
    for call in message.tool_calls or []:
        assert isinstance(call, ChatCompletionMessageFunctionToolCall)
        calls.append((call.id, call.function.name, parsed(call.function.arguments)))
    return Heard(
        id=completion.id,
        model=completion.model,
        text=message.content or "",
        reasoning=extra.get("reasoning_content") or "",
        refusal=message.refusal,
        tool_calls=calls,
        finish_reason=choice.finish_reason,
        usage=completion.usage,
        annotations=[annotation.model_dump() for annotation in message.annotations or []],
    )


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def translate_stream(translator: ReplyTranslator, body: bytes, pieces: list[bytes] | None = None) -> bytes:
    """What the caller gets for a provider's stream, however it is cut."""
    splitter = EventSplitter(10_000_000)
    written = b""
    for piece in pieces if pieces is not None else [body]:
        for event in splitter.feed(piece):
            written += translator.event(event)
    if rest := splitter.rest():
        written += translator.event(rest)
    return written + translator.end()
