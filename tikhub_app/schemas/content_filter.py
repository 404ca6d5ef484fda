"""Content-filter results as Azure OpenAI sends them.

https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter-annotations
"""

from __future__ import annotations

from pydantic import Field

from tikhub_app.schemas.wire import WireModel


class ContentFilterSeverity(WireModel):
    """Judgement of a category that has degrees."""

    filtered: bool | None = Field(None, description="Whether content was withheld.")
    severity: str | None = Field(None, description="safe, low, medium or high.", examples=["safe"])


class ContentFilterDetection(WireModel):
    """Judgement of a category that is present or not."""

    filtered: bool | None = Field(None, description="Whether content was withheld.")
    detected: bool | None = Field(None, description="Whether it was recognised.")


class ContentFilterResults(WireModel):
    """What the provider's filters said of one prompt or answer. Categories beyond these are kept as they come."""

    hate: ContentFilterSeverity | None = Field(None, description="Hate and fairness.")
    self_harm: ContentFilterSeverity | None = Field(None, description="Self-harm.")
    sexual: ContentFilterSeverity | None = Field(None, description="Sexual content.")
    violence: ContentFilterSeverity | None = Field(None, description="Violence.")
    jailbreak: ContentFilterDetection | None = Field(None, description="An attack on the model's instructions.")
    protected_material_code: ContentFilterDetection | None = Field(None, description="Code of known repositories.")
    protected_material_text: ContentFilterDetection | None = Field(None, description="Known texts under copyright.")
