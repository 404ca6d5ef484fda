"""Chat completions for Claude: a caller of OpenAI's chat API is served by a provider that speaks Messages.

``request.py`` says what becomes of each field of a request, ``models.py`` what generations of Claude differ in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tikhub_app.translation.base import (
    ReplyTranslator,
    TranslatedError,
    TranslatedRequest,
    Translation,
    TranslationOptions,
)
from tikhub_app.translation.chat_messages import history_call_ids
from tikhub_app.translation.chat_to_messages.answer import Asked
from tikhub_app.translation.chat_to_messages.errors import read_error
from tikhub_app.translation.chat_to_messages.request import write_request
from tikhub_app.translation.chat_to_messages.stream_reply import StreamTranslation
from tikhub_app.translation.chat_to_messages.whole_reply import translate_message


class MessagesReplyTranslator(ReplyTranslator):
    """One answer of Claude's as a chat."""

    __slots__ = ("_asked", "_stream")

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked = asked
        self._stream: StreamTranslation | None = None

    def whole(self, body: bytes) -> bytes:
        written, self.kept = translate_message(body, self._asked)
        return written

    def event(self, event: bytes) -> bytes:
        if self._stream is None:
            self._stream = StreamTranslation(self._asked)
        written = self._stream.event(event)
        if self._stream.has_finished():
            self.kept = self._stream.kept()
        return written

    def end(self) -> bytes:
        return self._stream.end() if self._stream is not None else StreamTranslation(self._asked).end()


class ChatToMessages(Translation):
    source: ClassVar[str] = "openai_chat"
    target: ClassVar[str] = "anthropic_messages"

    def needed_state(self, body: dict[str, Any]) -> list[str]:
        return history_call_ids(body)

    def request(
        self, body: dict[str, Any], *, model: str, kept: Mapping[str, Any], options: TranslationOptions
    ) -> TranslatedRequest:
        return write_request(body, model=model, kept=kept, options=options)

    def open_reply(self, body: dict[str, Any], *, request_id: str) -> ReplyTranslator:
        return MessagesReplyTranslator(Asked.read(body, request_id))

    def error(self, status: int, body: bytes) -> TranslatedError:
        return read_error(status, body)
