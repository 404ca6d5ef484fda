"""reasoning_effort as thinking and effort, by the model's generation.

https://platform.claude.com/docs/en/build-with-claude/effort
https://platform.claude.com/docs/en/build-with-claude/extended-thinking
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.chat_request import Unsupported, read_effort
from tikhub_app.translation.chat_to_messages.models import ALWAYS, Generation, Thinking

#: Tokens to think with; "the minimum budget is 1,024 tokens".
_LEAST_BUDGET = 1_024
_BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 32_000}
#: What stands in for a level that a generation does not have.
_NEAREST = {"minimal": "low", "xhigh": "high", "max": "high"}


def thinking_room(body: Mapping[str, Any], generation: Generation) -> int:
    """Tokens that thinking may add to an answer, for the cap of a caller who named none."""
    own = body.get("thinking")
    if isinstance(own, dict):
        budget = own.get("budget_tokens")
        return budget if isinstance(budget, int) and own.get("type") == "enabled" else 0
    effort = read_effort(body)
    if effort is None or effort == "none" or generation.thinking is Thinking.NONE:
        return 0
    return _BUDGETS[effort]


def write_thinking(
    body: Mapping[str, Any],
    generation: Generation,
    unsupported: Unsupported,
    *,
    max_tokens: int,
    forces_tools: bool,
    ends_in_bare_tool_turn: bool,
) -> tuple[dict[str, Any] | None, str | None]:
    """The ``thinking`` value and the effort level, None where nothing is to be said.

    A ``thinking`` object of the caller's own goes along as it is; the effort may stand beside it.

    :raises UnsupportedFeature: the model does not think, or cannot but think.
    """
    effort = read_effort(body)
    own = body.get("thinking")
    thinking = own if isinstance(own, dict) else None
    if effort is None:
        return thinking, None
    if effort == "none":
        return _switched_off(thinking, generation, unsupported)
    level = _level(effort, generation)
    if thinking is not None:
        return thinking, level
    if generation.thinking is Thinking.NONE:
        unsupported.refuse("reasoning_effort", "this model does not reason")
        return None, None
    if generation.thinking is Thinking.ADAPTIVE:
        # The summary is asked for, since newer models omit it by default and reasoning_content would stay empty.
        return {"type": "adaptive", "display": "summarized"}, level
    # "Thinking may not be enabled when tool_choice forces tool use", nor when the tool calls under way began without.
    room = max_tokens - 1
    if forces_tools or ends_in_bare_tool_turn or room < _LEAST_BUDGET:
        unsupported.note("reasoning_effort")
        return None, level
    budget = max(_LEAST_BUDGET, min(_BUDGETS[effort], max_tokens * 3 // 4))
    return {"type": "enabled", "budget_tokens": min(budget, room)}, level


def _switched_off(
    thinking: dict[str, Any] | None, generation: Generation, unsupported: Unsupported
) -> tuple[dict[str, Any] | None, str | None]:
    if thinking is not None:
        return thinking, None
    if generation.off == ALWAYS:
        unsupported.refuse("reasoning_effort", "this model always reasons; 'low' is the least")
        return None, "low"
    return (dict(generation.off) if isinstance(generation.off, Mapping) else None), None


def _level(effort: str, generation: Generation) -> str | None:
    if not generation.efforts:
        return None
    return effort if effort in generation.efforts else _NEAREST[effort]
