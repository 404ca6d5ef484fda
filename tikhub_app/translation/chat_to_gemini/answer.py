"""What whole and streamed answers of Gemini have in common on their way into a chat.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tikhub_app.translation.chat_form import CalledTool, ChatUsage, token_count
from tikhub_app.translation.chat_request import uses_legacy_functions, wants_usage
from tikhub_app.translation.chat_to_gemini.kept_signatures import TurnLayout, is_server_part, signature_of
from tikhub_app.translation.chat_to_gemini.tools import tool_names
from tikhub_app.translation.json_text import encode_text
from tikhub_app.translation.tool_names import ToolNames

# https://ai.google.dev/api/generate-content#FinishReason
_FILTERED = frozenset(
    {
        "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION", "MODEL_ARMOR",
    }
)  # fmt: skip
#: The model broke down: there is no answer that could be used.
_FAILED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)  # fmt: skip
#: Gemini's tiers -> OpenAI's.
_SERVICE_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller's request says about the form of the answer."""

    request_id: str
    model: str
    names: ToolNames
    legacy_functions: bool
    wants_usage: bool

    @classmethod
    def read(cls, body: Mapping[str, Any], request_id: str) -> Asked:
        model = text_of(body.get("model"))
        return cls(request_id, model, tool_names(body), uses_legacy_functions(body), wants_usage(body))


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one in its place."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The objects in what should be a list of objects."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def finish_reason(reason: str, *, has_calls: bool) -> str:
    """A call that is whole counts, though Gemini says STOP."""
    if reason in _FILTERED:
        return "content_filter"
    if reason == "MAX_TOKENS":
        return "length"
    return "tool_calls" if has_calls else "stop"


def failure(candidate: Mapping[str, Any]) -> str | None:
    """What to tell the caller of a candidate that is no answer; None for one that is."""
    reason = text_of(candidate.get("finishReason"))
    if reason not in _FAILED:
        return None
    told = text_of(candidate.get("finishMessage"))
    return f"The model's answer broke off with {reason}{f': {told}' if told else '.'}"


def is_blocked(answer: Mapping[str, Any]) -> bool:
    """Whether the prompt was blocked: a blockReason, and no candidates."""
    return bool(mapping(answer.get("promptFeedback")).get("blockReason")) and not mappings(answer.get("candidates"))


def candidate_index(candidate: Mapping[str, Any]) -> int:
    """Index 0 is left out."""
    index = candidate.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < 1_000 else 0


# Parts: https://ai.google.dev/api/caching#Part


@dataclass(frozen=True, slots=True)
class Said:
    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A file that the model made, as an entry of ``images``, the de-facto field for it."""

    entry: dict[str, Any]


class CandidateReader:
    """Reads one candidate's parts as they come, and notes what is to be kept of them."""

    __slots__ = ("_asked", "_ids", "_images", "_index", "_said", "layout")

    def __init__(self, asked: Asked, index: int) -> None:
        self._asked = asked
        self._index = index
        self._ids: set[str] = set()
        self._images = 0
        self._said: list[str] = []
        self.layout = TurnLayout()

    def text(self) -> str:
        """All text so far."""
        return "".join(self._said)

    def has_calls(self) -> bool:
        return bool(self._ids)

    def read(self, candidate: Mapping[str, Any]) -> Iterator[Said | Thought | CalledTool | Image]:
        """What the candidate's new parts say; content, or the parts in it, may be absent.

        Parts of server tools have no place in a chat and are left out; what the model made of them is in its text.
        """
        for part in mappings(mapping(candidate.get("content")).get("parts")):
            signature = signature_of(part)
            if part.get("thought") is True:
                if signature:
                    self.layout.server_part(part)
                if thought := text_of(part.get("text")):
                    yield Thought(thought)
            elif isinstance(part.get("functionCall"), Mapping):
                yield self._call(part["functionCall"], signature)
            elif is_server_part(part):
                self.layout.server_part(part)
            elif isinstance(part.get("inlineData"), Mapping) or isinstance(part.get("fileData"), Mapping):
                if (image := self._image(part)) is not None:
                    yield image
            else:
                text = text_of(part.get("text"))
                self.layout.text(len(text), signature)
                if text:
                    self._said.append(text)
                    yield Said(text)

    def _call(self, call: Mapping[str, Any], signature: str) -> CalledTool:
        own_id = text_of(call.get("id"))
        call_id = own_id if own_id and own_id not in self._ids else self._made_id()
        self._ids.add(call_id)
        self.layout.call(call_id, own_id, signature)
        given = call.get("args")
        arguments = encode_text(given if isinstance(given, dict) else {})
        return CalledTool(call_id, self._asked.names.original(text_of(call.get("name"))), arguments)

    def _made_id(self) -> str:
        """Gemini's earlier models give no ids. The same answer gets the same ones, however it is cut."""
        place = f"{self._asked.request_id}:{self._index}:{len(self._ids)}"
        return f"call_{hashlib.sha256(place.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"

    def _image(self, part: Mapping[str, Any]) -> Image | None:
        inline, file = mapping(part.get("inlineData")), mapping(part.get("fileData"))
        url = text_of(file.get("fileUri"))
        if content := text_of(inline.get("data")):
            url = f"data:{text_of(inline.get('mimeType')) or 'application/octet-stream'};base64,{content}"
        if not url:
            return None
        self._images += 1
        return Image({"type": "image_url", "image_url": {"url": url}, "index": self._images - 1})


