"""Every recorded answer of Claude's through the OpenAI SDK: equal text, tool calls, finish reason and usage."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.recordings.replay import Recording, byte_by_byte, in_bad_places
from tests.translation.chat_caller import Heard, hear_stream, hear_whole, parsed, translate_stream
from tests.translation.chat_to_messages.claude import PAIR

pytestmark = pytest.mark.recordings

NAMES = [
    "advisor-tool-stream",
    "async-anthropic-beta-message-stream-manager-legacy",
    "async-anthropic-thinking-legacy",
    "cache-real-api",
    "code-execution-tool-stream",
    "compaction-usage-with-cache-streaming",
    "count-tokens-with-adaptive-thinking-and-output-tools",
    "document-pdf-url",
    "fallback-response-stream",
    "fixed-version-tool-chain-with-thinking-display-regression-stream",
    "image-prompt-stream",
    "image-url-input",
    "incomplete-partial-json-response-stream",
    "mcp-servers",
    "mcp-servers-stream",
    "model-thinking-part-redacted",
    "model-thinking-part-redacted-stream",
    "opus-46-adaptive-thinking-stream",
    "parallel-tool-use",
    "parallel-tool-use-stream",
    "pause-turn-web-search-streaming-vcr",
    "plain",
    "prompt-caching-legacy",
    "prompt-caching-stream-legacy",
    "prompt-with-prefill-and-stop-sequences-stream",
    "refusal-after-server-tool-stream-fixture",
    "refusal-response-stream",
    "refusal-stream-fixture",
    "stop-settings-anthropic",
    "stream-events-tool-calls",
    "structured-outputs-legacy",
    "supported-model-uses-20260209-web-tools",
    "web-fetch-tool",
    "web-fetch-tool-stream",
    "web-search-stream",
    "web-search-tool",
]
ERRORS = {
    "error-400-explicit-effort-xhigh-unsupported-model-errors": ("invalid_request_error", None),
    "error-401-invalid-key": ("invalid_request_error", "invalid_api_key"),
    "error-404-model-name-suggestion-anthropic": ("invalid_request_error", "model_not_found"),
}
FINISH = {
    "end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "max_tokens": "length",
    "tool_use": "tool_calls", "refusal": "content_filter",
}  # fmt: skip
ASKS = {"model": "any", "messages": [{"role": "user", "content": "?"}], "stream_options": {"include_usage": True}}


@dataclass
class Told:
    """A recording read without any code of the translation."""

    model: str = ""
    text: str = ""
    thoughts: list[str] = field(default_factory=list)
    tools: list[tuple[str, str, Any]] = field(default_factory=list)
    stop_reason: str = ""
    #: (input, cache read, cache written, output, thinking)
    usage: tuple[int, ...] = ()
    web_citations: int = 0


def _count(usage: dict[str, Any], thinking: int = 0) -> tuple[int, ...]:
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    return (*(usage.get(name) or 0 for name in names), thinking)


def _usage(usages: list[dict[str, Any]], model: str) -> tuple[int, ...]:
    whole = {name: value for usage in usages for name, value in usage.items()}
    thinking = (whole.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    iterations = [turn for turn in whole.get("iterations", []) if turn.get("model", model) == model]
    if iterations:
        sums = [sum(counts) for counts in zip(*map(_count, iterations), strict=True)]
        return (*sums[:4], thinking)
    return _count(whole, thinking)


def _told(recording: Recording) -> Told:
    if not recording.is_event_stream:
        (answer,) = recording.documents()
        blocks, usages = answer["content"], [answer["usage"]]
        told = Told(model=answer["model"], stop_reason=answer["stop_reason"])
    else:
        told, blocks, usages = Told(), [], []
        for event in recording.documents():
            if event["type"] == "message_start":
                told.model = event["message"]["model"]
                usages.append(event["message"]["usage"])
            elif event["type"] == "content_block_start":
                blocks.append({**event["content_block"], "json": "", "citations": []})
            elif event["type"] == "content_block_delta":
                delta, block = event["delta"], blocks[event["index"]]
                for source, target in (("text", "text"), ("thinking", "thinking"), ("partial_json", "json")):
                    block[target] = block.get(target, "") + delta.get(source, "")
                if "citation" in delta:
                    block["citations"].append(delta["citation"])
            elif event["type"] == "message_delta":
                told.stop_reason = event["delta"]["stop_reason"]
                usages.append(event["usage"])
    for block in blocks:
        if block["type"] == "fallback":
            told.model = block["to"]["model"]
        elif block["type"] == "text":
            told.text += block["text"]
            told.web_citations += sum("url" in citation for citation in block.get("citations") or [])
        elif block["type"] == "thinking" and block["thinking"]:
            told.thoughts.append(block["thinking"])
        elif block["type"] == "tool_use":
            arguments = parsed(block["json"]) if block.get("json") else block["input"]
            told.tools.append((block["id"], block["name"], arguments))
    told.usage = _usage(usages, told.model)
    return told


def _compare(heard: Heard, told: Told) -> None:
    assert heard.model == told.model
    assert heard.text == told.text
    assert heard.reasoning == "\n\n".join(told.thoughts)
    assert heard.tool_calls == told.tools
    assert heard.finish_reason == FINISH[told.stop_reason]
    assert len(heard.annotations) == told.web_citations
    usage = heard.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    cached = usage.prompt_tokens_details.cached_tokens or 0
    written = usage.prompt_tokens_details.cache_write_tokens or 0
    uncached = usage.prompt_tokens - cached - written
    reasoning = usage.completion_tokens_details.reasoning_tokens
    assert (uncached, cached, written, usage.completion_tokens, reasoning) == told.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def _read(recordings_dir: Path, name: str) -> Recording:
    return Recording.read(recordings_dir / f"anthropic_messages_{name}.json")


def test_no_recording_is_left_out(recordings_dir: Path) -> None:
    found = {path.stem.removeprefix("anthropic_messages_") for path in recordings_dir.glob("anthropic_messages_*.json")}
    assert found == {*NAMES, *ERRORS}


@pytest.mark.parametrize("name", NAMES)
def test_the_sdk_hears_what_was_recorded(recordings_dir: Path, name: str) -> None:
    recording = _read(recordings_dir, name)
    translator = PAIR.open_reply(ASKS, request_id="req-1")
    if not recording.is_event_stream:
        _compare(hear_whole(translator.whole(recording.body)), _told(recording))
        return
    whole = translate_stream(translator, recording.body)
    _compare(hear_stream(whole), _told(recording))
    for cut in (in_bad_places, byte_by_byte):
        positions = [0, *cut(recording.body), len(recording.body)]
        if len(positions) > 40_000:
            continue
        pieces = [recording.body[a:b] for a, b in itertools.pairwise(positions)]
        again = PAIR.open_reply(ASKS, request_id="req-1")
        assert _untimed(translate_stream(again, recording.body, pieces)) == _untimed(whole)
        assert again.kept == translator.kept


def _untimed(body: bytes) -> list[Any]:
    events = [event.removeprefix(b"data: ") for event in body.split(b"\n\n")[:-2]]
    return [{**json.loads(event), "created": 0} for event in events]


@pytest.mark.parametrize("name", ERRORS)
def test_a_recorded_error_is_told_in_openais_words(recordings_dir: Path, name: str) -> None:
    recording = _read(recordings_dir, name)
    error = PAIR.error(recording.status, recording.body)
    assert (error.error_type, error.code) == ERRORS[name]
    assert error.message == json.loads(recording.body)["error"]["message"]


def test_thinking_of_a_recorded_tool_turn_is_kept_word_for_word(recordings_dir: Path) -> None:
    recording = _read(recordings_dir, "fixed-version-tool-chain-with-thinking-display-regression-stream")
    translator = PAIR.open_reply(ASKS, request_id="req-1")
    heard = hear_stream(translate_stream(translator, recording.body))
    ((call_id, _, _),) = heard.tool_calls
    thinking, mark = translator.kept[call_id]["blocks"]
    assert thinking["thinking"] == heard.reasoning
    assert thinking["signature"] in recording.body.decode()
    assert len(thinking["signature"]) > 100
    assert mark == {"type": "tool_use"}
