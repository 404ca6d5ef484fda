"""Prompt caching as the caller asks for it: up to four breakpoints, each a prefix that is written once and then read.

https://platform.claude.com/docs/en/build-with-claude/prompt-caching — prompts below 1,024 tokens are not cached. What
is remembered here does not grow old, so that equal calls get equal usage.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from tikhub_app.sandbox import seeds

_LEAST = 1_024
_REMEMBERED = 4_000


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the prompt in the order in which the cache sees it; ``ttl`` where a breakpoint stands behind it."""

    text: str
    tokens: int
    ttl: str | None = None


@dataclass(slots=True)
class CacheUse:
    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def written(self) -> int:
        return self.written_5m + self.written_1h


class PromptCache:
    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def use(self, model: str, parts: Sequence[Part]) -> CacheUse:
        """What of this prompt is read and what is written; from now on all its breakpoints are cached."""
        use = CacheUse()
        beginning, total = model.encode(), 0
        breakpoints: list[tuple[bytes, int, str]] = []
        for part in parts:
            beginning = seeds.fingerprint(beginning, part.text)
            total += part.tokens
            if total >= _LEAST:
                if beginning in self._seen:
                    use.read = total
                if part.ttl is not None:
                    breakpoints.append((beginning, total, part.ttl))
        if not breakpoints:
            return CacheUse()
        use.read = min(use.read, breakpoints[-1][1])
        start = use.read
        for prefix, end, ttl in breakpoints:
            if end > start:
                if ttl == "1h":
                    use.written_1h += end - start
                else:
                    use.written_5m += end - start
                start = end
            self._seen[prefix] = None
            self._seen.move_to_end(prefix)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return use
