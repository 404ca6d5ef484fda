"""What generations of Claude differ in, as far as a translated request must know. The one place to change.

https://platform.claude.com/docs/en/about-claude/models/overview
https://platform.claude.com/docs/en/build-with-claude/thinking
https://platform.claude.com/docs/en/build-with-claude/effort

The first row whose pattern is found in the model's name counts. A Claude that no row knows is taken for a new one,
another vendor's model behind the same API for one that follows the oldest rules; what either does not accept, its
provider says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Thinking(Enum):
    """How thinking is asked for."""

    #: It does not think.
    NONE = "none"
    #: {"type": "enabled", "budget_tokens": n}
    BUDGET = "budget"
    #: {"type": "adaptive"}, its depth by output_config.effort
    ADAPTIVE = "adaptive"


#: Thinking cannot be switched off.
ALWAYS = "always"

_THREE = ("low", "medium", "high")
_FOUR = (*_THREE, "max")
_FIVE = (*_THREE, "xhigh", "max")
_DISABLED: Mapping[str, Any] = {"type": "disabled"}
_BETWEEN_TOOLS: Mapping[str, Any] = {"type": "between_tools"}


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation.

    ``off`` is the ``thinking`` value that switches thinking off, None where leaving it out does. ``efforts`` are the
    levels of output_config.effort, none where the field is not known. ``has_bound_thinking``: a thinking block that
    is sent back must stand after exactly what stood before it, and only the model that wrote it takes it.
    """

    thinking: Thinking
    efforts: tuple[str, ...] = ()
    off: Mapping[str, Any] | str | None = None
    most_output_tokens: int = 128_000
    has_output_format: bool = True
    takes_sampling: bool = True
    takes_temperature_with_top_p: bool = True
    takes_forced_tools: bool = True
    has_bound_thinking: bool = False


def _early(most_output_tokens: int) -> Generation:
    return Generation(Thinking.NONE, most_output_tokens=most_output_tokens, has_output_format=False)


def _budget(most_output_tokens: int, *, has_output_format: bool = True, efforts: tuple[str, ...] = ()) -> Generation:
    return Generation(
        Thinking.BUDGET,
        efforts,
        most_output_tokens=most_output_tokens,
        has_output_format=has_output_format,
        takes_temperature_with_top_p=not has_output_format,
    )


_NEW = Generation(Thinking.ADAPTIVE, _FIVE, off=_DISABLED, has_bound_thinking=True)
_OTHER_VENDOR = Generation(Thinking.BUDGET, has_output_format=False)

_GENERATIONS: tuple[tuple[re.Pattern[str], Generation], ...] = tuple(
    (re.compile(pattern), generation)
    for pattern, generation in (
        (r"claude-(2|instant)|claude-3-(opus|sonnet|haiku)", _early(4_096)),
        (r"claude-3-5", _early(8_192)),
        (r"claude-3-7", _budget(64_000, has_output_format=False)),
        (r"opus-4-1", _budget(32_000)),
        (r"opus-4-5", _budget(64_000, efforts=_THREE)),
        (r"(sonnet|haiku)-4-5", _budget(64_000)),
        (
            r"(opus|sonnet)-4-6",
            Generation(Thinking.ADAPTIVE, _FOUR, most_output_tokens=64_000, takes_temperature_with_top_p=False),
        ),
        (r"opus-4-[78]|mythos-preview", Generation(Thinking.ADAPTIVE, _FIVE, takes_sampling=False)),
        (r"(opus|sonnet)-4|claude-4", _budget(32_000, has_output_format=False)),
        (
            r"sonnet-5-5",
            Generation(
                Thinking.ADAPTIVE,
                _FIVE,
                off=_BETWEEN_TOOLS,
                takes_sampling=False,
                takes_forced_tools=False,
                has_bound_thinking=True,
            ),
        ),
        (
            r"haiku-5-5",
            Generation(Thinking.ADAPTIVE, _FIVE, off=_DISABLED, takes_sampling=False, has_bound_thinking=True),
        ),
        (
            r"opus-5-5|(fable|mythos)-5-\d",
            Generation(
                Thinking.ADAPTIVE,
                _FIVE,
                off=ALWAYS,
                takes_sampling=False,
                takes_forced_tools=False,
                has_bound_thinking=True,
            ),
        ),
        (r"(opus|sonnet)-5", Generation(Thinking.ADAPTIVE, _FIVE, off=_DISABLED, takes_sampling=False)),
        (r"(fable|mythos)-5", Generation(Thinking.ADAPTIVE, _FIVE, off=ALWAYS, takes_sampling=False)),
        (r"claude", _NEW),
    )
)


def generation_of(model: str) -> Generation:
    """The row for a model, however its host spells the name (``anthropic.claude-opus-4.5``)."""
    name = model.lower().replace(".", "-").replace("_", "-")
    for pattern, generation in _GENERATIONS:
        if pattern.search(name):
            return generation
    return _OTHER_VENDOR


def is_same_model(first: str, second: str) -> bool:
    """Whether two names mean one model: a name with and without its date."""
    return _undated(first) == _undated(second)


def _undated(model: str) -> str:
    return re.sub(r"[-@](\d{8}|latest)$", "", model.lower())
