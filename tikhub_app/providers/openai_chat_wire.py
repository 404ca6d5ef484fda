"""The wire form of chat completions, as far as it is read; whole answers, usage and filters. Shared by look-alikes.

https://platform.openai.com/docs/api-reference/chat/object
https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import json
from typing import Any, TypeVar, get_type_hints

import msgspec

from tikhub_app.providers.facts import FilterFinding, ReplyFacts, Usage

# Only what is read is declared, and loosely: hosts that resemble OpenAI differ in details, and a detail must never
# break a call. Whatever is not declared passes unseen.


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    index: int = 0
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Any = None


class Message(msgspec.Struct):
    """A whole message or a delta of one."""

    role: str | None = None
    content: Any = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None


class Choice(msgspec.Struct):
    index: int = 0
    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None
    content_filter_results: Any = None


class Completion(msgspec.Struct):
    """A chat.completion or a chat.completion.chunk."""

    id: str | None = None
    model: str | None = None
    created: Any = None
    choices: list[Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    prompt_filter_results: Any = None
    prompt_annotations: Any = None
    moderation: Any = None
    service_tier: Any = None


_CHOICE_TYPES = get_type_hints(Choice)
_COMPLETION_TYPES = get_type_hints(Completion)
StructT = TypeVar("StructT", bound=msgspec.Struct)
_strict = msgspec.json.Decoder(Completion)
_any = msgspec.json.Decoder()


def decode(data: bytes) -> Completion:
    """Read the declared fields.

    :raises ValueError: not a JSON object.
    """
    try:
        return _strict.decode(data)
    except msgspec.DecodeError:  # which a wrong type (ValidationError) is as well
        return _decode_loosely(data)
    except (RecursionError, UnicodeDecodeError) as error:
        raise ValueError("the answer is not JSON") from error


def _decode_loosely(data: bytes) -> Completion:
    """Where a host gives a field another type than OpenAI does, keep the fields that fit.

    Python's own parser takes what some hosts send and others refuse: NaN as a log probability, half an emoji at the
    end of one chunk and the other half in the next.
    """
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError("the answer is not JSON") from error
    if not isinstance(whole, dict):
        raise ValueError("the answer is not a JSON object")
    choices = whole.get("choices")
    if isinstance(choices, list):
        whole["choices"] = [_fitting(Choice, _CHOICE_TYPES, choice) for choice in choices]
    return _fitting(Completion, _COMPLETION_TYPES, whole)


def _fitting(kind: type[StructT], types: dict[str, Any], whole: Any) -> StructT:
    found = kind()
    for name, hint in types.items():
        if isinstance(whole, dict) and name in whole:
            value = whole[name]
            if name != "choices":
                try:
                    value = msgspec.convert(value, hint)
                except msgspec.ValidationError:
                    continue
            elif not isinstance(value, list):
                continue
            setattr(found, name, value)
    return found


# Beyond any context; a nonsensical number must not overflow the columns into which counters are added up.
_MOST_TOKENS = 10**8


def _count(value: Any) -> int:
    """Token numbers are integers, yet some hosts have sent fractions, nulls and strings."""
    if type(value) is int:
        return min(max(0, value), _MOST_TOKENS)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return min(max(0, round(value)), _MOST_TOKENS) if value == value and abs(value) != float("inf") else 0


def read_usage(usage: dict[str, Any]) -> Usage:
    """Disjoint counters from a usage object.

    "prompt_tokens" includes cached, audio and image tokens, "completion_tokens" includes reasoning and audio.
    https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage
    """
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    given_in = usage.get("prompt_tokens_details")
    details_in: dict[str, Any] = given_in if isinstance(given_in, dict) else {}
    given_out = usage.get("completion_tokens_details")
    details_out: dict[str, Any] = given_out if isinstance(given_out, dict) else {}
    cached, written = _count(details_in.get("cached_tokens")), _count(details_in.get("cache_write_tokens"))
    image, audio = _count(details_in.get("image_tokens")), _count(details_in.get("audio_tokens"))
    reasoning, audio_out = _count(details_out.get("reasoning_tokens")), _count(details_out.get("audio_tokens"))
    total = _count(usage.get("total_tokens")) if usage.get("total_tokens") is not None else prompt + completion
    uncached = prompt - cached - written - image - audio
    visible = completion - reasoning - audio_out
    if visible < 0 and total == prompt + completion + reasoning:
        # Some compatible hosts count reasoning beside completion_tokens instead of within.
        visible = completion - audio_out
    read = Usage(
        input_uncached=max(0, uncached),
        cache_read=cached,
        cache_write_5m=written,
        image_input=image,
        audio_input=audio,
        output_visible=max(0, visible),
        reasoning=reasoning,
        audio_output=audio_out,
    )
    read.is_mismatch = read.input_tokens + read.output_tokens != total
    return read


def category_findings(results: Any, side: str, choice_index: int | None) -> list[FilterFinding]:
    """One object of categories, as Azure writes it.

    https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter
    """
    if not isinstance(results, dict):
        return []
    findings = []
    for name, verdict in results.items():
        finding = FilterFinding(side, str(name).replace("-", "_")[:60], choice_index, raw=verdict)
        if isinstance(verdict, dict):
            for field in ("filtered", "detected"):
                if isinstance(verdict.get(field), bool):
                    setattr(finding, field, verdict[field])
            if verdict.get("severity") in ("safe", "low", "medium", "high"):
                finding.severity = verdict["severity"]
        findings.append(finding)
    return findings


def prompt_findings(completion: Completion) -> list[FilterFinding]:
    # "prompt_annotations" is the name in old api-versions.
    entries = completion.prompt_filter_results or completion.prompt_annotations
    findings: list[FilterFinding] = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            findings += category_findings(entry.get("content_filter_results"), "prompt", None)
    return findings


def moderation_findings(moderation: Any) -> list[FilterFinding]:
    """The optional moderation object: input and output, each with results[{flagged, categories}]."""
    findings: list[FilterFinding] = []
    if not isinstance(moderation, dict):
        return findings
    for field, side in (("input", "prompt"), ("output", "completion")):
        part = moderation.get(field)
        for result in (part.get("results") or []) if isinstance(part, dict) else []:
            categories = result.get("categories") if isinstance(result, dict) else None
            for name, flagged in categories.items() if isinstance(categories, dict) else ():
                if flagged is True:
                    findings.append(FilterFinding(side, str(name)[:60], detected=True, raw=result))
    return findings


def read_error_findings(body: bytes) -> list[FilterFinding]:
    """Azure's body for a blocked prompt: error.innererror.content_filter_result (singular)."""
    try:
        whole = _any.decode(body)
        inner = whole["error"]["innererror"]
        return category_findings(inner.get("content_filter_result"), "prompt", None)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def refusal_finding(index: int, text: str) -> FilterFinding:
    """OpenAI: "message.refusal", the model's own refusal in structured outputs."""
    return FilterFinding("completion", "refusal", index, detected=True, raw={"refusal": text})


