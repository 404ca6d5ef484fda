"""reasoning_effort as a thinkingConfig, by the model's generation.

https://ai.google.dev/gemini-api/docs/thinking
https://ai.google.dev/gemini-api/docs/openai#thinking is Google's own mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.chat_request import Unsupported, read_effort
from tikhub_app.translation.chat_to_gemini.models import Generation, Thinking

#: Effort -> tokens to think with; the highest efforts take what the model allows.
_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}
#: Effort -> levels, the first that the model has counts.
_LEVELS = {
    "minimal": ("minimal", "low"),
    "low": ("low", "minimal"),
    "medium": ("medium", "high"),
    "high": ("high",),
    "xhigh": ("high",),
    "max": ("high",),
}


def write_thinking(
    body: Mapping[str, Any], generation: Generation, unsupported: Unsupported, *, max_tokens: int | None
) -> dict[str, Any] | None:
    """The thinkingConfig, None where nothing is to be said. A budget and a level are never both sent.

    Summaries of the thoughts are asked for whenever the model is to reason: without, reasoning_content stays empty.

    :raises UnsupportedFeature: the model does not think, or cannot but think.
    """
    effort = read_effort(body)
    if effort is None:
        return None
    if effort == "none":
        return _switched_off(generation, unsupported)
    if generation.thinking is Thinking.NONE:
        unsupported.refuse("reasoning_effort", "this model does not reason")
        return None
    if generation.thinking is Thinking.LEVEL:
        level = next((level for level in _LEVELS[effort] if level in generation.levels), None)
        if level is None:
            unsupported.refuse("reasoning_effort", "this model decides itself how much it reasons")
            return {"includeThoughts": True}
        return {"includeThoughts": True, "thinkingLevel": level.upper()}
    least, most = generation.budget
    budget = min(_BUDGETS.get(effort, most), most)
    if max_tokens is not None:  # thoughts count within the cap
        if max_tokens <= least:
            unsupported.note("reasoning_effort")
            return None
        budget = min(budget, max_tokens * 3 // 4)
    return {"includeThoughts": True, "thinkingBudget": max(least, budget)}


def _switched_off(generation: Generation, unsupported: Unsupported) -> dict[str, Any] | None:
    if generation.thinking is Thinking.NONE:
        return None
    if generation.can_be_off:
        return {"thinkingBudget": 0}
    least = generation.levels[0] if generation.levels else None
    unsupported.refuse("reasoning_effort", f"this model always reasons{f'; {least!r} is the least' if least else ''}")
    if least is not None:
        return {"thinkingLevel": least.upper()}
    return {"thinkingBudget": generation.budget[0]} if generation.thinking is Thinking.BUDGET else None
