"""The list of providers. A new provider adds its row here; nothing else looks providers up."""

from __future__ import annotations

from tikhub_app.exceptions import ConfigurationError
from tikhub_app.providers.anthropic import Anthropic
from tikhub_app.providers.base import Provider
from tikhub_app.providers.gemini import Gemini
from tikhub_app.providers.openai import OpenAI
from tikhub_app.providers.openai_compatible import OpenAICompatible

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        OpenAI(),
        OpenAICompatible(),
        Anthropic(),
        Gemini(),
    )
}


def get_provider(name: str) -> Provider:
    """The adapter of that name.

    :raises ConfigurationError: an upstream row names a provider that this version does not have.
    """
    try:
        return PROVIDERS[name]
    except KeyError:
        raise ConfigurationError(f"There is no provider {name!r}; known are {', '.join(PROVIDERS)}.") from None


def provider_choices() -> list[tuple[str, str]]:
    """Names and labels for forms."""
    return [(provider.name, provider.label) for provider in PROVIDERS.values()]
