"""Which paths are the gateway's, and what they mean."""

from __future__ import annotations

import pytest

from tikhub_app.gateway.endpoints import CHAT_COMPLETIONS, ENDPOINTS, TEMPLATES, match


def test_a_path_without_parameters_is_found_as_it_stands() -> None:
    assert match("POST", "/v1/chat/completions") == (CHAT_COMPLETIONS, {})
    assert match("GET", "/v1/chat/completions") is None
    assert match("POST", "/v1/chat/completions/") is None
    assert not [endpoint for endpoint in ENDPOINTS if "{" in endpoint.path]


@pytest.mark.parametrize(
    ("path", "operation", "version", "model"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "generate_content", "v1beta", "gemini-2.5-flash"),
        ("/v1/models/gemini-x:streamGenerateContent", "stream_generate_content", "v1", "gemini-x"),
        ("/v1alpha/models/gemini-x:countTokens", "count_tokens", "v1alpha", "gemini-x"),
        ("/v1beta/models/gemini-x%3AcountTokens", "count_tokens", "v1beta", "gemini-x"),
        ("/v1beta/models/gemini-x%3acountTokens", "count_tokens", "v1beta", "gemini-x"),
        ("/v1beta/models/models/gemini-x:countTokens", "count_tokens", "v1beta", "models/gemini-x"),
        ("/v1beta/models/a:b:countTokens", "count_tokens", "v1beta", "a:b"),
    ],
)
def test_gemini_names_version_model_and_verb_in_the_path(path: str, operation: str, version: str, model: str) -> None:
    found = match("POST", path)
    assert found is not None
    endpoint, parameters = found
    assert (endpoint.dialect, endpoint.operation) == ("gemini", operation)
    assert parameters == {"version": version, "model": model}
    assert match("GET", path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/:generateContent",
        "/v1beta/models/gemini-x:generateContent/",
        "/v1beta/models/gemini-x:embedContent",
        "/v1beta/models/gemini-x",
        "/v2/models/gemini-x:generateContent",
        "/ai/v1beta/models/gemini-x:generateContent",
        "/v1beta/models/gemini\n-x:generateContent",
    ],
)
def test_other_paths_are_not_claimed(path: str) -> None:
    assert match("POST", path) is None


def test_every_template_names_known_parameters() -> None:
    assert {endpoint.path.format(version="v1beta", model="m") for endpoint in TEMPLATES} == {
        "/v1beta/models/m:generateContent",
        "/v1beta/models/m:streamGenerateContent",
        "/v1beta/models/m:countTokens",
    }
