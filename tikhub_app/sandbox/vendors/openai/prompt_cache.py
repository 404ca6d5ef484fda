"""Automatic prompt caching: a long beginning that was seen before is reported as ``cached_tokens``.

https://platform.openai.com/docs/guides/prompt-caching — "available for prompts containing 1024 tokens or more", and
hits are counted in steps of 128 tokens. What is remembered here ends with whole messages.
"""

from collections import OrderedDict
from collections.abc import Sequence

from tikhub_app.sandbox import seeds

_LEAST, _STEP = 1024, 128
_REMEMBERED = 2_000


class PromptCache:
    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def look_up(self, model: str, parts: Sequence[tuple[str, int]]) -> int:
        """How many tokens of this prompt were cached; from now on the whole of it is."""
        if sum(tokens for _, tokens in parts) < _LEAST:
            return 0
        beginning, total, cached = model.encode(), 0, 0
        for text, tokens in parts:
            beginning = seeds.fingerprint(beginning, text)
            total += tokens
            if total < _LEAST:
                continue
            if beginning in self._seen:
                cached = total
            self._seen[beginning] = total
            self._seen.move_to_end(beginning)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return cached - cached % _STEP
