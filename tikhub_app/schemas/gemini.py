"""Requests of Gemini's content methods, and what requests and answers have in common.

https://ai.google.dev/api/generate-content and https://ai.google.dev/api/caching#Content

Google writes camelCase and takes snake_case as well; so do these models.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from tikhub_app.schemas.wire import WireModel


class GeminiModel(WireModel):
    """JSON as Google writes it: names in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class GeminiBlob(GeminiModel):
    """Media within the message."""

    mime_type: str = Field(description="Its type.", examples=["image/png"])
    data: str = Field(description="Its bytes in base64.")


class GeminiFileData(GeminiModel):
    """Media kept elsewhere."""

    mime_type: str | None = Field(None, description="Its type.")
    file_uri: str = Field(description="Address of an uploaded file, or of a video on YouTube.")


class GeminiFunctionCall(GeminiModel):
    """A function that the model asks for."""

    id: str | None = Field(None, description="Of the call; newer models give one.")
    name: str = Field(description="Of the function.", examples=["get_weather"])
    args: dict[str, Any] | None = Field(None, description="Its arguments.", examples=[{"city": "Lisbon"}])


class GeminiFunctionResponse(GeminiModel):
    """What a function gave back."""

    id: str | None = Field(None, description="Of the call, where it had one.")
    name: str = Field(description="Of the function.", examples=["get_weather"])
    response: dict[str, Any] | None = Field(None, description="The result, an object.", examples=[{"output": "sunny"}])


class GeminiPart(GeminiModel):
    """One part of a message; it holds one kind of data."""

    text: str | None = Field(None, description="Words.")
    inline_data: GeminiBlob | None = Field(None, description="An image, sound, video or document.")
    file_data: GeminiFileData | None = Field(None, description="The same, kept elsewhere.")
    function_call: GeminiFunctionCall | None = Field(None, description="From the model.")
    function_response: GeminiFunctionResponse | None = Field(None, description="To the model.")
    executable_code: dict[str, Any] | None = Field(None, description="Code that the model has run: language and code.")
    code_execution_result: dict[str, Any] | None = Field(None, description="What came of it: outcome and output.")
    thought: bool | None = Field(None, description="Whether the text is a summary of the model's thoughts.")
    thought_signature: str | None = Field(None, description="The model's state; send the part back unchanged.")


class GeminiContent(GeminiModel):
    """One message."""

    role: str | None = Field(None, description="user or model.", examples=["user"])
    # Google takes a single part in place of a list of one.
    parts: list[GeminiPart] | GeminiPart | None = Field(
        None, description="What it holds, in order.", examples=[[{"text": "Why is the sky blue?"}]]
    )


class GeminiFunctionDeclaration(GeminiModel):
    """A function that the model may ask for."""

    name: str = Field(description="Letters, digits, underscores, dots, colons and dashes.", examples=["get_weather"])
    description: str | None = Field(None, description="What it does; the model decides by this.")
    parameters: dict[str, Any] | None = Field(None, description="Google's subset of an OpenAPI schema.")
    parameters_json_schema: dict[str, Any] | None = Field(None, description="JSON Schema, in place of parameters.")


class GeminiTool(GeminiModel):
    """What the model may use."""

    function_declarations: list[GeminiFunctionDeclaration] | None = Field(None, description="The caller's functions.")
    google_search: dict[str, Any] | None = Field(None, description="Google's search; an empty object turns it on.")
    code_execution: dict[str, Any] | None = Field(None, description="Code run by Google.")
    url_context: dict[str, Any] | None = Field(None, description="Pages fetched by Google.")


class GeminiFunctionCallingConfig(GeminiModel):
    """How functions are chosen."""

    mode: str | None = Field(None, description="AUTO, ANY, NONE or VALIDATED.", examples=["AUTO"])
    allowed_function_names: list[str] | None = Field(None, description="With ANY or VALIDATED: only these.")


class GeminiToolConfig(GeminiModel):
    """How tools are used."""

    function_calling_config: GeminiFunctionCallingConfig | None = Field(None, description="Of functions.")


