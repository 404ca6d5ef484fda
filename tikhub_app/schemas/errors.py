"""Errors as callers of the OpenAI dialect receive them. https://platform.openai.com/docs/guides/error-codes"""

from __future__ import annotations

from pydantic import Field

from tikhub_app.schemas.wire import WireModel


class ErrorDetail(WireModel):
    """What went wrong."""

    message: str = Field(description="In words.", examples=["No route serves the model “gpt-5o”. Did you mean gpt-4o?"])
    type: str = Field(description="Class of the error.", examples=["invalid_request_error"])
    param: str | None = Field(description="The field at fault, in dotted form.", examples=["model"])
    code: str | None = Field(description="Machine-readable reason.", examples=["model_not_found"])
    fields: dict[str, list[str]] | None = Field(
        None, description="Management REST only: every field at fault with its messages."
    )


class ErrorResponse(WireModel):
    """Body of every answer with status 400 or above."""

    error: ErrorDetail = Field(description="What went wrong.")
