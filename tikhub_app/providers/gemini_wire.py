"""The wire form of Gemini's answers: usage, content filters, tools of the server, errors.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tikhub_app.providers.facts import FilterFinding, Usage

_any = msgspec.json.Decoder()


def decode_object(data: bytes) -> dict[str, Any]:
    """A JSON object.

    :raises ValueError: something else.
    """
    try:
        found = _any.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Python's own parser takes what strict ones refuse: NaN as a log probability, half an emoji in a chunk.
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ValueError("the answer is not JSON") from error
    except RecursionError as error:
        raise ValueError("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise ValueError("the answer is not a JSON object")
    return found


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in what should be a list of objects."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def mapping(value: Any) -> dict[str, Any]:
    """The object, or an empty one in its place."""
    return value if isinstance(value, dict) else {}


# Enumerations are names, or numbers where the caller asked for ``$alt=json;enum-encoding=int``, as Google's generated
# clients do. https://github.com/googleapis/googleapis/tree/master/google/ai/generativelanguage/v1beta

FINISH_REASONS = {
    1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER", 6: "LANGUAGE", 7: "BLOCKLIST",
    8: "PROHIBITED_CONTENT", 9: "SPII", 10: "MALFORMED_FUNCTION_CALL", 11: "IMAGE_SAFETY",
}  # fmt: skip
BLOCK_REASONS = {1: "SAFETY", 2: "OTHER", 3: "BLOCKLIST", 4: "PROHIBITED_CONTENT", 5: "IMAGE_SAFETY"}
HARM_CATEGORIES = {
    7: "HARM_CATEGORY_HARASSMENT", 8: "HARM_CATEGORY_HATE_SPEECH", 9: "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    10: "HARM_CATEGORY_DANGEROUS_CONTENT", 11: "HARM_CATEGORY_CIVIC_INTEGRITY",
}  # fmt: skip
HARM_PROBABILITIES = {1: "NEGLIGIBLE", 2: "LOW", 3: "MEDIUM", 4: "HIGH"}
MODALITIES = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}


def enum_name(value: Any, names: Mapping[int, str]) -> str:
    """The name of an enumeration's value; empty where there is none, or it is the unspecified 0."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return names.get(value, str(value))
    return ""


# UsageMetadata: https://ai.google.dev/api/generate-content#UsageMetadata

# Beyond any context; a nonsensical number must not overflow the columns into which counters are added up.
_MOST_TOKENS = 10**8


def _count(value: Any) -> int:
    if isinstance(value, str) and value.isdigit() and len(value) < 10:  # proto JSON may write integers as strings
        return min(int(value), _MOST_TOKENS)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return min(max(0, round(value)), _MOST_TOKENS) if value == value and abs(value) != float("inf") else 0


