"""The table of gateway paths, shared by the ASGI door and the Django door."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method and path (without the prefix under which the app is mounted), and what it means."""

    method: str
    path: str
    dialect: str
    operation: str


CHAT_COMPLETIONS = Endpoint("POST", "/v1/chat/completions", "openai_chat", "chat")

ENDPOINTS: tuple[Endpoint, ...] = (CHAT_COMPLETIONS,)