def withheld_finding(index: int) -> FilterFinding:
    """OpenAI: finish_reason "content_filter", "if content was omitted due to a flag from our content filters"."""
    return FilterFinding("completion", "content_filter", index, filtered=True, raw={"finish_reason": "content_filter"})


def read_completion(body: bytes) -> ReplyFacts:
    """Facts of a whole chat.completion.

    :raises ValueError: not a JSON object, or neither choices nor an error in it.
    """
    completion = decode(body)
    if completion.choices is None and completion.error is None:
        raise ValueError("the answer has no choices")
    facts = ReplyFacts(answered_model=completion.model or "")
    if completion.usage is not None:
        facts.usage = read_usage(completion.usage)
    facts.findings = prompt_findings(completion) + moderation_findings(completion.moderation)
    for choice in completion.choices or ():
        facts.finish_reason = facts.finish_reason or choice.finish_reason or ""
        facts.findings += category_findings(choice.content_filter_results, "completion", choice.index)
        if choice.finish_reason == "content_filter":
            facts.findings.append(withheld_finding(choice.index))
        if choice.message is not None:
            if choice.message.refusal:
                facts.findings.append(refusal_finding(choice.index, choice.message.refusal))
            facts.output_characters += measure(choice.message)
    if completion.error is not None:
        # Azure has answered 200 with an error body for a blocked prompt.
        facts.findings += read_error_findings(body)
    return facts


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def arguments_of(call: ToolCall) -> str:
    """What the model wrote into a tool call: a function's arguments, or a custom tool's input."""
    custom = text_of(call.custom.get("input")) if isinstance(call.custom, dict) else ""
    return custom + ((call.function.arguments or "") if call.function is not None else "")


def measure(message: Message) -> int:
    """Characters that the model wrote in a message or delta; the basis of an estimate."""
    called = sum(len(arguments_of(call)) for call in message.tool_calls or ())
    if message.function_call is not None:
        called += len(message.function_call.arguments or "")
    return len(text_of(message.content)) + len(message.reasoning_content or "") + len(message.refusal or "") + called
