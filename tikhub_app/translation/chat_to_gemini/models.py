"""What generations of Gemini differ in, as far as a translated request must know. The one place to change.

https://ai.google.dev/gemini-api/docs/models
https://ai.google.dev/gemini-api/docs/thinking
https://ai.google.dev/gemini-api/docs/thought-signatures

The first row whose pattern is found in the model's name counts. A Gemini that no row knows is taken for a new one,
another model behind the same API for one that follows the oldest rules; what either does not accept, its provider says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Thinking(Enum):
    """How thinking is asked for."""

    #: It does not think.
    NONE = "none"
    #: thinkingBudget, a number of tokens
    BUDGET = "budget"
    #: thinkingLevel, a word
    LEVEL = "level"


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation.

    ``levels`` are the values of thinkingLevel, in lower case and from the least; none where the model takes no
    setting. ``budget`` is the least and the most of thinkingBudget. ``has_json_schema``: it takes parametersJsonSchema
    and responseJsonSchema. ``needs_signatures``: a call that is sent back without its thought signature is a 400.
    ``has_media_in_results``: a function's response may hold images.
    """

    thinking: Thinking
    levels: tuple[str, ...] = ()
    budget: tuple[int, int] = (0, 0)
    can_be_off: bool = False
    has_json_schema: bool = True
    needs_signatures: bool = False
    has_media_in_results: bool = False


def _third(*levels: str) -> Generation:
    return Generation(Thinking.LEVEL, levels, needs_signatures=True, has_media_in_results=True)


_THREE = ("low", "medium", "high")
_EARLY = Generation(Thinking.NONE, has_json_schema=False)

_GENERATIONS: tuple[tuple[re.Pattern[str], Generation], ...] = tuple(
    (re.compile(pattern), generation)
    for pattern, generation in (
        (r"gemini-(1|2-0)|gemini-(pro|flash)$", _EARLY),
        (r"gemini-2-5-.*(image|tts)", Generation(Thinking.NONE)),
        (r"gemini-2-5-flash-lite", Generation(Thinking.BUDGET, budget=(512, 24_576), can_be_off=True)),
        (r"gemini-2-5-flash", Generation(Thinking.BUDGET, budget=(1, 24_576), can_be_off=True)),
        (r"gemini-2-5", Generation(Thinking.BUDGET, budget=(128, 32_768))),
        (r"gemini-3-pro-image", _third()),
        (r"gemini-3.*image", _third("minimal", "high")),
        (r"gemini-3-pro", _third("low", "high")),
        (r"gemini-3.*flash|flash.*latest", _third("minimal", *_THREE)),
        (r"gemini", _third(*_THREE)),
    )
)


def generation_of(model: str) -> Generation:
    """The row for a model, however its host spells the name (``publishers/google/models/gemini-2.5-pro``)."""
    name = model.lower().replace(".", "-").replace("_", "-")
    for pattern, generation in _GENERATIONS:
        if pattern.search(name):
            return generation
    return _EARLY
