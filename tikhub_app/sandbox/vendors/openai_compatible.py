"""A host that speaks OpenAI's API without being OpenAI, as Ollama, vLLM and llama.cpp do.

It takes any model's name and answers under that very name, needs no key, sends none of OpenAI's own headers and knows
no reasoning models. Its errors have OpenAI's form.
"""

import uuid

from tikhub_app.sandbox.vendors.base import Call, Job
from tikhub_app.sandbox.vendors.openai import OpenAI
from tikhub_app.sandbox.vendors.openai.models import Model

NAMES = ("llama3.2", "qwen3", "mistral")


class OpenAICompatible(OpenAI):
    name = "openai_compatible"
    prefix = "/openai_compatible"

    def find_model(self, name: str) -> Model | None:
        return Model(name, name, created=1735689600, owned_by="library", vendor_rules=False)

    def list_models(self) -> list[Model]:
        return [model for model in map(self.find_model, NAMES) if model]

    def headers(self, call: Call, job: Job | None, elapsed_ms: int) -> dict[str, str]:
        return {"x-request-id": str(uuid.uuid4())}
