"""JSON schemas for Gemini: as they are where the model reads them, else in its older subset of OpenAPI 3.0.

https://ai.google.dev/api/caching#Schema
https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support

In the subset any keyword that it does not know is a 400: those are told to the model in the
description. References are put in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.json_text import encode_text

_KEPT = frozenset(
    {
        "title", "description", "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum",
        "minLength", "maxLength", "pattern", "nullable", "default", "example", "propertyOrdering",
    }
)  # fmt: skip
_SILENTLY_DROPPED = frozenset(
    {"$schema", "$id", "$comment", "$anchor", "$defs", "definitions", "additionalProperties", "strict", "examples"}
)
#: Type -> the formats that are known; all others are refused.
_FORMATS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"date-time", "enum"}),
    "integer": frozenset({"int32", "int64"}),
    "number": frozenset({"float", "double"}),
}
_DEEPEST = 50


class SchemaNotExpressible(ValueError):
    """The schema contains itself, or points at nothing."""


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as the fields for JSON Schema take it."""
    return {name: value for name, value in schema.items() if name != "$schema"}


def openapi_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in the older subset.

    :raises SchemaNotExpressible: it is recursive.
    """
    return _clean(schema, schema, 0)


def _clean(schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise SchemaNotExpressible("a schema that contains itself")
    if not isinstance(schema, Mapping):
        return {}  # "true": anything
    schema = _resolved(schema, root, depth)
    left = {name: value for name, value in schema.items() if name not in _SILENTLY_DROPPED}
    clean = {name: left.pop(name) for name in _KEPT & left.keys()}
    kind = _kind(left, clean)
    _literals(left, clean)
    variants = left.pop("anyOf", None) or left.pop("oneOf", None)
    if isinstance(variants, list) and variants:
        _variants(variants, clean, root, depth)
    if kind == "object" or "properties" in left:
        properties = left.pop("properties", None)
        if isinstance(properties, Mapping) and properties:
            clean["properties"] = {name: _clean(value, root, depth + 1) for name, value in properties.items()}
        required = left.pop("required", None)
        if isinstance(required, list) and required:
            clean["required"] = [name for name in required if name in clean.get("properties", {})]
        clean.setdefault("type", "OBJECT")
    if kind == "array":
        items = left.pop("items", None)
        # An array without items is a 400.
        clean["items"] = _clean(items, root, depth + 1) or {"type": "STRING"}
    if (form := left.pop("format", None)) is not None and form in _FORMATS.get(str(kind), ()):
        clean["format"] = form
        form = None
    if form is not None:
        left["format"] = form
    if left:
        told = ", ".join(f"{name}: {encode_text(value)}" for name, value in left.items())
        clean["description"] = f"{clean['description']}\n\n({told})" if clean.get("description") else f"({told})"
    return clean


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    """The schema with a reference and ``allOf`` put in their place; what stands beside them goes first."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        if depth > _DEEPEST:
            raise SchemaNotExpressible("a schema that contains itself")
        return {**_resolved(_target(reference, root), root, depth + 1), **beside}
    pieces = schema.get("allOf")
    if not isinstance(pieces, list):
        return schema
    merged: dict[str, Any] = {}
    for piece in (*pieces, {name: value for name, value in schema.items() if name != "allOf"}):
        if not isinstance(piece, Mapping):
            continue
        for name, value in _resolved(piece, root, depth + 1).items():
            known = merged.get(name)
            if name == "properties" and isinstance(known, Mapping) and isinstance(value, Mapping):
                merged[name] = {**known, **value}
            elif name == "required" and isinstance(known, list) and isinstance(value, list):
                merged[name] = [*known, *(entry for entry in value if entry not in known)]
            else:
                merged[name] = value
    return merged


def _target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    if not reference.startswith("#"):
        raise SchemaNotExpressible(f"the reference {reference!r}")
    found: Any = root
    for step in reference[1:].split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        raise SchemaNotExpressible(f"the reference {reference!r}")
    return found


def _kind(left: dict[str, Any], clean: dict[str, Any]) -> str | None:
    """The one type, in lower case; ``"type": ["string", "null"]`` becomes nullable, several become variants."""
    given = left.pop("type", None)
    listed = [kind.lower() for kind in (given if isinstance(given, list) else [given]) if isinstance(kind, str)]
    kinds = [kind for kind in dict.fromkeys(listed) if kind != "null"]
    if "null" in listed:
        clean["nullable"] = True
    if len(kinds) > 1:
        left.setdefault("anyOf", [{"type": kind} for kind in kinds])
        return None
    kind = kinds[0] if kinds else None
    if kind is not None:
        clean["type"] = kind.upper()
    return kind


def _literals(left: dict[str, Any], clean: dict[str, Any]) -> None:
    """``enum`` and ``const``: an enumeration holds strings."""
    values = left.pop("enum", None)
    if "const" in left:
        values = [left.pop("const")]
    if not isinstance(values, list):
        return
    if None in values:
        clean["nullable"] = True
    strings = [value if isinstance(value, str) else encode_text(value) for value in values if value is not None]
    if strings:
        clean["enum"] = list(dict.fromkeys(strings))
        clean["type"] = "STRING"


def _variants(variants: list[Any], clean: dict[str, Any], root: Mapping[str, Any], depth: int) -> None:
    """``anyOf``; a variant that is null makes the whole nullable."""
    is_null = [isinstance(variant, Mapping) and variant.get("type") == "null" for variant in variants]
    if any(is_null):
        clean["nullable"] = True
    cleaned = [_clean(variant, root, depth + 1) for variant, null in zip(variants, is_null, strict=True) if not null]
    if len(cleaned) == 1:
        for name, value in cleaned[0].items():
            clean.setdefault(name, value)
    elif cleaned:
        clean["anyOf"] = cleaned
