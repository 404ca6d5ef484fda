"""All pairs of dialects that are translated: (the caller's, the provider's) -> the translation."""

from __future__ import annotations

from collections.abc import Mapping

from tikhub_app.translation.base import Translation
from tikhub_app.translation.chat_to_gemini import ChatToGemini
from tikhub_app.translation.chat_to_messages import ChatToMessages

_ALL: tuple[Translation, ...] = (ChatToMessages(), ChatToGemini())

TRANSLATIONS: Mapping[tuple[str, str], Translation] = {(pair.source, pair.target): pair for pair in _ALL}
