"""Pydantic models of the wire formats, named exactly as the published schema list.

They serve translation, the Python door and the OpenAPI document; a call whose dialect stays the same is relayed as
bytes and never rebuilt from them. Unknown fields are kept everywhere, so nothing is lost on the day a provider adds
one. No module here imports Django.
"""

from tikhub_app.schemas.chat import (
    AllowedToolsChoice,
    AudioOptions,
    ChatCompletionRequest,
    FunctionDefinition,
    NamedToolChoice,
    ResponseFormat,
    StreamOptions,
    Tool,
)
from tikhub_app.schemas.chat_message import ChatMessage, ToolCall, ToolCallFunction
from tikhub_app.schemas.chat_response import (
    ChatCompletionChoice,
    ChatCompletionChunk,
    ChatCompletionChunkChoice,
    ChatCompletionChunkDelta,
    ChatCompletionResponse,
    PromptFilterResult,
    ToolCallDelta,
)
from tikhub_app.schemas.content_filter import ContentFilterDetection, ContentFilterResults, ContentFilterSeverity
from tikhub_app.schemas.errors import ErrorDetail, ErrorResponse
from tikhub_app.schemas.usage import CompletionTokensDetails, PromptTokensDetails, UsageInfo
from tikhub_app.schemas.wire import WireModel

__all__ = [
    "AllowedToolsChoice",
    "AudioOptions",
    "ChatCompletionChoice",
    "ChatCompletionChunk",
    "ChatCompletionChunkChoice",
    "ChatCompletionChunkDelta",
    "ChatCompletionRequest",
    "ChatCompletionResponse",
    "ChatMessage",
    "CompletionTokensDetails",
    "ContentFilterDetection",
    "ContentFilterResults",
    "ContentFilterSeverity",
    "ErrorDetail",
    "ErrorResponse",
    "FunctionDefinition",
    "NamedToolChoice",
    "PromptFilterResult",
    "PromptTokensDetails",
    "ResponseFormat",
    "StreamOptions",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallFunction",
    "UsageInfo",
    "WireModel",
]
