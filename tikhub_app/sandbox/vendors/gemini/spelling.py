"""Google's APIs take a field's name as camelCase or as snake_case; here a request becomes camelCase throughout.

https://protobuf.dev/programming-guides/json/ — what callers fill in freely (arguments, results, schemas' property
names, labels) keeps its names.
"""

from collections.abc import Mapping
from typing import Any

_FREE = frozenset({"args", "response", "labels", "parametersJsonSchema", "responseJsonSchema", "default", "example"})
_FREE_NAMES = frozenset({"properties"})


def camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest) if rest and first else name


def snake_case(name: str) -> str:
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name)


def in_camel_case(value: Any) -> Any:
    if isinstance(value, list):
        return [in_camel_case(inner) for inner in value]
    if not isinstance(value, Mapping):
        return value
    spelled: dict[str, Any] = {}
    for name, inner in value.items():
        known = camel_case(name)
        if known in _FREE:
            spelled[known] = inner
        elif known in _FREE_NAMES and isinstance(inner, Mapping):
            spelled[known] = {free: in_camel_case(schema) for free, schema in inner.items()}
        else:
            spelled[known] = in_camel_case(inner)
    return spelled
