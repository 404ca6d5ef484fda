"""Reading the messages of a chat completion request, for every translation away from it.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages

Errors name the field as OpenAI does (``messages[3].content[0].image_url.url``). The old form, ``function_call`` and
role ``function``, is read as one tool call and its result, with ids made up from their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tikhub_app.exceptions import InvalidRequest, UnsupportedFeature
from tikhub_app.translation.json_text import decode_arguments

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text, or a refusal in an earlier answer."""

    text: str
    param: str
    #: Fields beside the documented ones, such as ``cache_control``.
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image by web address or data URL."""

    url: str
    detail: str | None
    param: str
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AudioPart:
    """Audio in base64; ``format`` is wav or mp3."""

    data: str
    format: str
    param: str


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file by value, or by an id that is valid at one provider account only."""

    file_data: str | None
    file_id: str | None
    filename: str | None
    param: str
    extras: Mapping[str, Any] = field(default_factory=dict)


ContentPart = TextPart | ImagePart | AudioPart | FilePart


@dataclass(frozen=True, slots=True)
class HistoryCall:
    """A tool call of an earlier answer, its arguments parsed."""

    id: str
    name: str
    arguments: dict[str, Any]
    param: str
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message. ``tool_call_id`` is set for role ``tool`` only; ``raw`` is the message as it came."""

    role: str
    parts: list[ContentPart]
    param: str
    raw: Mapping[str, Any]
    tool_calls: list[HistoryCall] = field(default_factory=list)
    tool_call_id: str = ""
    name: str | None = None

    def text(self) -> str:
        """The text of all text parts."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


