"""Gemini's wire models: whatever Google or its callers write is kept, in either spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tikhub_app.schemas import (
    GeminiErrorResponse,
    GeminiGenerateContentArray,
    GeminiGenerateContentRequest,
    GeminiGenerateContentResponse,
)

SAMPLES = Path(__file__).parent.parent / "samples" / "gemini"


def documents(body: str) -> list[dict[str, Any]]:
    if body.startswith("data:"):
        return [json.loads(line[5:]) for line in body.replace("\r\n", "\n").split("\n") if line.startswith("data:")]
    found = json.loads(body)
    return found if isinstance(found, list) else [found]


@pytest.mark.recordings
def test_every_recording_is_read_and_written_again(recordings_dir: Path) -> None:
    paths = [path for pattern in ("gemini_*ontent_*", "vertex_*") for path in recordings_dir.glob(pattern)]
    assert len(paths) == 31
    for path in paths:
        whole = json.loads(path.read_text())
        request = whole["request"]["json"]
        read = GeminiGenerateContentRequest.model_validate(request)  # some are in snake_case
        assert GeminiGenerateContentRequest.model_validate(read.to_wire()) == read
        for document in documents(whole["response"]["body"]):
            model = GeminiErrorResponse if "error" in document else GeminiGenerateContentResponse
            assert model.model_validate(document).to_wire() == document, path.stem


@pytest.mark.parametrize("name", ["prompt_blocked.json", "grounded_answer.json", "stream_thoughts_and_calls.sse"])
def test_answers_are_typed(name: str) -> None:
    for document in documents((SAMPLES / name).read_text()):
        answer = GeminiGenerateContentResponse.model_validate(document)
        assert answer.to_wire() == document
        assert answer.usage_metadata is not None
        assert answer.usage_metadata.prompt_token_count == document["usageMetadata"]["promptTokenCount"]
    assert [each.root for each in [GeminiGenerateContentArray.model_validate([])]] == [[]]


def test_both_spellings_are_read_and_camel_case_is_written() -> None:
    snake = {"contents": [{"parts": {"text": "hi"}}], "generation_config": {"max_output_tokens": 5, "new_field": 1}}
    camel = {"contents": [{"parts": {"text": "hi"}}], "generationConfig": {"maxOutputTokens": 5, "new_field": 1}}
    read = GeminiGenerateContentRequest.model_validate(snake)
    assert read == GeminiGenerateContentRequest.model_validate(camel)
    assert read.to_wire() == camel


def test_types_are_not_bent() -> None:
    with pytest.raises(ValidationError):
        GeminiGenerateContentRequest.model_validate({"contents": "hi"})
