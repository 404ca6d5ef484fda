"""Chat schemas keep everything that was sent and name what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tikhub_app.schemas import (
    ChatCompletionChoice,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    WireModel,
)

PUBLISHED_CHOICE = json.loads((Path(__file__).parent / "published_choice.json").read_text())


def test_the_published_choice_survives_a_round_trip() -> None:
    assert ChatCompletionChoice.model_validate(PUBLISHED_CHOICE).to_wire() == PUBLISHED_CHOICE
    as_text = ChatCompletionChoice.model_validate_json(json.dumps(PUBLISHED_CHOICE)).model_dump_json(exclude_unset=True)
    assert json.loads(as_text) == PUBLISHED_CHOICE


def test_unknown_fields_are_kept_at_every_depth() -> None:
    sent = {
        "model": "gpt-4o",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "x"}}]},
            {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}]},
            {"role": "assistant", "content": None, "prefix": True},
        ],
        "tools": [{"type": "web_search_20", "max_uses": 3}],
        "top_k": 40,
    }
    assert ChatCompletionRequest.model_validate(sent).to_wire() == sent


def test_a_field_that_is_not_sent_is_not_written_and_null_stays_null() -> None:
    sent = {"model": "m", "messages": [{"role": "user", "content": "x"}], "seed": None}
    assert ChatCompletionRequest.model_validate(sent).to_wire() == sent


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"messages": []}, ("messages",)),
        ({"messages": "hello"}, ("messages",)),
        ({"messages": [{"content": "x"}]}, ("messages", 0, "role")),
        ({"temperature": 2.1}, ("temperature",)),
        ({"temperature": "1"}, ("temperature",)),
        ({"n": 0}, ("n",)),
        ({"stream": "yes"}, ("stream",)),
        ({"logit_bias": {"50256": -101}}, ("logit_bias", "50256")),
        ({"top_logprobs": 21}, ("top_logprobs",)),
        ({"model": None}, ("model",)),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_its_field(change: dict[str, Any], field: tuple[Any, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        ChatCompletionRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}], **change})
    assert field in {error["loc"][: len(field)] for error in caught.value.errors()}


def test_a_known_part_with_a_missing_field_is_not_taken_for_an_unknown_one() -> None:
    with pytest.raises(ValidationError, match="image_url"):
        ChatCompletionRequest.model_validate(
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image": "x"}]}]}
        )


def chat_recordings(directory: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(directory.glob("*_chat_*.json")):
        yield path.name, json.loads(path.read_text())


def assert_lossless(schema: type[WireModel], sent: Any, name: str) -> None:
    assert schema.model_validate(sent).to_wire() == sent, name


@pytest.mark.recordings
def test_every_recorded_chat_call_survives_a_round_trip(recordings_dir: Path) -> None:
    answers = chunks = 0
    for name, recording in chat_recordings(recordings_dir):
        body = recording["response"]["body"]
        if recording["response"]["status"] != 200 or "error" in body[:12]:
            continue  # what the provider refused need not fit
        assert_lossless(ChatCompletionRequest, recording["request"]["json"], name)
        if not recording["stream"]:
            answer = json.loads(body)
            if "error" not in answer:
                assert_lossless(ChatCompletionResponse, answer, name)
                answers += 1
            continue
        for line in body.splitlines():
            if line.startswith("data:") and "[DONE]" not in line:
                assert_lossless(ChatCompletionChunk, json.loads(line.removeprefix("data:")), name)
                chunks += 1
    assert answers > 20
    assert chunks > 100
