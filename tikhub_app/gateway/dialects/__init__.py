"""The wire formats that callers speak: how a request is read as far as routing and accounting need it, and how an
error is written. One module per dialect, listed in ``DIALECTS``.
"""

from tikhub_app.gateway.dialects.anthropic_messages import AnthropicMessages
from tikhub_app.gateway.dialects.base import Dialect, ParsedCall
from tikhub_app.gateway.dialects.gemini import Gemini
from tikhub_app.gateway.dialects.openai_chat import OpenAIChat

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (OpenAIChat(), AnthropicMessages(), Gemini())}

__all__ = ["DIALECTS", "Dialect", "ParsedCall"]
