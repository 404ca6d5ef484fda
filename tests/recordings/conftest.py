"""The gateway in front of a provider that replays."""

from tests.gateway.conftest import stopped_gateway

__all__ = ["stopped_gateway"]
