"""What is kept of prompts and answers, as the key's payload policy permits. Built on the ledger's thread."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tikhub_app.conf import settings
from tikhub_app.models import PayloadPolicy
from tikhub_app.providers.base import StreamReader

# Words of the protocol, not of people: a redacted payload keeps them, so that it still shows what kind of call it was.
STRUCTURAL_NAMES = frozenset({
    "role", "type", "model", "id", "object", "finish_reason", "detail", "service_tier", "system_fingerprint", "status",
    "tool_call_id", "reasoning_effort", "verbosity", "format", "stop_reason", "tool_use_id", "media_type",
    "finishReason", "mimeType", "modality", "category", "probability", "blockReason", "modelVersion", "responseId",
})  # fmt: skip
LONGEST_STRUCTURAL_VALUE = 80


def effective_policy(of_key: str) -> str:
    """full, redacted or none: the key's word, or the setting's."""
    policy: str = settings.PAYLOAD_POLICY if of_key == PayloadPolicy.DEFAULT else of_key
    return policy


def redact(value: Any, name: str = "") -> Any:
    """The same structure with every text replaced by its length; numbers and protocol words stay."""
    if isinstance(value, dict):
        # The names within metadata are the caller's own words, so none of them vouches for its value.
        return {key: redact(inner, "" if name == "metadata" else key) for key, inner in value.items()}
    if isinstance(value, list):
        return [redact(inner, name) for inner in value]
    if isinstance(value, str) and not (name in STRUCTURAL_NAMES and len(value) <= LONGEST_STRUCTURAL_VALUE):
        return f"[{len(value)} characters]"
    return value


@dataclass(slots=True)
class PayloadDraft:
    """The material of one payload row. ``answer`` is the body sent, ``reader`` the stream that was relayed."""

    request_id: UUID
    policy: str
    request_body: bytes
    answer: bytes = b""
    reader: StreamReader | None = None

    def columns(self) -> tuple[UUID, str, str, str, bool]:
        limit: int = settings.PAYLOAD_MAX_BYTES
        answer = self.answer
        if self.reader is not None:
            answer = json.dumps(self.reader.assembled(), ensure_ascii=False).encode("utf-8", "replace")
        is_truncated = len(self.request_body) > limit or len(answer) > limit
        texts = [self._text(part, limit) for part in (self.request_body, answer)]
        return (self.request_id, self.policy, texts[0], texts[1], is_truncated)

    def _text(self, body: bytes, limit: int) -> str:
        if self.policy == PayloadPolicy.REDACTED:
            if not body:
                return ""
            try:
                redacted = redact(json.loads(body))
            except (ValueError, RecursionError):
                return f"[{len(body)} bytes]"
            text = json.dumps(redacted, ensure_ascii=False)[:limit]
            return text.encode("utf-8", "replace").decode()  # no database takes half an emoji
        return body[:limit].decode("utf-8", "replace").replace("\x00", "")
