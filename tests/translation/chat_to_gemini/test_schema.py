"""The older subset of OpenAPI."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tikhub_app.translation.chat_to_gemini.schema import SchemaNotExpressible, openapi_schema

STRING = {"type": "STRING"}


@pytest.mark.parametrize(
    ("schema", "clean"),
    [
        ({"type": ["string", "null"]}, {"nullable": True, "type": "STRING"}),
        ({"type": ["string", "integer"]}, {"anyOf": [STRING, {"type": "INTEGER"}]}),
        ({"const": 3}, {"enum": ["3"], "type": "STRING"}),
        ({"enum": ["a", 1, None]}, {"enum": ["a", "1"], "type": "STRING", "nullable": True}),
        ({"type": "array"}, {"type": "ARRAY", "items": STRING}),
        ({"type": "array", "items": {"type": "number"}}, {"type": "ARRAY", "items": {"type": "NUMBER"}}),
        ({"type": "string", "format": "uuid"}, {"type": "STRING", "description": '(format: "uuid")'}),
        ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"nullable": True, "type": "STRING"}),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [STRING, {"type": "INTEGER"}]}),
        (
            {"description": "A.", "type": "integer", "multipleOf": 2},
            {"description": "A.\n\n(multipleOf: 2)", "type": "INTEGER"},
        ),
        (
            {"allOf": [{"$ref": "#/$defs/a"}, {"required": ["y"]}], "$defs": {"a": {"properties": {"y": True}}}},
            {"type": "OBJECT", "properties": {"y": {}}, "required": ["y"]},
        ),
        (
            {"type": "object", "propertyNames": {}, "$schema": "x"},
            {"type": "OBJECT", "description": "(propertyNames: {})"},
        ),
    ],
)  # fmt: skip
def test_what_the_subset_does_not_know_is_said_another_way(schema: dict[str, Any], clean: dict[str, Any]) -> None:
    assert openapi_schema(schema) == clean


def test_references_are_put_in_their_place() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/definitions/b", "description": "Own."}},
        "definitions": {"b": {"type": "string", "description": "Theirs."}},
    }
    assert openapi_schema(schema)["properties"]["a"] == {"description": "Own.", "type": "STRING"}


@pytest.mark.parametrize("reference", ["#", "#/$defs/none", "https://example.com/a"])
def test_a_reference_that_cannot_be_put_in_its_place(reference: str) -> None:
    with pytest.raises(SchemaNotExpressible):
        openapi_schema({"properties": {"a": {"$ref": reference}}})


ANY: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["string", "object", "array", "null", "#", "#/x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "items",
                    "anyOf",
                    "allOf",
                    "enum",
                    "const",
                    "$ref",
                    "$defs",
                    "required",
                    "format",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["type", "properties", "anyOf", "allOf", "items", "$ref", "format"]), ANY))
def test_any_schema_is_cleaned_or_refused(schema: dict[str, Any]) -> None:
    try:
        clean = openapi_schema(schema)
    except SchemaNotExpressible:
        return
    assert "$ref" not in clean
    assert "allOf" not in clean
