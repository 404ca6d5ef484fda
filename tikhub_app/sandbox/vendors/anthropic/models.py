"""Claude's models, as ``GET /v1/models`` lists them. https://platform.claude.com/docs/en/about-claude/models/overview"""

from dataclasses import dataclass
from typing import Any

EFFORTS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    snapshot: str  # the one that answers for the name
    label: str
    created_at: str
    context_tokens: int = 200_000
    output_tokens: int = 64_000
    thinking: tuple[str, ...] = ()  # "enabled" with a budget, "adaptive"
    thinks_unasked: bool = False
    shows_thinking: bool = True  # unless "display" says otherwise
    takes_prefill: bool = True
    efforts: tuple[str, ...] = ()

    def listing(self) -> dict[str, Any]:
        return {"type": "model", "id": self.snapshot, "display_name": self.label, "created_at": self.created_at}


def _family(snapshot: str, label: str, day: str, *names: str, **facts: Any) -> list[Model]:
    """Each name of a model that ``snapshot`` answers, the snapshot's own among them."""
    return [Model(name, snapshot, label, f"{day}T00:00:00Z", **facts) for name in (*names, snapshot)]


_BUDGET: dict[str, Any] = {"thinking": ("enabled",)}
_BOTH: dict[str, Any] = {
    "thinking": ("enabled", "adaptive"),
    "takes_prefill": False,
    "context_tokens": 1_000_000,
    "efforts": ("low", "medium", "high", "max"),
}
_ADAPTIVE: dict[str, Any] = {
    "thinking": ("adaptive",),
    "takes_prefill": False,
    "shows_thinking": False,
    "context_tokens": 1_000_000,
    "output_tokens": 128_000,
    "efforts": EFFORTS,
}
_UNASKED: dict[str, Any] = _ADAPTIVE | {"thinks_unasked": True}

_ALL = (
    *_family("claude-fable-5-1", "Claude Fable 5.1", "2026-09-01", **_UNASKED),
    *_family("claude-opus-5-5", "Claude Opus 5.5", "2026-09-22", **_UNASKED),
    *_family("claude-sonnet-5-5", "Claude Sonnet 5.5", "2026-09-28", **_UNASKED),
    *_family("claude-haiku-5-5", "Claude Haiku 5.5", "2026-10-07", **_UNASKED),
    *_family("claude-opus-5", "Claude Opus 5", "2026-07-24", **_UNASKED),
    *_family("claude-sonnet-5", "Claude Sonnet 5", "2026-06-30", **_UNASKED),
    *_family("claude-opus-4-8", "Claude Opus 4.8", "2026-05-28", **_ADAPTIVE),
    *_family("claude-opus-4-7", "Claude Opus 4.7", "2026-04-16", **_ADAPTIVE),
    *_family("claude-opus-4-6", "Claude Opus 4.6", "2026-02-05", **_BOTH | {"output_tokens": 128_000}),
    *_family("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17", **_BOTH),
    *_family(
        "claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24", "claude-opus-4-5",
        **_BUDGET | {"efforts": EFFORTS[:3]},
    ),
    *_family("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15", "claude-haiku-4-5", **_BUDGET),
    *_family("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29", "claude-sonnet-4-5", **_BUDGET),
    *_family(
        "claude-opus-4-1-20250805", "Claude Opus 4.1", "2025-08-05", "claude-opus-4-1",
        **_BUDGET | {"output_tokens": 32_000},
    ),
    *_family(
        "claude-opus-4-20250514", "Claude Opus 4", "2025-05-22", "claude-opus-4-0",
        **_BUDGET | {"output_tokens": 32_000},
    ),
    *_family("claude-sonnet-4-20250514", "Claude Sonnet 4", "2025-05-22", "claude-sonnet-4-0", **_BUDGET),
    *_family("claude-3-7-sonnet-20250219", "Claude Sonnet 3.7", "2025-02-24", "claude-3-7-sonnet-latest", **_BUDGET),
    *_family(
        "claude-3-5-sonnet-20241022", "Claude Sonnet 3.5", "2024-10-22", "claude-3-5-sonnet-latest",
        output_tokens=8_192,
    ),
    *_family(
        "claude-3-5-haiku-20241022", "Claude Haiku 3.5", "2024-10-22", "claude-3-5-haiku-latest", output_tokens=8_192
    ),
    *_family("claude-3-haiku-20240307", "Claude Haiku 3", "2024-03-07", output_tokens=4_096),
)  # fmt: skip

MODELS: dict[str, Model] = {model.name: model for model in _ALL}
