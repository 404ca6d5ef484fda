"""JSON schemas as Claude's structured outputs and strict tools accept them.

"additionalProperties must be set to false for objects"; numeric, length and most array constraints are refused.
https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tikhub_app.translation.json_text import encode_text

_STRING_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_SILENTLY_DROPPED = frozenset({"$schema", "$id", "$comment", "$anchor", "additionalProperties", "nullable", "strict"})
_LISTS = ("anyOf", "allOf")
_DEEPEST = 100


class SchemaNotExpressible(ValueError):
    """The schema asks for what cannot be enforced: objects with keys of any name."""


def clean_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An equal schema without the keywords that are refused; these are told to the model in the description.

    :raises SchemaNotExpressible: it has objects with free keys, or is nested without end.
    """
    return _clean(schema, 0)


def object_schema(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """A tool's input schema: always of type object, also where the caller gave none."""
    if not schema:
        return {"type": "object", "properties": {}}
    return {"type": "object", **schema} if schema.get("type") is None else dict(schema)


def _clean(schema: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        raise SchemaNotExpressible("a schema that is no object, or nested too deep")
    left = {name: value for name, value in schema.items() if name not in _SILENTLY_DROPPED}
    clean: dict[str, Any] = {}
    for name in ("$defs", "definitions"):
        definitions = left.pop(name, None)
        if isinstance(definitions, Mapping):
            clean.setdefault("$defs", {}).update((key, _clean(value, depth + 1)) for key, value in definitions.items())
    if isinstance(reference := left.pop("$ref", None), str):
        clean["$ref"] = reference.replace("#/definitions/", "#/$defs/")
        return clean
    for name in ("title", "description"):
        if isinstance(left.get(name), str):
            clean[name] = left.pop(name)
    kinds = left.pop("type", None)
    nullable = schema.get("nullable") is True
    if isinstance(kinds, list) or nullable:
        listed = kinds if isinstance(kinds, list) else [kinds] if kinds is not None else []
        return clean | _of_many_kinds([*listed, "null"] if nullable else listed, left, depth)
    variants = left.pop("oneOf", None)
    if isinstance(variants, list) and "anyOf" not in left:
        left["anyOf"] = variants
    for name in _LISTS:
        if isinstance(left.get(name), list):
            clean[name] = [_clean(variant, depth + 1) for variant in left.pop(name)]
    literals = [name for name in ("enum", "const") if name in left]
    for name in literals:
        clean[name] = left.pop(name)
    if kinds is not None and not literals:
        clean["type"] = kinds
    _clean_kind(kinds, schema, left, clean, depth)
    if left:
        told = ", ".join(f"{name}: {encode_text(value)}" for name, value in left.items())
        clean["description"] = f"{clean['description']}\n\n({told})" if clean.get("description") else f"({told})"
    return clean


def _of_many_kinds(kinds: list[Any], left: dict[str, Any], depth: int) -> dict[str, Any]:
    """``"type": ["string", "null"]`` as one variant for each."""
    distinct = list(dict.fromkeys(kind for kind in kinds if isinstance(kind, str)))
    literals = left.get("enum")
    variants = []
    for kind in distinct:
        if kind == "null":
            variants.append({"type": "null"})
        else:
            own = dict(left)
            if isinstance(literals, list):
                own["enum"] = [value for value in literals if value is not None]
            variants.append(_clean({"type": kind, **own}, depth + 1))
    if len(variants) == 1:
        return variants[0]
    return {"anyOf": variants} if variants else _clean(left, depth + 1)


def _clean_kind(kind: Any, schema: Mapping[str, Any], left: dict[str, Any], clean: dict[str, Any], depth: int) -> None:
    """The keywords of one type; what is kept moves from ``left`` to ``clean``."""
    if kind == "object" or "properties" in left:
        properties = left.pop("properties", None)
        named = properties if isinstance(properties, Mapping) else {}
        free = schema.get("additionalProperties")
        has_patterns = bool(left.get("patternProperties"))
        if has_patterns or (isinstance(free, Mapping) and free) or (not named and free is not False):
            raise SchemaNotExpressible("an object with keys of any name")
        clean["properties"] = {name: _clean(value, depth + 1) for name, value in named.items()}
        clean["additionalProperties"] = False
        if isinstance(required := left.pop("required", None), list):
            clean["required"] = required
    elif kind == "array":
        if isinstance(left.get("items"), Mapping):
            clean["items"] = _clean(left.pop("items"), depth + 1)
        if left.get("minItems") in (0, 1):
            clean["minItems"] = left.pop("minItems")
    elif kind == "string" and left.get("format") in _STRING_FORMATS:
        clean["format"] = left.pop("format")
