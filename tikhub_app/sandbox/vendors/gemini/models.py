"""Gemini's models, as ``GET /v1beta/models`` lists them. https://ai.google.dev/gemini-api/docs/models"""

from dataclasses import dataclass
from typing import Any, Literal

#: Whether a model thinks: not at all; unless its budget is 0; only with a budget; always.
Thinking = Literal["never", "unless_told", "if_told", "always"]


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    answers_as: str  # the version that stands in the answer
    title: str
    thinking: Thinking
    has_levels: bool = False  # takes thinkingLevel, gives ids to calls and insists on thought signatures: Gemini 3
    makes_images: bool = False
    input_tokens: int = 1_048_576
    output_tokens: int = 65_536

    def listing(self) -> dict[str, Any]:
        listing: dict[str, Any] = {
            "name": f"models/{self.name}",
            "version": self.answers_as,
            "displayName": self.title,
            "description": f"{self.title}, as the sandbox plays it.",
            "inputTokenLimit": self.input_tokens,
            "outputTokenLimit": self.output_tokens,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
            "temperature": 1,
            "topP": 0.95,
            "topK": 64,
            "maxTemperature": 2,
        }
        return listing | ({"thinking": True} if self.thinking != "never" else {})


_ALL = (
    Model("gemini-2.0-flash", "gemini-2.0-flash", "Gemini 2.0 Flash", "never", output_tokens=8_192),
    Model("gemini-2.0-flash-lite", "gemini-2.0-flash-lite", "Gemini 2.0 Flash-Lite", "never", output_tokens=8_192),
    Model("gemini-2.5-flash", "gemini-2.5-flash", "Gemini 2.5 Flash", "unless_told"),
    Model("gemini-2.5-flash-lite", "gemini-2.5-flash-lite", "Gemini 2.5 Flash-Lite", "if_told"),
    Model("gemini-2.5-pro", "gemini-2.5-pro", "Gemini 2.5 Pro", "always"),
    Model(
        "gemini-2.5-flash-image", "gemini-2.5-flash-image", "Gemini 2.5 Flash Image", "never",
        makes_images=True, input_tokens=32_768, output_tokens=32_768,
    ),
    Model("gemini-3-flash-preview", "gemini-3-flash-preview", "Gemini 3 Flash Preview", "always", has_levels=True),
    Model("gemini-3-pro-preview", "gemini-3-pro-preview", "Gemini 3 Pro Preview", "always", has_levels=True),
    Model("gemini-3.1-pro-preview", "gemini-3.1-pro-preview", "Gemini 3.1 Pro Preview", "always", has_levels=True),
    Model("gemini-3.1-flash-lite", "gemini-3.1-flash-lite", "Gemini 3.1 Flash-Lite", "always", has_levels=True),
    Model("gemini-3.5-flash", "gemini-3.5-flash", "Gemini 3.5 Flash", "always", has_levels=True),
    Model("gemini-3.6-flash", "gemini-3.6-flash", "Gemini 3.6 Flash", "always", has_levels=True),
    Model("gemini-flash-latest", "gemini-3.6-flash", "Gemini Flash Latest", "always", has_levels=True),
    Model("gemini-pro-latest", "gemini-3.1-pro-preview", "Gemini Pro Latest", "always", has_levels=True),
)  # fmt: skip

MODELS: dict[str, Model] = {model.name: model for model in _ALL}
