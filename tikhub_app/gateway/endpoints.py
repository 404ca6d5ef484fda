"""The table of gateway paths, shared by the ASGI door and the Django door."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method and path (without the prefix under which the app is mounted), and what it means.

    A path may name parameters in braces, see ``PARAMETERS``.
    """

    method: str
    path: str
    dialect: str
    operation: str


CHAT_COMPLETIONS = Endpoint("POST", "/v1/chat/completions", "openai_chat", "chat")
MESSAGES = Endpoint("POST", "/v1/messages", "anthropic_messages", "messages")
MESSAGES_COUNT_TOKENS = Endpoint("POST", "/v1/messages/count_tokens", "anthropic_messages", "count_tokens")

ENDPOINTS: tuple[Endpoint, ...] = (CHAT_COMPLETIONS, MESSAGES, MESSAGES_COUNT_TOKENS)

# Gemini names model and verb in the path. https://ai.google.dev/api/generate-content#method:-models.generatecontent
_MODEL = "/{version}/models/{model}"
GENERATE_CONTENT = Endpoint("POST", f"{_MODEL}:generateContent", "gemini", "generate_content")
STREAM_GENERATE_CONTENT = Endpoint("POST", f"{_MODEL}:streamGenerateContent", "gemini", "stream_generate_content")
COUNT_CONTENT_TOKENS = Endpoint("POST", f"{_MODEL}:countTokens", "gemini", "count_tokens")

#: Endpoints whose paths have parameters.
TEMPLATES: tuple[Endpoint, ...] = (GENERATE_CONTENT, STREAM_GENERATE_CONTENT, COUNT_CONTENT_TOKENS)

#: What a parameter of a path may be. A model's name may hold slashes and colons.
PARAMETERS: Mapping[str, str] = {"version": "v1beta|v1alpha|v1", "model": ".+"}

NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


def _expression(path: str) -> re.Pattern[str]:
    """A template as a regular expression. Some clients escape the colon, and not every server decodes it."""
    parts = re.split(r"\{(\w+)\}", path)
    literals = [re.escape(part).replace(":", "(?::|%3[Aa])") for part in parts[::2]]
    groups = [f"(?P<{name}>{PARAMETERS[name]})" for name in parts[1::2]]
    return re.compile("".join(a + b for a, b in zip(literals, [*groups, ""], strict=True)))


_exact = {(endpoint.method, endpoint.path): endpoint for endpoint in ENDPOINTS}
_expressions = tuple((endpoint, _expression(endpoint.path)) for endpoint in TEMPLATES)


def match_template(method: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:
    """The endpoint with parameters that serves this method and path, and their values."""
    if path.startswith("/v1"):
        for endpoint, expression in _expressions:
            if endpoint.method == method and (found := expression.fullmatch(path)):
                return endpoint, found.groupdict()
    return None


def match(method: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:
    """The endpoint that serves this method and path, and the values of its path's parameters; None if none does."""
    endpoint = _exact.get((method, path))
    return (endpoint, NO_PARAMETERS) if endpoint is not None else match_template(method, path)
