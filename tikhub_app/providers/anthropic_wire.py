"""The wire form of Claude's Messages, read from whole answers; what a stream shares with them is here too.

https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tikhub_app.providers.facts import FilterFinding, ReplyFacts, Usage

_any = msgspec.json.Decoder()
# Beyond any context; a nonsensical number must not overflow the columns into which counters are added up.
_MOST_TOKENS = 10**8


def decode_object(data: bytes) -> dict[str, Any]:
    """One JSON object.

    :raises ValueError: it is something else.
    """
    try:
        whole = _any.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        try:
            whole = json.loads(data)  # takes half an emoji and NaN, as some relays send them
        except (ValueError, RecursionError) as error:
            raise ValueError("the answer is not JSON") from error
    if not isinstance(whole, dict):
        raise ValueError("the answer is not a JSON object")
    return whole


def _count(value: Any) -> int:
    """Token numbers are integers, yet relays have sent fractions, nulls and strings."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return min(max(0, round(value)), _MOST_TOKENS) if value == value and abs(value) != float("inf") else 0


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


# Usage: https://platform.claude.com/docs/en/api/messages#usage


def _counters(usage: Mapping[str, Any]) -> Usage:
    """Disjoint counters of one usage object or one iteration.

    "Total input tokens in a request is the summation of input_tokens, cache_creation_input_tokens, and
    cache_read_input_tokens": the three are disjoint. cache_creation splits the second by time to live; output_tokens
    contains output_tokens_details.thinking_tokens.
    """
    split = usage.get("cache_creation")
    split = split if isinstance(split, dict) else {}
    five, hour = _count(split.get("ephemeral_5m_input_tokens")), _count(split.get("ephemeral_1h_input_tokens"))
    total = usage.get("cache_creation_input_tokens")
    unsplit = 0 if total is None else _count(total) - five - hour
    read = Usage(
        input_uncached=_count(usage.get("input_tokens")), cache_read=_count(usage.get("cache_read_input_tokens"))
    )
    read.cache_write_5m, read.cache_write_1h = five, hour
    if unsplit > 0:
        # The split is absent, or older than the total: writes live five minutes unless the caller asked for an hour.
        if hour and not five:
            read.cache_write_1h += unsplit
        else:
            read.cache_write_5m += unsplit
        read.is_mismatch = bool(hour and five)
    elif unsplit < 0:
        read.is_mismatch = True
    details = usage.get("output_tokens_details")
    thinking = _count(details.get("thinking_tokens")) if isinstance(details, dict) else 0
    _set_output(read, _count(usage.get("output_tokens")), thinking)
    return read


def _set_output(usage: Usage, output: int, thinking: int) -> None:
    usage.reasoning = min(thinking, output)
    usage.output_visible = output - usage.reasoning
    usage.is_mismatch = usage.is_mismatch or thinking > output


def _add(first: Usage, second: Usage) -> Usage:
    return Usage(
        input_uncached=first.input_uncached + second.input_uncached,
        cache_read=first.cache_read + second.cache_read,
        cache_write_5m=first.cache_write_5m + second.cache_write_5m,
        cache_write_1h=first.cache_write_1h + second.cache_write_1h,
        output_visible=first.output_visible + second.output_visible,
        reasoning=first.reasoning + second.reasoning,
        is_mismatch=first.is_mismatch or second.is_mismatch,
    )


#: Iterations that the fields above them leave out: "A compaction entry's tokens are not included in the top-level
#: usage fields", and an advisor's are billed at the advisor's own price.
_LEFT_OUT = frozenset({"compaction", "advisor_message"})
_ADDED_UP = _LEFT_OUT | {"message"}


def read_usage(usage: Mapping[str, Any], model: str = "") -> tuple[Usage, dict[str, Usage]]:
    """Counters at the price of the model that answers, and those of other models by name.

    Where ``iterations`` are given, all of them are billed and their sum is the truth; the fields above them leave
    some out. https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage
    """
    whole = _counters(usage)
    iterations = _objects(usage.get("iterations"))
    if not iterations:
        return whole, {}
    mine, others, inside = Usage(), dict[str, Usage](), Usage()
    for iteration in iterations:
        counted = _counters(iteration)
        name = iteration.get("model")
        if isinstance(name, str) and name and name != model:
            others[name] = _add(others.get(name, Usage()), counted)
        else:
            mine = _add(mine, counted)
        if iteration.get("type") not in _LEFT_OUT:
            inside = _add(inside, counted)
    if mine.reasoning < whole.reasoning:  # iterations do not say how much of them was thinking
        _set_output(mine, mine.output_tokens, whole.reasoning)
    if all(iteration.get("type") in _ADDED_UP for iteration in iterations):
        sums = (inside.input_tokens, inside.output_tokens)
        mine.is_mismatch = mine.is_mismatch or sums != (whole.input_tokens, whole.output_tokens)
    return mine, others


