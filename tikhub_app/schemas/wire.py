"""The base of every wire model: unknown fields are kept, types are not bent, and what was not sent is not written."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    """JSON as a provider or caller writes it."""

    # Strict: "1" is not 1. A value that we bent would leave us as something the caller did not send.
    model_config = ConfigDict(
        extra="allow",
        strict=True,
        populate_by_name=True,
        serialize_by_alias=True,
        # "model" and "model_..." are words of the wire formats.
        protected_namespaces=(),
    )

    def to_wire(self) -> dict[str, Any]:
        """The JSON object again: only the fields that were given, unknown ones included."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)
