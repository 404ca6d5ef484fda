"""What goes to OpenAI and to hosts that resemble it: URL, headers, body."""

from __future__ import annotations

import json

import pytest

from tikhub_app.exceptions import ConfigurationError, UnsupportedFeature
from tikhub_app.providers.base import Account, ProviderCall
from tikhub_app.providers.openai import OpenAI
from tikhub_app.providers.openai_compatible import OpenAICompatible
from tikhub_app.providers.registry import PROVIDERS, get_provider
from tikhub_app.upstream.values import Timeouts

BODY = b'{ "model":"gpt-4o" }'


def a_call(*, is_stream: bool = False, **headers: str) -> ProviderCall:
    return ProviderCall("chat", "gpt-4o", BODY, "att_1", is_stream=is_stream, headers=headers)


def test_a_chat_request_carries_the_account_and_the_attempt() -> None:
    account = Account(
        "https://api.openai.com/v1",
        "sk-secret",
        {"organization": "org-1", "project": "proj_1"},
        Timeouts(1.0, 2.0, 3.0),
    )
    request = OpenAI().build_request(account, a_call(is_stream=True, **{"openai-beta": "assistants=v2"}))
    assert (request.method, request.url) == ("POST", "https://api.openai.com/v1/chat/completions")
    assert request.body is BODY
    assert request.timeouts == Timeouts(1.0, 2.0, 3.0)
    assert request.headers == {
        "User-Agent": "tikhub-ai-gateway",
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",
        "Authorization": "Bearer sk-secret",
        "Content-Type": "application/json",
        "OpenAI-Organization": "org-1",
        "OpenAI-Project": "proj_1",
        "X-Client-Request-Id": "att_1",
        "openai-beta": "assistants=v2",
    }


def test_a_host_without_keys_gets_no_authorization() -> None:
    request = OpenAICompatible().build_request(Account("http://ollama:11434/v1"), a_call())
    assert request.url == "http://ollama:11434/v1/chat/completions"
    assert request.headers["Accept"] == "application/json"
    assert not {"authorization", "openai-organization", "openai-project"} & {name.lower() for name in request.headers}


def test_the_connection_test_costs_nothing_and_is_impatient() -> None:
    request = OpenAI().build_connection_test(Account("https://api.openai.com/v1", "sk-secret"))
    assert (request.method, request.url, request.body) == ("GET", "https://api.openai.com/v1/models", b"")
    assert request.timeouts.first_byte_s == 15.0


def test_what_it_cannot_do_is_said() -> None:
    provider = OpenAI()
    assert provider.speaks("openai_chat", "chat")
    assert not provider.speaks("openai_chat", "embed")
    assert not provider.speaks("anthropic_messages", "chat")
    with pytest.raises(UnsupportedFeature, match="OpenAI does not support teleport"):
        provider.build_request(Account("https://api.openai.com/v1"), ProviderCall("teleport", "m", b"", "att_1"))


def test_a_credential_is_never_printed() -> None:
    account = Account("https://api.openai.com/v1", "sk-secret")
    request = OpenAI().build_request(account, a_call())
    assert "sk-secret" not in f"{account!r} {account} {request!r} {request}"


def test_the_registry_finds_each_provider_by_its_own_name() -> None:
    assert {name: provider.name for name, provider in PROVIDERS.items()} == {name: name for name in PROVIDERS}
    assert get_provider("openai_compatible").credential_optional
    with pytest.raises(ConfigurationError, match="no provider 'nobody'; known are openai"):
        get_provider("nobody")


def test_azures_error_names_what_its_filter_found() -> None:
    results = {"hate": {"filtered": True, "severity": "high"}, "self-harm": {"filtered": False, "severity": "safe"}}
    body = {"error": {"code": "content_filter", "innererror": {"content_filter_result": results}}}
    found = OpenAI().read_error(400, json.dumps(body).encode())
    assert [(each.side, each.category, each.filtered, each.severity) for each in found] == [
        ("prompt", "hate", True, "high"),
        ("prompt", "self_harm", False, "safe"),
    ]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"error":"text"}', b'{"error":{"innererror":3}}'])
def test_other_errors_have_no_findings(body: bytes) -> None:
    assert OpenAI().read_error(400, body) == []