def _by_modality(details: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for entry in objects(details):
        name = enum_name(entry.get("modality"), MODALITIES)
        counts[name] = counts.get(name, 0) + _count(entry.get("tokenCount"))
    return counts


def counts_tokens(usage: Mapping[str, Any]) -> bool:
    """Whether a usageMetadata has any count: Vertex puts nothing but a ``trafficType`` on some chunks."""
    return any(name.endswith("TokenCount") for name in usage)


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """Disjoint counters from a usageMetadata object.

    ``promptTokenCount`` includes ``cachedContentTokenCount``. ``thoughtsTokenCount`` is not in
    ``candidatesTokenCount``, and ``toolUsePromptTokenCount``, what search and other tools of the server put before the
    model, is input that is not in ``promptTokenCount``. ``totalTokenCount`` is the sum of all of them.
    """
    prompt, candidates = _count(usage.get("promptTokenCount")), _count(usage.get("candidatesTokenCount"))
    tool_prompt, thoughts = _count(usage.get("toolUsePromptTokenCount")), _count(usage.get("thoughtsTokenCount"))
    cached = _count(usage.get("cachedContentTokenCount"))
    total = usage.get("totalTokenCount")
    image, audio = _media_input(usage, prompt, tool_prompt, cached)
    spoken = min(_by_modality(usage.get("candidatesTokensDetails")).get("AUDIO", 0), candidates)
    if thoughts and candidates >= thoughts and _count(total) == prompt + tool_prompt + candidates:
        # Once thoughts were part of candidatesTokenCount; where they still are, the total says so.
        candidates -= thoughts
    read = Usage(
        input_uncached=max(0, prompt + tool_prompt - cached - image - audio),
        cache_read=cached,
        image_input=image,
        audio_input=audio,
        output_visible=max(0, candidates - spoken),
        reasoning=thoughts,
        audio_output=spoken,
    )
    # Without a total there is nothing to check the parts by, and in practice a part is missing then.
    read.is_mismatch = total is None or read.input_tokens + read.output_tokens != _count(total)
    return read


def _media_input(usage: Mapping[str, Any], prompt: int, tool_prompt: int, cached: int) -> tuple[int, int]:
    """Uncached image and audio tokens. None where the cached ones are not told by modality: counters are disjoint."""
    within_cache = _by_modality(usage.get("cacheTokensDetails"))
    if cached and sum(within_cache.values()) != cached:
        return 0, 0
    given = _by_modality(usage.get("promptTokensDetails"))
    by_tools = _by_modality(usage.get("toolUsePromptTokensDetails"))
    image, audio = (
        max(0, given.get(name, 0) + by_tools.get(name, 0) - within_cache.get(name, 0)) for name in ("IMAGE", "AUDIO")
    )
    return (image, audio) if image + audio <= prompt + tool_prompt - cached else (0, 0)


# Safety: https://ai.google.dev/gemini-api/docs/safety-settings

#: Categories that have a name in the normal form; others keep Google's, without its prefix.
_CATEGORIES = {
    "HARM_CATEGORY_HATE_SPEECH": "hate",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT": "sexual",
    "HARM_CATEGORY_DANGEROUS_CONTENT": "dangerous",
    "HARM_CATEGORY_HARASSMENT": "harassment",
}
_SEVERITIES = {"NEGLIGIBLE": "safe", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
#: Reasons for which an answer was withheld or cut by a filter.
FILTERED_FINISHES = frozenset({
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION", "MODEL_ARMOR",
})  # fmt: skip


def rating_findings(ratings: Iterable[dict[str, Any]], side: str, choice_index: int | None) -> list[FilterFinding]:
    """One finding for each safety rating; ``filtered`` only where Google says ``blocked``."""
    findings = []
    for rating in ratings:
        category = enum_name(rating.get("category"), HARM_CATEGORIES)
        if not category:
            continue
        name = _CATEGORIES.get(category, category.removeprefix("HARM_CATEGORY_").lower()[:60])
        finding = FilterFinding(side, name, choice_index, raw=rating)
        if isinstance(rating.get("blocked"), bool):
            finding.filtered = rating["blocked"]
        finding.severity = _SEVERITIES.get(enum_name(rating.get("probability"), HARM_PROBABILITIES))
        findings.append(finding)
    return findings


def prompt_findings(feedback: Mapping[str, Any]) -> list[FilterFinding]:
    """What promptFeedback says. A prompt that was blocked has a reason, and the answer no candidates."""
    findings = rating_findings(objects(feedback.get("safetyRatings")), "prompt", None)
    reason = enum_name(feedback.get("blockReason"), BLOCK_REASONS)
    if reason:
        raw = {name: value for name, value in feedback.items() if name != "safetyRatings"}
        findings.append(FilterFinding("prompt", reason.lower()[:60], filtered=True, raw=raw))
    return findings


def finish_finding(reason: str, message: Any, choice_index: int) -> FilterFinding | None:
    """An answer that a filter withheld or cut."""
    if reason not in FILTERED_FINISHES:
        return None
    raw = {"finishReason": reason} | ({"finishMessage": message} if message else {})
    return FilterFinding("completion", reason.lower(), choice_index, filtered=True, raw=raw)


# Errors: https://ai.google.dev/gemini-api/docs/troubleshooting, in the form of https://google.aip.dev/193


def read_google_error(body: bytes) -> dict[str, Any]:
    """The ``error`` object of a refusal, which streamGenerateContent may wrap in an array; empty if there is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    return mapping(mapping(found).get("error"))


def error_details(error: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """The details of one type, such as ``ErrorInfo``."""
    suffix = f"google.rpc.{kind}"
    return [detail for detail in objects(error.get("details")) if str(detail.get("@type", "")).endswith(suffix)]


def duration_s(text: Any) -> float | None:
    """Seconds of a google.protobuf.Duration such as ``"48.5s"``."""
    if not isinstance(text, str) or not text.endswith("s"):
        return None
    try:
        seconds = float(text[:-1])
    except ValueError:
        return None
    return seconds if 0 <= seconds < 10**9 else None
