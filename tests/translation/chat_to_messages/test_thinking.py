"""reasoning_effort by generation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translation.chat_to_messages.claude import USER, assistant, call, function, result, thinking, write
from tikhub_app.exceptions import UnsupportedFeature
from tikhub_app.translation.chat_to_messages.models import Thinking, generation_of, is_same_model

ADAPTIVE = {"type": "adaptive", "display": "summarized"}


def budget(tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens}


@pytest.mark.parametrize(
    ("model", "effort", "thinks", "level"),
    [
        ("claude-sonnet-4-5", "minimal", budget(1024), None),
        ("claude-sonnet-4-5", "low", budget(2048), None),
        ("claude-sonnet-4-5", "high", budget(16384), None),
        ("claude-opus-4-5-20251101", "max", budget(30144), "high"),
        ("claude-opus-4-6", "minimal", ADAPTIVE, "low"),
        ("claude-opus-4-6", "xhigh", ADAPTIVE, "high"),
        ("claude-opus-4-6", "max", ADAPTIVE, "max"),
        ("claude-opus-4-7", "xhigh", ADAPTIVE, "xhigh"),
        ("claude-sonnet-5", "medium", ADAPTIVE, "medium"),
        ("claude-something-9", "medium", ADAPTIVE, "medium"),
        ("claude-sonnet-4-5", "none", None, None),
        ("claude-opus-4-7", "none", None, None),
        ("claude-sonnet-5", "none", {"type": "disabled"}, None),
        ("claude-sonnet-5-5", "none", {"type": "between_tools"}, None),
        ("claude-3-5-haiku-latest", "none", None, None),
    ],
)
def test_each_generation_is_asked_in_its_own_words(
    model: str, effort: str, thinks: dict[str, Any] | None, level: str | None
) -> None:
    translated = write(model=model, reasoning_effort=effort)
    assert translated.body.get("thinking") == thinks
    assert translated.body.get("output_config", {}).get("effort") == level
    assert translated.dropped == []


def test_thinking_has_room_beside_the_default_cap_and_within_a_given_one() -> None:
    assert write(reasoning_effort="medium").body["max_tokens"] == 8192 + 8192
    body = write(reasoning_effort="high", max_completion_tokens=4000).body
    assert body["max_tokens"] == 4000
    assert body["thinking"] == budget(3000)
    assert write(reasoning_effort="high", max_completion_tokens=1100).body["thinking"] == budget(1024)
    translated = write(reasoning_effort="high", max_completion_tokens=1024)
    assert "thinking" not in translated.body
    assert translated.dropped == ["reasoning_effort"]


@pytest.mark.parametrize(("model", "effort"), [("claude-3-5-haiku-latest", "low"), ("claude-opus-5-5", "none")])
def test_a_model_that_cannot_think_or_cannot_but_think_says_so(model: str, effort: str) -> None:
    with pytest.raises(UnsupportedFeature) as refused:
        write(model=model, reasoning_effort=effort)
    assert refused.value.param == "reasoning_effort"
    assert write(model=model, reasoning_effort=effort, drops=True).dropped == ["reasoning_effort"]


def test_a_budget_is_left_out_where_a_call_is_forced() -> None:
    fields: dict[str, Any] = {"reasoning_effort": "low", "tools": [function("f")], "tool_choice": "required"}
    translated = write(**fields)
    assert "thinking" not in translated.body
    assert translated.dropped == ["reasoning_effort"]
    assert write(model="claude-opus-4-6", **fields).body["thinking"] == ADAPTIVE


def test_a_budget_is_left_out_where_the_calls_under_way_began_without_thinking() -> None:
    # "Expected `thinking` or `redacted_thinking`, but found `tool_use`"
    messages = [USER, assistant(call("a", "f")), result("a")]
    translated = write(*messages, reasoning_effort="low")
    assert "thinking" not in translated.body
    assert translated.dropped == ["reasoning_effort"]
    kept = {"a": {"model": "m", "blocks": [thinking("hm"), {"type": "tool_use"}]}}
    assert write(*messages, reasoning_effort="low", kept=kept).body["thinking"] == budget(2048)
    assert write(*messages, reasoning_effort="low", model="claude-opus-4-6").body["thinking"] == ADAPTIVE


def test_thinking_in_claudes_own_words_goes_along() -> None:
    own = budget(5000) | {"display": "omitted"}
    body = write(thinking=own, reasoning_effort="high").body
    assert body["thinking"] == own
    assert body["max_tokens"] == 8192 + 5000
    assert "output_config" not in body
    body = write(model="claude-opus-4-6", thinking={"type": "adaptive"}, reasoning_effort="high").body
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})


def test_a_temperature_beside_thinking_is_refused_by_name() -> None:
    assert "temperature" not in write(reasoning_effort="low", temperature=1).body
    with pytest.raises(UnsupportedFeature) as refused:
        write(reasoning_effort="low", temperature=0.2)
    assert refused.value.param == "temperature"
    assert write(reasoning_effort="low", top_p=0.97).body["top_p"] == 0.97


@pytest.mark.parametrize(
    ("model", "thinks", "cap", "bound"),
    [
        ("claude-2.1", Thinking.NONE, 4_096, False),
        ("claude-3-haiku-20240307", Thinking.NONE, 4_096, False),
        ("claude-3-5-sonnet-20240620", Thinking.NONE, 8_192, False),
        ("claude-3-7-sonnet-20250219", Thinking.BUDGET, 64_000, False),
        ("claude-sonnet-4-20250514", Thinking.BUDGET, 32_000, False),
        ("claude-opus-4-1-20250805", Thinking.BUDGET, 32_000, False),
        ("anthropic.claude-opus-4.5", Thinking.BUDGET, 64_000, False),
        ("claude-opus-4-8", Thinking.ADAPTIVE, 128_000, False),
        ("claude-opus-5", Thinking.ADAPTIVE, 128_000, False),
        ("claude-fable-5", Thinking.ADAPTIVE, 128_000, False),
        ("claude-fable-5-1", Thinking.ADAPTIVE, 128_000, True),
        ("claude-haiku-5-5", Thinking.ADAPTIVE, 128_000, True),
        ("deepseek-v4-pro", Thinking.BUDGET, 128_000, False),
    ],
)
def test_generations(model: str, thinks: Thinking, cap: int, bound: bool) -> None:
    generation = generation_of(model)
    assert (generation.thinking, generation.most_output_tokens, generation.has_bound_thinking) == (thinks, cap, bound)


def test_a_model_is_the_same_with_and_without_its_date() -> None:
    assert is_same_model("claude-haiku-4-5", "claude-haiku-4-5-20251001")
    assert not is_same_model("claude-opus-5", "claude-opus-5-5")