class GeminiSafetySetting(GeminiModel):
    """From which probability on a category of harm is blocked."""

    category: str = Field(description="Of harm.", examples=["HARM_CATEGORY_HATE_SPEECH"])
    threshold: str = Field(
        description="BLOCK_LOW_AND_ABOVE, BLOCK_MEDIUM_AND_ABOVE, BLOCK_ONLY_HIGH, BLOCK_NONE or OFF.",
        examples=["BLOCK_ONLY_HIGH"],
    )


class GeminiThinkingConfig(GeminiModel):
    """How much the model thinks."""

    include_thoughts: bool | None = Field(None, description="Whether to send summaries of its thoughts.")
    thinking_budget: int | None = Field(None, description="Most tokens to think with; 0 is off, -1 as it sees fit.")
    thinking_level: str | None = Field(None, description="Gemini 3: MINIMAL, LOW, MEDIUM or HIGH.")


class GeminiGenerationConfig(GeminiModel):
    """How the answer is made."""

    temperature: float | None = Field(None, ge=0, le=2, description="0 to 2; higher is more varied.")
    top_p: float | None = Field(None, description="Nucleus sampling.")
    top_k: float | None = Field(None, description="From how many tokens to choose.")
    candidate_count: int | None = Field(None, ge=1, description="How many answers.")
    max_output_tokens: int | None = Field(None, ge=1, description="Upper bound of an answer, thoughts included.")
    stop_sequences: list[str] | None = Field(None, description="Up to five texts that end the answer.")
    seed: int | None = Field(None, description="For answers that can be repeated, as far as possible.")
    presence_penalty: float | None = Field(None, description="Less of what was said already.")
    frequency_penalty: float | None = Field(None, description="The same by how often.")
    response_mime_type: str | None = Field(None, description="text/plain, application/json or text/x.enum.")
    response_schema: dict[str, Any] | None = Field(None, description="Of a JSON answer, as Google's schema.")
    response_json_schema: Any = Field(None, description="Of a JSON answer, as JSON Schema.")
    response_modalities: list[str] | None = Field(None, description="TEXT, IMAGE, AUDIO.")
    response_logprobs: bool | None = Field(None, description="Whether to send probabilities of tokens.")
    logprobs: int | None = Field(None, description="How many alternatives of each token.")
    thinking_config: GeminiThinkingConfig | None = Field(None, description="How much to think.")
    media_resolution: str | None = Field(None, description="How closely media are looked at.")
    speech_config: dict[str, Any] | None = Field(None, description="The voice, for spoken answers.")
    image_config: dict[str, Any] | None = Field(None, description="aspectRatio and imageSize of drawn images.")


class GeminiGenerateContentRequest(GeminiModel):
    """A conversation to be continued. The model stands in the path."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"contents": [{"role": "user", "parts": [{"text": "Why is the sky blue?"}]}]}]}
    )

    contents: list[GeminiContent] = Field(description="The conversation so far.")
    system_instruction: GeminiContent | None = Field(None, description="What holds for all of it; text only.")
    tools: list[GeminiTool] | None = Field(None, description="What the model may use.")
    tool_config: GeminiToolConfig | None = Field(None, description="How it may.")
    safety_settings: list[GeminiSafetySetting] | None = Field(None, description="What is blocked.")
    generation_config: GeminiGenerationConfig | None = Field(None, description="How the answer is made.")
    cached_content: str | None = Field(None, description="Name of a cached beginning.")
    service_tier: str | None = Field(None, description="unspecified, flex, standard or priority.")
    labels: dict[str, str] | None = Field(None, description="Kept as tags in the ledger.")


class GeminiCountTokensRequest(GeminiModel):
    """What is to be counted: contents, or a whole request."""

    contents: list[GeminiContent] | None = Field(None, description="A conversation.")
    generate_content_request: dict[str, Any] | None = Field(
        None, description="A whole request, tools and system instruction included; its `model` repeats the path's."
    )
