"""A whole GenerateContentResponse as a chat.completion.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.chat_form import AnsweredChoice, CalledTool, completion_id, write_completion
from tikhub_app.translation.chat_to_gemini.answer import (
    Asked,
    CandidateReader,
    Said,
    Thought,
    candidate_index,
    chat_logprobs,
    chat_usage,
    counts_tokens,
    failure,
    finish_reason,
    is_blocked,
    mappings,
    service_tier,
    text_of,
)
from tikhub_app.translation.chat_to_gemini.citations import url_citations
from tikhub_app.translation.json_text import decode_object

_OF_AN_ANSWER = ("candidates", "promptFeedback", "usageMetadata", "responseId")


def translate_answer(body: bytes, asked: Asked) -> tuple[bytes, dict[str, Any]]:
    """The chat.completion, and what is to be kept.

    :raises ValueError: not an answer of Gemini's, or one in which the model broke down.
    """
    answer = decode_object(body)
    if not any(name in answer for name in _OF_AN_ANSWER):
        raise ValueError("the answer has no candidates")
    model = text_of(answer.get("modelVersion")) or asked.model
    candidates = mappings(answer.get("candidates"))
    failures = [told for candidate in candidates if (told := failure(candidate)) is not None]
    if failures and len(failures) == len(candidates):
        raise ValueError(failures[0])
    kept: dict[str, Any] = {}
    choices: dict[int, AnsweredChoice] = {}
    for candidate in candidates:
        index = candidate_index(candidate)
        if index in choices:
            index = max(choices) + 1
        reader = CandidateReader(asked, index)
        choices[index] = _choice(candidate, reader, index)
        kept |= reader.layout.kept(model)
    if not choices:
        choices[0] = AnsweredChoice("content_filter" if is_blocked(answer) else "stop")
    usage = answer.get("usageMetadata")
    written = write_completion(
        id=completion_id(answer.get("responseId"), asked.request_id),
        model=model,
        choices=[choices[index] for index in sorted(choices)],
        usage=chat_usage(usage) if isinstance(usage, dict) and counts_tokens(usage) else None,
        service_tier=service_tier(usage),
        legacy_functions=asked.legacy_functions,
    )
    return written, kept


def _choice(candidate: Mapping[str, Any], reader: CandidateReader, index: int) -> AnsweredChoice:
    choice = AnsweredChoice(index=index)
    thoughts: list[str] = []
    images: list[dict[str, Any]] = []
    for piece in reader.read(candidate):
        if isinstance(piece, Thought):
            thoughts.append(piece.text)
        elif isinstance(piece, CalledTool):
            choice.tool_calls.append(piece)
        elif not isinstance(piece, Said):
            images.append(piece.entry)
    choice.text = reader.text()
    choice.reasoning = "".join(thoughts)
    if images:
        choice.extras["images"] = images
    choice.annotations = url_citations(candidate, choice.text)
    choice.logprobs = chat_logprobs(candidate) or None
    choice.finish_reason = finish_reason(text_of(candidate.get("finishReason")), has_calls=reader.has_calls())
    return choice
