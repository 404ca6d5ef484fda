"""Any host that speaks OpenAI's chat completions: Ollama, vLLM, llama.cpp, LM Studio and others.

https://github.com/ollama/ollama/blob/main/docs/openai.md
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from typing import ClassVar

from tikhub_app.providers.openai import OpenAI


class OpenAICompatible(OpenAI):
    name: ClassVar[str] = "openai_compatible"
    label: ClassVar[str] = "OpenAI-compatible host"
    docs_url: ClassVar[str] = "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"
    default_base_url: ClassVar[str] = ""
    # Ollama: "api_key is required but ignored"; vLLM and llama.cpp check one only when started with --api-key.
    credential_optional: ClassVar[bool] = True
    # Such hosts serve models of any name: the operator writes the routes.
    model_patterns: ClassVar[tuple[str, ...]] = ()