def read_messages(body: Mapping[str, Any]) -> list[ChatMessage]:
    """Every message, in order; the role ``function`` comes out as ``tool``.

    :raises InvalidRequest: a field is missing or of the wrong type, or a call's arguments are not a JSON object.
    :raises UnsupportedFeature: a custom tool call.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages", "a non-empty array is expected")
    read: list[ChatMessage] = []
    last_legacy_call: dict[str, str] = {}
    for index, raw in enumerate(messages):
        param = f"messages[{index}]"
        if not isinstance(raw, dict):
            raise _invalid(param, "an object is expected")
        role = raw.get("role")
        if role not in _ROLES:
            raise _invalid(f"{param}.role", f"one of {', '.join(_ROLES)} is expected")
        name = raw.get("name") if isinstance(raw.get("name"), str) else None
        parts = list(_read_content(raw.get("content"), f"{param}.content"))
        if role == "assistant":
            refusal = raw.get("refusal")
            if isinstance(refusal, str) and refusal:
                parts.append(TextPart(refusal, f"{param}.refusal"))
            calls = _read_calls(raw, index)
            last_legacy_call.update((call.name, call.id) for call in calls if call.id == _legacy_id(index))
            read.append(ChatMessage("assistant", parts, param, raw, calls, name=name))
        elif role == "tool":
            call_id = raw.get("tool_call_id")
            if not isinstance(call_id, str) or not call_id:
                raise _invalid(f"{param}.tool_call_id", "a tool message names the call that it answers")
            read.append(ChatMessage("tool", parts, param, raw, tool_call_id=call_id, name=name))
        elif role == "function":
            call_id = last_legacy_call.get(name or "", "")
            read.append(ChatMessage("tool", parts, param, raw, tool_call_id=call_id, name=name))
        else:
            read.append(ChatMessage(role, parts, param, raw, name=name))
    return read


def history_call_ids(body: Mapping[str, Any]) -> list[str]:
    """Ids of all tool calls in the history, each once, in order; malformed messages are passed over."""
    messages = body.get("messages")
    ids: dict[str, None] = {}
    for message in messages if isinstance(messages, list) else ():
        calls = message.get("tool_calls") if isinstance(message, dict) else None
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and isinstance(call.get("id"), str) and call["id"]:
                ids[call["id"]] = None
    return list(ids)


def _invalid(param: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid '{param}': {reason}.", param=param, code="invalid_value")


def _read_content(content: Any, param: str) -> Iterator[ContentPart]:
    if content is None:
        return
    if isinstance(content, str):
        if content:
            yield TextPart(content, param)
        return
    if not isinstance(content, list):
        raise _invalid(param, "a string or an array of content parts is expected")
    for index, part in enumerate(content):
        yield _read_part(part, f"{param}[{index}]")


def _read_part(part: Any, param: str) -> ContentPart:
    if isinstance(part, str):
        return TextPart(part, param)
    if not isinstance(part, dict):
        raise _invalid(param, "an object is expected")
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return TextPart(_string(part, kind, param), f"{param}.{kind}", _extras(part, kind))
    if kind == "image_url":
        image = part.get("image_url")
        if isinstance(image, str):  # many clients send the address alone
            image = {"url": image}
        url = _string(_object(image, f"{param}.image_url"), "url", f"{param}.image_url")
        detail = image.get("detail") if isinstance(image, dict) else None
        extras = _extras(part, "image_url")
        return ImagePart(url, detail if isinstance(detail, str) else None, f"{param}.image_url.url", extras)
    if kind == "input_audio":
        where = f"{param}.input_audio"
        audio = _object(part.get("input_audio"), where)
        return AudioPart(_string(audio, "data", where), _string(audio, "format", where), where)
    if kind == "file":
        where = f"{param}.file"
        file = _object(part.get("file"), where)
        given = [file.get(name) if isinstance(file.get(name), str) else None for name in ("file_data", "file_id")]
        if not any(given):
            raise _invalid(where, "file_data or file_id is expected")
        filename = file.get("filename")
        extras = _extras(part, "file")
        return FilePart(given[0], given[1], filename if isinstance(filename, str) else None, where, extras)
    raise UnsupportedFeature(f"Content parts of type {kind!r} are not supported for this model.", param=f"{param}.type")


def _extras(part: Mapping[str, Any], *known: str) -> Mapping[str, Any]:
    return {name: value for name, value in part.items() if name != "type" and name not in known}


def _object(value: Any, param: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(param, "an object is expected")
    return value


def _string(owner: Mapping[str, Any], name: str, param: str) -> str:
    value = owner.get(name)
    if not isinstance(value, str):
        raise _invalid(f"{param}.{name}", "a string is expected")
    return value


def _legacy_id(index: int) -> str:
    return f"call_{index}_legacy"


def _read_calls(message: Mapping[str, Any], index: int) -> list[HistoryCall]:
    param = f"messages[{index}]"
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise _invalid(f"{param}.tool_calls", "an array is expected")
    read = [_read_call(call, f"{param}.tool_calls[{place}]") for place, call in enumerate(calls)]
    legacy = message.get("function_call")
    if legacy is not None and not read:
        function = _object(legacy, f"{param}.function_call")
        read.append(_function(_legacy_id(index), function, f"{param}.function_call", {}))
    return read


def _read_call(call: Any, param: str) -> HistoryCall:
    whole = _object(call, param)
    if whole.get("type", "function") != "function":
        raise UnsupportedFeature("Custom tools are not supported for this model.", param=f"{param}.type")
    call_id = _string(whole, "id", param)
    function = _object(whole.get("function"), f"{param}.function")
    return _function(call_id, function, f"{param}.function", _extras(whole, "id", "function"))


def _function(call_id: str, function: Mapping[str, Any], param: str, extras: Mapping[str, Any]) -> HistoryCall:
    name = _string(function, "name", param)
    text = function.get("arguments", "")
    if isinstance(text, dict):  # some clients send what they have parsed
        return HistoryCall(call_id, name, text, param, extras)
    if text is not None and not isinstance(text, str):
        raise _invalid(f"{param}.arguments", "a string is expected")
    try:
        arguments = decode_arguments(text or "")
    except ValueError as error:
        raise InvalidRequest(
            f"Invalid '{param}.arguments': the arguments of an earlier call are {error}.",
            param=f"{param}.arguments",
            code="invalid_json",
        ) from error
    return HistoryCall(call_id, name, arguments, param, extras)


class CallIds:
    """Ids of tool calls as a provider admits them. An id that it admits is kept; others are written in its alphabet.

    The mapping depends on the id alone and can be undone.
    """

    __slots__ = ("_allowed",)

    _PREFIX = "tkhid-"

    def __init__(self, allowed: re.Pattern[str]) -> None:
        self._allowed = allowed

    def outgoing(self, call_id: str) -> str:
        if self._allowed.fullmatch(call_id) and not call_id.startswith(self._PREFIX):
            return call_id
        return self._PREFIX + call_id.encode("utf-8", "surrogatepass").hex()

    def original(self, sent: str) -> str:
        if not sent.startswith(self._PREFIX):
            return sent
        try:
            return bytes.fromhex(sent[len(self._PREFIX) :]).decode("utf-8", "surrogatepass")
        except ValueError:
            return sent
