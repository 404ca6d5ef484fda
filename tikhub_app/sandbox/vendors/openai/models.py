"""OpenAI's chat models, as ``GET /v1/models`` lists them. https://platform.openai.com/docs/models"""

import re
from dataclasses import dataclass
from typing import Any

_REASONING = re.compile(r"^(o\d|gpt-5(?!.*-chat))")


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    snapshot: str  # the dated model that answers for the name
    created: int  # seconds since 1970
    context_tokens: int = 128_000
    output_tokens: int = 16_384
    owned_by: str = "system"
    vendor_rules: bool = True  # OpenAI's limits and its rules for reasoning models hold

    @property
    def reasons(self) -> bool:
        return self.vendor_rules and bool(_REASONING.match(self.name))

    def listing(self) -> dict[str, Any]:
        return {"id": self.name, "object": "model", "created": self.created, "owned_by": self.owned_by}


def _family(snapshot: str, *names: str, created: int, context: int, output: int) -> list[Model]:
    """Each name of a model that ``snapshot`` answers, the snapshot's own among them."""
    return [Model(name, snapshot, created, context, output) for name in (*names, snapshot)]


_ALL = (
    *_family("gpt-3.5-turbo-0125", "gpt-3.5-turbo", created=1677610602, context=16_385, output=4_096),
    *_family("gpt-3.5-turbo-1106", created=1698959748, context=16_385, output=4_096),
    *_family("gpt-4-0613", "gpt-4", created=1687882411, context=8_192, output=8_192),
    *_family("gpt-4-turbo-2024-04-09", "gpt-4-turbo", created=1712361441, context=128_000, output=4_096),
    *_family("gpt-4o-2024-08-06", "gpt-4o", created=1715367049, context=128_000, output=16_384),
    *_family("gpt-4o-2024-05-13", created=1715368132, context=128_000, output=4_096),
    *_family("gpt-4o-2024-11-20", created=1739331543, context=128_000, output=16_384),
    *_family("gpt-4o-mini-2024-07-18", "gpt-4o-mini", created=1721172741, context=128_000, output=16_384),
    *_family("chatgpt-4o-latest", created=1723515131, context=128_000, output=16_384),
    *_family("gpt-4.1-2025-04-14", "gpt-4.1", created=1744315746, context=1_047_576, output=32_768),
    *_family("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini", created=1744317547, context=1_047_576, output=32_768),
    *_family("gpt-4.1-nano-2025-04-14", "gpt-4.1-nano", created=1744321707, context=1_047_576, output=32_768),
    *_family("gpt-5-2025-08-07", "gpt-5", created=1754425777, context=400_000, output=128_000),
    *_family("gpt-5-mini-2025-08-07", "gpt-5-mini", created=1754425928, context=400_000, output=128_000),
    *_family("gpt-5-nano-2025-08-07", "gpt-5-nano", created=1754426384, context=400_000, output=128_000),
    *_family("gpt-5-chat-latest", created=1754073306, context=128_000, output=16_384),
    *_family("gpt-5.1-2025-11-13", "gpt-5.1", created=1762800673, context=400_000, output=128_000),
    *_family("gpt-5.1-chat-latest", created=1762547951, context=128_000, output=16_384),
    *_family("gpt-5.2-2025-12-11", "gpt-5.2", created=1765313051, context=400_000, output=128_000),
    *_family("o1-2024-12-17", "o1", created=1734375816, context=200_000, output=100_000),
    *_family("o3-2025-04-16", "o3", created=1744225308, context=200_000, output=100_000),
    *_family("o3-mini-2025-01-31", "o3-mini", created=1737146383, context=200_000, output=100_000),
    *_family("o4-mini-2025-04-16", "o4-mini", created=1744225351, context=200_000, output=100_000),
)

MODELS: dict[str, Model] = {model.name: model for model in _ALL}