# Server tools: https://platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools


def count_server_tools(usage: Mapping[str, Any], called: Mapping[str, int]) -> dict[str, int]:
    """Tool -> number of calls: those that are billed as the usage says, the others as the content shows."""
    calls = dict(called)
    billed = usage.get("server_tool_use")
    for field, number in billed.items() if isinstance(billed, dict) else ():
        calls[str(field).removesuffix("_requests")[:60]] = _count(number)
    return {name: number for name, number in calls.items() if number}


def called_tool(block: Mapping[str, Any]) -> str | None:
    """The name under which a content block counts as a call of a server's tool."""
    kind = block.get("type")
    if kind == "server_tool_use":
        return str(block.get("name") or kind)[:60]
    return "mcp" if kind == "mcp_tool_use" else None


# Refusals: https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback


def _stopped(category: Any, raw: Any) -> FilterFinding:
    name = category if isinstance(category, str) and category else "refusal"
    return FilterFinding("completion", name[:60], 0, filtered=True, raw=raw)


def refusal_findings(stop_reason: Any, stop_details: Any) -> list[FilterFinding]:
    """stop_reason "refusal", with the category in stop_details where "the refusal maps to a named category"."""
    if stop_reason != "refusal":
        return []
    details = stop_details if isinstance(stop_details, dict) else {}
    return [_stopped(details.get("category"), details or {"stop_reason": "refusal"})]


def fallback_finding(block: Mapping[str, Any]) -> FilterFinding | None:
    """A "fallback" block marks where a model declined and another took over."""
    trigger = block.get("trigger")
    if block.get("type") != "fallback" or not isinstance(trigger, dict) or trigger.get("type") != "refusal":
        return None
    return _stopped(trigger.get("category"), dict(block))


def fallback_model(block: Mapping[str, Any]) -> str:
    """The model that a "fallback" block hands over to."""
    to = block.get("to") if block.get("type") == "fallback" else None
    name = to.get("model") if isinstance(to, dict) else None
    return name if isinstance(name, str) else ""


# Errors: https://platform.claude.com/docs/en/api/errors

#: The status that an error of this type has as an HTTP answer. Those that blame the account are left out.
STATUS_OF_ERROR: Mapping[str, int] = {
    "invalid_request_error": 400,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
#: The whole message of an error by which the output filter ends an answer; there is no code for it.
_OUTPUT_BLOCKED = "Output blocked by content filtering policy"


def error_of(whole: Mapping[str, Any]) -> Mapping[str, Any]:
    error = whole.get("error")
    return error if isinstance(error, dict) else {}


def error_findings(whole: Mapping[str, Any]) -> list[FilterFinding]:
    error = error_of(whole)
    if error.get("message") != _OUTPUT_BLOCKED:
        return []
    return [FilterFinding("completion", "content_filter", 0, filtered=True, raw=dict(error))]


# Whole answers: https://platform.claude.com/docs/en/api/messages#response


def _written(blocks: Iterable[Mapping[str, Any]]) -> int:
    """Characters that the model wrote; the basis of an estimate."""
    characters = 0
    for block in blocks:
        characters += sum(len(text) for name in ("text", "thinking") if isinstance(text := block.get(name), str))
        if isinstance(block.get("input"), dict) and block["input"]:
            characters += len(msgspec.json.encode(block["input"]))
    return characters


def read_message(body: bytes) -> ReplyFacts:
    """Facts of a whole message.

    :raises ValueError: not a JSON object, or no content in it.
    """
    message = decode_object(body)
    if not isinstance(message.get("content"), list):
        raise ValueError("the answer has no content")
    blocks = _objects(message["content"])
    facts = ReplyFacts(answered_model=text_of(message.get("model")), finish_reason=text_of(message.get("stop_reason")))
    called = Counter(name for name in map(called_tool, blocks) if name)
    usage = message.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    if usage:
        facts.usage, facts.other_models = read_usage(usage, facts.answered_model)
    facts.server_tool_calls = count_server_tools(usage, called)
    facts.findings = [finding for finding in map(fallback_finding, blocks) if finding is not None]
    facts.findings += refusal_findings(message.get("stop_reason"), message.get("stop_details"))
    facts.output_characters = _written(blocks)
    return facts


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


# Token counting: https://platform.claude.com/docs/en/api/messages-count-tokens


def read_token_count(body: bytes) -> ReplyFacts:
    """Nothing is used by counting, so there is nothing to keep.

    :raises ValueError: the answer has no count.
    """
    counted = decode_object(body).get("input_tokens")
    if isinstance(counted, bool) or not isinstance(counted, (int, float)):
        raise ValueError("the answer has no input_tokens")
    return ReplyFacts()
