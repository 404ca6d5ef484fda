"""reasoning_effort by generation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translation.chat_to_gemini.gemini import config, write
from tikhub_app.exceptions import UnsupportedFeature


@pytest.mark.parametrize(
    ("model", "effort", "said"),
    [
        ("gemini-3-flash-preview", "minimal", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.5-flash", "medium", {"thinkingLevel": "MEDIUM"}),
        ("gemini-3-pro-preview", "minimal", {"thinkingLevel": "LOW"}),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "HIGH"}),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "MEDIUM"}),
        ("gemini-3.1-flash-image-preview", "low", {"thinkingLevel": "MINIMAL"}),
        ("gemini-flash-latest", "max", {"thinkingLevel": "HIGH"}),
        ("gemini-9-pro", "xhigh", {"thinkingLevel": "HIGH"}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024}),
        ("gemini-2.5-flash", "max", {"thinkingBudget": 24576}),
        ("publishers/google/models/gemini-2.5-pro", "high", {"thinkingBudget": 24576}),
        ("gemini-2.5-pro", "xhigh", {"thinkingBudget": 32768}),
    ],
)
def test_an_effort_is_a_level_or_a_budget_and_summaries_are_asked_for(
    model: str, effort: str, said: dict[str, Any]
) -> None:
    assert config(model=model, reasoning_effort=effort) == {"thinkingConfig": {"includeThoughts": True, **said}}


def test_nothing_is_said_where_nothing_is_asked() -> None:
    assert config() == {}


def test_a_budget_stays_within_the_cap() -> None:
    asked = config(model="gemini-2.5-pro", reasoning_effort="high", max_tokens=1000)
    assert asked["thinkingConfig"]["thinkingBudget"] == 750
    asked = config(model="gemini-2.5-flash-lite", reasoning_effort="high", max_tokens=600)
    assert asked["thinkingConfig"]["thinkingBudget"] == 512
    translated = write(model="gemini-2.5-pro", reasoning_effort="high", max_tokens=100)
    assert translated.dropped == ["reasoning_effort"]
    assert translated.body["generationConfig"] == {"maxOutputTokens": 100}


def test_thinking_is_switched_off_where_it_can_be() -> None:
    assert config(model="gemini-2.5-flash", reasoning_effort="none") == {"thinkingConfig": {"thinkingBudget": 0}}
    assert config(model="gemini-2.0-flash", reasoning_effort="none") == {}


@pytest.mark.parametrize(
    ("model", "effort", "left"),
    [
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-3-flash-preview", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-pro-preview", "none", {"thinkingLevel": "LOW"}),
        ("gemini-2.0-flash", "low", None),
        ("gemma-3-27b-it", "low", None),
        ("gemini-2.5-flash-image", "low", None),
        ("gemini-3-pro-image-preview", "low", {"includeThoughts": True}),
    ],
)
def test_what_a_model_cannot_do_is_refused_or_dropped_and_listed(
    model: str, effort: str, left: dict[str, Any] | None
) -> None:
    with pytest.raises(UnsupportedFeature) as refused:
        write(model=model, reasoning_effort=effort)
    assert refused.value.param == "reasoning_effort"
    translated = write(model=model, reasoning_effort=effort, drops=True)
    assert translated.dropped == ["reasoning_effort"]
    assert translated.body.get("generationConfig", {}).get("thinkingConfig") == left


def test_the_callers_own_thinking_goes_before() -> None:
    own = {"thinkingConfig": {"thinkingBudget": -1}}
    assert config(model="gemini-2.5-pro", reasoning_effort="low", generationConfig=own) == own