# UsageMetadata: https://ai.google.dev/api/generate-content#UsageMetadata


def counts_tokens(usage: Any) -> bool:
    """Whether a usageMetadata has any count: Vertex puts nothing but a ``trafficType`` on some chunks."""
    return any(name.endswith("TokenCount") for name in mapping(usage))


def _count(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:  # JSON of protocol buffers may have strings
        return token_count(int(value))
    return token_count(value)


def chat_usage(usage: Mapping[str, Any]) -> ChatUsage:
    """toolUsePromptTokenCount is input beside the prompt, thoughtsTokenCount output beside the candidates."""
    tools, thoughts = _count(usage.get("toolUsePromptTokenCount")), _count(usage.get("thoughtsTokenCount"))
    prompt, candidates = _count(usage.get("promptTokenCount")) + tools, _count(usage.get("candidatesTokenCount"))
    if thoughts and candidates >= thoughts and _count(usage.get("totalTokenCount")) == prompt + candidates:
        # Once thoughts were part of candidatesTokenCount; where they still are, the total says so.
        candidates -= thoughts
    return ChatUsage(
        prompt_tokens=prompt,
        completion_tokens=candidates + thoughts,
        prompt_details={
            "cached_tokens": _count(usage.get("cachedContentTokenCount")),
            "audio_tokens": _of_audio(usage.get("promptTokensDetails")),
        },
        completion_details={
            "reasoning_tokens": thoughts,
            "audio_tokens": _of_audio(usage.get("candidatesTokensDetails")),
        },
    )


def _of_audio(details: Any) -> int:
    return sum(_count(entry.get("tokenCount")) for entry in mappings(details) if entry.get("modality") == "AUDIO")


def service_tier(usage: Any) -> str | None:
    return _SERVICE_TIERS.get(text_of(mapping(usage).get("serviceTier")).lower())


# LogprobsResult: https://ai.google.dev/api/generate-content#LogprobsResult


def chat_logprobs(candidate: Mapping[str, Any]) -> dict[str, Any]:
    """The choice's ``logprobs``; empty where none were sent."""
    told = mapping(candidate.get("logprobsResult"))
    chosen = mappings(told.get("chosenCandidates"))
    top = mappings(told.get("topCandidates"))
    content = []
    for place, token in enumerate(chosen):
        others = mappings(top[place].get("candidates")) if place < len(top) else []
        content.append(_logprob(token) | {"top_logprobs": [_logprob(other) for other in others]})
    return {"content": content, "refusal": None} if content else {}


def _logprob(token: Mapping[str, Any]) -> dict[str, Any]:
    text, value = text_of(token.get("token")), token.get("logProbability")
    logprob = -9999.0  # OpenAI's word for "very unlikely"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -9999.0 <= value <= 0:
        logprob = float(value)
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "surrogatepass"))}
