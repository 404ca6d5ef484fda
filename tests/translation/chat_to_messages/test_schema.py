from __future__ import annotations

from typing import Any

import pytest

from tikhub_app.translation.chat_to_messages.schema import SchemaNotExpressible, clean_schema, object_schema


@pytest.mark.parametrize(
    ("schema", "clean"),
    [
        (
            {"type": "string", "minLength": 2, "pattern": "^a"},
            {"type": "string", "description": '(minLength: 2, pattern: "^a")'},
        ),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        (
            {"type": "string", "format": "phone", "description": "A."},
            {"type": "string", "description": 'A.\n\n(format: "phone")'},
        ),
        ({"type": "integer", "enum": [1, 2]}, {"enum": [1, 2]}),
        ({"const": "x"}, {"const": "x"}),
        ({"type": ["string", "null"], "title": "T"}, {"title": "T", "anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "string", "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": ["string", "null"], "enum": ["a", None]}, {"anyOf": [{"enum": ["a"]}, {"type": "null"}]}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (
            {"type": "array", "items": {"type": "number", "maximum": 3}, "minItems": 1, "maxItems": 2},
            {
                "type": "array",
                "items": {"type": "number", "description": "(maximum: 3)"},
                "minItems": 1,
                "description": "(maxItems: 2)",
            },
        ),
        (
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": "#/definitions/A",
                "definitions": {"A": {"type": "object", "properties": {"a": {"$ref": "#/definitions/A"}}}},
            },
            {
                "$ref": "#/$defs/A",
                "$defs": {
                    "A": {
                        "type": "object",
                        "properties": {"a": {"$ref": "#/$defs/A"}},
                        "additionalProperties": False,
                    }
                },
            },
        ),
        (
            {"type": "object", "properties": {"minimum": {"type": "string"}}, "additionalProperties": True},
            {"type": "object", "properties": {"minimum": {"type": "string"}}, "additionalProperties": False},
        ),
    ],
)
def test_keywords_that_claude_refuses_are_told_in_words(schema: dict[str, Any], clean: dict[str, Any]) -> None:
    assert clean_schema(schema) == clean


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "patternProperties": {"^a": {}}, "properties": {"b": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}},
        {"type": "array", "items": {"anyOf": [True]}},
    ],
)
def test_free_keys_cannot_be_expressed(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaNotExpressible):
        clean_schema(schema)


def test_an_object_without_any_key_can() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    assert clean_schema(schema) == schema


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(500):
        schema = {"type": "array", "items": schema}
    with pytest.raises(SchemaNotExpressible):
        clean_schema(schema)


def test_the_input_of_a_tool_is_an_object() -> None:
    assert object_schema(None) == object_schema({}) == {"type": "object", "properties": {}}
    assert object_schema({"properties": {}}) == {"type": "object", "properties": {}}
