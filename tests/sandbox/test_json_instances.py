"""Instances of JSON schemas, judged by an independent validator."""

import random
from typing import Any

import jsonschema_rs
import pytest

from tikhub_app.sandbox.json_instances import JsonInstances

NODE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
    },
    "required": ["value", "children", "next"],
    "additionalProperties": False,
}

SCHEMAS: dict[str, Any] = {
    "nothing said": {},
    "true": True,
    "constant": {"const": {"a": [1]}},
    "enumeration": {"enum": ["x", 3, None]},
    "bounded integer": {"type": "integer", "minimum": 3, "exclusiveMaximum": 5},
    "negative": {"type": "integer", "maximum": -4},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 50},
    "narrow number": {"type": "number", "minimum": 0.1, "maximum": 0.2},
    "decimal steps": {"type": "number", "multipleOf": 0.25, "exclusiveMinimum": 1},
    "short string": {"type": "string", "minLength": 5, "maxLength": 6},
    "long string": {"type": "string", "minLength": 80},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-\\d{3,5}(?:x|yz)?$"},
    "plate or code": {"type": "string", "pattern": "^(?:[^a-z]\\w+|\\.{3})$"},
    "date and time": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "email": {"type": "string", "format": "email"},
    "nullable": {"type": ["null", "integer"]},
    "unique items": {"type": "array", "items": {"type": "string"}, "minItems": 4, "uniqueItems": True},
    "unique choices": {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True},
    "tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "items": False},
    "at most one item": {"type": "array", "items": {"type": "integer"}, "maxItems": 1},
    "open map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3},
    "required only": {"required": ["a", "b"]},
    "one of": {"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 3}]},
    "all of": {
        "allOf": [
            {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    "discriminated": {
        "anyOf": [
            {"type": "object", "properties": {"kind": {"const": "a"}, "n": {"type": "number"}}, "required": ["kind"]},
            {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]},
        ]
    },
    "recursive": {"$defs": {"Node": NODE}, "$ref": "#/$defs/Node"},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_instance_satisfies_its_schema(name: str) -> None:
    schema = SCHEMAS[name]
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    for seed in range(25):
        instance = JsonInstances(random.Random(seed), ["Turin", "forecast", "rain"]).make(schema)
        assert validator.is_valid(instance), instance


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"$ref": "#/$defs/nowhere"},
        {"type": "string", "pattern": "(?=never)("},
        {"type": "integer", "minimum": 9, "maximum": 2},
        {"anyOf": [False]},
    ],
)
def test_a_schema_that_cannot_be_met_still_ends(schema: Any) -> None:
    instance = JsonInstances(random.Random(1), ["Turin"]).make(schema)
    assert isinstance(instance, str | int | dict | type(None))
