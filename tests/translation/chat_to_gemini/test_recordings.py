"""Every recorded answer of Gemini's through the OpenAI SDK: equal text, tool calls, finish reason and usage."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.recordings.replay import Recording, byte_by_byte, in_bad_places
from tests.translation.chat_caller import Heard, hear_stream, hear_whole, translate_stream
from tests.translation.chat_to_gemini.gemini import PAIR, event
from tikhub_app.translation.base import TranslationOptions

pytestmark = pytest.mark.recordings

ERRORS = {
    "gemini_generateContent_error-400-invalid-key": ("invalid_request_error", "invalid_api_key"),
    "gemini_generateContent_error-404-model-name-suggestion-google": ("invalid_request_error", "model_not_found"),
    "gemini_generateContent_error-429-quota-with-retry-info": ("rate_limit_error", "rate_limit_exceeded"),
}
FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", None: "content_filter"}
ASKS = {"model": "any", "messages": [{"role": "user", "content": "?"}], "stream_options": {"include_usage": True}}


@dataclass
class Told:
    """A recording read without any code of the translation."""

    model: str = ""
    text: str = ""
    thoughts: str = ""
    tools: list[tuple[str | None, str, Any]] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    finish: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)


def _paths(recordings_dir: Path) -> list[Path]:
    kinds = ("gemini_generateContent_*", "gemini_streamGenerateContent_*", "vertex_*")
    return sorted(path for kind in kinds for path in recordings_dir.glob(f"{kind}.json"))


def _chunks(recording: Recording) -> list[dict[str, Any]]:
    """The answers of a recording; a stream may have been recorded as one array."""
    first: Any
    (first, *rest) = recording.documents()
    return first if isinstance(first, list) else [first, *rest]


def _told(chunks: list[dict[str, Any]]) -> Told:
    told = Told()
    for chunk in chunks:
        told.model = chunk["modelVersion"]
        if chunk["usageMetadata"].keys() - {"trafficType"}:
            told.usage = chunk["usageMetadata"]
        for candidate in chunk.get("candidates", []):
            told.finish = candidate.get("finishReason") or told.finish
            for grounded in candidate.get("groundingMetadata", {}).get("groundingChunks", []):
                told.sources |= {source["uri"] for source in grounded.values() if "uri" in source}
            for part in candidate["content"].get("parts", []):
                if part.get("thought"):
                    told.thoughts += part["text"]
                elif "functionCall" in part:
                    called = part["functionCall"]
                    told.tools.append((called.get("id"), called["name"], called["args"]))
                elif "inlineData" in part:
                    told.images.append(f"data:{part['inlineData']['mimeType']};base64,{part['inlineData']['data']}")
                else:
                    told.text += part.get("text", "")
    return told


def _compare(heard: Heard, told: Told) -> None:
    assert (heard.text, heard.reasoning, heard.model) == (told.text, told.thoughts, told.model)
    assert [call[1:] for call in heard.tool_calls] == [call[1:] for call in told.tools]
    for ours, theirs in zip(heard.tool_calls, told.tools, strict=True):
        assert ours[0] == theirs[0] or (theirs[0] is None and ours[0].startswith("call_"))
    assert len({call[0] for call in heard.tool_calls}) == len(heard.tool_calls)
    assert heard.finish_reason == ("tool_calls" if told.tools else FINISH[told.finish])
    assert {annotation["url_citation"]["url"] for annotation in heard.annotations} == told.sources
    if not told.usage:
        assert heard.usage is None
        return
    usage = heard.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    names = (
        "promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
        "cachedContentTokenCount",
    )  # fmt: skip
    prompt, by_tools, visible, thoughts, cached = (told.usage.get(name, 0) for name in names)
    assert usage.prompt_tokens == prompt + by_tools
    assert usage.completion_tokens == visible + thoughts
    assert usage.total_tokens == told.usage.get("totalTokenCount", visible + thoughts)
    assert usage.completion_tokens_details.reasoning_tokens == thoughts
    assert usage.prompt_tokens_details.cached_tokens == cached


def test_the_sdk_hears_what_was_recorded(recordings_dir: Path) -> None:
    seen = set()
    for path in _paths(recordings_dir):
        if path.stem in ERRORS:
            continue
        recording = Recording.read(path)
        chunks = _chunks(recording)
        seen.add(path.stem.split("_")[1])
        if "streamGenerateContent" not in path.stem:
            written = PAIR.open_reply(ASKS, request_id="req-1").whole(recording.body)
            _compare(hear_whole(written), _told(chunks))
            images = json.loads(written)["choices"][0]["message"].get("images", [])
            assert [image["image_url"]["url"] for image in images] == _told(chunks).images
            continue
        body = recording.body if recording.is_event_stream else b"".join(map(event, chunks))
        translator = PAIR.open_reply(ASKS, request_id="req-1")
        streamed = translate_stream(translator, body)
        _compare(hear_stream(streamed), _told(chunks))
        for cut in (in_bad_places, byte_by_byte):
            positions = [0, *cut(body), len(body)]
            if len(positions) > 20_000:
                continue
            pieces = [body[a:b] for a, b in itertools.pairwise(positions)]
            again = PAIR.open_reply(ASKS, request_id="req-1")
            assert _untimed(translate_stream(again, body, pieces)) == _untimed(streamed)
            assert again.kept == translator.kept
    assert seen == {"generateContent", "streamGenerateContent"}


def _untimed(body: bytes) -> list[Any]:
    events = [event.removeprefix(b"data: ") for event in body.split(b"\n\n")[:-2]]
    return [{**json.loads(event), "created": 0} for event in events]


@pytest.mark.parametrize("name", ERRORS)
def test_a_recorded_error_is_told_in_openais_words(recordings_dir: Path, name: str) -> None:
    recording = Recording.read(recordings_dir / f"{name}.json")
    error = PAIR.error(recording.status, recording.body)
    assert (error.error_type, error.code) == ERRORS[name]
    assert error.message == json.loads(recording.body)["error"]["message"]


def test_parts_of_a_recorded_tool_turn_are_put_back_word_for_word(recordings_dir: Path) -> None:
    for name in ("streaming-reasoning-with-multiple-tool-calls", "streaming-tool-call-thought-signature"):
        recording = Recording.read(recordings_dir / f"gemini_streamGenerateContent_{name}.json")
        sent = [
            part
            for chunk in _chunks(recording)
            for part in chunk["candidates"][0]["content"]["parts"]
            if "functionCall" in part
        ]
        translator = PAIR.open_reply(ASKS, request_id="req-1")
        heard = hear_stream(translate_stream(translator, recording.body))
        calls = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id, name, arguments in heard.tool_calls
        ]
        results = [{"role": "tool", "tool_call_id": id, "content": "x"} for id, _, _ in heard.tool_calls]
        chat = {
            "model": "any",
            "messages": [*ASKS["messages"], {"role": "assistant", "content": None, "tool_calls": calls}, *results],
        }
        assert set(PAIR.needed_state(chat)) == set(translator.kept)
        kept = json.loads(json.dumps(translator.kept))
        again = PAIR.request(chat, model="gemini-3-pro-preview", kept=kept, options=TranslationOptions())
        assert again.body["contents"][1] == {"role": "model", "parts": sent}
        responses = [part["functionResponse"] for part in again.body["contents"][2]["parts"]]
        assert [response.get("id") for response in responses] == [part["functionCall"].get("id") for part in sent]
