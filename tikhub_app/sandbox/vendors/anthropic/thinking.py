"""Thinking blocks: their words, and the signature by which the API knows its own thoughts again.

https://platform.claude.com/docs/en/build-with-claude/extended-thinking
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from tikhub_app.sandbox import seeds, text
from tikhub_app.sandbox.generation import Piece

_TOKENS_BY_EFFORT = {"low": (8, 24), "medium": (16, 64), "high": (24, 96), "xhigh": (64, 128), "max": (96, 160)}
_TOKENS_IN_A_DELTA = 8


def thinking_tokens(fingerprint: bytes, thinking: Mapping[str, Any] | None, effort: str | None) -> int:
    """How long the model thinks: by effort, and within the budget where there is one."""
    if thinking is None:
        return 0
    least, most = _TOKENS_BY_EFFORT[effort or "high"]
    wanted = seeds.generator(fingerprint, "thinking").randint(least, most)
    return min(wanted, thinking.get("budget_tokens") or wanted)


def thoughts(fingerprint: bytes, prompt: str, length: int) -> list[Piece]:
    """Exactly ``length`` tokens of thinking, in the pieces of a stream."""
    tokens = text.answer_prompt(seeds.generator(fingerprint, "thoughts"), prompt, length)
    groups = [tokens[start : start + _TOKENS_IN_A_DELTA] for start in range(0, length, _TOKENS_IN_A_DELTA)]
    return [Piece("".join(group), len(group)) for group in groups]


def sign(thinking: str, fingerprint: bytes) -> str:
    """A signature that fits this text and no other. An omitted text is signed by what the call was."""
    mark = fingerprint.hex() if not thinking else ""
    seal = seeds.fingerprint("anthropic.signature", thinking, mark)
    return base64.b64encode(b"\x12\x40sandbox" + seal + bytes.fromhex(mark)).decode()


def is_signed(thinking: str, signature: str) -> bool:
    try:
        sealed = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    return sign(thinking, sealed[25:]) == signature


def starts_with_thinking(content: Sequence[Any]) -> bool:
    first = content[0] if content else None
    return isinstance(first, Mapping) and first.get("type") in ("thinking", "redacted_thinking")
