"""Instances of a JSON schema: arguments of tool calls, and answers to ``response_format`` json_schema.

Covers the keywords that tools and structured outputs use: type, enum, const, properties, required,
additionalProperties, min/maxProperties, items, prefixItems, min/maxItems, uniqueItems, the numeric and string bounds,
pattern, format, anyOf, oneOf, allOf, $ref into the same document, default and examples. The words come from the prompt.
"""

import math
import random
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tikhub_app.sandbox.pattern_strings import matching_string

Schema = Mapping[str, Any] | bool
_DEEP = 4  # from here on: optional properties out, empty arrays, the simplest alternative
_TOO_DEEP = 40

_BY_NAME = {
    "unit": "celsius",
    "currency": "EUR",
    "language": "en",
    "country": "Italy",
    "email": "ada@example.com",
    "url": "https://example.com/",
    "date": "2026-05-04",
    "time": "09:30:00",
    "timezone": "Europe/Rome",
}


class JsonInstances:
    """Makes instances for one call, deterministic by its generator."""

    def __init__(self, rng: random.Random, words: Sequence[str], turn: int = 0) -> None:
        """Of the prompt's ``words`` that look like names, the one at ``turn`` is taken where a name is wanted."""
        self._rng = rng
        self._words = list(words) or ["sandbox"]
        names = [word for word in self._words if word[:1].isupper()] or self._words
        self._name = names[-1 - turn % len(names)]

    def make(self, schema: Schema, name: str = "value") -> Any:
        """An instance of ``schema``. A schema that nothing satisfies gets the nearest thing."""
        root = schema if isinstance(schema, Mapping) else {}
        return self._make(schema, root, name, 0)

    def _make(self, schema: Schema, root: Mapping[str, Any], name: str, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > _TOO_DEEP:
            return self._string({}, name) if depth <= _TOO_DEEP else None
        schema = _flatten(schema, root)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._rng.choice(list(schema["enum"]))
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                return self._alternative(schema, keyword, root, name, depth)
        kind = self._kind(schema, depth)
        if kind == "object":
            return self._object(schema, root, depth)
        if kind == "array":
            return self._array(schema, root, name, depth)
        if kind == "integer":
            return round(self._number(schema, whole=True))
        if kind == "number":
            return self._number(schema, whole=False)
        if kind == "boolean":
            return self._rng.random() < 0.5
        if kind == "null":
            return None
        return self._string(schema, name)

    def _alternative(
        self, schema: Mapping[str, Any], keyword: str, root: Mapping[str, Any], name: str, depth: int
    ) -> Any:
        rest = {key: value for key, value in schema.items() if key != keyword}
        choices = [choice for choice in schema[keyword] if choice is not False]
        # Near the root something worth seeing, deep down whatever ends the recursion.
        choices.sort(key=lambda choice: (_is_null(choice), 0) if depth < _DEEP else (not _is_leaf(choice), 0))
        chosen = choices[0] if choices else {}
        merged = _merge(rest, _flatten(chosen, root)) if isinstance(chosen, Mapping) else rest
        return self._make(merged, root, name, depth + 1)

    def _kind(self, schema: Mapping[str, Any], depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            if depth >= _DEEP and "null" in kind:
                return "null"
            kind = next((one for one in kind if one != "null"), "null")
        if isinstance(kind, str):
            return kind
        if "properties" in schema or "additionalProperties" in schema or "required" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        if any(word in schema for word in ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum")):
            return "number"
        return "string"

    def _object(self, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = list(schema.get("required") or ())
        made: dict[str, Any] = {}
        for name, part in properties.items():
            if part is not False and (name in required or (depth < _DEEP and self._rng.random() < 0.5)):
                made[name] = self._make(part, root, name, depth + 1)
        more = schema.get("additionalProperties", True)
        for name in required:
            if name not in made:
                made[name] = self._make(more if more is not False else {}, root, name, depth + 1)
        # An open map is shown with an entry, or with as many as it must have.
        least = int(schema.get("minProperties", 1 if not properties and isinstance(more, Mapping) else 0))
        for number in range(max(0, least - len(made))):
            name = f"{self._words[number % len(self._words)].lower()}_{number + 1}"
            made[name] = self._make(more if more is not False else {}, root, name, depth + 1)
        return made

    def _array(self, schema: Mapping[str, Any], root: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        prefix = schema.get("prefixItems") or ()
        made = [self._make(part, root, name, depth + 1) for part in prefix]
        items = schema.get("items", True)
        least, most = int(schema.get("minItems", 0)), int(schema.get("maxItems", 1000))
        wanted = least if items is False or depth >= _DEEP else max(least, min(most, 2))
        tries = 0
        while len(made) < wanted and tries < 20 * wanted:
            tries += 1
            item = self._make(items, root, name, depth + 1)
            if schema.get("uniqueItems") and item in made:
                if isinstance(item, str) and "pattern" not in _flatten(items, root):
                    item = f"{item} {len(made) + 1}"
                if item in made:
                    continue
            made.append(item)
        return made

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> float:
        step = schema.get("multipleOf") or (1 if whole else 0.5)
        if whole and step < 1:
            step = 1
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        first = math.ceil(low / step) if low is not None else None
        if above is not None:
            first = max(math.floor(above / step) + 1, first if first is not None else -math.inf)
        last = math.floor(high / step) if high is not None else None
        if below is not None:
            last = min(math.ceil(below / step) - 1, last if last is not None else math.inf)
        if first is None:
            first = min(1, last) if last is not None else 1
        if last is None or last < first:
            last = first + 20 if last is None else first
        multiple = self._rng.randint(int(first), int(min(last, first + 1000)))
        if last == first and not whole and "multipleOf" not in schema:
            # Bounds closer together than our step: their middle.
            ends = [float(end) for end in (low, above, high, below) if end is not None]
            return sum(ends) / len(ends) if len(ends) > 1 else float(multiple * step)
        return float(multiple * step) if not whole else multiple * step

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        if "pattern" in schema:
            made = matching_string(self._rng, str(schema["pattern"]))
            if made is not None:
                return made
        by_format = self._by_format(str(schema.get("format", "")))
        if by_format is not None:
            return by_format
        text = self._by_name(name)
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        while len(text) < least:
            text += " " + self._rng.choice(self._words)
        return text[: int(most)] if most is not None else text

    def _by_name(self, name: str) -> str:
        lowered = name.lower()
        for part, value in _BY_NAME.items():
            if lowered == part or lowered.endswith("_" + part):
                return value
        if any(part in lowered for part in ("city", "location", "name", "place", "title", "author", "person")):
            return self._name
        return " ".join(self._words[:4])

    def _by_format(self, name: str) -> str | None:
        rng = self._rng
        day = f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        clock = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00"
        made = {
            "date": day,
            "time": clock + "Z",
            "date-time": f"{day}T{clock}Z",
            "duration": f"PT{rng.randint(1, 59)}M",
            "email": "ada@example.com",
            "hostname": "example.com",
            "ipv4": f"192.0.2.{rng.randint(1, 254)}",
            "ipv6": f"2001:db8::{rng.randint(1, 9999)}",
            "uri": "https://example.com/sandbox",
            "url": "https://example.com/sandbox",
            "uuid": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        }
        return made.get(name)


def _flatten(schema: Any, root: Mapping[str, Any], depth: int = 0) -> Mapping[str, Any]:
    """``schema`` with its $ref followed and its allOf merged into it; circles are left after a few turns."""
    flat: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {}
    while isinstance(flat.get("$ref"), str) and depth < _DEEP:
        depth += 1
        rest = {key: value for key, value in flat.items() if key != "$ref"}
        flat = _merge(rest, _resolve(flat["$ref"], root))
    parts = flat.get("allOf")
    if parts and depth < _DEEP:
        flat = {key: value for key, value in flat.items() if key != "allOf"}
        for part in parts:
            flat = _merge(flat, _flatten(part, root, depth + 1))
    return flat


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    target: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        target = target.get(key, {}) if isinstance(target, Mapping) else {}
    return target if isinstance(target, Mapping) else {}


def _merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**second, **first}
    merged["properties"] = {**(second.get("properties") or {}), **(first.get("properties") or {})}
    merged["required"] = [*(first.get("required") or ()), *(second.get("required") or ())]
    return {key: value for key, value in merged.items() if value or key not in ("properties", "required")}


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _is_leaf(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") in ("null", "string", "number", "integer", "boolean")
