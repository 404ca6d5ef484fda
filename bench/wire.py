"""The calls of the benchmark, and the answers of its fake upstream: one place for both ends.

The shapes are those of https://platform.openai.com/docs/api-reference/chat. Each chunk of a stream
carries the moment of its sending as `@<CLOCK_MONOTONIC in ns>@` in its text: that clock is one for
all processes of a machine, and the text is the only field that every contender passes on unchanged.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

MODEL: Final = "gpt-4o-mini"
CHAT_PATH: Final = "/v1/chat/completions"

ANSWER_TEXT: Final = (
    "Parcels above thirty kilograms travel on a pallet. Please book the pallet pick-up one working "
    "day ahead, keep the label on the long side, and hand the signed delivery note to the driver."
)
PROMPT_TOKENS: Final = 96
COMPLETION_TOKENS: Final = 41
ANSWERED_MODEL: Final = "gpt-4o-mini-2024-07-18"

MESSAGES: Final = [
    {
        "role": "system",
        "content": (
            "You answer questions of warehouse staff about shipping. Use only the house rules: "
            "parcels up to thirty kilograms go by van, heavier goods on a pallet, liquids upright, "
            "batteries with the hazard label, and nothing leaves without a delivery note."
        ),
    },
    {"role": "user", "content": "A customer ordered a steel desk of 42 kg. How do I send it?"},
]

STAMP: Final = re.compile(rb"@(\d+)@")
#: The pace travels in `user`, the only free text of a chat request that every contender forwards.
PACE: Final = re.compile(rb"pace-(\d+)x(\d+)")


@dataclass(frozen=True)
class Pace:
    """How a stream is sent: so many chunks, one every `interval_ms`."""

    chunks: int
    interval_ms: int


@dataclass(frozen=True)
class Call:
    """One request, complete as bytes, and the text that proves its answer right."""

    request: bytes
    proof: bytes


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def usage() -> dict[str, object]:
    """The usage object of every answer, with the details that OpenAI sends."""
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def completion() -> bytes:
    """The whole HTTP answer to a plain call."""
    body = _compact(
        {
            "id": "chatcmpl-bench0000000000000000000000",
            "object": "chat.completion",
            "created": 1760000000,
            "model": ANSWERED_MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": ANSWER_TEXT, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": usage(),
            "service_tier": "default",
            "system_fingerprint": "fp_bench",
        }
    )
    return head(200, "application/json", f"Content-Length: {len(body)}") + body


def head(status: int, content_type: str, framing: str) -> bytes:
    """Status line and headers, about as many as OpenAI sends."""
    return (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}\r\n"
        f"Content-Type: {content_type}\r\n{framing}\r\n"
        "openai-organization: bench\r\nopenai-processing-ms: 1\r\nopenai-version: 2020-10-01\r\n"
        "x-request-id: req_bench\r\n\r\n"
    ).encode()


def event(delta: dict[str, object], finish_reason: str | None = None) -> bytes:
    """One server-sent event of a streamed answer, not yet framed for HTTP."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _event_of([choice], None)


def usage_event() -> bytes:
    """The last event of a stream whose caller asked for `include_usage`."""
    return _event_of([], usage())


def _event_of(choices: list[dict[str, object]], used: dict[str, object] | None) -> bytes:
    chunk: dict[str, object] = {
        "id": "chatcmpl-bench0000000000000000000000",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": ANSWERED_MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
        "choices": choices,
    }
    if used is not None:
        chunk["usage"] = used
    return b"data: " + _compact(chunk) + b"\n\n"


def http_chunk(payload: bytes) -> bytes:
    """`payload` as one chunk of `Transfer-Encoding: chunked`."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def plain_call(port: int, key: str) -> Call:
    """A chat call answered at once, as the SDK would send it."""
    body = _compact({"model": MODEL, "messages": MESSAGES, "temperature": 0.2, "user": "bench"})
    return Call(_post(port, key, body), ANSWER_TEXT.encode())


def stream_call(port: int, key: str, pace: Pace) -> Call:
    """A streamed chat call that asks the fake upstream for `pace`."""
    body = _compact(
        {
            "model": MODEL,
            "messages": MESSAGES,
            "temperature": 0.2,
            "stream": True,
            "user": f"pace-{pace.chunks}x{pace.interval_ms}",
        }
    )
    return Call(_post(port, key, body), b"data: [DONE]")


def _post(port: int, key: str, body: bytes) -> bytes:
    return (
        f"POST {CHAT_PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"User-Agent: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
