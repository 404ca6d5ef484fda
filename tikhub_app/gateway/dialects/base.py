"""The contract of a dialect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tikhub_app.exceptions import GatewayError, InvalidRequest, UnsupportedMedia
from tikhub_app.gateway.inbound import Headers, InboundCall

LONGEST_MODEL_NAME = 200


def check_media(headers: Mapping[str, str]) -> None:
    """:raises UnsupportedMedia: the body is said to be something other than plain JSON."""
    media = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise UnsupportedMedia(f"Send the body as application/json; '{media[:80]}' is not supported here.")
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedMedia("Send the body without Content-Encoding.")


@dataclass(slots=True)
class ParsedCall:
    """What the gateway needs to know of a request body; everything else goes on unread."""

    model: str
    is_stream: bool = False
    #: Whether the caller asked for the usage of a stream.
    wants_usage: bool = True
    #: Top-level fields that must change before the body goes upstream in the same dialect.
    changes: dict[str, Any] = field(default_factory=dict)
    #: Upper bound on output tokens, over all choices, when the caller gave one.
    max_output_tokens: int | None = None
    end_user: str = ""
    #: Parameters of the query string that go upstream; never a credential.
    query: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Dialect:
    """How callers of one wire format are read and answered."""

    name: ClassVar[str]
    #: Headers in which callers of this dialect look for the id of their request; every answer carries it in each.
    request_id_headers: ClassVar[tuple[str, ...]] = ("x-request-id",)
    #: Whether ``?key=`` is taken for a credential.
    takes_key_from_query: ClassVar[bool] = False

    def read_call(self, call: InboundCall) -> ParsedCall:
        """Read a request body.

        :raises InvalidRequest: malformed, or a field that we must read is missing or of the wrong type (named).
        """
        raise NotImplementedError

    def is_readable_error(self, body: bytes) -> bool:
        """Whether a provider's refusal is what this dialect's SDKs can read; others are written anew."""
        try:
            return isinstance(json.loads(body), dict)
        except (ValueError, RecursionError):
            return False

    def error_body(self, error: GatewayError, request_id: str) -> bytes:
        """An error as the body of an HTTP answer in this dialect."""
        raise NotImplementedError

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        """An error as the last event of a stream whose status line is gone already."""
        raise NotImplementedError

    def identity_headers(self, request_id: str) -> Headers:
        return [(name, request_id) for name in self.request_id_headers]

    @staticmethod
    def check_model_name(model: str) -> None:
        if not model or len(model) > LONGEST_MODEL_NAME or not model.isprintable():
            raise InvalidRequest(
                f"'model' must be a printable name of 1 to {LONGEST_MODEL_NAME} characters.",
                param="model",
                code="invalid_value",
            )
