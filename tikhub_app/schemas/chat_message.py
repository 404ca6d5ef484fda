"""Messages of chat completions, in and out. https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages

One schema serves requests and answers, as published; which fields matter depends on the role.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tikhub_app.schemas.wire import WireModel


class TextPart(WireModel):
    """Text."""

    type: Literal["text"]
    text: str = Field(description="The text.")


class RefusalPart(WireModel):
    """A refusal in an earlier answer."""

    type: Literal["refusal"]
    refusal: str = Field(description="The model's words.")


class ImageUrl(WireModel):
    """Where an image is."""

    url: str = Field(description="An http(s) address, or the image as a data URL.")
    detail: str | None = Field(None, description="auto, low or high.", examples=["auto"])


class ImagePart(WireModel):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(WireModel):
    """Audio."""

    data: str = Field(description="The audio in base64.")
    format: str = Field(description="wav or mp3.", examples=["wav"])


class InputAudioPart(WireModel):
    """Audio in."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class FileReference(WireModel):
    """A file, or the id of one at the provider."""

    file_data: str | None = Field(None, description="The file in base64, or as a data URL.")
    file_id: str | None = Field(None, description="Id of an uploaded file; valid at one provider account only.")
    filename: str | None = Field(None, description="Its name.")


class FilePart(WireModel):
    """A file, for example a PDF."""

    type: Literal["file"]
    file: FileReference


class OtherPart(WireModel):
    """A kind of part that is not described here; it is passed on as it is."""

    type: str = Field(description="Kind of the part.")


_PART_TYPES = frozenset({"text", "refusal", "image_url", "input_audio", "file"})


def _part_tag(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
    return kind if isinstance(kind, str) and kind in _PART_TYPES else "other"


ContentPart = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[RefusalPart, Tag("refusal")]
    | Annotated[ImagePart, Tag("image_url")]
    | Annotated[InputAudioPart, Tag("input_audio")]
    | Annotated[FilePart, Tag("file")]
    | Annotated[OtherPart, Tag("other")],
    Discriminator(_part_tag),
]


class ToolCallFunction(WireModel):
    """The function that the model wants called."""

    name: str = Field(description="Its name.", examples=["get_weather"])
    arguments: str = Field(
        description="Its arguments as JSON text, written by the model: it may be invalid.",
        examples=['{"city": "Oslo"}'],
    )


class CustomToolCall(WireModel):
    """The custom tool that the model wants called."""

    name: str = Field(description="Its name.")
    input: str = Field(description="Its input, free text.")


class ToolCall(WireModel):
    """One call that the model asks for; answer it with a message of role tool."""

    id: str = Field(description="Repeat it as tool_call_id in the answer.", examples=["call_abc123"])
    type: str = Field("function", description="function or custom.", examples=["function"])
    function: ToolCallFunction | None = Field(None, description="For type function.")
    custom: CustomToolCall | None = Field(None, description="For type custom.")


class FunctionCall(WireModel):
    """Old form of a tool call."""

    name: str
    arguments: str


class AudioReference(WireModel):
    """Audio in an answer, or a reference to it in a later request."""

    id: str = Field(description="Id of the audio.")
    data: str | None = Field(None, description="The audio in base64.")
    transcript: str | None = Field(None, description="What is said.")
    expires_at: int | None = Field(None, description="Unix time until which the id may be referred to.")


class ChatMessage(WireModel):
    """One message of a conversation."""

    role: str = Field(
        description="developer, system, user, assistant, tool, or the old function.",
        examples=["user"],
    )
    content: str | list[ContentPart] | None = Field(
        None,
        description="Text, or parts. May be null in an answer with tool calls. Role tool takes text parts only.",
        examples=["What is the weather in Oslo?"],
    )
    name: str | None = Field(None, description="Tells participants of the same role apart.")
    tool_calls: list[ToolCall] | None = Field(None, description="Assistant: calls that the model asks for.")
    tool_call_id: str | None = Field(None, description="Role tool: the call that this answers; required there.")
    refusal: str | None = Field(None, description="Assistant: why the model refuses.")
    audio: AudioReference | None = Field(None, description="Assistant: audio of the answer.")
    annotations: list[dict[str, Any]] | None = Field(None, description="Assistant: citations, such as url_citation.")
    # https://api-docs.deepseek.com/guides/thinking_mode
    reasoning_content: str | None = Field(
        None, description="DeepSeek and others: the model's reasoning. Send it back on later turns with tool calls."
    )
    function_call: FunctionCall | None = Field(None, description="Old form of tool_calls.", deprecated=True)
