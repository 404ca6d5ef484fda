"""Messages of a chat as Gemini's systemInstruction and contents.

https://ai.google.dev/api/caching#Content
https://ai.google.dev/gemini-api/docs/function-calling#multi-turn

Gemini's turns alternate between user and model, and the responses to all calls of a turn stand in the one user turn
after it, in the order of the calls, before anything that was said. A chat is looser; it is put in that order. A call
that was never answered gets a stub for a response, a result that answers no call is left out and listed: the usual
traces of a shortened history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tikhub_app.exceptions import InvalidRequest
from tikhub_app.translation.chat_messages import AudioPart, ChatMessage, HistoryCall, ImagePart, TextPart
from tikhub_app.translation.chat_request import Unsupported
from tikhub_app.translation.chat_to_gemini import kept_signatures
from tikhub_app.translation.chat_to_gemini.media_parts import audio_part, file_part, image_part
from tikhub_app.translation.chat_to_gemini.models import Generation
from tikhub_app.translation.json_text import decode_arguments
from tikhub_app.translation.media import is_data_url
from tikhub_app.translation.tool_names import ToolNames

_NO_RESULT = "No result of this call is known."
_BEFORE_MODEL = "(The conversation begins with your message.)"

Part = dict[str, Any]


@dataclass(slots=True)
class _OpenCall:
    """A call of the last model turn. ``id`` is Gemini's own, empty where it gave none; ``name`` as Gemini knows it."""

    name: str
    id: str
    response: Part | None = None
    media: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class ContentWriter:
    """Puts one chat in order; see :func:`write_contents`."""

    names: ToolNames
    kept: Mapping[str, Any]
    generation: Generation
    unsupported: Unsupported
    system: list[str] = field(default_factory=list)
    contents: list[dict[str, Any]] = field(default_factory=list)
    #: The caller's id -> the call; a repeated id is answered call by call.
    _open_calls: list[tuple[str, _OpenCall]] = field(default_factory=list)
    _has_results: bool = False
    _user_parts: list[Part] = field(default_factory=list)

    def add(self, message: ChatMessage, *, is_current: bool) -> None:
        """:param is_current: the message stands after the user's last words."""
        if message.role in ("system", "developer"):
            text = self._text_only(message, "system instructions hold text")
            if text.strip():
                self.system.append(text)
        elif message.role == "user":
            self._user_parts += self._content(message)
        elif message.role == "tool":
            self._add_result(message)
        else:
            self._close_user_turn()
            self._add_model(message, is_current=is_current)

    def finish(self) -> list[dict[str, Any]]:
        self._close_user_turn(at_end=True)
        if not self.contents:
            raise InvalidRequest(
                "Invalid 'messages': at least one user or assistant message with content is expected.",
                param="messages",
                code="invalid_value",
            )
        if self.contents[0]["role"] == "model":
            self.contents.insert(0, {"role": "user", "parts": [{"text": _BEFORE_MODEL}]})
        return self.contents

    # The user's side: responses first, then what was said.

    def _add_result(self, message: ChatMessage) -> None:
        call = next(
            (call for id, call in self._open_calls if id == message.tool_call_id and call.response is None), None
        )
        if call is None:
            self.unsupported.note(message.param)
            return
        self._has_results = True
        call.response = _response(message.text())
        call.media = [part for part in self._content(message) if "text" not in part]

    def _close_user_turn(self, *, at_end: bool = False) -> None:
        """End the user's turn, if one has begun; the calls before it are then answered for good."""
        if not (self._has_results or self._user_parts or (at_end and self._open_calls)):
            return
        responses: list[Part] = []
        media: list[Part] = []
        for _, call in self._open_calls:
            response: Part = {"name": call.name, "response": call.response or {"error": _NO_RESULT}}
            if call.id:
                response["id"] = call.id
            if call.media and self.generation.has_media_in_results:
                response["parts"] = call.media
            else:
                media += call.media
            responses.append({"functionResponse": response})
        self._append("user", responses + media + self._user_parts)
        self._open_calls, self._has_results, self._user_parts = [], False, []

    # The model's side.

    def _add_model(self, message: ChatMessage, *, is_current: bool) -> None:
        text = self._text_only(message, "assistant messages hold text")
        calls: list[Part] = []
        for call in message.tool_calls:
            entry = kept_signatures.call_entry(self.kept, call)
            own_id = str(entry.get("id") or "")
            part = self._call_part(call, own_id, entry.get("signature"))
            # Of parallel calls only the first has a signature, and only the turn under way is checked.
            if not calls and is_current and self.generation.needs_signatures:
                part.setdefault("thoughtSignature", kept_signatures.NO_SIGNATURE)
            self._open_calls.append((call.id, _OpenCall(part["functionCall"]["name"], own_id)))
            calls.append(part)
        state = next((self.kept[call.id] for call in message.tool_calls if call.id in self.kept), None)
        texts: list[Part] = [{"text": text}] if text else []
        parts = kept_signatures.restore(state, texts, calls, [call.id for call in message.tool_calls])
        self._append("model", parts + self._images(message))

    def _call_part(self, call: HistoryCall, own_id: str, signature: Any) -> Part:
        function: Part = {"name": self.names.outgoing(call.name), "args": call.arguments}
        if own_id:
            function["id"] = own_id
        part: Part = {"functionCall": function}
        if isinstance(signature, str) and signature:
            part["thoughtSignature"] = signature
        return part

    def _images(self, message: ChatMessage) -> list[Part]:
        """Images of an earlier answer, in the form in which the caller got them."""
        images = message.raw.get("images")
        parts: list[Part] = []
        for index, image in enumerate(images if isinstance(images, list) else ()):
            address = image.get("image_url") if isinstance(image, Mapping) else None
            url = address.get("url") if isinstance(address, Mapping) else None
            if not isinstance(url, str) or not is_data_url(url):
                continue
            part = image_part(ImagePart(url, None, f"{message.param}.images[{index}].image_url.url"), self.unsupported)
            if part is not None:
                if self.generation.needs_signatures:
                    part["thoughtSignature"] = kept_signatures.NO_SIGNATURE
                parts.append(part)
        return parts

    # Content.

    def _append(self, role: str, parts: list[Part]) -> None:
        if not parts:
            return
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})

    def _text_only(self, message: ChatMessage, reason: str) -> str:
        for part in message.parts:
            if not isinstance(part, TextPart):
                self.unsupported.refuse(part.param, reason)
        return message.text()

    def _content(self, message: ChatMessage) -> list[Part]:
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                written: Part | None = {"text": part.text} if part.text else None
            elif isinstance(part, ImagePart):
                written = image_part(part, self.unsupported)
            elif isinstance(part, AudioPart):
                written = audio_part(part, self.unsupported)
            else:
                written = file_part(part, self.unsupported)
            if written is not None:
                parts.append(written)
        return parts


def _response(text: str) -> Part:
    """A response is an object; one key "output" or "error" holds what is none."""
    if text.lstrip().startswith("{"):
        try:
            return decode_arguments(text) or {"output": text}
        except ValueError:
            pass
    return {"output": text}


def write_contents(
    messages: list[ChatMessage],
    *,
    names: ToolNames,
    kept: Mapping[str, Any],
    generation: Generation,
    unsupported: Unsupported,
) -> tuple[str, list[dict[str, Any]]]:
    """The system instruction's text, "" for none, and the contents.

    :raises InvalidRequest: nothing is left to say.
    :raises UnsupportedFeature: a part cannot be expressed.
    """
    writer = ContentWriter(names, kept, generation, unsupported)
    last_said = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    for index, message in enumerate(messages):
        writer.add(message, is_current=index > last_said)
    contents = writer.finish()
    return "\n".join(writer.system), contents
