"""The OpenAPI document: whole, valid, and only for those who may see it."""

from __future__ import annotations

import json
import os
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.test import Client
from django.urls import include, path
from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
from openapi_spec_validator import validate

from tests.api.conftest import as_user, with_key
from tikhub_app import urls
from tikhub_app.api import schema
from tikhub_app.models import ApiKey

DOCUMENT = Path(__file__).parent / "openapi.json"

#: The published titles of what is built so far, by tag.
PUBLISHED_OPERATIONS = {
    "OpenAI": {"OpenAI chat completion"},
    "Claude": {"Claude message"},
    "Gemini": {"Gemini content", "Gemini content, streamed"},
}
PUBLISHED_SCHEMAS = {
    "ChatCompletionRequest", "ChatMessage", "Tool", "ToolCall", "ChatCompletionResponse", "ChatCompletionChoice",
    "ContentFilterResults", "UsageInfo", "ClaudeMessageRequest", "ClaudeMessageResponse",
    "GeminiGenerateContentRequest", "GeminiContent", "GeminiGenerationConfig", "GeminiGenerateContentResponse",
}  # fmt: skip

urlpatterns = [path("deep/ai/", include("tikhub_app.urls"))]


def served(**query: str) -> dict[str, Any]:
    answer = Client().get("/api/schema/", query)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def test_the_document_is_as_it_was_reviewed() -> None:
    """Run with TIKHUB_REWRITE=1 to write it anew, then review the difference."""
    document = served()
    if os.environ.get("TIKHUB_REWRITE"):
        DOCUMENT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    assert document == json.loads(DOCUMENT.read_text())


def test_the_document_is_valid_openapi_3_1() -> None:
    document = served()
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_it_is_made_without_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_documents", {})
    monkeypatch.setattr(schema, "_rendered", {})
    reset_generator_stats()
    served()
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache


def test_published_names_stand_in_it_exactly() -> None:
    document = served()
    found: dict[str, set[str]] = {}
    for operations in document["paths"].values():
        for operation in operations.values():
            for tag in operation["tags"]:
                found.setdefault(tag, set()).add(operation["summary"])
    assert {tag: found.get(tag) for tag in PUBLISHED_OPERATIONS} == PUBLISHED_OPERATIONS
    assert set(document["components"]["schemas"]) >= PUBLISHED_SCHEMAS
    assert "# Overview" in document["info"]["description"]
    assert "# Streaming API" in document["info"]["description"]


def test_a_stream_is_described_beside_the_whole_answer() -> None:
    answer = served()["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    assert answer["application/json"]["schema"]["$ref"].endswith("/ChatCompletionResponse")
    assert answer["text/event-stream"]["schema"]["$ref"].endswith("/ChatCompletionChunk")


def test_yaml_and_json_say_the_same() -> None:
    by_parameter = Client().get("/api/schema/", {"format": "yaml"})
    by_accept = Client().get("/api/schema/", headers={"accept": "application/yaml"})
    assert by_parameter.headers["Content-Type"].startswith("application/yaml")
    assert yaml.safe_load(by_parameter.content) == yaml.safe_load(by_accept.content) == served()
    assert Client().get("/api/schema/", headers={"accept": "image/png"}).headers["Content-Type"] == "application/json"


@pytest.mark.urls("tests.api.test_schema")
def test_its_server_is_where_the_host_mounted_the_app() -> None:
    answer = Client().get("/deep/ai/api/schema/")
    assert answer.json()["servers"] == [{"url": "/deep/ai"}]
    assert Client().get("/deep/ai/api/schema/", SCRIPT_NAME="/site").json()["servers"] == [{"url": "/site/deep/ai"}]


@pytest.mark.django_db
def test_a_setting_keeps_it_for_staff_and_management_keys(
    settings: Any, make_user: Callable[..., User], manage_key: str
) -> None:
    settings.TIKHUB = {**settings.TIKHUB, "SCHEMA_PUBLIC": False}
    gateway_secret = ApiKey.issue(name="calls")[1]
    for address, refusal in (("/api/schema/", 401), ("/api/docs/", 403)):
        assert Client().get(address).status_code == refusal
        assert as_user(make_user(f"somebody-{refusal}")).get(address).status_code == 403
        assert with_key(gateway_secret).get(address).status_code == 403
        assert as_user(make_user(f"staff-{refusal}", is_staff=True)).get(address).status_code == 200
        assert with_key(manage_key).get(address).status_code == 200
    assert Client().get("/api/schema/").json()["error"]["code"] == "not_authenticated"


@pytest.mark.django_db
def test_a_wrong_key_does_not_keep_anybody_from_a_public_document() -> None:
    assert with_key("sk-tkh-wrong").get("/api/schema/").status_code == 200


@pytest.mark.parametrize(
    ("missing", "served_names"),
    [
        (["drf_spectacular"], set()),
        (["drf_spectacular_sidecar"], {"schema"}),
        ([], {"schema", "docs"}),
    ],
)
def test_a_host_without_the_packages_has_no_addresses_for_them(
    missing: list[str], served_names: set[str], settings: Any
) -> None:
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name not in missing]
    fresh = runpy.run_path(str(urls.__file__))
    names = {pattern.name for pattern in fresh["urlpatterns"] if hasattr(pattern, "name")}
    assert {"healthz", "readyz", "metrics"} <= names
    assert names & {"schema", "docs"} == served_names
